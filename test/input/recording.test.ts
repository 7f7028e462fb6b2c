import { describe, expect, it } from 'vitest'
import { virt } from '../../dist/src/base/units.js'
import { formatVma, type MapsVma } from '../../dist/src/input/maps.js'
import { compareMaps, type MapsDifference } from '../../dist/src/input/compareMaps.js'
import { buildRecording, type RecordedSpace } from '../../dist/src/input/recording.js'
import type { LogEvent } from '../../dist/src/input/straceEvent.js'
import { complaint, expectedMaps, LOGS, logText, mapsTexts, recording, type LogName } from './recordings.js'

const expected = (recorded: RecordedSpace, events: readonly LogEvent[] = recorded.events): MapsVma[] =>
  expectedMaps(recorded.start, events, recorded.known.heap)

const words = (differences: readonly MapsDifference[]): string[] =>
  differences.map(({ expected: left, found }) =>
    left === undefined ? `found ${found && formatVma(found)}` : `expected ${formatVma(left)}`,
  )

const only = (name: LogName): RecordedSpace => recording(name).spaces[0] ?? expect.fail('nothing recorded')

describe('a recording', () => {
  // Processes with snapshots 0 and 1, then the forked ones with snapshot 1 alone.
  const recorded: Record<LogName, [number[], number[]]> = {
    'bash-pipeline': [
      [4896, 4898, 4899, 4902, 4903, 4905, 4906, 4908],
      [4897, 4901, 4904, 4907],
    ],
    'gcc-small': [[5149, 5150, 5156, 5157, 5158], []],
    ls: [[4864], []],
    'python-threads': [[4991], []],
    'sqlite-like': [[6314], []],
    tar: [[6387, 6389], []], // sh, 6388, leaves without snapshot 1
    true: [[4843], []],
    'xz-T2': [[5418], []],
  }

  it.each(LOGS)('%s has every process that has its snapshots', (name) => {
    const { spaces } = recording(name)
    const pids = (from: string): number[] =>
      spaces
        .filter((space) => space.from === from)
        .map(({ pid }) => pid)
        .sort((a, b) => a - b)
    expect([pids('snapshot'), pids('fork')]).toEqual(recorded[name])
  })

  it.each(LOGS)('%s: what the log says leads from snapshot 0 to snapshot 1, VMA for VMA', (name) => {
    for (const space of recording(name).spaces) {
      expect(words(compareMaps(expected(space), space.final)), `${space.pid}`).toEqual([])
    }
  })

  it.each(LOGS)('%s: events lie between the two marks, and are of threads of that address space', (name) => {
    const { spaces, processes } = recording(name)
    for (const { space, events, pid } of spaces) {
      const tids = new Set(processes.stays.filter((stay) => stay.space === space.id).map(({ tid }) => tid))
      expect(events.every(({ tid }) => tids.has(tid))).toBe(true)
      const marks = space.events.filter((event) => event.kind === 'snapshot' && event.tid === pid)
      expect(events.every(({ n }) => n < (marks[marks.length - 1]?.n ?? 0))).toBe(true)
    }
  })

  it('has the events of all threads of xz, in the order of their effects', () => {
    const { events } = only('xz-T2')
    const maps = events.flatMap((event) => (event.kind === 'call' && event.name === 'mmap' ? [event.tid] : []))
    expect(new Set(maps)).toEqual(new Set([5418, 5421, 5422]))
    expect(events).toHaveLength(42)
  })

  it('knows the program break before the first mark', () => {
    expect(only('ls').known.heap).toEqual({ start: 0x5555c8f3d000, end: 0x5555c8f5e000 })
    expect(only('true').known.heap).toEqual({ start: 0x558b0b842000, end: 0x558b0b842000 })
  })
})

