/**
 * Designs of pte_free_defer() for tables that share a page, and of giving such tables back, that did not work. Drafts
 * that differ in more than a line are in src/mm/pgalloc/, beside those that were merged.
 */
import { phys, type PhysAddr, type Table } from '../base/units.js'
import { PowerpcFragments } from '../isa/powerpc/fragments.js'
import { S390Active } from '../isa/s390/pgalloc/active.js'
import { S390Bits } from '../isa/s390/pgalloc/bits.js'
import { S390ListNode } from '../isa/s390/pgalloc/listNode.js'
import { S390PphhaaMmLock, S390PphhaaOnList } from '../isa/s390/pgalloc/pphhaa.js'
import { S390SharedHead } from '../isa/s390/pgalloc/sharedHead.js'
import type { Step } from '../machine/engine/engine.js'
import type { Kernel } from '../mm/kernel.js'
import { PAGE } from '../mm/page.js'
import { OnePage } from '../mm/pgalloc/onePage.js'
import { listDel } from '../sync/list.js'
import { defineBug, defineMutant } from './bug.js'

export const rcuheadDouble = defineBug({
  id: 'rcuhead-double',
  number: 'K01',
  year: 2023,
  upstream: null,
  summary: 'both tables of a page wait for a grace period with the one rcu_head of their page',
  symptom: 'a callback is lost, or runs for the wrong table: leaks, double frees',
  scenarios: ['retract-vs-retract'],
  parts: { Pgalloc: S390SharedHead },
  config: { pgalloc: 's390-active' },
})

export const lruRcuheadOverlay = defineBug({
  id: 'lru-rcuhead-overlay',
  number: 'K02',
  year: 2023,
  upstream: null,
  summary: 'the rcu_head of a waiting table lies over the list node of its page, which is on the list',
  symptom: 'list corruption, or a callback that is an address of a list node',
  scenarios: ['retract-vs-fault'],
  parts: { Pgalloc: S390SharedHead },
  config: { pgalloc: 's390-active' },
})

export const listNodeInFragment = defineBug({
  id: 'list-node-in-fragment',
  number: 'K03',
  year: 2023,
  upstream: null,
  summary: 'the list of pages is threaded through the table that was just given back, which gup_fast may be walking',
  symptom: 'a walker decodes the addresses of list nodes as entries',
  scenarios: ['fragment-vs-gup'],
  parts: { Pgalloc: S390ListNode },
  config: { pgalloc: 's390-active', flushStyle: 'broadcast' },
})

export const ptmmLockUaf = defineBug({
  id: 'ptmm-lock-uaf',
  number: 'K04',
  year: 2023,
  upstream: null,
  summary: 'a callback lists a page under the lock of the mm that the page names, which nothing keeps',
  symptom: 'the mm is gone: use after free of its lock and list',
  scenarios: ['retract-vs-exit'],
  parts: { Pgalloc: S390PphhaaMmLock },
  config: { pgalloc: 's390-active' },
})

class UnlinksUnlisted extends S390PphhaaOnList {
  protected override *takeOff(page: PhysAddr): Step<void> {
    yield* listDel(this.cpu, this.node(page, 0))
  }
}

export const listDelUnlisted = defineBug({
  id: 'list-del-unlisted',
  number: 'K06',
  year: 2023,
  upstream: null,
  summary: 'the last table of a page takes the page off the list, although a deferred free had done so before',
  symptom: 'stale neighbours, or the words of an rcu_head, are written through: list corruption',
  scenarios: ['retract-vs-munmap'],
  parts: { Pgalloc: UnlinksUnlisted },
  config: { pgalloc: 's390-pphhaa-on-list' },
})

/** Without the way over P: the byte says that nobody has the page while its node is still on the list. */
class ReleasesAtOnce extends S390Active {
  override *pteFree(mm: PhysAddr, table: Table): Step<void> {
    const [page, part] = [this.pageOf(table), this.partOf(table)]
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.lock(mm)
    const byte = yield* this.xorByte(page, 1 << part)
    if (yield* this.mayBeListed(page, byte)) yield* this.addToList(mm, page, part, false)
    else yield* this.removeFromList(page, 1 - part)
    yield* this.unlock(mm)
    if (byte === 0) yield* this.release(page)
  }
}

