import { describe, expect, it } from 'vitest'
import { fullMachine, withPgalloc } from '../../dist/src/boot/config.js'
import { Machine, type BootedCpu } from '../../dist/src/boot/machine.js'
import { phys, virt, type PhysAddr } from '../../dist/src/base/units.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32, peek64, poke64 } from '../../dist/src/machine/image/image.js'
import { MM_CONTEXT } from '../../dist/src/arch/context.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import { mapAnonymous, store } from '../../dist/src/scenario/scenario.js'

const HUGE = 256 * 4096
const AT = 5 * HUGE

/** An s390 machine of two CPUs in one process, with a huge page at AT; no oracles, since what is done here is wrong. */
function boot(): { machine: Machine; cpu: BootedCpu; vma: PhysAddr; pmdp: PhysAddr; mm: PhysAddr } {
  const base = fullMachine(2)
  const kernel = { ...base.kernel, pgalloc: 's390-full-page' } as const
  const machine = new Machine(withPgalloc({ ...base, oracles: false, kernel }))
  machine.boot([mapAnonymous(AT, 2 * HUGE), store(AT)], null)
  const cpu = machine.makeCpu(0, new SoloEngine(), null)
  const mm = cpu.kernel.mms.currentMm()
  const pmdp = drive(cpu.kernel.upper.findPmd(mm, virt(AT)))
  return { machine, cpu, mm, pmdp, vma: phys(peek32(mm + MM.at.firstVma)) }
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
    // The huge entry was overwritten by a store while it was valid: what the exchange put there has the bit of the value.
    expect(peek64(pmdp)).toBe(before | 0x20n)
  })
})

describe('IPTE', () => {
  const { attachMask, cpumask, flushMm } = MM_CONTEXT.at
  const words = (mm: PhysAddr): [attach: number, mask: number, debt: number] => [
    peek32(mm + attachMask),
    peek32(mm + cpumask),
    peek32(mm + flushMm),
  ]

  it('is put off while one CPU is attached, and its debt is paid by whoever attaches', () => {
    const { machine, cpu, mm } = boot()
    const other = machine.makeCpu(1, new SoloEngine(), null)
    expect(words(mm)).toEqual([0b11, 0b11, 0])
    drive(other.kernel.tlbFlush.switchMm(phys(0)))
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
    drive(cpu.kernel.rcu.eqsExit())
    const ptep = drive(cpu.kernel.tables.pteOffsetMap(drive(cpu.kernel.upper.findPmd(mm, virt(small))), virt(small)))
    drive(cpu.kernel.ops.ptepGetAndClear(mm, virt(small), ptep))
    cpu.kernel.tables.pteUnmap()
    expect(words(mm)).toEqual([0b01, 0b01, 1])
    drive(other.kernel.tlbFlush.switchMm(mm))
    expect(words(mm)).toEqual([0b11, 0b11, 0])
  })
})
