/**
 * Bugs of s390: folded levels, flushes put off, and what its entries say while they are being changed; and powerpc's of
 * that kind.
 */
import { type PhysAddr, type PteWord, type VirtAddr, phys } from '../base/units.js'
import { pmdPresent, pmdWrite } from '../arch/entry.js'
import { MM_CONTEXT } from '../arch/context.js'
import { S390PtOps } from '../isa/s390/ops.js'
import { S390TlbFlush } from '../isa/s390/tlbFlush.js'
import { tableType } from '../isa/s390/pte.js'
import type { Step } from '../machine/engine/engine.js'
import { poke64 } from '../machine/image/guarded.js'
import { Level } from '../arch/level.js'
import { FoldedTables } from '../isa/s390/foldedTables.js'
import { GupFast } from '../mm/gupFast.js'
import { defineBug, defineMutant } from './bug.js'
import { CPU_STATE } from '../arch/cpuState.js'
import { S390_CONTEXT } from '../isa/s390/context.js'

const config = { pgalloc: 's390-full-page' } as const

/**
 * The generic offset functions of v5.2 to v5.8: of a folded level they return the address of their argument, a copy on
 * the stack, and what lies behind it is what the compiler put there: in the analysed build the copy of one level up.
 */
export class StackCopies extends FoldedTables {
  protected override upperLockless(level: number, entry: PhysAddr, word: PteWord, addr: VirtAddr): PhysAddr {
    if (tableType(word) >= level) return super.upperLockless(level, entry, word, addr)
    const slot = phys(this.cpu.area + CPU_STATE.at.stack + (level - Level.p4d) * 8)
    poke64(slot, word)
    return slot
  }

  protected override sawEntry(level: number, entry: PhysAddr, word: PteWord): void {
    if (entry >= this.k.memmap.frameBase) super.sawEntry(level, entry, word)
  }
}

export const gupFolded = defineBug({
  id: 'gup-folded',
  number: 'BUG-25',
  also: ['K13'],
  year: 2020,
  upstream: { introduced: '1a42010cdc26', fixed: 'd3f7b1bb2040' },
  summary: 'gup_fast walks a folded level on the stack: behind the end of a region it goes on in the entry before',
  symptom: 'pages pinned that lie exactly one region below those that were asked for',
  scenarios: ['gup-vs-upgrade'],
  parts: { UpperTables: StackCopies },
  config,
})

class ClearsWithoutLock extends S390TlbFlush {
  override *tlbFlushMmLazy(mm: PhysAddr): Step<void> {
    const debt = phys(mm + S390_CONTEXT.at.flushMm)
    if ((yield* this.cpu.readOnce32(debt)) === 0) return
    yield* this.cpu.writeOnce32(debt, 0)
    yield* this.tlbFlushMm(mm)
  }
}

export const s390FlushMm = defineBug({
  id: 's390-flush-mm',
  number: 'K09',
  year: 2017,
  upstream: { fixed: '60f07c8ec5fa' },
  summary: 'the debt of flushes is cleared and paid without a lock: who attaches in between finds none',
  symptom: 'a CPU that comes back to an address space uses translations that should have been purged',
  scenarios: ['attach-vs-invalidate'],
  parts: { TlbFlush: ClearsWithoutLock },
  config,
})

class CopiesAfterPurge extends S390TlbFlush {
  override *tlbFlushMm(mm: PhysAddr): Step<void> {
    this.cpu.preemptDisable()
    yield* this.flushBegins(mm)
    yield* this.purgeAsce(mm)
    yield* this.copyAttachMask(mm)
    yield* this.flushEnds(mm)
    this.cpu.preemptEnable()
  }
}

export const s390AttachCopy = defineBug({
  id: 's390-attach-copy',
  number: 'K10',
  year: 2017,
  upstream: { fixed: 'b3e5dc45fd1e' },
  summary: 'a purge of the whole address space forgets CPUs that walked after it and left before the mask was copied',
  symptom: 'a later invalidation is local, and the forgotten CPU keeps its translation',
  scenarios: ['leave-vs-purge'],
  parts: { TlbFlush: CopiesAfterPurge },
  config,
})

class AsksCpumaskAlone extends S390PtOps {
  protected override *isLocal(mm: PhysAddr): Step<boolean> {
    return yield* this.flush.isOnly(mm, MM_CONTEXT.at.cpumask)
  }
}

/**
 * Found here; upstream's code is so since 64f31d5802af (v4.8), which replaced the count of attached CPUs that a direct
 * flush had asked for as well. Not shown on a real machine.
 */
export const s390AttachWindow = defineBug({
  id: 's390-attach-window',
  number: 'open',
  year: 2016,
  upstream: null,
  summary:
    'an invalidation is local by mm_cpumask alone, which lacks a CPU that has waited for flush_count and not set its bit',
  symptom: 'that CPU walks to the entry before it is invalid, and keeps its translation',
  scenarios: ['leave-vs-purge'],
  parts: { PtOps: AsksCpumaskAlone },
  config,
})

class AttachesAtOnce extends S390TlbFlush {
  protected override *awaitFlushes(): Step<void> {}
}

