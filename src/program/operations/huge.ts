/** Huge pages, files and the reverse map: what khugepaged, reclaim, compaction and truncation do to a process. */
import { phys, type Pfn, type PteWord, type VirtAddr } from '../../base/units.js'
import { pmdLeaf, pmdNone } from '../../arch/entry.js'
import type { Step } from '../../machine/engine/engine.js'
import { peekF64 } from '../../machine/image/guarded.js'
import { FOLL_FAST_ONLY, FOLL_GET } from '../../mm/gupFast.js'
import { vmaIsAccessible } from '../../mm/mprotect.js'
import { VMA } from '../../mm/mmStruct.js'
import { optional, whole } from '../fields.js'
import { operation } from '../operation.js'
import type { Task } from '../task.js'
import { addr, expect, file, page, pagesOrOne } from './arguments.js'

export const HUGE = {
  splitPmd: operation({
    summary: 'Splits the huge PMD that maps `addr` into PTEs.',
    fields: { addr },
    *run(task, op) {
      const { k, mm } = task
      const addr = task.pick(op.addr)
      yield* k.mms.mmapReadLock(mm)
      const vma = k.vmas.vmaLookup(mm, addr)
      const pmdp = vma === 0 ? phys(0) : yield* k.upper.mmFindPmd(mm, addr)
      if (pmdp !== 0) yield* k.splitHugePmd.splitHugePmd(vma, pmdp, k.geo.pmdAlignDown(addr), false, phys(0))
      yield* k.mms.mmapReadUnlock(mm)
      return 0
    },
  }),
  splitFolio: operation({
    summary: "Splits the folio mapped at `addr`, as debugfs' split_huge_pages does: gup, the folio lock, the split.",
    fields: { addr },
    *run(task, op) {
      const { k } = task
      const { folios } = k
      const got = yield* k.gupFast.getUserPagesFast(task.pick(op.addr), 1, FOLL_GET | FOLL_FAST_ONLY, task.pages)
      if (got !== 1) return 0
      const pfn = task.pages[0] as number
      const folio = yield* folios.compoundHead(k.memmap.page(pfn))
      let result = 0
      if (folios.isLarge(folio) && folios.isAnon(folio) && (yield* folios.folioTrylock(folio))) {
        result = yield* k.splitFolio.splitFolio(folio)
        yield* folios.folioUnlock(folio)
      }
      // The reference is the folio's, and after a split that of its first page, whichever page gup found.
      k.observer.gupReleased(task.cpu, pfn, false)
      yield* folios.folioPut(folio, 1)
      return result
    },
  }),
  collapse: operation({
    summary: 'Collapses the huge range around `addr` into a huge page, as khugepaged.',
    fields: { addr },
    *run(task, op) {
      return yield* task.k.khugepaged.hpageCollapseScanPmd(task.mm, task.pick(op.addr))
    },
  }),
  retract: operation({
    summary:
      'Takes the PTE table of a shared file mapping away, as khugepaged does when the file range has become huge.',
    fields: { addr },
    *run(task, op) {
      return yield* task.k.retract.retractTable(task.mm, task.pick(op.addr))
    },
  }),
  retractFile: operation({
    summary: 'Retracts in all mappings of page `page` of a file that begin a huge range there, without mmap_lock.',
    fields: { file, page },
    *run({ k }, op) {
      return yield* k.retract.retractPageTables(k.files.fileAt(op.file), op.page)
    },
  }),
  unmapFile: operation({
    summary: 'Unmaps pages of a file everywhere; they stay cached. Truncation does it first.',
    fields: { file, page, pages: pagesOrOne },
    sizes: ['pages'],
    *run({ k }, op) {
      yield* k.zap.unmapMappingPages(k.files.fileAt(op.file), op.page, op.pages ?? 1, true)
      return 0
    },
  }),
  ftruncate: operation({
    summary: 'ftruncate(): a file has so many pages afterwards. Those beyond go from all mappings and from the cache.',
    fields: { file, pages: whole('Pages that are left', 0), expect },
    *run({ k }, op) {
      return yield* k.truncate.doTruncate(k.files.fileAt(op.file), op.pages)
    },
  }),
  punchHole: operation({
    summary:
      'fallocate(FALLOC_FL_PUNCH_HOLE): pages of a file go from all mappings and from the cache, and are zeroes.',
    fields: { file, page, pages: pagesOrOne, expect },
    sizes: ['pages'],
    *run({ k }, op) {
      return yield* k.truncate.vfsFallocate(k.files.fileAt(op.file), op.page, op.pages ?? 1)
    },
  }),
  reclaim: operation({
    summary: 'Reclaims pages of a file: unmapped everywhere and freed, if they are clean.',
    fields: { file, page, pages: pagesOrOne },
    sizes: ['pages'],
    *run({ k }, op) {
      return yield* k.reclaim.shrinkFile(k.files.fileAt(op.file), op.page, op.pages ?? 1)
    },
  }),
  fill: operation({
    summary: 'Maps a page of a shared file mapping as a userfaultfd monitor has it done (UFFDIO_CONTINUE).',
    fields: { addr },
    *run(task, op) {
      return yield* task.k.userfault.mfillContinue(task.pick(op.addr))
    },
  }),
  migrate: operation({
    summary: 'Compaction: moves the folio that is mapped at `addr` when the operation begins, knowing only its frame.',
    fields: { addr },
    *run(task, op) {
      const pfn = yield* task.frameAt(task.pick(op.addr))
      return pfn < 0 ? 0 : yield* task.k.migrate.migratePfn(pfn as Pfn)
    },
  }),
  numaHint: operation({
    summary:
      'Arms NUMA hints, as task_numa_work() does, on `pages` pages, or on the one page or huge page that is mapped at `addr`. Memory without access rights gets none.',
    fields: { addr, pages: optional(whole('Pages; one, base or huge, unless given', 1)) },
    sizes: ['pages'],
    *run(task, op) {
      const { k, mm } = task
      const at = task.pick(op.addr)
      yield* k.mms.mmapReadLock(mm)
      const vma = k.vmas.vmaLookup(mm, at)
      if (vma !== 0 && vmaIsAccessible(vma)) {
        const huge = op.pages === undefined && (yield* isHuge(task, at))
        const start = huge ? k.geo.pmdAlignDown(at) : k.geo.pageAlignDown(at)
        const end = start + (huge ? k.geo.pmdSize : (op.pages ?? 1) * k.geo.pageSize)
        yield* k.mprotect.changeProtNuma(vma, start, Math.min(end, peekF64(vma + VMA.at.end)))
      }
      yield* k.mms.mmapReadUnlock(mm)
      return 0
    },
  }),
  scanPfn: operation({
    summary:
      'A speculative walker by frame number, as compaction and memory failure: takes a reference on the frame mapped at `addr` when the operation begins, unless it is free, and gives it back.',
    fields: { addr },
    *run(task, op) {
      const { k } = task
      const pfn = yield* task.frameAt(task.pick(op.addr))
      if (pfn < 0) return 0
      const page = k.memmap.page(pfn)
      if (!(yield* k.folios.folioTryGet(page, 1))) return 0
      yield* task.cpu.touch(page)
      yield* k.folios.folioPut(page, 1)
      return 1
    },
  }),
}

/** A huge page is mapped at `addr`. Caller: mmap_lock. */
function* isHuge({ k, cpu, mm }: Task, addr: VirtAddr): Step<boolean> {
  const pmdp = yield* k.upper.mmFindPmd(mm, addr)
  if (pmdp === 0) return false
  const pmd = (yield* cpu.readOnce64(pmdp)) as PteWord
  return !pmdNone(pmd) && pmdLeaf(pmd)
}
