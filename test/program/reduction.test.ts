import { describe, expect, it } from 'vitest'
import type { Op, Program } from '../../dist/src/program/op.js'
import { extentOf, leaves, misuses, operationsOf, reduced, sizeOf } from '../../dist/src/program/reduction.js'

const PAGE = 4096
const fork = (slot: number): Op => ({ op: 'fork', slot })
const program: Program = [
  { op: 'munmap', addr: 0, len: 4 * PAGE },
  {
    op: 'repeat',
    times: 3,
    body: [
      {
        op: 'oneOf',
        of: [[{ op: 'exec' }, fork(0)], [{ op: 'load', addr: { from: 8 * PAGE, step: PAGE, count: 4 }, pages: 2 }]],
      },
    ],
  },
]
const kept = (path: number[], more: object = {}) => ({ path, choice: 0, size: 0, ...more })

describe('a reduction', () => {
  it('names operations by where they are: in the program, the body, the branch', () => {
    const paths = [kept([0]), kept([1, 0, 0, 1]), kept([1, 0, 0, 0])]
    expect(reduced([program], [paths], PAGE)).toEqual([[program[0], fork(0), { op: 'exec' }]])
  })

  it('has one address where there were several, and sizes in pages', () => {
    const small = [kept([1, 0, 1, 0], { choice: 3, size: 1 }), kept([0], { size: 2 })]
    expect(reduced([program], [small], PAGE)).toEqual([
      [
        { op: 'load', addr: 11 * PAGE, pages: 1 },
        { op: 'munmap', addr: 0, len: 2 * PAGE },
      ],
    ])
  })

  it('of other programs is refused, with what does not fit', () => {
    for (const path of [[2], [1], [1, 0, 2, 0], [0, 0]])
      expect(() => reduced([program], [[kept(path)]], PAGE), String(path)).toThrow(
        `keeps operation ${path.join('.')} of CPU 0, and the scenario has none`,
      )
    expect(() => reduced([program], [[kept([0], { size: 5 })]], PAGE)).toThrow('shrinks operation 0 of CPU 0, a munmap')
    expect(() => reduced([program], [[kept([1, 0, 0, 0], { size: 2 })]], PAGE)).toThrow('a exec')
  })
})

describe('the extent of programs', () => {
  it('is what a run to the end takes at most, and the CPUs that run anything', () => {
    expect(operationsOf(program)).toBe(1 + 3 * 2)
    expect(extentOf([program, [], [{ op: 'exit' }]])).toEqual({ operations: 8, cpus: 2 })
    expect(leaves(program).map(([{ op }]) => op)).toEqual(['munmap', 'exec', 'fork', 'load'])
  })

  it('of an operation is in pages, 1 where it cannot shrink', () => {
    const move = (newLen: number): Op => ({ op: 'mremap', addr: 0, oldLen: 2 * PAGE, newLen, flags: 0, newAddr: 0 })
    expect(sizeOf(program[0] as Op, PAGE)).toBe(4)
    expect(sizeOf(move(2 * PAGE), PAGE)).toBe(2)
    expect(sizeOf(move(PAGE), PAGE)).toBe(1)
    expect(sizeOf({ op: 'exec' }, PAGE)).toBe(1)
    expect(sizeOf({ op: 'munmap', addr: 0, len: 5000 }, PAGE)).toBe(1)
  })
})

describe('a misuse', () => {
  it('is to go on without an address space, or to fork over a child that nobody took', () => {
    expect([...misuses([{ op: 'exit' }, { op: 'load', addr: 0 }])]).toEqual(['no memory'])
    expect([...misuses([fork(1), fork(2), fork(1)])]).toEqual(['fork over slot 1'])
  })

  it('is not to go on in a new one, or to fork when the child has been taken', () => {
    expect([...misuses([{ op: 'exit' }, { op: 'exec' }, { op: 'load', addr: 0 }])]).toEqual([])
    expect([...misuses([fork(1), { op: 'reap', slot: 1 }, fork(1), { op: 'exit' }])]).toEqual([])
  })
})
