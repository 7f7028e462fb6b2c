import { describe, expect, it } from 'vitest'
import { processModel, type ProcessModel } from '../../dist/src/input/processes.js'
import { parseStrace, type StraceLog } from '../../dist/src/input/strace.js'
import { complaint, LOGS, logText, type LogName } from './recordings.js'

const parsed = (name: LogName): StraceLog => parseStrace(logText(name), name)

/** `id: leader how`, one for each address space. */
const tree = (model: ProcessModel): string[] =>
  model.spaces.map(({ id, leader, began }) => {
    const how = began.kind === 'root' ? 'root' : began.kind === 'fork' ? `fork of ${began.of}` : `exec ${began.path}`
    return `${id}: ${leader} ${how}${began.kind === 'exec' ? ` from ${began.from}` : ''}`
  })

/** Who was in address space `id`, in order of coming. */
const threads = (model: ProcessModel, id: number): number[] =>
  model.stays.filter(({ space }) => space === id).map(({ tid }) => tid)

describe('the processes of the recordings', () => {
  it('gcc-small: gcc shares its address space with each vfork child until that calls execve', () => {
    const model = processModel(parsed('gcc-small'))
    const lib = '/usr/lib/gcc/x86_64-linux-gnu/12'
    expect(tree(model)).toEqual([
      '0: 5149 root',
      `1: 5150 exec ${lib}/cc1 from 0`,
      '2: 5156 exec /usr/bin/as from 0',
      `3: 5157 exec ${lib}/collect2 from 0`,
      '4: 5158 exec /usr/bin/ld from 3',
    ])
    expect(threads(model, 0)).toEqual([5149, 5150, 5156, 5157])
    expect(threads(model, 3)).toEqual([5157, 5158])
    // 5156 tried eight directories of PATH in gcc's address space before it found `as`.
    const execs = model.spaces[0]?.events.filter((event) => event.tid === 5156 && event.kind === 'call')
    expect(execs).toHaveLength(9)
  })

  it('bash-pipeline: bash forks, its children call execve, and a subshell forks once more', () => {
    const model = processModel(parsed('bash-pipeline'))
    expect(tree(model)).toEqual([
      '0: 4896 root',
      '1: 4897 fork of 0',
      '2: 4898 fork of 0',
      '3: 4899 fork of 0',
      '4: 4898 exec /usr/bin/cat from 2',
      '5: 4899 exec /usr/bin/wc from 3',
      '6: 4901 fork of 0',
      '7: 4902 fork of 0',
      '8: 4903 fork of 0',
      '9: 4903 exec /usr/bin/wc from 8',
      '10: 4902 exec /usr/bin/cat from 7',
      '11: 4904 fork of 0',
      '12: 4905 fork of 0',
      '13: 4906 fork of 0',
      '14: 4906 exec /usr/bin/wc from 13',
      '15: 4905 exec /usr/bin/cat from 12',
      '16: 4907 fork of 0',
      '17: 4908 fork of 16',
      '18: 4908 exec /usr/bin/sleep from 17',
    ])
  })

  it('tar: fork, execve in the child, and vfork in that', () => {
    const model = processModel(parsed('tar'))
    expect(tree(model)).toEqual([
      '0: 6387 root',
      '1: 6388 fork of 0',
      '2: 6388 exec /bin/sh from 1',
      '3: 6389 exec /usr/bin/gzip from 2',
    ])
    expect(threads(model, 2)).toEqual([6388, 6389])
  })

  it.each([
    ['python-threads', [4991, 4992, 4993, 4994, 4995]],
    ['xz-T2', [5418, 5421, 5422]],
  ] as const)('%s: all threads are one process in one address space', (name, tids) => {
    const model = processModel(parsed(name))
    expect(model.spaces).toHaveLength(1)
    expect(threads(model, 0)).toEqual(tids)
    expect(new Set(model.stays.map(({ pid }) => pid))).toEqual(new Set([tids[0]]))
  })

  it.each(LOGS)('%s: every event but the first execve is in one address space, and every one of them ends', (name) => {
    const log = parsed(name)
    const { spaces, stays } = processModel(log)
    const numbers = spaces.flatMap(({ events }) => events.map(({ n }) => n)).sort((a, b) => a - b)
    expect(numbers).toEqual(log.events.slice(1).map(({ n }) => n))
    for (const { events, endedAt } of spaces) expect(events[events.length - 1]?.n).toBe(endedAt)
    for (const { from, to } of stays) expect(from).toBeLessThanOrEqual(to ?? -1)
  })
})

describe('a thread', () => {
  const model = (...lines: string[]): ProcessModel => {
    const text = lines.map((line) => `${line.replace(' ', ' 10:00:00.000000 ')}\n`).join('')
    return processModel(parseStrace(text, 'test.strace'))
  }
  const exec = '7 execve("/bin/a", ["a"], 0x1 /* 1 vars */) = 0 <0.000001>'

  it('that shares memory without being of the same process has its own number and the same address space', () => {
    const { stays, spaces } = model(
      exec,
      '7 clone(child_stack=0x10, flags=CLONE_VM|SIGCHLD) = 8 <0.000001>',
      '8 brk(NULL) = 0x1 <0.000001>',
      '7 +++ exited with 0 +++',
      '8 brk(0x5000) = 0x5000 <0.000001>',
      '8 +++ exited with 0 +++',
    )
    expect(stays.map(({ tid, pid, space }) => [tid, pid, space])).toEqual([
      [7, 7, 0],
      [8, 8, 0],
    ])
    expect(spaces[0]?.endedAt).toBe(5) // with its last thread, not with the first
  })

  it('that calls execve takes the number of its process and a new address space', () => {
    const { stays, spaces } = model(
      exec,
      '7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 8 <0.000001>',
      '8 execve("/bin/b", ["b"], 0x1 /* 1 vars */ <unfinished ...>',
      '7 +++ superseded by execve in pid 8 +++',
      '7 <... execve resumed>) = 0 <0.000009>',
      '7 brk(NULL) = 0x1 <0.000001>',
      '7 +++ exited with 0 +++',
    )
    expect(spaces.map(({ leader, endedAt }) => [leader, endedAt])).toEqual([
      [7, 3],
      [7, 5],
    ])
    expect(stays.map(({ tid, pid, space }) => [tid, pid, space])).toEqual([
      [7, 7, 0],
      [8, 7, 0],
      [7, 7, 0],
      [7, 7, 1],
    ])
  })

  it('that vfork made and that exits leaves its parent the address space', () => {
    const { spaces } = model(
      exec,
      '7 vfork( <unfinished ...>',
      '8 +++ exited with 127 +++',
      '7 <... vfork resumed>) = 8 <0.000009>',
      '7 brk(NULL) = 0x1 <0.000001>',
      '7 +++ exited with 0 +++',
    )
    expect(spaces).toHaveLength(1)
    expect(spaces[0]?.events.map(({ tid }) => tid)).toEqual([7, 8, 7, 7])
  })

  it('that nothing in the log made is refused by its line', () => {
    const message = complaint(() =>
      model(exec, '9 brk(NULL) = 0x1 <0.000001>', '9 +++ exited with 0 +++', '7 +++ exited with 0 +++'),
    )
    expect(message).toContain('test.strace: line 2: thread 9 comes from nowhere')
  })
})
