/** Page tables that share a page, given back while walkers look. Designs: src/mm/pgalloc/. */
import { MAP, MREMAP, PROT, type Op, type Program } from '../../program/op.js'
import { defineScenario, dontneed, gup, load, mapAnonymous, roles, store, type Setting } from '../scenario.js'

/** A shared mapping of the first two huge ranges of the arena to the first file, without tables. */
const mapBare = (s: Setting): Op => ({
  op: 'mmap',
  addr: s.huge(0),
  len: 2 * s.hugeSize,
  prot: PROT.read | PROT.write,
  flags: MAP.shared | MAP.fixed,
  file: 0,
})
/** The same, each range with a PTE table, both in one page. */
const mapFile = (s: Setting): Program => [mapBare(s), load(s.huge(0)), load(s.huge(1))]
const retract = (addr: number): Op => ({ op: 'retract', addr })
/** Pages of the file that two huge ranges map, in either geometry: it is read only where it is mapped. */
const FILE_PAGES = 16

export const retractVsRetract = defineScenario({
  id: 'retract-vs-retract',
  summary: 'both tables of a page are given back with pte_free_defer() at once, and built anew',
  arch: 's390',
  cpus: 2,
  files: [FILE_PAGES],
  config: { pgalloc: 's390-active' },
  build: (s) => {
    const [first, second] = [s.huge(0), s.huge(1)]
    return {
      boot: mapFile(s),
      programs: roles(s, [retract(first), load(first), retract(first)], [retract(second), load(second)]),
    }
  },
})

export const retractVsFault = defineScenario({
  id: 'retract-vs-fault',
  summary: 'a table is given back while the rest of its page is handed out, walked and given back',
  arch: 's390',
  cpus: 2,
  files: [FILE_PAGES],
  config: { pgalloc: 's390-active' },
  build: (s) => {
    const [first, second, other] = [s.huge(0), s.huge(1), s.huge(2)]
    const builder: Program = [load(second), store(other), load(first), dontneed(other, s.hugeSize)]
    return {
      boot: [mapBare(s), load(first), mapAnonymous(other, s.hugeSize)],
      programs: roles(s, [retract(first), ...(s.repeated ? [retract(second)] : [])], builder),
    }
  },
})

export const retractVsGup = defineScenario({
  id: 'retract-vs-gup',
  summary: 'gup_fast and faults in a table that is given back with pte_free_defer(), TLBs flushed without interrupts',
  arch: 's390',
  cpus: 2,
  files: [FILE_PAGES],
  config: { pgalloc: 's390-active', flushStyle: 'broadcast' },
  build: (s) => {
    const [first, second] = [s.huge(0), s.huge(1)]
    const taker: Program = [retract(first), retract(second), load(second)]
    return {
      boot: mapFile(s),
      programs: roles(s, taker, [gup(first, 1, { fastOnly: true }), load(first), gup(second, 2)]),
    }
  },
})

export const retractVsMunmap = defineScenario({
  id: 'retract-vs-munmap',
  summary: 'one table of a page is given back with pte_free_defer(), the other one through a gather',
  arch: 's390',
  cpus: 2,
  files: [FILE_PAGES],
  config: { pgalloc: 's390-active' },
  build: (s) => {
    const [first, second] = [s.huge(0), s.huge(1)]
    const unmap: Program = [{ op: 'munmap', addr: second, len: s.hugeSize }]
    const again: Program = s.repeated ? [{ op: 'munmap', addr: first, len: s.hugeSize }, ...mapFile(s)] : []
    return { boot: mapFile(s), programs: roles(s, [retract(first)], [...unmap, ...again]) }
  },
})

export const retractVsExit = defineScenario({
  id: 'retract-vs-exit',
  summary: 'the process ends while a table that was given back with pte_free_defer() waits for its grace period',
  arch: 's390',
  cpus: 2,
  exploreOnly: true,
  files: [FILE_PAGES],
  config: { pgalloc: 's390-active', gpDelay: 50 },
  build: (s) => ({
    boot: mapFile(s),
    programs: roles(
      s,
      [retract(s.huge(0)), { op: 'exit' }],
      [{ op: 'repeat', times: 4, body: [load(s.huge(1))] }, { op: 'exit' }],
    ),
  }),
})

