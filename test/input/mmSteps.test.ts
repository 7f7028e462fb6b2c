import { describe, expect, it } from 'vitest'
import type { MmCall, MmResult } from './mmCall.js'
import { parseMmSteps, type MmState, type MmSteps } from './mmSteps.js'
import { complaint, STEP_FILES, stepText } from './recordings.js'

const hex = (value: number): string => value.toString(16)
const names = (flags: readonly string[]): string => flags.map((flag) => `|${flag}`).join('')

function writeCall(call: MmCall): string {
  const bytes = 'bytes' in call && call.bytes > 0 ? `+${hex(call.bytes)}` : ''
  switch (call.name) {
    case 'fork':
      return 'fork'
    case 'read':
    case 'write':
      return `${call.name}(${hex(call.start)},${hex(call.count)})`
    case 'mremap': {
      const flags = call.flags.join('|') || '0'
      return `mremap(${hex(call.start)},${hex(call.oldLen)},${hex(call.newLen)},${flags},${hex(call.newStart)})`
    }
    case 'mmap': {
      const what = `prot=${call.prot},${call.shared ? 'S' : 'P'}${names(call.flags)}`
      return `mmap(${hex(call.start)}${bytes},${hex(call.len)},${what},${call.file ? 'F' : '-'}@${hex(call.offset)})`
    }
    case 'mprotect':
      return `mprotect(${hex(call.start)},${hex(call.len)},prot=${call.prot})`
    case 'madvise':
      return `madvise(${hex(call.start)},${hex(call.len)},${call.advice})`
    default:
      return `${call.name}(${hex(call.start)}${bytes},${hex(call.len)})`
  }
}

function writeResult(result: MmResult): string {
  if (result.kind === 'touches') return result.touches.join(' ')
  if (result.kind === 'errno') return result.errno
  if (result.kind === 'at') return `ok@${hex(result.start)}`
  return result.kind === 'ok' ? 'ok' : `${result.value}`
}

function writeState({ vmas, pages }: MmState): string[] {
  const lines = vmas.map(({ start, len, perms, counters: c, flags }) => {
    const counters = `rss=${c.rss} anon=${c.anon} lazy=${c.lazy} thp=${c.thp} lck=${c.lck}`
    return `  V ${hex(start)}+${hex(len)} ${perms} ${counters} [${flags.map((flag) => `${flag} `).join('')}]`
  })
  return pages === undefined ? lines : [...lines, `  P ${pages}`]
}

/** The file again, from what was parsed. */
function write(parsed: MmSteps): string {
  const { seed, steps, mode, pages, base, kernel, init, initial } = parsed
  const lines = [`# seed=${seed} steps=${steps.length} mode=${mode} pages=${pages} base=${hex(base)} kernel=${kernel}`]
  for (const { call, result } of init)
    lines.push(`init ${writeCall(call).replace(',-@0', '')} = ${writeResult(result)}`)
  if (initial !== null) lines.push(...writeState(initial))
  for (const { n, call, result, state, child } of steps) {
    if (child === undefined) lines.push(`${n} ${writeCall(call)} = ${writeResult(result)}`)
    else lines.push(`${n} fork child`, ...writeState(child), `fork parent = ${writeResult(result)}`)
    lines.push(...writeState(state))
  }
  return `${lines.join('\n')}\n`
}

