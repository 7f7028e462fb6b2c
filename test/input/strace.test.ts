import { describe, expect, it } from 'vitest'
import { parseStrace } from '../../dist/src/input/strace.js'
import type { Call, LogEvent } from '../../dist/src/input/straceEvent.js'
import { complaint, LOGS, logText, type LogName } from './recordings.js'

/** A log of the given lines: `TID text`, each a microsecond after the one before; threads end as they must. */
function log(...lines: string[]): LogEvent[] {
  const text = lines.map((line, i) => line.replace(' ', ` 10:00:00.${String(i).padStart(6, '0')} `)).join('\n')
  return [...parseStrace(`${text}\n`, 'test.strace').events]
}
const calls = (events: readonly LogEvent[]): Call[] => events.filter((event): event is Call => event.kind === 'call')
const first = (events: readonly LogEvent[]): Call => calls(events)[0] ?? expect.fail('no call')
const exit = (...tids: number[]): string[] => tids.map((tid) => `${tid} +++ exited with 0 +++`)

describe('the recorded logs', () => {
  // Lines, then events of each kind. Split calls take two lines and make one event.
  const counts: Record<LogName, [number, Record<string, number>]> = {
    'bash-pipeline': [443, { call: 316, snapshot: 20, end: 12, signal: 5 }],
    'gcc-small': [355, { call: 328, snapshot: 10, end: 5, signal: 4 }],
    ls: [50, { call: 47, snapshot: 2, end: 1 }],
    'python-threads': [432, { call: 419, snapshot: 2, end: 5 }],
    'sqlite-like': [154, { call: 151, snapshot: 2, end: 1 }],
    tar: [114, { call: 101, snapshot: 5, end: 3, signal: 2 }],
    true: [24, { call: 21, snapshot: 2, end: 1 }],
    'xz-T2': [89, { call: 68, snapshot: 2, end: 3 }],
  }

  it.each(LOGS)('%s parses whole: every line is in one event, and every kind is counted', (name) => {
    const { events, lineCount } = parseStrace(logText(name), name)
    const kinds: Record<string, number> = {}
    for (const { kind } of events) kinds[kind] = (kinds[kind] ?? 0) + 1
    expect([lineCount, kinds]).toEqual(counts[name])

    const lines = new Set(events.flatMap(({ line, endLine }) => [line, endLine]))
    expect(lines.size).toBe(lineCount)
  })

  it.each(LOGS)('%s: each call has the name and result that its lines show', (name) => {
    const lines = logText(name).split('\n')
    for (const call of calls(parseStrace(logText(name), name).events)) {
      const [begin = '', end = ''] = [lines[call.line - 1], lines[call.endLine - 1]]
      expect(begin).toContain(` ${call.name}(`)
      expect(end.startsWith(`${call.tid} `)).toBe(true)
      const shown = /= (-1 (E\w+)|0x[0-9a-f]+|\d+|\?)(?: |$)/.exec(end) ?? []
      expect(call.errno).toBe(shown[2])
      expect(call.result).toBe(shown[1] === '?' ? undefined : shown[2] === undefined ? Number(shown[1]) : -1)
    }
  })

  it.each(LOGS)('%s: the events of a thread keep their order, and are numbered through', (name) => {
    const { events } = parseStrace(logText(name), name)
    expect(events.map(({ n }) => n)).toEqual(events.map((_, i) => i))
    const last = new Map<number, number>()
    for (const { tid, line } of events) {
      expect(line).toBeGreaterThan(last.get(tid) ?? 0)
      last.set(tid, line)
    }
  })
})

