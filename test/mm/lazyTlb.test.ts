import { describe, expect, it } from 'vitest'
import { CPU_STATE } from '../../dist/src/arch/cpuState.js'
import { MM_CONTEXT } from '../../dist/src/arch/context.js'
import { PAGE_ACCESSED } from '../../dist/src/isa/x86_64/pte.js'
import { virt, type PhysAddr } from '../../dist/src/base/units.js'
import { smallMachine, withPgalloc } from '../../dist/src/boot/config.js'
import { Machine, type BootedCpu } from '../../dist/src/boot/machine.js'
import type { IpiFlush } from '../../dist/src/isa/x86_64/ipiFlush.js'
import { TLB_DIRTY, TLB_ENTRY } from '../../dist/src/machine/cpu/tlb.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32, peek64 } from '../../dist/src/machine/image/image.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import type { Op, Program } from '../../dist/src/program/op.js'
import { dontneed, load, mapAnonymous, store } from '../../dist/src/scenario/scenario.js'

const PAGE = 4096
const AT = 16 * PAGE
const borrow: Op = { op: 'enterLazyTlb' }
const giveBack: Op = { op: 'leaveLazyTlb' }
const speculate = (addr: number): Op => ({ op: 'speculate', addr })

/** Two CPUs in one process with two pages at AT. A CPU that would have to wait for the other one fails the test. */
class Lab {
  readonly machine: Machine
  readonly cpus: readonly BootedCpu[]
  /** That entry() and cached() look into. */
  mm: PhysAddr

  constructor(arch: 'x86-64' | 's390' = 'x86-64') {
    const base = smallMachine(2)
    const pgalloc = arch === 's390' ? 's390-full-page' : 'one-page'
    this.machine = new Machine(withPgalloc({ ...base, kernel: { ...base.kernel, thp: 'never', pgalloc } }))
    this.machine.boot([mapAnonymous(AT, 4 * PAGE), store(AT, 1, 2)], null)
    this.cpus = [0, 1].map((id) => this.machine.makeCpu(id, new SoloEngine(), null))
    this.mm = this.of(0).kernel.mms.currentMm()
  }

  of(cpu: number): BootedCpu {
    return this.cpus[cpu] as BootedCpu
  }

  /** Runs operations on a CPU, and leaves it awake; what the last one returned. */
  run(cpu: number, ...ops: Program): number {
    const { kernel, interpreter } = this.of(cpu)
    drive(kernel.rcu.ctKernelEnter())
    return ops.reduce((_, op) => drive(interpreter.execute(op)), 0)
  }

  /** Entry of CPU `cpu`'s TLB for page `page`, 0: none. */
  cached(cpu: number, page: number): number {
    return this.of(cpu).kernel.tlbs[cpu]?.lookup(AT / PAGE + page, 4, this.mm) ?? 0
  }

  entry(page: number): bigint {
    const { upper, tables } = this.of(0).kernel
    const pmdp = drive(upper.mmFindPmd(this.mm, virt(AT)))
    const ptep = drive(tables.pteOffsetMap(pmdp, virt(AT + page * PAGE)))
    tables.pteUnmap()
    return peek64(ptep)
  }

  area(cpu: number, field: 'currentMm' | 'isLazy' | 'activeMm'): number {
    return peek32(this.of(cpu).cpu.area + CPU_STATE.at[field])
  }
}

describe('a CPU in a kernel thread that has borrowed an address space', () => {
  it('is passed over by a flush that unlinked no tables, and flushes before the process is back', () => {
    const lab = new Lab()
    lab.run(1, load(AT), load(AT + PAGE), borrow)
    lab.run(0, dontneed(AT, PAGE))
    expect(lab.cached(1, 0), 'stale, and of no use to anybody').not.toBe(0)
    lab.run(1, giveBack)
    expect([lab.cached(1, 0), lab.cached(1, 1)]).toEqual([0, 0])
  })

  it('keeps its translations when no flush was asked for meanwhile', () => {
    const lab = new Lab()
    lab.run(1, load(AT), borrow, giveBack)
    expect(lab.cached(1, 0)).not.toBe(0)
  })

  it('is interrupted when tables were unlinked, as a CPU that runs the process is by every flush', () => {
    const alone = 'CPU 0 runs alone and waits'
    const munmap: Op = { op: 'munmap', addr: AT, len: 4 * PAGE }
    expect(() => new Lab().run(0, dontneed(AT, PAGE))).toThrow(alone)
    const lazy = new Lab()
    lazy.run(1, load(AT), borrow)
    expect(() => lazy.run(0, munmap)).toThrow(alone)
    drive(lazy.of(1).cpu.ipi.handle())
    expect(lazy.area(1, 'currentMm'), 'nothing is loaded').toBe(0)
    expect(lazy.run(1, speculate(AT))).toBe(0)
  })

  it('is not counted as a user of it', () => {
    const lab = new Lab()
    lab.run(1, { op: 'exit', lazy: true })
    expect([peek32(lab.mm + MM.at.mmUsers), peek32(lab.mm + MM.at.mmCount)]).toEqual([1, 2])
    expect(peek32(lab.mm + MM_CONTEXT.at.cpumask)).toBe(0b11)
  })

  it('keeps the structure and the top table of a process that has ended, until it loads another one', () => {
    const lab = new Lab()
    lab.run(1, { op: 'exit', lazy: true })
    // The interrupt that comes when the tables are freed.
    drive((lab.of(1).kernel.tlbFlush as IpiFlush).flushTlbAll())
    lab.run(0, { op: 'exit' })
    expect([peek32(lab.mm + MM.at.mmUsers), peek32(lab.mm + MM.at.inUse)]).toEqual([0, 1])
    lab.run(1, { op: 'exec' })
    expect(peek32(lab.mm + MM.at.inUse)).toBe(0)
    drive(lab.of(1).kernel.rcu.ctKernelExit())
    drive(lab.of(0).kernel.rcu.drain())
    expect(lab.machine.finalCheck(lab.of(0))).toBeNull()
  })

  it('has left the user’s control element on s390', () => {
    const lab = new Lab('s390')
    lab.run(1, borrow)
    expect([lab.area(1, 'currentMm'), lab.area(1, 'activeMm')]).toEqual([0, lab.mm])
    lab.run(1, giveBack)
    expect([lab.area(1, 'currentMm'), lab.area(1, 'activeMm')]).toEqual([lab.mm, 0])
  })
})

describe('a speculative walk', () => {
  it('caches a translation whoever runs, with accessed set and dirty not', () => {
    const lab = new Lab()
    lab.run(1, { op: 'exit' })
    // The entries of a child are old.
    lab.run(0, { op: 'fork', slot: 0 })
    lab.run(1, { op: 'adopt', slot: 0 })
    lab.mm = lab.of(1).kernel.mms.currentMm()
    const before = lab.entry(0)
    expect(before & PAGE_ACCESSED).toBe(0n)
    expect(lab.run(1, borrow, speculate(AT))).toBe(1)
    expect(lab.entry(0)).toBe(before | PAGE_ACCESSED)
    expect(peek32(lab.cached(1, 0) + TLB_ENTRY.at.flags) & TLB_DIRTY).toBe(0)
  })

  it('raises no fault where nothing is mapped', () => {
    const lab = new Lab()
    expect(lab.run(1, speculate(AT + 3 * PAGE))).toBe(0)
    expect(lab.cached(1, 3)).toBe(0)
  })
})
