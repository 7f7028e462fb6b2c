import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { linesOfFile, linesOfText, type LogLines } from '../../dist/src/input/logLines.js'

const all = (lines: LogLines): [string, boolean][] => {
  const found: [string, boolean][] = []
  lines.forEach((line, cut) => found.push([line, cut]))
  return found
}

describe('the lines of a file', () => {
  // Read a megabyte at a time: lines and letters of several bytes lie across the seams.
  it.each([
    ['whole', '\n'],
    ['cut', ''],
  ])('are those of its text, %s', (_, end) => {
    const folder = mkdtempSync(join(tmpdir(), 'racewalk-lines-'))
    const text = `${'a line with ä and €\n'.repeat(120_000)}the last${end}`
    writeFileSync(join(folder, 'log'), text)
    const found = all(linesOfFile(join(folder, 'log')))
    rmSync(folder, { recursive: true })
    expect(found.length).toBe(120_001)
    expect(found).toEqual(all(linesOfText(text)))
    expect(found.at(-1)).toEqual(['the last', end === ''])
  })
})