describe('the comparison with snapshot 1', () => {
  it('fails when any call that gives memory back is left out', () => {
    const space = only('xz-T2')
    const unmaps = space.events.filter((event) => event.kind === 'call' && event.name === 'munmap')
    expect(unmaps).toHaveLength(4)
    for (const unmap of unmaps) {
      const rest = space.events.filter((event) => event !== unmap)
      expect(compareMaps(expected(space, rest), space.final).length).toBeGreaterThan(0)
    }
  })

  it.each(LOGS)('%s: fails when any change of protection that lasts is left out', (name) => {
    for (const space of recording(name).spaces) {
      for (const event of space.events) {
        if (event.kind !== 'call' || event.name !== 'mprotect') continue
        const { addr } = event.args
        if (!space.final.some(({ start, end }) => start <= addr && addr < end)) continue // unmapped since
        const rest = space.events.filter((other) => other !== event)
        expect(compareMaps(expected(space, rest), space.final).length, `line ${event.line}`).toBeGreaterThan(0)
      }
    }
  })

  it('fails without the flag that keeps a thread stack apart from the memory above it', () => {
    const space = only('xz-T2')
    const plain = space.events.map((event): LogEvent => {
      if (event.kind !== 'call' || event.name !== 'mmap') return event
      const flags = new Set([...event.args.flags].filter((flag) => flag !== 'MAP_STACK'))
      return { ...event, args: { ...event.args, flags } }
    })
    expect(words(compareMaps(expected(space, plain), space.final))).toEqual([
      'expected 7fa6a2e63000-7fa6a3865000 rw-p 00000000',
      'expected 7fa6a3866000-7fa6a4268000 rw-p 00000000',
      'found 7fa6a2e63000-7fa6a3663000 rw-p 00000000',
      'found 7fa6a3663000-7fa6a3865000 rw-p 00000000',
      'found 7fa6a3866000-7fa6a4066000 rw-p 00000000',
      'found 7fa6a4066000-7fa6a4268000 rw-p 00000000',
    ])
  })

  it('fails for a VMA that is missing, one too many, and one with another path', () => {
    const { final } = only('true')
    expect(compareMaps(final, final)).toEqual([])
    expect(compareMaps(final, final.slice(1))).toEqual([{ expected: final[0] }])
    expect(compareMaps(final.slice(1), final)).toEqual([{ found: final[0] }])
    const renamed = final.map((vma, i) => (i === 0 ? { ...vma, path: '/other' } : vma))
    expect(compareMaps(final, renamed)).toEqual([{ expected: final[0] }, { found: renamed[0] }])
  })

  it('counts private neighbours that look alike as one where only touches decide, and shared ones never', () => {
    const vma = (start: number, perms = 'rw-p', path = '', offset = 0): MapsVma => {
      return { start: virt(start), end: virt(start + 4096), perms, offset, path }
    }
    const whole = (perms = 'rw-p', path = ''): MapsVma => ({ ...vma(0x10000, perms, path), end: virt(0x12000) })
    const two = (perms = 'rw-p', path = ''): MapsVma[] => [
      vma(0x10000, perms, path),
      vma(0x11000, perms, path, path === '' ? 0 : 4096),
    ]
    const seam = { isSeam: (address: number) => address === 0x11000 }
    expect(compareMaps([whole()], two(), seam)).toEqual([])
    expect(compareMaps(two(), [whole()], seam)).toEqual([])
    expect(compareMaps([whole('rw-p', '/lib')], two('rw-p', '/lib'), seam)).toEqual([])
    expect(compareMaps([whole('rw-s', '/lib')], two('rw-s', '/lib'), seam)).toHaveLength(3)
    expect(compareMaps([whole()], two(), { isSeam: () => false })).toHaveLength(3)
  })

  it('says nothing of what nobody knows', () => {
    const { final } = only('true')
    const first = final[0] ?? expect.fail('no mapping')
    const isUnknown = (start: number, end: number): boolean => start < first.end && first.start < end
    expect(compareMaps(final, final.slice(1), { isUnknown })).toEqual([])
  })
})

describe('files that do not belong together', () => {
  const build = (name: LogName, maps: Map<string, string>): (() => unknown) => {
    return () => buildRecording({ file: `${name}.strace`, log: logText(name), maps })
  }

  it('are refused when the log has no such process', () => {
    expect(complaint(build('ls', mapsTexts('true')))).toBe(
      [
        '4843.0.maps: line 1: process 4843 takes no snapshot 0 in ls.strace',
        '  the log would have munmap(0x6d6170000000, 0) = -1 EINVAL of that process',
        '  give the snapshots that were saved with this log',
      ].join('\n'),
    )
  })

  it('are refused when a snapshot is called something else, or is damaged', () => {
    const [text = ''] = mapsTexts('ls').values()
    expect(complaint(build('ls', new Map([['first.maps', text]])))).toContain(
      'first.maps: line 1: not the name of a snapshot',
    )
    const damaged = new Map(mapsTexts('ls')).set('4864.1.maps', text.replace('r-xp', 'r?xp'))
    expect(complaint(build('ls', damaged))).toMatch(/^4864\.1\.maps: line \d+: not a maps line: /)
  })

  it('may lack snapshots: then there is nothing to compare', () => {
    expect(buildRecording({ file: 'ls.strace', log: logText('ls'), maps: new Map() }).spaces).toEqual([])
    const { spaces } = buildRecording({
      file: 'x',
      log: logText('bash-pipeline'),
      maps: new Map([...mapsTexts('bash-pipeline')].filter(([name]) => !name.startsWith('4896.'))),
    })
    expect(spaces.map(({ pid }) => pid)).not.toContain(4897) // its parent's start is not known
  })
})
