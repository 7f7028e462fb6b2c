/**
 * What designs share in which several PTE tables live in one page: where a table is in its page, and deposited tables,
 * whose links cannot be in the struct page that they share.
 *
 * Source: arch/s390/mm/pgtable.c pgtable_trans_huge_deposit() (v6.6): the list node is in the first two entries of the
 * deposited table, and withdrawing makes them empty again. That is right for a deposited table only because whoever
 * deposits it has made sure that no walker is in it; see ListNodeInFragment for what happens otherwise.
 */
import { tableNr, type PhysAddr, type Table } from '../../base/units.js'
import { PTE_EMPTY } from '../../arch/entry.js'
import type { Step } from '../../machine/engine/engine.js'
import { poke64 } from '../../machine/image/image.js'
import { Pgalloc } from './pgalloc.js'

export abstract class FragmentPgalloc extends Pgalloc {
  /** Place of `table` in its page, from 0. */
  protected partOf(table: Table): number {
    return table & (this.k.memmap.fragments - 1)
  }

  protected tableOfPart(page: PhysAddr, part: number): Table {
    const { memmap } = this.k
    return tableNr(memmap.firstTable(memmap.pfnOf(page)) + part)
  }

  protected override depositNode(table: Table): PhysAddr {
    return this.k.memmap.table(table)
  }

  protected override tableOfNode(node: PhysAddr): Table {
    return this.k.memmap.tableAt(node)
  }

  override *pgtableTransHugeWithdraw(mm: PhysAddr, pmdp: PhysAddr): Step<Table> {
    const table = yield* super.pgtableTransHugeWithdraw(mm, pmdp)
    poke64(this.depositNode(table), PTE_EMPTY)
    return table
  }
}
