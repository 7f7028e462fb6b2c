import { describe, expect, it } from 'vitest'
import { findingOf, Panic } from '../../dist/src/machine/engine/finding.js'

describe('what ends the code of a CPU', () => {
  it('is the finding of a panic', () => {
    const finding = { oracle: 'leak', title: 'a leak', cpu: 2, address: 64, details: [], stack: [] }
    expect(findingOf(new Panic(finding), 1)).toBe(finding)
  })

  it('is an Oops where the kernel went to no memory: a finding, and no fault of racewalk', () => {
    const error = new WebAssembly.RuntimeError('memory access out of bounds')
    error.stack = [
      'RuntimeError: memory access out of bounds',
      '    at wasm://wasm/c5c5509e:wasm-function[2]:0x178',
      '    at Cpu.writeOnce32 (file:///x/dist/src/machine/cpu/cpu.js:73:9)',
      '    at waitForTurn (file:///x/dist/src/sync/spinlock.js:128:38)',
    ].join('\n')
    expect(findingOf(error, 1)).toMatchObject({
      oracle: 'oops',
      title: 'BUG: unable to handle page fault in waitForTurn',
      cpu: 1,
      stack: ['waitForTurn'],
    })
  })

  it('is racewalk’s own business otherwise', () => {
    expect(findingOf(new TypeError('x is not a function'), 0)).toBeNull()
  })
})
