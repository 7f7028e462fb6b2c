import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { document, racewalk } from './command.js'

const RECORDINGS = fileURLToPath(new URL('../fixtures/strace', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'racewalk-'))
afterAll(() => rmSync(scratch, { recursive: true }))

describe('racewalk run', () => {
  it('ends with the mappings of the snapshot', async () => {
    const ended = await racewalk('run', join(RECORDINGS, 'ls.strace'), '--json')
    expect(document(ended)).toMatchObject({
      command: 'run',
      engine: 'free',
      findings: [],
      mismatches: [],
      mapsDifferences: [],
      fault: null,
    })
    expect(ended.code).toBe(0)
  })

  it('names the line of a log that was cut', async () => {
    const lines = readFileSync(join(RECORDINGS, 'ls.strace'), 'utf8').split('\n')
    const cut = join(scratch, 'ls.strace')
    cpSync(join(RECORDINGS, 'ls.maps'), join(scratch, 'ls.maps'), { recursive: true })
    const at = lines.findIndex((line, i) => i > 5 && /mmap\(/.test(line))
    writeFileSync(cut, [...lines.slice(0, at), (lines[at] as string).slice(0, 40)].join('\n'))
    const { code, err } = await racewalk('run', cut)
    expect(code).toBe(2)
    expect(err).toContain(`ls.strace: line ${at + 1}:`)
  })

  it('names the line of a file that is no recording', async () => {
    const foreign = join(scratch, 'foreign.strace')
    copyFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), foreign)
    cpSync(join(RECORDINGS, 'ls.maps'), join(scratch, 'foreign.maps'), { recursive: true })
    const { code, err } = await racewalk('run', foreign)
    expect(code).toBe(2)
    expect(err).toMatch(/foreign\.strace: line 1:/)
  })

  it('says what is missing', async () => {
    expect(await racewalk('run', join(scratch, 'none.strace'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('no file'),
    })
    expect(await racewalk('run', join(RECORDINGS, 'ls.strace'), '--cpus', '65')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/3 to 64 CPUs/),
    })
  })
})
