import { describe, expect, it } from 'vitest'
import { fullMachine, withPgalloc } from '../../dist/src/boot/config.js'
import { Machine, type BootedCpu } from '../../dist/src/boot/machine.js'
import { phys, virt, type PhysAddr, type PteWord } from '../../dist/src/base/units.js'
import { TLB_ENTRY } from '../../dist/src/machine/cpu/tlb.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32, peek64, poke64 } from '../../dist/src/machine/image/image.js'
import { FACILITIES } from '../../dist/src/isa/s390/facilities.js'
import { pmdLeaf } from '../../dist/src/isa/s390/pte.js'
import type { S390TlbFlush } from '../../dist/src/isa/s390/tlbFlush.js'
import { MM_CONTEXT } from '../../dist/src/arch/context.js'
import { vmasOf } from '../../dist/src/mm/maple/mapleLook.js'
import { mapAnonymous, store } from '../../dist/src/scenario/scenario.js'
import { S390_CONTEXT } from '../../dist/src/isa/s390/context.js'

const HUGE = 256 * 4096
const AT = 5 * HUGE

/** An s390 machine of two CPUs in one process, with a huge page at AT; no oracles, since what is done here is wrong. */
function boot(facilities: readonly string[] = FACILITIES): {
  machine: Machine
  cpu: BootedCpu
  vma: PhysAddr
  pmdp: PhysAddr
  mm: PhysAddr
} {
  const base = fullMachine(2)
  const kernel = { ...base.kernel, pgalloc: 's390-full-page', facilities } as const
  const machine = new Machine(withPgalloc({ ...base, oracles: false, kernel }))
  machine.boot([mapAnonymous(AT, 2 * HUGE), store(AT)], null)
  const cpu = machine.makeCpu(0, new SoloEngine(), null)
  const mm = cpu.kernel.mms.currentMm()
  const pmdp = drive(cpu.kernel.upper.mmFindPmd(mm, virt(AT)))
  return { machine, cpu, mm, pmdp, vma: phys(vmasOf(mm)[0] as number) }
}

describe('IDTE (pmdp_invalidate() of s390)', () => {
  it('makes the entry invalid, and nothing else of it', () => {
    const { cpu, vma, pmdp } = boot()
    const before = peek64(pmdp)
    expect(before & 0x421n).toBe(0x401n)
    expect(drive(cpu.kernel.ops.pmdpInvalidate(vma, virt(AT), pmdp))).toBe(before)
    expect(peek64(pmdp)).toBe(before | 0x20n)
  })

  it('hit a word of the table before when it was called with the end of the range (BUG-01, v4.5-rc)', () => {
    const { cpu, vma, pmdp } = boot()
    const before = peek64(pmdp)
    // Origin: one entry below the table, which the hardware rounds down to 16 KiB; index: that of the address.
    const index = cpu.kernel.geo.pmdIndex(virt(AT + HUGE))
    const table = pmdp - cpu.kernel.geo.pmdIndex(virt(AT)) * 8
    const victim = phys(table - 16_384 + index * 8)
    poke64(victim, 0x1234_5000n)
    const { ops } = cpu.kernel
    drive(ops.pmdpInvalidateAd(vma, virt(AT + HUGE), pmdp))
    expect(peek64(victim)).toBe(0x1234_5020n)
    // The huge entry was overwritten by a store while it was valid: what the exchange put there has the bit of the
    // value.
    expect(peek64(pmdp)).toBe(before | 0x20n)
  })
})

describe('IPTE', () => {
  const { cpumask } = MM_CONTEXT.at
  const { attachMask, flushMm } = S390_CONTEXT.at
  const words = (mm: PhysAddr): [attach: number, mask: number, debt: number] => [
    peek32(mm + attachMask),
    peek32(mm + cpumask),
    peek32(mm + flushMm),
  ]

  it('is put off while one CPU is attached, and its debt is paid by whoever attaches', () => {
    const { machine, cpu, mm } = boot()
    const other = machine.makeCpu(1, new SoloEngine(), null)
    expect(words(mm)).toEqual([0b11, 0b11, 0])
    drive(other.kernel.tlbFlush.switchMmIrqsOff(phys(0)))
    expect(words(mm)).toEqual([0b01, 0b11, 0])
    const small = AT + HUGE
    drive(
      cpu.interpreter.runOnce([
        { op: 'madvise', addr: small, len: HUGE, advice: 'nohugepage' },
        store(small),
        { op: 'mprotect', addr: small, len: 4096, prot: 1 },
      ]),
    )
    // mprotect has put the purge off and paid at its end: the mask has shrunk to who is attached.
    expect(words(mm)).toEqual([0b01, 0b01, 0])
    drive(cpu.kernel.rcu.ctKernelEnter())
    const ptep = drive(cpu.kernel.tables.pteOffsetMap(drive(cpu.kernel.upper.mmFindPmd(mm, virt(small))), virt(small)))
    drive(cpu.kernel.ops.ptepGetAndClear(mm, virt(small), ptep))
    cpu.kernel.tables.pteUnmap()
    expect(words(mm)).toEqual([0b01, 0b01, 1])
    drive(other.kernel.tlbFlush.switchMmIrqsOff(mm))
    expect(words(mm)).toEqual([0b11, 0b11, 0])
  })
})

