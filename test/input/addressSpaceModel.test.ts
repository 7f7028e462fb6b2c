import { describe, expect, it } from 'vitest'
import { virt } from '../../dist/src/base/units.js'
import { AddressSpaceModel } from '../../dist/src/input/addressSpaceModel.js'
import { formatVma, type MapsVma } from '../../dist/src/input/maps.js'
import type { MmCall, MmResult } from './mmCall.js'
import { parseMmSteps, type MmState, type MmVma } from './mmSteps.js'
import { parseStrace } from '../../dist/src/input/strace.js'
import type { LogEvent } from '../../dist/src/input/straceEvent.js'
import { expectedMaps, STEP_FILES, stepText } from './recordings.js'

/** The events of one thread that makes the given calls and exits. */
function events(...calls: string[]): LogEvent[] {
  const lines = [...calls.map((call) => `${call} <0.000001>`), '+++ exited with 0 +++']
  return [...parseStrace(lines.map((line) => `7 10:00:00.000000 ${line}\n`).join(''), 'log').events]
}
const shown = (maps: readonly MapsVma[]): string[] => maps.map(formatVma)
const after = (...calls: string[]): string[] => shown(expectedMaps([], events(...calls)))
const anonymous = (at: string, length: number, prot = 'PROT_READ|PROT_WRITE', flags = ''): string =>
  `mmap(${at}, ${length}, ${prot}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED${flags}, -1, 0) = ${at}`
const mapped = (at: string, offset: string, prot = 'PROT_READ'): string =>
  `mmap(${at}, 4096, ${prot}, MAP_PRIVATE|MAP_FIXED, 3</lib>, ${offset}) = ${at}`

describe('neighbours', () => {
  it('become one VMA when they are alike, on both sides of a new one', () => {
    const [low, high, middle] = [anonymous('0x10000', 4096), anonymous('0x12000', 4096), anonymous('0x11000', 4096)]
    expect(after(low, high)).toEqual(['00010000-00011000 rw-p 00000000', '00012000-00013000 rw-p 00000000'])
    expect(after(low, high, middle)).toEqual(['00010000-00013000 rw-p 00000000'])
  })

  it('stay apart when protection or a flag that maps does not show differs', () => {
    const low = anonymous('0x10000', 4096)
    expect(after(low, anonymous('0x11000', 4096, 'PROT_READ'))).toHaveLength(2)
    expect(after(low, anonymous('0x11000', 4096, 'PROT_READ|PROT_WRITE', '|MAP_NORESERVE'))).toHaveLength(2)
    expect(after(low, anonymous('0x11000', 4096, 'PROT_READ|PROT_WRITE', '|MAP_STACK'))).toHaveLength(2)
    expect(after(low, anonymous('0x11000', 4096, 'PROT_READ|PROT_WRITE', '|MAP_POPULATE'))).toHaveLength(1)
  })

  it('that map a file become one when path and protection are equal and the offset continues', () => {
    expect(after(mapped('0x10000', '0x3000'), mapped('0x11000', '0x4000'))).toEqual([
      '00010000-00012000 r--p 00003000 /lib',
    ])
    expect(after(mapped('0x10000', '0x3000'), mapped('0x11000', '0x5000'))).toHaveLength(2)
    expect(after(mapped('0x10000', '0x3000'), mapped('0x11000', '0x4000').replace('/lib', '/bin'))).toHaveLength(2)
    expect(after(mapped('0x10000', '0x3000'), anonymous('0x11000', 4096, 'PROT_READ'))).toHaveLength(2)
  })

  it('stay apart when one was writable once: a loader makes its relocated data read-only', () => {
    const calls = [mapped('0x10000', '0'), mapped('0x11000', '0x1000', 'PROT_READ|PROT_WRITE')]
    expect(after(...calls, 'mprotect(0x11000, 4096, PROT_READ) = 0')).toEqual([
      '00010000-00011000 r--p 00000000 /lib',
      '00011000-00012000 r--p 00001000 /lib',
    ])
  })

  it('of shared anonymous memory are two files', () => {
    const shared = (at: string): string => `mmap(${at}, 4096, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = ${at}`
    expect(after(shared('0x10000'), shared('0x11000'))).toEqual([
      '00010000-00011000 r--s 00000000 /dev/zero',
      '00011000-00012000 r--s 00000000 /dev/zero',
    ])
  })

  it('that the start shows as two stay two', () => {
    const vma = (start: number): MapsVma => ({
      start: virt(start),
      end: virt(start + 4096),
      perms: 'rw-p',
      offset: 0,
      path: '',
    })
    const protect = events('mprotect(0x10000, 8192, PROT_READ) = 0')
    expect(expectedMaps([vma(0x10000), vma(0x11000)], protect)).toHaveLength(2)
  })
})

