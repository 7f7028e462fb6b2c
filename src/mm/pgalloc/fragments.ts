/**
 * The logic that designs share in which several PTE tables live in one page: where a table is in its page, and that
 * deposited tables keep their links inside.
 *
 * Source: arch/s390/mm/pgtable.c pgtable_trans_huge_deposit() (v6.6).
 */
import { tableNr, type PhysAddr, type Table } from '../../base/units.js'
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

  protected override get linksInTable(): boolean {
    return true
  }
}
