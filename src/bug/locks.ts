/**
 * Mutants, one for each kind of lock: the lock is not taken. Each is found where the first field is touched that the
 * lock guards, in the first execution, since the guards of fields are checked at every access (machine/image/guard.ts);
 * nobody else has to be there.
 *
 * Locks whose fields are all accessed with accessors are asserted by the functions that need them (sync/spinlock.ts).
 *
 * Without a mutant here: the lock of grace periods and the mutex of expedited ones, since Rcu is no part of the kernel
 * that a mutant could replace (their fields have guards, so that a change of Rcu itself is checked); the locks of the
 * tables of VMAs, anon_vmas and files, which are the lock of the mm table once more. IRQs that are not turned off are
 * found by what comes in: a lock that its own holder waits for in an interrupt (lock-misuse). No field depends on IRQs
 * alone but those that are private to a CPU, and an interrupt runs on the same CPU.
 */
import type { Step } from '../machine/engine/engine.js'
import type { PhysAddr, VirtAddr } from '../base/units.js'
import { S390Active } from '../isa/s390/pgalloc/active.js'
import { AnonVmas } from '../mm/anonVma.js'
import { Scan, type CollapseControl } from '../mm/collapseScan.js'
import { Files } from '../mm/file.js'
import { Folios } from '../mm/folio.js'
import { Khugepaged } from '../mm/khugepaged.js'
import { MigrationEntries, TTU_RMAP_LOCKED } from '../mm/migrationEntries.js'
import { Mms } from '../mm/mms.js'
import { PageAllocator } from '../mm/pageAllocator.js'
import { PageTables } from '../mm/pageTables.js'
import { Vmas } from '../mm/vma.js'
import { defineMutant } from './bug.js'

class FaultsWithoutMmapLock extends Mms {
  override *mmapReadLock(): Step<void> {}
  override *mmapReadUnlock(): Step<void> {}
  override *mmapWriteDowngrade(mm: PhysAddr): Step<void> {
    yield* this.mmapWriteUnlock(mm)
  }
}

export const mmapReadUnlocked = defineMutant({
  id: 'mmap-read-unlocked',
  summary: 'faults, madvise and khugepaged look VMAs up without mmap_lock',
  symptom: 'the VMA that was found is split, moved or freed under way',
  scenarios: ['gup-vs-dontneed'],
  parts: { Mms: FaultsWithoutMmapLock },
})

class ChangesWithoutMmapLock extends Mms {
  override *mmapWriteLock(): Step<void> {}
  override *mmapWriteUnlock(): Step<void> {}
  override *mmapWriteDowngrade(mm: PhysAddr): Step<void> {
    yield* this.mmapReadLock(mm)
  }
}

export const mmapWriteUnlocked = defineMutant({
  id: 'mmap-write-unlocked',
  summary: 'mmap, munmap, mprotect, mremap, brk and fork change VMAs without mmap_lock',
  symptom: 'a fault walks the list of VMAs while it changes',
  scenarios: ['gup-vs-munmap'],
  parts: { Mms: ChangesWithoutMmapLock },
})

class ReadsWhereItWrites extends Mms {
  override *mmapWriteLock(mm: PhysAddr): Step<void> {
    yield* this.mmapReadLock(mm)
  }
  override *mmapWriteUnlock(mm: PhysAddr): Step<void> {
    yield* this.mmapReadUnlock(mm)
  }
  override *mmapWriteDowngrade(): Step<void> {}
}

export const mmapWriteAsRead = defineMutant({
  id: 'mmap-write-as-read',
  summary: 'mmap, munmap, mprotect, mremap, brk and fork take mmap_lock to read',
  symptom: 'a fault, which reads too, walks the list of VMAs while it changes',
  scenarios: ['gup-vs-munmap'],
  parts: { Mms: ReadsWhereItWrites },
})

class ChangesAnonVmaUnlocked extends AnonVmas {
  override *anonVmaLockWrite(): Step<void> {}
  override *anonVmaUnlockWrite(): Step<void> {}
}

export const anonVmaUnlocked = defineMutant({
  id: 'anon-vma-unlocked',
  summary: 'VMAs join and leave the list of an anon_vma without its lock',
  symptom: 'an rmap walk follows a link that is being changed, and misses a mapping',
  scenarios: ['fork-vs-gup'],
  parts: { AnonVmas: ChangesAnonVmaUnlocked },
})

class ChangesMappingsUnlocked extends Vmas {
  protected override *lockFile(): Step<void> {}
  protected override *unlockFile(): Step<void> {}
}

export const iMmapUnlocked = defineMutant({
  id: 'i-mmap-unlocked',
  summary: 'VMAs join and leave the list of their file without i_mmap_rwsem',
  symptom: 'a walk of the mappings of the file follows a link that is being changed',
  scenarios: ['retract-vs-mremap'],
  parts: { Vmas: ChangesMappingsUnlocked },
})

class ChangesPmdsUnlocked extends PageTables {
  override *pmdLock(): Step<void> {}
  override *pmdUnlock(): Step<void> {}
}