describe('a call', () => {
  const three = anonymous('0x10000', 3 * 4096)

  it('splits what it changes in the middle, and joins what it changes back', () => {
    const change = 'mprotect(0x11000, 1, PROT_READ) = 0'
    expect(after(three, change)).toEqual([
      '00010000-00011000 rw-p 00000000',
      '00011000-00012000 r--p 00000000',
      '00012000-00013000 rw-p 00000000',
    ])
    expect(after(three, change, 'mprotect(0x10000, 12288, PROT_READ|PROT_WRITE) = 0')).toHaveLength(1)
    expect(after(three, 'munmap(0x11000, 4096) = 0')).toHaveLength(2)
  })

  it('that fails changes nothing', () => {
    expect(after(three, 'munmap(0x10001, 4096) = -1 EINVAL (Invalid argument)')).toHaveLength(1)
    expect(after(three, 'mprotect(0x10001, 4096, PROT_READ) = -1 EINVAL (Invalid argument)')).toHaveLength(1)
  })

  it('that stops at a hole has changed what lies before it', () => {
    const holed = [three, 'munmap(0x11000, 4096) = 0']
    const [low, high] = ['00010000-00011000 rw-p 00000000', '00012000-00013000 rw-p 00000000']
    expect(after(...holed, 'mprotect(0x10000, 12288, PROT_READ) = -1 ENOMEM (Cannot allocate memory)')).toEqual([
      '00010000-00011000 r--p 00000000',
      high,
    ])
    expect(after(...holed, 'mprotect(0x11000, 8192, PROT_READ) = -1 ENOMEM (Cannot allocate memory)')).toEqual([
      low,
      high,
    ])
  })

  it('mremap shrinks, grows in place, moves, and moves what grows', () => {
    expect(after(three, 'mremap(0x10000, 12288, 4096, 0) = 0x10000')).toEqual(['00010000-00011000 rw-p 00000000'])
    expect(after(three, 'mremap(0x11000, 8192, 20480, 0) = 0x11000')).toEqual(['00010000-00016000 rw-p 00000000'])
    expect(after(three, 'mremap(0x11000, 4096, 8192, MREMAP_MAYMOVE) = 0x20000')).toEqual([
      '00010000-00011000 rw-p 00000000',
      '00012000-00013000 rw-p 00000000',
      '00020000-00022000 rw-p 00000000',
    ])
    expect(
      after(mapped('0x10000', '0x3000'), 'mremap(0x10000, 4096, 4096, MREMAP_MAYMOVE|MREMAP_FIXED, 0x20000) = 0x20000'),
    ).toEqual(['00020000-00021000 r--p 00003000 /lib'])
  })

  it('mremap leaves written memory its offset, so that it cannot merge where it arrives', () => {
    const target = anonymous('0x20000', 4096)
    expect(
      after(three, target, 'mremap(0x10000, 12288, 12288, MREMAP_MAYMOVE|MREMAP_FIXED, 0x21000) = 0x21000'),
    ).toHaveLength(2)
  })

  it('brk names what lies below the break [heap], grows and shrinks it by pages', () => {
    const heap = ['brk(NULL) = 0x10000', 'brk(0x12345) = 0x12345']
    expect(after(...heap)).toEqual(['00010000-00013000 rw-p 00000000 [heap]'])
    expect(after(...heap, 'brk(0x10800) = 0x10800')).toEqual(['00010000-00011000 rw-p 00000000 [heap]'])
    expect(after(...heap, 'brk(0x10000) = 0x10000')).toEqual([])
    expect(after(...heap, 'brk(0x99000) = 0x12345')).toEqual(['00010000-00013000 rw-p 00000000 [heap]']) // refused
    expect(after('brk(NULL) = 0x10000', anonymous('0x10000', 4096), 'brk(0x10001) = 0x10001')).toHaveLength(1)
  })

  it('says why it cannot be applied, and what it left is not known until it is unmapped or mapped over', () => {
    const model = new AddressSpaceModel([])
    const apply = (...calls: string[]): (string | undefined)[] => events(...calls).map((event) => model.apply(event))
    expect(apply('brk(0x12000) = 0x12000')[0]).toMatch(/did not ask before where the break is/)
    expect(apply('shmat(3, NULL, 0) = 0x70000')[0]).toMatch(/how long the segment is/)
    const huge = 'mmap(NULL, 0x200000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB, -1, 0) = 0x200000'
    expect(apply(huge)[0]).toMatch(/hugetlb/)
    expect([model.isUnknown(0x200000, 0x201000), model.isUnknown(0x400000, 0x401000)]).toEqual([true, false])
    apply('munmap(0x200000, 2097152) = 0')
    expect(model.isUnknown(0x200000, 0x201000)).toBe(false)
  })
})