describe('a machine without IDTE', () => {
  /** CPU 1 in another process, with `pages` in its TLB. */
  function otherProcess(machine: Machine): BootedCpu {
    const other = machine.makeCpu(1, new SoloEngine(), null)
    drive(other.interpreter.runOnce([{ op: 'exec' }, mapAnonymous(AT, HUGE), store(AT)]))
    return other
  }
  const translations = (cpu: BootedCpu, owner: number): number => {
    const tlb = cpu.kernel.tlbs[owner]!
    return Array.from({ length: tlb.entryCount }, (_, slot) => peek32(tlb.entry(slot) + TLB_ENTRY.at.pages)).filter(
      (pages) => pages !== 0,
    ).length
  }

  it('invalidates a segment entry by CSP, which empties every TLB, whatever address space it is of', () => {
    const { machine, cpu, vma, pmdp } = boot([])
    const other = otherProcess(machine)
    drive(cpu.interpreter.runOnce([store(AT)]))
    expect([translations(cpu, 0), translations(other, 1)].every((count) => count > 0)).toBe(true)
    const before = peek64(pmdp)
    expect(drive(cpu.kernel.ops.pmdpInvalidate(vma, virt(AT), pmdp))).toBe(before)
    expect(peek64(pmdp)).toBe(before | 0x20n)
    expect([translations(cpu, 0), translations(other, 1)]).toEqual([0, 0])
  })

  it('leaves the translations of other address spaces alone when it has IDTE', () => {
    const { machine, cpu, vma, pmdp } = boot(['idte'])
    const other = otherProcess(machine)
    drive(cpu.kernel.ops.pmdpInvalidate(vma, virt(AT), pmdp))
    expect(translations(other, 1)).toBeGreaterThan(0)
  })

  it('finds the entry by its pointer: the address that confused IDTE in BUG-01 does not matter', () => {
    const { cpu, vma, pmdp } = boot([])
    const before = peek64(pmdp)
    drive(cpu.kernel.ops.pmdpInvalidateAd(vma, virt(AT + HUGE), pmdp))
    expect(peek64(pmdp)).toBe(before | 0x20n)
  })

  it('has a CSP that changes nothing and purges nothing when the word is another', () => {
    const { cpu, pmdp } = boot([])
    drive(cpu.interpreter.runOnce([store(AT)]))
    const before = peek64(pmdp)
    const count = translations(cpu, 0)
    expect(drive((cpu.kernel.tlbFlush as S390TlbFlush).csp(pmdp, 1, 2))).toBe(false)
    expect([peek64(pmdp), translations(cpu, 0)]).toEqual([before, count])
  })
})

describe('the end of an address space', () => {
  it('clears entries by stores, without a purge each; the one at its end is of the whole address space', () => {
    const { machine, cpu, mm, pmdp } = boot()
    const other = machine.makeCpu(1, new SoloEngine(), null)
    for (const { kernel } of [cpu, other]) drive(kernel.tlbFlush.switchMmIrqsOff(phys(0)))
    const purges: [first: number, end: number][] = []
    const flush = cpu.kernel.tlbFlush as S390TlbFlush
    const purge = flush.purge.bind(flush)
    flush.purge = (of, vpn, end, local) => {
      purges.push([vpn, end])
      return purge(of, vpn, end, local)
    }
    expect(pmdLeaf(peek64(pmdp) as PteWord)).toBe(true)
    drive(cpu.kernel.rcu.ctKernelEnter())
    drive(cpu.kernel.mms.mmput(mm))
    drive(cpu.kernel.mms.mmput(mm))
    expect(purges).not.toEqual([])
    expect(new Set(purges.map(String))).toEqual(new Set([`0,${Number.MAX_SAFE_INTEGER}`]))
  })
})
