/**
 * pte_free_defer() for powerpc, second version (June 2023, superseded): the count of parts also counts those that wait.
 * A part that is given back turns its 1 into a large unit; whoever finds no other large unit has the rcu_head, and the
 * others rely on the callback, which waits once more while there are any.
 *
 * Source: the design of June 2023 that was posted and superseded. Right, and more than is needed: the merged version
 * (fragments.ts) waits once, when the last part has gone.
 */
import { phys, type PhysAddr, type Table } from '../../base/units.js'
import type { Step } from '../../machine/engine/engine.js'
import type { Kernel } from '../../mm/kernel.js'
import { PAGE } from '../../mm/page.js'
import { PowerpcFragments } from './fragments.js'

/** More than a page has parts. */
const DEFERRED = 0x1_0000

export class PowerpcDeferCount extends PowerpcFragments {
  readonly #deferred: number

  constructor(k: Kernel) {
    super(k)
    this.#deferred = k.rcu.register({ rcu: (head) => this.pteFreeNow(phys(head - PAGE.at.rcuNext)) })
  }

  override *pteFreeDefer(_mm: PhysAddr, table: Table): Step<void> {
    const page = this.pageOf(table)
    this.k.observer.tableFreed(this.cpu, table)
    // Full barrier; the value decides alone: exactly one of those that wait finds itself the first.
    const count = yield* this.cpu.atomicAddReturn32(phys(page + PAGE.at.ptFragRefcount), DEFERRED - 1)
    if (count < 2 * DEFERRED) yield* this.wait(page)
  }

  protected *pteFreeNow(page: PhysAddr): Step<void> {
    const at = phys(page + PAGE.at.ptFragRefcount)
    let count = yield* this.cpu.atomicAddReturn32(at, -(DEFERRED - 1))
    if (count < DEFERRED) return yield* this.drop(page, 1)
    // Others came while this one waited: one unit stays for all of them, for one more grace period.
    while (count >= 2 * DEFERRED) count = yield* this.cpu.atomicAddReturn32(at, -DEFERRED)
    yield* this.cpu.atomicAddReturn32(at, -1)
    yield* this.wait(page)
  }

  protected *wait(page: PhysAddr): Step<void> {
    yield* this.k.rcu.callRcu(phys(page + PAGE.at.rcuNext), this.#deferred)
  }
}