describe('a call', () => {
  it('has typed arguments, its times, and flags as sets of names', () => {
    const { events } = parseStrace(logText('true'), 'true')
    expect(calls(events)[3]).toEqual({
      kind: 'call',
      n: 3,
      line: 4,
      endLine: 4,
      tid: 4843,
      startTime: ((23 * 60 + 51) * 60 + 1) * 1e6 + 360599,
      endTime: ((23 * 60 + 51) * 60 + 1) * 1e6 + 360610,
      name: 'mmap',
      args: {
        addr: 0,
        length: 16440,
        prot: new Set(['PROT_READ']),
        flags: new Set(['MAP_PRIVATE', 'MAP_DENYWRITE']),
        fd: 3,
        path: '/opt/rec/mapsnap.so',
        offset: 0,
      },
      result: 0x7f66b813c000,
    })
  })

  it.each([
    ['brk(NULL) = 0x1000', 'brk', {}, 0x1000],
    ['brk(0x2000) = 0x2000', 'brk', { addr: 0x2000 }, 0x2000],
    ['munmap(0x1000, 4096) = 0', 'munmap', { addr: 0x1000, length: 4096 }, 0],
    ['madvise(0x1000, 1, MADV_COLD) = 0', 'madvise', { addr: 0x1000, length: 1, advice: 'MADV_COLD' }, 0],
    ['mincore(0x1000, 4096, [0]) = 0', 'mincore', { addr: 0x1000, length: 4096 }, 0],
    [
      'mlock2(0x1000, 1, MLOCK_ONFAULT) = 0',
      'mlock2',
      { addr: 0x1000, length: 1, flags: new Set(['MLOCK_ONFAULT']) },
      0,
    ],
    ['set_tid_address(0x7f10) = 7', 'set_tid_address', { addr: 0x7f10 }, 7],
    ['exit_group(3) = ?', 'exit_group', { status: 3 }, undefined],
    ['execve("/bin/a\\"b", ["a"], 0x7ffe /* 3 vars */) = 0', 'execve', { path: '/bin/a"b' }, 0],
    [
      'mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE|MREMAP_FIXED, 0x9000) = 0x9000',
      'mremap',
      {
        oldAddr: 0x1000,
        oldLength: 4096,
        newLength: 8192,
        flags: new Set(['MREMAP_MAYMOVE', 'MREMAP_FIXED']),
        newAddr: 0x9000,
      },
      0x9000,
    ],
    [
      'pkey_mprotect(0x1000, 4096, PROT_NONE, 2) = 0',
      'pkey_mprotect',
      { addr: 0x1000, length: 4096, prot: new Set(['PROT_NONE']), pkey: 2 },
      0,
    ],
  ])('%s', (text, name, args, result) => {
    const call = first(log(`7 ${text}${text.endsWith('?') ? '' : ' <0.000001>'}`, ...exit(7)))
    expect([call.name, call.args, call.result]).toEqual([name, args, result])
  })

  it('keeps flags that strace has no name for', () => {
    const call = first(
      log(
        '7 mmap(NULL, 4096, PROT_READ|0x40 /* PROT_??? */, MAP_PRIVATE|21<<MAP_HUGE_SHIFT, -1, 0) = 0x1000 <0.000001>',
        ...exit(7),
      ),
    )
    expect(call.args).toMatchObject({
      prot: new Set(['PROT_READ', '0x40']),
      flags: new Set(['MAP_PRIVATE', '21<<MAP_HUGE_SHIFT']),
    })
  })

  it('has the error name of a failed call', () => {
    const call = first(log('7 munmap(0x1001, 1) = -1 EINVAL (Invalid argument) <0.000001>', ...exit(7)))
    expect([call.result, call.errno]).toEqual([-1, 'EINVAL'])
  })

  it('holds an address of the upper half as its exact signed value', () => {
    const call = first(log('7 munmap(0xffffffffff600000, 4096) = -1 EINVAL (Invalid argument) <0.000001>', ...exit(7)))
    expect(call.args).toEqual({ addr: -0xa00000, length: 4096 })
  })

  it('reads paths with commas, brackets, escaped bytes and the mark of a deleted file', () => {
    const path = (text: string): unknown => {
      const line = `7 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3<${text}, 0x3000) = 0x1000 <0.000001>`
      return first(log(line, ...exit(7))).args
    }
    expect(path('/tmp/a, b(c>')).toMatchObject({ path: '/tmp/a, b(c', offset: 0x3000 })
    expect(path('/tmp/\\303\\251\\74>')).toMatchObject({ path: '/tmp/é<' })
    expect(path('/tmp/x>(deleted)')).toMatchObject({ path: '/tmp/x' })
    expect(path('/tmp/x (deleted)>')).toMatchObject({ path: '/tmp/x' })
  })

  it('of no use to the simulator is kept as text', () => {
    const [event] = log('7 read(3</a>, "x) = 5", 100) = 5 <0.000001>', ...exit(7))
    expect(event).toMatchObject({ kind: 'other', name: 'read', args: '3</a>, "x) = 5", 100', result: 5 })
  })

  it('counts time on past midnight', () => {
    const text = '7 23:59:59.999999 brk(NULL) = 0x1 <0.000002>\n7 00:00:00.000003 +++ exited with 0 +++\n'
    const [brk, end] = parseStrace(text, 'x').events
    expect((end?.startTime ?? 0) - (brk?.startTime ?? 0)).toBe(4)
  })
})

