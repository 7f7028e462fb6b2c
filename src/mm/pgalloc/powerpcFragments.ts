/**
 * powerpc: many PTE tables in a page, handed out in turn and never again: a count says how many are in use, and the page
 * goes when it is zero. After pte_free_defer() of any of them, the page waits for a grace period then.
 *
 * Source: arch/powerpc/mm/pgtable-frag.c; "powerpc: add pte_free_defer() for pgtables sharing page", 32cc0b7c9d50 (v6.6);
 * dossier 3.8. Left out: tables of the kernel, which are freed at once, and PMD tables, which share pages in the same way.
 *
 * Locks: mm.pageTableLock guards the cursor. The count is atomic, and not the page's reference count, which speculative
 * references change (K08).
 */
import { phys, type PhysAddr, type Table } from '../../base/units.js'
import type { Step } from '../../machine/engine/engine.js'
import { poke32 } from '../../machine/image/image.js'
import { spinLock, spinUnlock } from '../../sync/spinlock.js'
import type { Kernel } from '../kernel.js'
import { MM } from '../mmStruct.js'
import { NO_PAGE, NO_TABLE, PAGE, PG_ACTIVE } from '../page.js'
import { FragmentPgalloc } from './fragments.js'

export class PowerpcFragments extends FragmentPgalloc {
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#freeCallback = k.rcu.register({ rcu: (head) => this.freeTablePage(phys(head - PAGE.at.rcuNext)) })
  }

  // ---- pte_fragment_alloc() ---------------------------------------------------------------------------------------

  override *pteAllocOne(mm: PhysAddr): Step<Table> {
    const table = yield* this.#nextPart(mm)
    return this.handOut(mm, table === NO_TABLE ? yield* this.#newPage(mm) : table)
  }

  /** The part at the cursor, which moves on. */
  *#nextPart(mm: PhysAddr): Step<Table> {
    const { memmap } = this.k
    const cursor = phys(mm + MM.at.pteFrag)
    yield* this.#lock(mm)
    const at = yield* this.cpu.plainRead32(cursor)
    if (at !== 0) {
      const next = at + memmap.tableBytes
      yield* this.cpu.plainWrite32(cursor, memmap.pfnAt(next) === memmap.pfnAt(at) ? next : 0)
    }
    yield* this.#unlock(mm)
    return at === 0 ? NO_TABLE : memmap.tableAt(at)
  }

  /** The first part of a new page; the others are the mm's to hand out, unless somebody else brought a page meanwhile. */
  *#newPage(mm: PhysAddr): Step<Table> {
    const { memmap } = this.k
    const pfn = yield* this.newTablePage()
    if (pfn === NO_PAGE) return NO_TABLE
    const count = phys(memmap.page(pfn) + PAGE.at.ptFragRefcount)
    poke32(count, 1)
    const cursor = phys(mm + MM.at.pteFrag)
    yield* this.#lock(mm)
    if ((yield* this.cpu.plainRead32(cursor)) === 0) {
      yield* this.cpu.writeOnce32(count, memmap.fragments)
      yield* this.cpu.plainWrite32(cursor, memmap.frame(pfn) + memmap.tableBytes)
    }
    yield* this.#unlock(mm)
    return memmap.firstTable(pfn)
  }

  // ---- pte_fragment_free() ----------------------------------------------------------------------------------------

  override *pteFree(_mm: PhysAddr, table: Table): Step<void> {
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.drop(this.pageOf(table), 1)
  }

  override *pteFreeTlb(): Step<void> {}

  override *tlbRemoveTable(table: Table): Step<void> {
    yield* this.pteFree(phys(0), table)
  }

  /** Active before the count: whoever makes it zero sees the flag. */
  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    yield* this.k.folios.setFlag(this.pageOf(table), PG_ACTIVE)
    yield* this.pteFree(mm, table)
  }

  /** pte_frag_destroy(): gives the parts back that were never handed out. Caller: the last user of the mm. */
  override *destroyMm(mm: PhysAddr): Step<void> {
    const { memmap } = this.k
    const at = yield* this.cpu.plainRead32(phys(mm + MM.at.pteFrag))
    if (at === 0) return
    yield* this.cpu.plainWrite32(phys(mm + MM.at.pteFrag), 0)
    const handedOut = this.partOf(memmap.tableAt(at))
    yield* this.drop(memmap.page(memmap.pfnAt(at)), memmap.fragments - handedOut)
  }

  protected *drop(page: PhysAddr, parts: number): Step<void> {
    // Full barrier: the parts' last uses before the page goes. Pairs with those of the other parts' last users.
    const left = yield* this.cpu.atomicAddReturn32(phys(page + PAGE.at.ptFragRefcount), -parts)
    if (left !== 0) return
    if (!(yield* this.k.folios.testFlag(page, PG_ACTIVE))) return yield* this.freeTablePage(page)
    yield* this.k.folios.clearFlag(page, PG_ACTIVE)
    yield* this.k.rcu.callRcu(phys(page + PAGE.at.rcuNext), this.#freeCallback)
  }

  *#lock(mm: PhysAddr): Step<void> {
    yield* spinLock(this.cpu, phys(mm + MM.at.pageTableLock))
  }

  *#unlock(mm: PhysAddr): Step<void> {
    yield* spinUnlock(this.cpu, phys(mm + MM.at.pageTableLock))
  }
}