export const retractVsMremap = defineScenario({
  id: 'retract-vs-mremap',
  summary: 'khugepaged takes the tables of a file away without mmap_lock while mremap moves one of them',
  arch: 'x86-64',
  cpus: 2,
  files: [FILE_PAGES],
  build: (s) => {
    const [from, to] = [s.huge(0), s.huge(3)]
    const move = (addr: number, newAddr: number): Op => ({
      op: 'mremap',
      addr,
      oldLen: s.hugeSize,
      newLen: s.hugeSize,
      flags: MREMAP.mayMove | MREMAP.fixed,
      newAddr,
    })
    const back: Program = s.repeated ? [move(to, from), load(from)] : []
    const retracter: Program = [{ op: 'retractFile', file: 0, page: 0 }, load(from)]
    return { boot: mapFile(s), programs: roles(s, [move(from, to), load(to), ...back], retracter) }
  },
})

export const retractVsFill = defineScenario({
  id: 'retract-vs-fill',
  summary: 'khugepaged takes the table of a file away while a page is filled in for userfaultfd, and touched',
  arch: 'x86-64',
  cpus: 2,
  files: [FILE_PAGES],
  build: (s) => {
    const at = s.huge(0)
    const again: Program = s.repeated ? [dontneed(at, s.pageSize)] : []
    return {
      boot: mapFile(s),
      programs: roles(
        s,
        [{ op: 'retractFile', file: 0, page: 0 }, retract(at)],
        [{ op: 'fill', addr: at }, load(at), { op: 'fill', addr: at + s.pageSize }, ...again],
      ),
    }
  },
})

export const retractThenUnmap = defineScenario({
  id: 'retract-then-unmap',
  summary: 'a range is unmapped whose table was taken away, while another CPU still has its pages in the TLB',
  arch: 'x86-64',
  cpus: 2,
  files: [FILE_PAGES],
  build: (s) => {
    const at = s.huge(0)
    const again: Program = s.repeated ? [{ op: 'munmap', addr: s.huge(1), len: s.hugeSize }, ...mapFile(s)] : []
    return {
      boot: mapFile(s),
      programs: roles(s, [retract(at), { op: 'munmap', addr: at, len: s.hugeSize }, ...again], [load(at), load(at)]),
    }
  },
})

export const retractVsAlloc = defineScenario({
  id: 'retract-vs-alloc',
  summary: 'a table is given back with pte_free_defer() while gup_fast is in it and another CPU needs a table',
  arch: 's390',
  cpus: 3,
  cpusMin: 3,
  files: [FILE_PAGES],
  config: { pgalloc: 's390-active', thp: 'never' },
  build: (s) => {
    const [first, other] = [s.huge(0), s.huge(2)]
    const builder: Program = [store(other), ...(s.repeated ? [dontneed(other, s.pageSize)] : [])]
    const walker: Program = [gup(first, 2, { fastOnly: true }), gup(first, 2, { fastOnly: true })]
    return {
      boot: [...mapFile(s), mapAnonymous(other, s.hugeSize)],
      programs: roles(s, [retract(first), load(first)], builder, [walker]),
    }
  },
})

export const reclaimVsFault = defineScenario({
  id: 'reclaim-vs-fault',
  summary: 'MADV_DONTNEED empties tables and takes them away (PT_RECLAIM) while another CPU faults pages in and walks',
  arch: 'x86-64',
  cpus: 2,
  config: { ptReclaim: true, thp: 'never', failNowait: 30 },
  build: (s) => {
    const [first, second] = [s.huge(0), s.huge(1)]
    const pages = s.hugeSize / s.pageSize
    // One page less in the first range: the gather's batch is full in the middle of the second.
    const fill: Program = [store(first, 1, Math.min(pages, 8) - 1), store(second, 1, Math.min(pages, 8))]
    const touch: Program = [store(second), gup(second, 2, { fastOnly: true }), load(first), store(second + s.pageSize)]
    return {
      boot: [mapAnonymous(first, 2 * s.hugeSize), ...fill],
      programs: roles(s, [dontneed(first, 2 * s.hugeSize), ...(s.repeated ? fill : [])], touch),
    }
  },
})