describe('clone, fork and vfork', () => {
  it('say what is shared, and which thread they made', () => {
    const events = log(
      '7 clone3({flags=CLONE_VM|CLONE_THREAD, child_tid=0x10, exit_signal=0, stack_size=0x7fff80} => {parent_tid=[8]}, 88) = 8 <0.000001>',
      '7 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x10) = 9 <0.000001>',
      '7 clone3({flags=0, exit_signal=SIGCHLD}, 88) = 10 <0.000001>',
      '7 fork() = 11 <0.000001>',
      '7 vfork() = 12 <0.000001>',
      '7 vfork() = -1 EAGAIN (Resource temporarily unavailable) <0.000001>',
      ...exit(8, 9, 10, 11, 12, 7),
    )
    expect(calls(events).map(({ args }) => args)).toEqual([
      { flags: new Set(['CLONE_VM', 'CLONE_THREAD']), childTid: 8 },
      { flags: new Set(['CLONE_CHILD_SETTID', 'SIGCHLD']), childTid: 9 },
      { flags: new Set(['SIGCHLD']), childTid: 10 },
      { flags: new Set(['SIGCHLD']), childTid: 11 },
      { flags: new Set(['CLONE_VM', 'CLONE_VFORK', 'SIGCHLD']), childTid: 12 },
      { flags: new Set(['CLONE_VM', 'CLONE_VFORK', 'SIGCHLD']) },
    ])
  })
})

describe('lines that are no calls', () => {
  it('are snapshot marks, signals and the ends of threads', () => {
    const events = log(
      '7 munmap(0x6d6170000000, 0) = -1 EINVAL (Invalid argument) <0.000001>',
      '7 munmap(0x6d6170001000, 0) = -1 EINVAL (Invalid argument) <0.000001>',
      '7 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---',
      '7 vfork() = 8 <0.000001>',
      '8 +++ exited with 3 +++',
      '7 +++ killed by SIGSEGV (core dumped) +++',
    )
    expect(events).toMatchObject([
      { kind: 'snapshot', k: 0 },
      { kind: 'snapshot', k: 1 },
      { kind: 'signal', signal: 'SIGCHLD' },
      { kind: 'call', name: 'vfork' },
      { kind: 'end', tid: 8, status: 3 },
      { kind: 'end', tid: 7, signal: 'SIGSEGV' },
    ])
  })

  it('make no mark of an unmap of nothing elsewhere', () => {
    expect(first(log('7 munmap(0x1000, 0) = -1 EINVAL (Invalid argument) <0.000001>', ...exit(7))).name).toBe('munmap')
  })
})