describe('memory that is locked, sealed, named or shared', () => {
  const three = anonymous('0x10000', 3 * 4096)
  const split = [
    '00010000-00011000 rw-p 00000000',
    '00011000-00012000 rw-p 00000000',
    '00012000-00013000 rw-p 00000000',
  ]

  it.each([
    'mlock(0x11000, 4096) = 0',
    'mlock2(0x11000, 4096, MLOCK_ONFAULT) = 0',
    'mseal(0x11000, 4096, 0) = 0',
    'syscall_0x1ce(0x11000, 0x1000, 0, 0xffffffff, 0, 0x7ffc46fb1608) = 0',
    'madvise(0x11000, 4096, MADV_MERGEABLE) = 0',
    'madvise(0x11000, 4096, MADV_DONTDUMP) = 0',
    'mbind(0x11000, 4096, MPOL_BIND, [0x1], 64, 0) = 0',
  ])('%s cuts it out of its neighbours', (call) => {
    expect(after(three, call)).toEqual(split)
  })

  it('is one again after munlock, and stays apart from what mlockall(MCL_FUTURE) locks', () => {
    expect(after(three, 'mlock(0x11000, 4096) = 0', 'munlock(0x10000, 12288) = 0')).toHaveLength(1)
    const next = anonymous('0x13000', 4096)
    expect(after(three, 'mlockall(MCL_FUTURE) = 0', next)).toHaveLength(2)
    expect(after(three, 'mlockall(MCL_CURRENT|MCL_FUTURE) = 0', next)).toHaveLength(1)
    expect(after('mlockall(MCL_FUTURE) = 0', three, 'munlockall() = 0', next)).toHaveLength(1)
  })

  it('has the name that PR_SET_VMA gave it', () => {
    expect(after(three, 'prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x11000, 4096, "a heap") = 0')[1]).toBe(
      '00011000-00012000 rw-p 00000000 [anon:a heap]',
    )
  })

  it('of a SysV segment is as long as shmget made it, until shmdt', () => {
    const attached = ['shmget(0x2a, 8000, IPC_CREAT|0600) = 7', 'shmat(7, NULL, SHM_RDONLY) = 0x50000']
    expect(after(...attached)).toEqual(['00050000-00052000 r--s 00000000 /SYSV0000002a'])
    expect(after(...attached, 'munmap(0x50000, 4096) = 0', 'shmdt(0x50000) = 0')).toEqual([])
  })

  it('shows another part of its file after remap_file_pages', () => {
    const shared = 'mmap(NULL, 12288, PROT_READ, MAP_SHARED, 3</f>, 0) = 0x10000'
    expect(after(shared, 'remap_file_pages(0x11000, 4096, PROT_NONE, 5, MAP_FILE) = 0')[1]).toBe(
      '00011000-00012000 r--s 00005000 /f',
    )
  })

  it('that is a stack is changed from its beginning on by PROT_GROWSDOWN', () => {
    const stack = anonymous('0x10000', 3 * 4096, 'PROT_READ|PROT_WRITE', '|MAP_GROWSDOWN')
    const protect = 'mprotect(0x11000, 4096, PROT_READ|PROT_GROWSDOWN) = 0'
    expect(after(stack, protect)[0]).toBe('00010000-00012000 r--p 00000000')
  })

  it('changes up to what is sealed when mprotect says EPERM', () => {
    const calls = [three, 'mseal(0x11000, 4096, 0) = 0', 'mprotect(0x10000, 12288, PROT_READ) = -1 EPERM (…)']
    expect(after(...calls)).toEqual(['00010000-00011000 r--p 00000000', ...split.slice(1)])
  })
})

