/**
 * s390 since v6.8: a page of 4 KiB for each PTE table of 2 KiB. The other half stays unused (a guest's pgste live there), and
 * with it every rule about sharing: what is left is the generic design.
 *
 * Source: arch/s390/mm/pgalloc.c (v6.8), d08d4e7cd6bf "s390/mm: use full 4KB page for 2KB PTE"; page-table-freeing dossier
 * section 2.9. Deposited tables still keep their links in their own first words.
 */
import type { PhysAddr, Table } from '../../base/units.js'
import { poke64 } from '../../machine/image/image.js'
import { PTE_EMPTY } from '../../arch/entry.js'
import type { Step } from '../../machine/engine/engine.js'
import { OnePage } from './onePage.js'

export class S390FullPage extends OnePage {
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