describe('the recorded mm-steps', () => {
  it('are ten files of each mode, and a few more', () => {
    const modes = STEP_FILES.map((file) => parseMmSteps(stepText(file), file).mode)
    for (const mode of ['small', 'file', 'fork', 'thp'])
      expect(modes.filter((each) => each === mode).length).toBeGreaterThan(10)
  })

  it('begin with nothing mapped where there is no `init` line', () => {
    expect(parseMmSteps(stepText('fork-14.txt'), 'fork-14.txt')).toMatchObject({ init: [], initial: null })
  })

  it.each(STEP_FILES)('%s: what is parsed is all that the file says', (file) => {
    const text = stepText(file)
    expect(write(parseMmSteps(text, file))).toBe(text)
  })

  it('fork-1 has the state of the child and that of the parent after a fork', () => {
    const { steps } = parseMmSteps(stepText('fork-1.txt'), 'fork-1.txt')
    const { line, call, result, state, child } = steps[22] ?? expect.fail('no step 22')
    expect([line, call, result]).toEqual([164, { name: 'fork' }, { kind: 'value', value: 0 }])
    // One VMA of the parent is marked MADV_DONTFORK.
    expect(state.vmas.filter(({ flags }) => flags.includes('dc'))).toHaveLength(1)
    expect(child?.vmas).toEqual(state.vmas.filter(({ flags }) => !flags.includes('dc')))
  })

  it('thp files have no page letters, and counters in decimal', () => {
    const { steps, pages } = parseMmSteps(stepText('thp-1.txt'), 'thp-1.txt')
    expect(pages).toBe(2048)
    expect(steps.every(({ state }) => state.pages === undefined)).toBe(true)
    const vmas = STEP_FILES.filter((file) => file.startsWith('thp')).flatMap((file) =>
      parseMmSteps(stepText(file), file).steps.flatMap(({ state }) => state.vmas),
    )
    const huge = vmas.filter(({ counters }) => counters.thp > 0)
    expect(huge).toHaveLength(10)
    expect(huge.every(({ counters }) => counters.anon === 512)).toBe(true) // one huge page is 512 pages
  })
})

describe('a file of steps that was cut', () => {
  it.each(['small-1.txt', 'fork-1.txt', 'thp-1.txt'])(
    '%s is refused after any line before the last step, naming it',
    (file) => {
      const lines = stepText(file).trimEnd().split('\n')
      const lastStep = lines.findLastIndex((line) => /^\d+ /.test(line))
      for (let count = 1; count <= lastStep; count++) {
        const message = complaint(() => parseMmSteps(`${lines.slice(0, count).join('\n')}\n`, file))
        expect(message).toMatch(new RegExp(`^${file}: line ${count}: the file ends where .* belongs`))
      }
    },
  )

  it('is refused in the middle of a line', () => {
    const text = stepText('small-1.txt').slice(0, 400)
    const message = complaint(() => parseMmSteps(text, 'small-1.txt'))
    expect(message).toMatch(/^small-1\.txt: line \d+: the file ends in the middle of a line: "/)
    expect(message).toContain(`line ${text.split('\n').length}:`)
  })
})

describe('a file that holds no such steps', () => {
  const text = stepText('small-1.txt')
  it.each([
    ['empty', '', 1, 'the file ends where the header'],
    ['foreign', 'hello\n', 1, 'not the header of an mm-steps file: "hello"'],
    ['of an unknown mode', text.replace('mode=small', 'mode=big'), 1, 'not the header'],
    ['with a state that nothing made', text.replace(/^init.*\n/m, ''), 2, 'not a step: "  V'],
    ['with an unknown call', text.replace('mremap(5', 'remap(5'), 5, 'not a step: "0 remap(5,'],
    ['with an odd result', text.replace('ok@28', 'fine'), 5, 'not a step'],
    ['with a step missing', text.replace('1 munmap', '2 munmap'), 9, 'step 2 where step 1 belongs'],
    ['with too few letters', text.replace('  P .', '  P '), 4, '63 page letters in an arena of 64 pages'],
    ['with too few touches', text.replace('SIGSEGV SIGSEGV SIGSEGV', 'SIGSEGV'), 50, '1 results for 3 pages'],
    ['with a damaged VMA', text.replace('rss=0', 'rss=x'), 3, 'not a V line'],
    ['with more steps than it says', text.replace('steps=60', 'steps=59'), 513, 'a line after the last of 59 steps'],
  ])('%s: line and reason', (_, damaged, line, reason) => {
    expect(complaint(() => parseMmSteps(damaged, 'F'))).toContain(`F: line ${line}: ${reason}`)
  })
})