export const scanVsTable = defineScenario({
  id: 'scan-vs-table',
  summary: 'pfn walkers take references on frames that become pages of tables meanwhile; then all processes end',
  arch: 'powerpc',
  cpus: 3,
  exploreOnly: true,
  config: { pgalloc: 'powerpc-fragments', thp: 'never' },
  build: (s) => {
    const at = s.huge(0)
    const scanTwice = (page: number): Program => {
      const scan: Op = { op: 'scanPfn', addr: at + page * s.pageSize }
      return [scan, scan, { op: 'exit' }]
    }
    return {
      boot: [mapAnonymous(at, s.hugeSize), store(at, 1, 4)],
      // The frames that are freed become the tables of the next process, the lowest one the top.
      programs: roles(
        s,
        [dontneed(at, s.hugeSize), { op: 'exec' }, mapAnonymous(at, s.hugeSize), store(at), { op: 'exit' }],
        scanTwice(3),
        [scanTwice(2), scanTwice(3)],
      ),
    }
  },
})

export const retractThenReuse = defineScenario({
  id: 'retract-then-reuse',
  summary: 'of two pages of tables one has a deferred part and the other one a free part, which can be had again',
  arch: 's390',
  cpus: 2,
  files: [FILE_PAGES],
  config: { pgalloc: 's390-active', thp: 'never' },
  build: (s) => {
    const [first, third] = [s.huge(0), s.huge(2)]
    const other: Program = [mapAnonymous(third, s.hugeSize), store(third)]
    const last: Program = [mapAnonymous(s.huge(3), s.hugeSize), store(s.huge(3))]
    const again: Program = s.repeated ? [load(first), ...other] : []
    return {
      boot: [...mapFile(s), ...other, ...last],
      programs: roles(s, [retract(first), { op: 'munmap', addr: third, len: s.hugeSize }, ...again], [load(s.huge(1))]),
    }
  },
})

export const pmdVsGup = defineScenario({
  id: 'pmd-vs-gup',
  summary: 'munmap gives a PMD table back whose neighbour stays, and it is made anew, while gup_fast walks both',
  arch: 'powerpc',
  cpus: 2,
  config: { pgalloc: 'powerpc-fragments', thp: 'never' },
  build: (s) => {
    const [first, second] = [s.spanOf(3), 2 * s.spanOf(3)]
    const map = (addr: number): Program => [mapAnonymous(addr, s.pageSize), store(addr)]
    const unmap = (addr: number): Program => [{ op: 'munmap', addr, len: s.pageSize }, ...map(addr)]
    return {
      boot: [...map(second), ...map(first)],
      programs: roles(s, unmap(first), [
        gup(first, 1, { fastOnly: true }),
        ...unmap(second),
        gup(first, 1, { fastOnly: true }),
      ]),
    }
  },
})

export const fragmentVsGup = defineScenario({
  id: 'fragment-vs-gup',
  summary: 'munmap gives a table back whose sibling stays, while gup_fast walks it; TLBs flushed without interrupts',
  arch: 's390',
  cpus: 2,
  config: { pgalloc: 's390-active', flushStyle: 'broadcast', thp: 'never' },
  build: (s) => {
    const [first, second] = [s.huge(0), s.huge(1)]
    const map: Program = [mapAnonymous(first, s.hugeSize), store(first)]
    const unmap: Program = [{ op: 'munmap', addr: first, len: s.hugeSize }, ...map]
    return {
      boot: [mapAnonymous(first, 2 * s.hugeSize), store(second), store(first)],
      programs: roles(s, unmap, [gup(first, 1, { fastOnly: true }), gup(second, 1, { fastOnly: true })]),
    }
  },
})