export const pmdUnlocked = defineMutant({
  id: 'pmd-unlocked',
  summary: 'tables are deposited and withdrawn without the lock of the PMD table',
  symptom: 'two splits withdraw the same table',
  scenarios: ['gup-vs-split'],
  parts: { PageTables: ChangesPmdsUnlocked },
})

class ChangesPtesUnlocked extends PageTables {
  override *pteLock(): Step<void> {}
  override *pteUnlock(): Step<void> {}
}

export const pteUnlocked = defineMutant({
  id: 'pte-unlocked',
  summary: 'entries of PTE tables change without the lock of the table',
  symptom: 'two faults fill one entry, and a page is lost',
  scenarios: ['gup-vs-dontneed'],
  parts: { PageTables: ChangesPtesUnlocked },
})

class LooksUpFirst extends Khugepaged {
  override *hpageCollapseScanPmd(mm: PhysAddr, addr: VirtAddr, cc?: CollapseControl): Step<Scan> {
    if (this.k.vmas.findVma(mm, addr) === 0) return Scan.vmaNull
    return yield* super.hpageCollapseScanPmd(mm, addr, cc)
  }
}

export const findVmaUnlocked = defineMutant({
  id: 'find-vma-unlocked',
  summary: 'khugepaged looks whether there is a VMA before it takes mmap_lock',
  symptom: 'the lookup follows links that munmap changes',
  scenarios: ['collapse-vs-munmap'],
  parts: { Khugepaged: LooksUpFirst },
})

class WalksUnlocked extends MigrationEntries {
  override *tryToMigrate(folio: PhysAddr, flags = 0): Step<void> {
    yield* super.tryToMigrate(folio, flags | TTU_RMAP_LOCKED)
  }
}

export const rmapUnlocked = defineMutant({
  id: 'rmap-unlocked',
  summary: 'migration walks the reverse map without the lock of the anon_vma',
  symptom: 'the walk misses a mapping, or follows a VMA that is gone',
  scenarios: ['compaction-vs-gup'],
  parts: { MigrationEntries: WalksUnlocked },
})

class ChangesTopUnlocked extends PageTables {
  override *pageTableLock(): Step<void> {}
  override *pageTableUnlock(): Step<void> {}
}

export const pageTableUnlocked = defineMutant({
  id: 'page-table-unlocked',
  summary: 'entries above the PMD level are filled without page_table_lock',
  symptom: 'two faults link a PMD table each, and one table is lost with the pages in it',
  scenarios: ['gup-vs-munmap'],
  parts: { PageTables: ChangesTopUnlocked },
})

class NeverLocked extends Folios {
  override *folioLock(): Step<void> {}
  override *folioTrylock(): Step<boolean> {
    return true
  }
  override *folioUnlock(): Step<void> {}
}

export const folioUnlocked = defineMutant({
  id: 'folio-unlocked',
  summary: 'nobody takes the folio lock',
  symptom: 'a folio is split and migrated at once',
  scenarios: ['gup-vs-folio-split'],
  parts: { Folios: NeverLocked },
})

class CachesUnlocked extends Files {
  protected override *lockPages(): Step<void> {}
  protected override *unlockPages(): Step<void> {}
}

export const iPagesUnlocked = defineMutant({
  id: 'i-pages-unlocked',
  summary: 'the page cache of a file is read and filled without i_pages',
  symptom: 'two faults put a page each into one slot, and their mappings differ',
  scenarios: ['retract-vs-fill'],
  parts: { Files: CachesUnlocked },
})

class AllocatesUnlocked extends PageAllocator {
  protected override *lockZone(): Step<void> {}
  protected override *unlockZone(): Step<void> {}
}

export const zoneUnlocked = defineMutant({
  id: 'zone-unlocked',
  summary: 'frames are allocated and freed without the zone lock',
  symptom: 'one frame is handed out twice',
  scenarios: ['gup-vs-dontneed'],
  parts: { PageAllocator: AllocatesUnlocked },
})

class TakesSlotsUnlocked extends Mms {
  protected override *takeSlot(): Step<PhysAddr> {
    const mm = this.findFree()
    if (mm !== 0) this.clear(mm)
    return mm
  }
}

export const slotUnlocked = defineMutant({
  id: 'slot-unlocked',
  summary: 'fork takes a slot of the mm table without its lock',
  symptom: 'two children get one mm',
  scenarios: ['fork-vs-gup'],
  parts: { Mms: TakesSlotsUnlocked },
})

class ListsUnlocked extends S390Active {
  protected override *lock(): Step<void> {}
  protected override *unlock(): Step<void> {}
}

export const pgtableListUnlocked = defineMutant({
  id: 'pgtable-list-unlocked',
  summary: 's390: pages with a table to hand out are listed without the context lock',
  symptom: 'two CPUs change the links of the list at once, or hand out one table',
  scenarios: ['fragment-vs-gup'],
  parts: { Pgalloc: ListsUnlocked },
  config: { pgalloc: 's390-active' },
})