export const s390NoFlushWait = defineMutant({
  id: 's390-no-flush-wait',
  summary: 'a CPU attaches without waiting for the invalidations under way',
  symptom: 'an invalidation that was decided to be put off or local misses the CPU that has just come',
  scenarios: ['attach-vs-invalidate'],
  parts: { TlbFlush: AttachesAtOnce },
  config,
})

class ClearsAllPlainly extends S390PtOps {
  override *ptepGetAndClearFull(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    return yield* super.ptepGetAndClearFull(mm, addr, ptep, true)
  }
}

export const s390PlainClear = defineMutant({
  id: 's390-plain-clear',
  summary:
    'a zap stores empty entries over valid ones as if the address space were dying, while CPUs are attached to it',
  symptom: 'the hardware may go on with what it has read of the entry: its translation is purged by nobody',
  scenarios: ['attach-vs-invalidate'],
  parts: { PtOps: ClearsAllPlainly },
  config,
})

class ForgetsTheDead extends S390TlbFlush {
  override *flushTlbMm(): Step<void> {}
}

export const s390FullNoPurge = defineMutant({
  id: 's390-full-no-purge',
  summary: 'the entries of an address space that dies are cleared by plain stores, and nothing is purged at its end',
  symptom: 'translations outlive it, and are used by whoever gets the same top table next',
  scenarios: ['exit-vs-exec'],
  parts: { TlbFlush: ForgetsTheDead },
  config,
})

class SwapsWithoutPurge extends S390TlbFlush {
  override *csp(at: PhysAddr, old: number, next: number): Step<boolean> {
    return (yield* this.cpu.cmpxchg32(at, old, next)) === old
  }
}

export const cspNoPurge = defineMutant({
  id: 'csp-no-purge',
  summary:
    'without IDTE, entries are invalidated by a compare-and-swap that purges nothing (CSP without its purge bit)',
  symptom: 'TLBs keep a huge translation whose entry is no longer valid',
  scenarios: ['fault-vs-split'],
  parts: { TlbFlush: SwapsWithoutPurge },
  config: { ...config, facilities: [] },
})

class LeavesSpuriousFaults extends S390TlbFlush {
  override *flushTlbFixSpuriousFault(): Step<void> {}
}

export const rdpNoFix = defineMutant({
  id: 'rdp-no-fix',
  summary: 'a store that faults on a protected translation of an entry that RDP has opened changes nothing',
  symptom: 'the store faults for ever',
  scenarios: ['rdp-vs-write'],
  parts: { TlbFlush: LeavesSpuriousFaults },
  config,
})

class GrowsQuietly extends FoldedTables {
  protected override *announceUpgrade(mm: PhysAddr): Step<void> {
    yield* this.crstTableUpgradeIpi(mm)
  }
}

export const upgradeNoIpi = defineMutant({
  id: 'upgrade-no-ipi',
  summary: 'an address space grows by a level and other CPUs are not told',
  symptom: 'a CPU with the old control element faults for ever beyond its limit',
  scenarios: ['upgrade-vs-touch'],
  parts: { UpperTables: GrowsQuietly },
  config,
})

class ReloadsWhatever extends S390TlbFlush {
  protected override inSecondarySpace(): boolean {
    return false
  }
}

export const asceUpgradeIpi = defineBug({
  id: 'asce-upgrade-ipi',
  number: 'K14',
  year: 2020,
  upstream: { fixed: '316ec1548109' },
  summary:
    'the interrupt that tells of a new level loads the user’s control element into the register by which the interrupted kernel code is fetched',
  symptom:
    'a CPU that reads user memory in secondary-space mode goes on in instructions of the user’s (CVE-2020-11884)',
  scenarios: ['upgrade-vs-kernel-read'],
  parts: { TlbFlush: ReloadsWhatever },
  config,
})

class TakesInvalidated extends GupFast {
  protected override pmdAccessPermitted(pmd: PteWord, write: boolean): boolean {
    return pmdPresent(pmd) && (!write || pmdWrite(pmd))
  }
}

export const powerpcGupInvalid = defineBug({
  id: 'powerpc-gup-invalid',
  number: 'other',
  year: 2019,
  upstream: { fixed: '33258a1db165' },
  summary: 'gup_fast takes pages of a huge entry that pmdp_invalidate() has made invalid',
  symptom: 'a page is pinned while a split takes its exclusive flag away',
  scenarios: ['gup-vs-split'],
  parts: { GupFast: TakesInvalidated },
  config: { pgalloc: 'powerpc-fragments' },
})

export const s390GupInvalid = defineBug({
  id: 's390-gup-invalid',
  number: 'open',
  year: 2019,
  upstream: null,
  summary:
    'gup_fast takes pages of a huge entry that pmdp_invalidate() has made invalid (generic pmd_access_permitted(); powerpc had it until 33258a1db165)',
  symptom: 'a page is pinned while a split takes its exclusive flag away',
  scenarios: ['gup-vs-split'],
  parts: { GupFast: TakesInvalidated },
  config,
})