describe('a call split by <unfinished ...>', () => {
  it('is one event with both lines, and takes effect at the second', () => {
    const events = log(
      '7 fork() = 8 <0.000001>',
      '7 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0 <unfinished ...>',
      '8 brk(NULL) = 0x1000 <0.000001>',
      '7 <... mmap resumed>) = 0x7000 <0.000009>',
      ...exit(8, 7),
    )
    expect(calls(events).map(({ name }) => name)).toEqual(['fork', 'brk', 'mmap'])
    expect(events[2]).toMatchObject({
      line: 2,
      endLine: 4,
      startTime: 36000000001,
      endTime: 36000000010,
      result: 0x7000,
    })
  })

  it('comes before the first line of the thread it made', () => {
    const events = log(
      '7 vfork( <unfinished ...>',
      '8 execve("/bin/a", ["a"], 0x1 /* 1 vars */) = -1 ENOENT (No such file) <0.000001>',
      '8 +++ exited with 1 +++',
      '7 <... vfork resumed>) = 8 <0.000009>',
      ...exit(7),
    )
    expect(events.map((event) => ('name' in event ? event.name : event.kind))).toEqual([
      'vfork',
      'execve',
      'end',
      'end',
    ])
  })

  // What the threads of one process do: 7 gives back a page, the kernel hands it to 8, and 8's result is written first.
  const reuse = (given: string): string[] => [
    '7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 8 <0.000001>',
    '7 munmap(0x7000, 8192 <unfinished ...>',
    `8 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ${given} <0.000001>`,
    '7 <... munmap resumed>) = 0 <0.000009>',
    ...exit(8, 7),
  ]

  it('that frees memory comes before the call that is given this memory', () => {
    expect(calls(log(...reuse('0x8000'))).map(({ name }) => name)).toEqual(['clone3', 'munmap', 'mmap'])
  })

  it('stays at its result when the memory given is another', () => {
    expect(calls(log(...reuse('0x9000'))).map(({ name }) => name)).toEqual(['clone3', 'mmap', 'munmap'])
  })

  it('may stay without a result when the thread ends in it', () => {
    const events = log(
      '7 fork() = 8 <0.000001>',
      '8 munmap(0x7000, 8192 <unfinished ...>',
      '7 brk(NULL <unfinished ...>',
      '8 +++ killed by SIGKILL +++',
      '7 <... brk resumed> <unfinished ...>) = ?',
      '7 +++ killed by SIGKILL +++',
    )
    expect(events.slice(1, 4)).toMatchObject([
      { kind: 'other', name: 'munmap', args: '0x7000, 8192', tid: 8 },
      { kind: 'end', tid: 8 },
      { kind: 'call', name: 'brk', args: {}, result: undefined },
    ])
  })

  it('goes on under the number of the leader when another thread calls execve', () => {
    const events = log(
      '7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 8 <0.000001>',
      '7 brk(NULL <unfinished ...>',
      '8 execve("/bin/true", ["true"], 0x1 /* 1 vars */ <unfinished ...>',
      '7 <... brk resumed> <unfinished ...>) = ?',
      '7 +++ superseded by execve in pid 8 +++',
      '7 <... execve resumed>) = 0 <0.000009>',
      ...exit(7),
    )
    expect(events.slice(2, 4)).toMatchObject([
      { kind: 'superseded', tid: 7, by: 8 },
      { kind: 'call', name: 'execve', tid: 7, line: 3, endLine: 6, args: { path: '/bin/true' }, result: 0 },
    ])
  })
})

describe('a log that was cut', () => {
  it('is refused wherever it is cut, naming the last line that is left', () => {
    const whole = logText('true')
    for (let length = 0; length < whole.length - 1; length++) {
      const text = whole.slice(0, length)
      const last = Math.max(1, text.replace(/\n$/, '').split('\n').length)
      const message = complaint(() => parseStrace(text, 'true.strace'))
      expect(message.startsWith(`true.strace: line ${last}: `), `${length}: ${message}`).toBe(true)
    }
    expect(parseStrace(whole.slice(0, -1), 'true.strace').events).toHaveLength(24) // only the last newline is missing
  })

  it.each(LOGS)('%s is refused after any of its lines but the last', (name) => {
    const lines = logText(name).split('\n').slice(0, -1)
    for (let count = 1; count < lines.length; count++) {
      const text = `${lines.slice(0, count).join('\n')}\n`
      expect(complaint(() => parseStrace(text, name))).toMatch(
        /: line \d+: (the log ends here|\w+ of thread \d+ is never)/,
      )
    }
  })

  it('is refused at the line that is missing its end', () => {
    const text = logText('ls').slice(0, 2500)
    expect(complaint(() => parseStrace(text, 'ls.strace'))).toBe(
      [
        'ls.strace: line 17: the file ends in the middle of a line: "4864  23:51:01.520919 mmap(0x7f2c2140a000, 24576, PROT_READ|…"',
        '  expected `TID TIME call(...) = result <seconds>`, `<... call resumed>...`, `--- SIGNAL ---` or `+++ exited with N +++`',
        '  take the whole file, or record it again and let the program come to its end',
      ].join('\n'),
    )
  })

  it('is refused at a call that is never resumed', () => {
    const text = ['7 brk(NULL <unfinished ...>', '8 +++ exited with 0 +++']
    expect(complaint(() => log(...text))).toMatch(/^test\.strace: line 1: brk of thread 7 is never resumed/)
  })

  it('is refused when a thread that it makes never appears', () => {
    expect(complaint(() => log('7 fork() = 8 <0.000001>', ...exit(7)))).toMatch(
      /line 2: the log ends here, but thread 8 /,
    )
  })
})

