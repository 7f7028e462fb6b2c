/**
 * s390 since v6.8: a page of 4 KiB for each PTE table of 2 KiB. The other half stays unused (a guest's pgste live
 * there), and with it every rule about sharing: what is left is the generic design, but for where deposited tables keep
 * their links.
 *
 * Source: arch/s390/mm/pgalloc.c (v6.8), d08d4e7cd6bf "s390/mm: use full 4KB page for 2KB PTE".
 */
import { OnePage } from '../../../mm/pgalloc/onePage.js'

export class S390FullPage extends OnePage {
  protected override get linksInTable(): boolean {
    return true
  }
}