describe('fork', () => {
  it('gives the child everything but MADV_DONTFORK, and no written memory of it grows by what the child maps', () => {
    const parent = new AddressSpaceModel([])
    const calls = [
      anonymous('0x10000', 3 * 4096),
      'madvise(0x12000, 4096, MADV_DONTFORK) = 0',
      anonymous('0x20000', 4096, 'PROT_NONE'),
    ]
    for (const event of events(...calls)) parent.apply(event)
    const child = parent.forked()
    expect(shown(child)).toEqual(['00010000-00012000 rw-p 00000000', '00020000-00021000 ---p 00000000'])

    const more = events(anonymous('0x12000', 4096), anonymous('0x21000', 4096, 'PROT_NONE'))
    expect(shown(expectedMaps(child, more))).toEqual([
      '00010000-00012000 rw-p 00000000',
      '00012000-00013000 rw-p 00000000',
      '00020000-00022000 ---p 00000000',
    ])
  })
})

describe('against the real kernel, over the mm-steps', () => {
  const PAGE = 4096
  const PROT = ['PROT_READ', 'PROT_WRITE', 'PROT_EXEC']
  const MAP: Record<string, string> = { ANON: 'ANONYMOUS', NOREPL: 'FIXED_NOREPLACE', NORES: 'NORESERVE' }

  /** The line strace would write for a step, or undefined for what is no call that changes VMAs. */
  function straceLine(call: MmCall, result: MmResult, base: number): string | undefined {
    if (call.name === 'fork' || 'count' in call) return undefined
    const at = (page: number, bytes = 0): string => `0x${(base + page * PAGE + bytes).toString(16)}`
    const answer = result.kind === 'errno' ? `-1 ${result.errno}` : result.kind === 'at' ? at(result.start) : undefined
    const prot = (bits: number): string => PROT.filter((_, i) => ((bits >> i) & 1) === 1).join('|') || 'PROT_NONE'
    if (call.name === 'mmap') {
      const flags = [call.shared ? 'SHARED' : 'PRIVATE', ...call.flags]
        .map((flag) => `MAP_${MAP[flag] ?? flag}`)
        .join('|')
      const file = call.file ? `3</file>, 0x${(call.offset * PAGE).toString(16)}` : '-1, 0'
      const place = at(call.start, call.bytes)
      return `mmap(${place}, ${call.len * PAGE}, ${prot(call.prot)}, ${flags}, ${file}) = ${answer ?? place}`
    }
    if (call.name === 'mremap') {
      const flags = call.flags.map((flag) => `MREMAP_${flag}`).join('|') || '0'
      const lengths = `${call.oldLen * PAGE}, ${call.newLen * PAGE}`
      return `mremap(${at(call.start)}, ${lengths}, ${flags}, ${at(call.newStart)}) = ${answer ?? ''}`
    }
    const range = `${at(call.start, call.name === 'munmap' ? call.bytes : 0)}, ${call.len * PAGE}`
    if (call.name === 'mprotect') return `mprotect(${range}, ${prot(call.prot)}) = ${answer ?? '0'}`
    if (call.name === 'madvise') return `madvise(${range}, MADV_${call.advice}) = ${answer ?? '0'}`
    if (call.name === 'mlock2_onfault') return `mlock2(${range}, MLOCK_ONFAULT) = ${answer ?? '0'}`
    return `${call.name}(${range}) = ${answer ?? '0'}`
  }

  interface Outlined {
    readonly start: number
    readonly end: number
    readonly perms: string
  }
  const inPages = ({ start, end, perms }: MapsVma, base: number): Outlined => ({
    start: (start - base) / PAGE,
    end: (end - base) / PAGE,
    perms,
  })
  const outline = (vmas: readonly Outlined[]): string =>
    vmas.map(({ start, end, perms }) => `${start}-${end} ${perms}`).join('\n')

  /** Neighbours of one protection written as one. */
  function joined(vmas: readonly Outlined[]): Outlined[] {
    const out: Outlined[] = []
    for (const vma of vmas) {
      const before = out[out.length - 1]
      if (before?.end === vma.start && before.perms === vma.perms) out[out.length - 1] = { ...before, end: vma.end }
      else out.push(vma)
    }
    return out
  }

  /** A model of a state of the files, with the flags that smaps showed. */
  const modelOf = (vmas: readonly MmVma[], base: number): AddressSpaceModel => {
    const flags = new Set('ac nr lo lf hg nh dc wf dd sr rr mg'.split(' '))
    return new AddressSpaceModel(
      vmas.map((vma) => ({
        start: virt(base + vma.start * PAGE),
        end: virt(base + (vma.start + vma.len) * PAGE),
        perms: vma.perms,
        offset: 0,
        path: vma.perms.endsWith('s') ? '/shared' : '',
        hidden: vma.flags.filter((flag) => flags.has(flag)),
      })),
    )
  }

  /** Pages at which one of the two begins a VMA and the other does not. */
  const oddBoundaries = (a: readonly Outlined[], b: readonly Outlined[]): number[] => {
    const [left, right] = [new Set(a.map(({ start }) => start)), new Set(b.map(({ start }) => start))]
    return [...left, ...right].filter((page) => !left.has(page) || !right.has(page))
  }

  it('agrees on every page and protection after every step, and on all boundaries but some between private memory', () => {
    let [states, sameBoundaries] = [0, 0]
    for (const file of STEP_FILES) {
      const { base, init, initial, steps } = parseMmSteps(stepText(file), file)
      let model = new AddressSpaceModel([])
      const done = (call: MmCall, result: MmResult): void => {
        const text = straceLine(call, result, base)
        if (text !== undefined) for (const event of events(text)) model.apply(event)
      }
      const check = (state: MmState, line: number): void => {
        const found = model.maps().map((vma) => inPages(vma, base))
        const wanted = state.vmas.map(({ start, len, perms }) => ({ start, end: start + len, perms }))
        expect(outline(joined(found)), `${file} line ${line}`).toBe(outline(joined(wanted)))
        states++
        const odd = oddBoundaries(found, wanted)
        if (odd.length === 0) sameBoundaries++
        for (const page of odd) {
          expect(wanted.find(({ start, end }) => start <= page && page < end)?.perms, `${file} line ${line}`).toMatch(
            /p$/,
          )
        }
        // Which memory was written to, and so may not merge, is not in the calls: go on from the real state.
        if (odd.length > 0) model = modelOf(state.vmas, base)
      }
      for (const { call, result } of init) done(call, result)
      if (initial !== null) check(initial, 0)
      for (const { call, result, state, line } of steps) {
        done(call, result)
        check(state, line)
      }
    }
    expect(states).toBe(3021)
    expect(sameBoundaries).toBe(2988)
  })
})
