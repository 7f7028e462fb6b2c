import { describe, expect, it } from 'vitest'
import { StackCopies } from '../../dist/src/bug/s390.js'
import { fullMachine, smallMachine, withPgalloc } from '../../dist/src/boot/config.js'
import { Machine, type BootedCpu } from '../../dist/src/boot/machine.js'
import type { Bug } from '../../dist/src/bug/bug.js'
import { tableType } from '../../dist/src/isa/s390/pte.js'
import type { PhysAddr, PteWord, VirtAddr } from '../../dist/src/base/units.js'
import { finalCheck } from '../../dist/src/check/finalCheck.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32, peekF64 } from '../../dist/src/machine/image/image.js'
import { Panic } from '../../dist/src/machine/engine/finding.js'
import { FOLL_FAST_ONLY, FOLL_GET } from '../../dist/src/mm/gupFast.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import type { PartClasses } from '../../dist/src/mm/kernel.js'
import { mapAnonymous, store } from '../../dist/src/scenario/scenario.js'

const PAGE = 4096

/**
 * The fix that was posted first (September 2020) and not merged: pXd_addr_end() takes the entry, and a folded level
 * ends where the level ends that the entry belongs to. Every piece then starts from the top again, and no pointer to a
 * copy is ever advanced.
 */
class CropsByEntry extends StackCopies {
  protected override upperAddrEnd(level: number, word: PteWord, addr: VirtAddr, end: VirtAddr): number {
    return super.upperAddrEnd(Math.min(level, tableType(word)), word, addr, end)
  }
}

/** An s390 machine of one CPU whose first process has run `boot`. */
class Process {
  readonly machine: Machine
  readonly cpu: BootedCpu

  constructor(boot: Parameters<Machine['boot']>[0], parts: Partial<PartClasses> = {}, oracles = true, small = false) {
    const bug = { parts } as unknown as Bug
    const base = small ? smallMachine(1) : fullMachine(1)
    const kernel = { ...base.kernel, pgalloc: 's390-full-page', thp: 'never' } as const
    this.machine = new Machine(withPgalloc({ ...base, oracles, kernel }))
    this.machine.boot(boot, bug)
    this.cpu = this.machine.makeCpu(0, new SoloEngine(), bug)
  }

  get mm(): PhysAddr {
    return this.cpu.kernel.mms.currentMm()
  }

  gup(addr: number, pages: number): number[] {
    const frames = new Int32Array(pages)
    const { kernel } = this.cpu
    const got = drive(kernel.gupFast.getUserPagesFast(addr as never, pages, FOLL_GET | FOLL_FAST_ONLY, frames))
    for (const frame of frames.subarray(0, Math.max(got, 0))) {
      kernel.observer.gupReleased(kernel.cpu, frame, false)
      drive(kernel.gup.putPage(frame, FOLL_GET))
    }
    return [...frames.subarray(0, Math.max(got, 0))]
  }

  frame(addr: number): number {
    return this.gup(addr, 1)[0] as number
  }
}

// The thread of August 2020, addresses repaired: two pages over the end of a region of 2 GiB, in a process of three
// levels.
const [FIRST, SECOND, WRONG] = [0x1007ffff000, 0x10080000000, 0x10000000000]
const boot = [mapAnonymous(FIRST, 2 * PAGE), store(FIRST, 1, 2), mapAnonymous(WRONG, PAGE), store(WRONG, 3)]

describe('gup_fast over the end of a region (0x1007ffff000 to 0x10080001000)', () => {
  it('returns the pages that are mapped there, as merged (pXd_offset_lockless)', () => {
    const p = new Process(boot)
    expect(p.gup(FIRST, 2)).toEqual([p.frame(FIRST), p.frame(SECOND)])
  })

  it('returns them too when upper levels crop by the entry (pXd_addr_end with the entry), from copies on the stack', () => {
    const p = new Process(boot, { UpperTables: CropsByEntry })
    expect(p.gup(FIRST, 2)).toEqual([p.frame(FIRST), p.frame(SECOND)])
  })

  it('returned a page 2 GiB below when it walked a copy on the stack', () => {
    const p = new Process(boot, { UpperTables: StackCopies }, false)
    expect(p.gup(FIRST, 2)).toEqual([p.frame(FIRST), p.frame(WRONG)])
  })

  it('is then found by the oracle that asks to whom a page belongs', () => {
    const p = new Process(boot, { UpperTables: StackCopies })
    expect(() => p.gup(FIRST, 2)).toThrow(Panic)
  })

  it('gave the right answer by the slow path when nothing was mapped below', () => {
    const p = new Process([mapAnonymous(FIRST, 2 * PAGE), store(FIRST, 1, 2)], { UpperTables: StackCopies })
    expect(p.gup(FIRST, 2)).toEqual([p.frame(FIRST)])
  })
})

describe.each([
  ['2048 entries', false],
  ['4 entries', true],
])('levels that fold at run time, tables of %s', (_, small) => {
  const limits = (p: Process): [level: number, limit: number] => [
    peek32(p.mm + MM.at.topLevel),
    peekF64(p.mm + MM.at.asceLimit),
  ]
  const shift = small ? [18, 20, 22] : [42, 53, 62]

  it('are three in a new process', () => {
    expect(limits(new Process([], {}, true, small))).toEqual([3, 2 ** (shift[0] as number)])
  })

  it.each([
    ['four', 4, 0, 1],
    ['five', 5, 1, 2],
  ])('grow to %s when something is mapped beyond the limit, and what was mapped stays', (_name, level, at, limit) => {
    const beyond = 2 ** (shift[at] as number)
    const p = new Process([mapAnonymous(0x10000, PAGE), store(0x10000)], {}, true, small)
    const before = p.frame(0x10000)
    drive(p.cpu.interpreter.runOnce([mapAnonymous(beyond, PAGE), store(beyond)]))
    expect(limits(p)).toEqual([level, 2 ** (shift[limit] as number)])
    expect(p.frame(0x10000)).toBe(before)
    expect(p.frame(beyond)).not.toBe(before)
    expect(finalCheck(p.machine)).toBeNull()
  })

  it('leave nothing behind when the process ends, whatever of it was used', () => {
    const beyond = 2 ** (shift[1] as number)
    for (const program of [
      [mapAnonymous(beyond, PAGE), store(beyond)],
      [mapAnonymous(beyond, PAGE)],
      [mapAnonymous(0x10000, PAGE), store(0x10000), mapAnonymous(beyond, PAGE), store(beyond)],
    ]) {
      const p = new Process([], {}, true, small)
      const free = p.cpu.kernel.pages.freeCount
      drive(p.cpu.interpreter.runOnce([...program, { op: 'exec' }]))
      drive(p.cpu.kernel.rcu.barrier.rcuBarrier())
      expect(p.cpu.kernel.pages.freeCount).toBe(free)
    }
  })
})