export const s390Release = defineBug({
  id: 's390-2k-release',
  number: 'K07',
  year: 2022,
  upstream: { fixed: 'c2c224932fd0' },
  summary: 'the last table of a page is given back without being pending while the page is taken off its list',
  symptom: 'the page is freed by another CPU meanwhile: list corruption, one page used twice',
  scenarios: ['retract-vs-munmap'],
  parts: { Pgalloc: ReleasesAtOnce },
  config: { pgalloc: 's390-active' },
})

/**
 * The count of parts is the page's reference count: set by a store, after the page could be found by its frame number.
 */
class CountsInRefcount extends PowerpcFragments {
  protected override countOf(page: PhysAddr): PhysAddr {
    return phys(page + PAGE.at.refcount)
  }

  /** The last part's reference is gone: nobody else may have one. */
  protected override *freeTablePage(page: PhysAddr): Step<void> {
    this.k.observer.folioFrozen(this.cpu, page, true)
    yield* this.k.folios.freeUnrefFolios(page)
  }
}

export const ppcFragRefcount = defineBug({
  id: 'ppc-frag-refcount',
  number: 'K08',
  year: 2018,
  upstream: { fixed: '4231aba000f5' },
  summary:
    'parts of a page of tables are counted in its reference count, which a store sets once there is a second part',
  symptom:
    'a speculative reference is overwritten, and its end is counted as that of a part: the page goes with a table in use',
  scenarios: ['scan-vs-table'],
  parts: { Pgalloc: CountsInRefcount },
  config: { pgalloc: 'powerpc-fragments' },
})

/**
 * Deferred parts keep their page on the list, at the tail as those that are pending, though they are busy until the
 * page goes: then it waits for its grace period. H marks them.
 */
class ListsDeferred extends S390Bits {
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#freeCallback = k.rcu.register({ rcu: (head) => this.free(phys(head - PAGE.at.rcuNext)) })
  }

  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    const page = this.pageOf(table)
    yield* this.makePending(mm, table, true)
    if (isDone(yield* this.xorByte(page, HEAD << this.partOf(table)))) yield* this.release(page)
  }

  protected override *clearPending(page: PhysAddr, part: number): Step<void> {
    if (isDone(yield* this.xorByte(page, PENDING << part))) yield* this.release(page)
  }

  protected override *release(page: PhysAddr): Step<void> {
    if ((yield* this.readByte(page)) === 0) return yield* this.freeTablePage(page)
    yield* this.k.rcu.callRcu(phys(page + PAGE.at.rcuNext), this.#freeCallback)
  }

  protected *free(page: PhysAddr): Step<void> {
    yield* this.xorByte(page, yield* this.readByte(page))
    yield* this.freeTablePage(page)
  }
}

const HEAD = 0x04
const PENDING = 0x10
/** No part is handed out, and those that are pending are deferred. One change of the byte leads there. */
const isDone = (byte: number): boolean => (byte & 3) === 0 && byte >>> 4 === ((byte >>> 2) & 3)

export const tailBlocker = defineBug({
  id: 'tail-blocker',
  number: 'K05',
  year: 2023,
  upstream: null,
  summary: 'a page with a deferred part stays on the list, of which only the first page is looked at',
  symptom: 'the parts behind it are never handed out again: page tables grow without bound',
  scenarios: ['retract-then-reuse'],
  parts: { Pgalloc: ListsDeferred },
  config: { pgalloc: 's390-active' },
})

class DefersNothing extends OnePage {
  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    yield* this.pteFree(mm, table)
  }
}

export const tableDeferNoGrace = defineMutant({
  id: 'table-defer-no-grace',
  summary: 'pte_free_defer() does not wait for a grace period',
  symptom: 'gup_fast and RCU readers walk a table that was freed or reused',
  scenarios: ['retract-vs-gup'],
  parts: { Pgalloc: DefersNothing },
  config: { pgalloc: 'one-page', flushStyle: 'broadcast' },
})