describe('a log', () => {
  const whole = (...lines: string[]): string => lines.map((line) => `${line}\n`).join('')
  const calls = (text: string, leader?: number): unknown =>
    parseStrace(text, 'F', leader === undefined ? {} : { leader }).events.map((event) => [
      event.tid,
      event.kind,
      'name' in event ? event.name : '',
    ])
  const thread = (tid: number): unknown => [
    [tid, 'call', 'brk'],
    [tid, 'end', ''],
  ]

  it.each([
    ['-tt -T', '7 23:51:01.347125 brk(NULL) = 0x1 <0.000001>', '7 23:51:01.347126 +++ exited with 0 +++'],
    ['-ttt', '7 1795984637.485142 brk(NULL) = 0x1', '7 1795984637.485143 +++ exited with 0 +++'],
    ['-t', '7 23:51:01 brk(NULL) = 0x1', '7 23:51:01 +++ exited with 0 +++'],
    ['no times', '7 brk(NULL) = 0x1', '7 +++ exited with 0 +++'],
    ['a terminal', '[pid     7] brk(NULL) = 0x1', '[pid     7] +++ exited with 0 +++'],
  ])('may be of strace with %s', (_, ...lines) => {
    expect(calls(whole(...lines))).toEqual(thread(7))
  })

  it('of a terminal names its first thread when there is another, and not before', () => {
    const text = whole(
      'brk(NULL) = 0x1',
      'strace: Process 9 attached',
      '[pid     7] fork( <unfinished ...>',
      '[pid     9] +++ exited with 0 +++',
      '[pid     7] <... fork resumed>) = 9',
      '+++ exited with 0 +++',
    )
    expect(calls(text)).toEqual([
      [7, 'call', 'brk'],
      [7, 'call', 'fork'],
      [9, 'end', ''],
      [7, 'end', ''],
    ])
  })

  it('that names no thread at all is of the process that its snapshots are of', () => {
    const text = whole('brk(NULL) = 0x1', '+++ exited with 0 +++')
    expect(calls(text, 7)).toEqual(thread(7))
    expect(complaint(() => parseStrace(text, 'F'))).toContain('F: line 1: no line says which thread it is of')
  })
})

describe('a foreign file', () => {
  it('is refused at the first line that is not one of strace, with what to do instead', () => {
    const message = complaint(() => parseStrace('{"version": 1}\n', 'x.json'))
    expect(message).toBe(
      [
        'x.json: line 1: not an strace line: "{\\"version\\": 1}"',
        '  expected `TID TIME call(...) = result <seconds>`, `<... call resumed>...`, `--- SIGNAL ---` or `+++ exited with N +++`',
        '  record it with: racewalk record -o NAME -- PROGRAM',
      ].join('\n'),
    )
  })

  it.each([
    ['an empty file', '', 1, 'the file is empty'],
    ['bytes', '\u0000\u001b[2J\n', 1, 'not an strace line: "\\u0000\\u001b[2J"'],
    ['a blank line', '7 23:51:01.347125 brk(NULL) = 0x1 <0.000001>\n\n', 2, 'not an strace line: ""'],
    ['too few arguments', '7 23:51:01.347125 mmap(NULL, 1) = 0x1 <0.000001>\n', 1, 'mmap with 2 arguments'],
    ['an odd argument', '7 23:51:01.347125 munmap(here, 1) = 0 <0.000001>\n', 1, 'argument 1 of munmap is "here"'],
    ['a resumed call that never began', '7 23:51:01.347125 <... brk resumed>) = 0x1 <0.000001>\n', 1, 'resumes brk'],
    [
      'two calls at once',
      '7 23:51:01.347125 brk(NULL <unfinished ...>\n7 23:51:01.347126 brk(NULL) = 0x1 <0.000001>\n',
      2,
      'thread 7 begins a call before its brk of line 1 has ended',
    ],
  ])('%s: line and reason', (_, text, line, reason) => {
    expect(complaint(() => parseStrace(text, 'F'))).toContain(`F: line ${line}: ${reason}`)
  })
})
