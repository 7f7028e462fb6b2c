/**
 * Mutants, one for each kind of lock: the lock is not taken. Each is found where the first field is touched that the
 * lock guards, in the first execution, since the guards of fields are checked at every access (machine/image/guard.ts);
 * nobody else has to be there.
 *
 * Without a mutant here: the folio lock, whose fields have an owner instead, and the locks that one function takes,
 * uses and releases (slots, zone, i_pages, grace periods), which no method of a part stands for. The lists of pages of
 * tables that s390 and powerpc have are changed with accessors, so that a lock that is not taken there shows as a race,
 * not here.
 */
import type { Step } from '../machine/engine/engine.js'
import type { PhysAddr } from '../base/units.js'
import { AnonVmas } from '../mm/anonVma.js'
import { Mms } from '../mm/mms.js'
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
