/** Huge pages against faults, unmapping and each other. */
import {
  defineScenario,
  dontneed,
  gup,
  load,
  madvise,
  mapAnonymous,
  renew,
  roles,
  store,
  storeSmall,
} from '../scenario.js'
import type { Program } from '../../program/op.js'

export const faultVsSplit = defineScenario({
  id: 'fault-vs-split',
  summary: 'stores and faults in a huge page while it is split and partly dropped',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const splitter: Program = [
      { op: 'splitPmd', addr: at },
      dontneed(at + s.pageSize, s.pageSize),
      { op: 'splitFolio', addr: at },
      dontneed(at, s.hugeSize),
      ...(s.repeated ? renew(s, at) : []),
    ]
    const toucher: Program = [
      load(at),
      store(at + s.pageSize),
      store(at + s.hugeSize - s.pageSize),
      load(at + s.pageSize),
    ]
    return { boot: [mapAnonymous(at, s.hugeSize), store(at)], programs: roles(s, splitter, toucher) }
  },
})

export const collapseVsMunmap = defineScenario({
  id: 'collapse-vs-munmap',
  summary: 'khugepaged collapses a range that is being unmapped, dropped and touched',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const map: Program = [mapAnonymous(at, s.hugeSize), ...storeSmall(s, at, 3)]
    const collapse: Program = [{ op: 'collapse', addr: at }]
    const unmap: Program = [load(at), dontneed(at, s.pageSize), { op: 'munmap', addr: at, len: s.hugeSize }, ...map]
    return { boot: map, programs: roles(s, collapse, unmap, [[store(at + s.pageSize), load(at)]]) }
  },
})

export const numaVsDontneed = defineScenario({
  id: 'numa-vs-dontneed',
  summary: 'a NUMA hint is armed on a huge page while MADV_DONTNEED drops it',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const arm: Program = [{ op: 'numaHint', addr: at }, load(at)]
    return {
      boot: [mapAnonymous(at, s.hugeSize), store(at)],
      programs: roles(s, arm, [dontneed(at, s.hugeSize), store(at)]),
    }
  },
})

export const reclaimVsHugeFault = defineScenario({
  id: 'reclaim-vs-huge-fault',
  summary: 'MADV_DONTNEED drops the base pages of a range that another CPU faults a huge page into',
  arch: 'x86-64',
  cpus: 2,
  config: { flushStyle: 'ipi' },
  build: (s) => {
    const at = s.huge(0)
    const fill = storeSmall(s, at)
    const drop: Program = [load(at), dontneed(at, s.hugeSize)]
    return {
      boot: [mapAnonymous(at, s.hugeSize), ...fill],
      programs: roles(s, [...(s.repeated ? fill : []), ...drop], [store(at)]),
    }
  },
})

export const scanVsSplit = defineScenario({
  id: 'scan-vs-split',
  summary: 'a speculative walker by frame number against gup on a tail page and a folio split',
  arch: 'x86-64',
  cpus: 3,
  cpusMin: 2,
  build: (s) => {
    const at = s.huge(0)
    const tail = at + s.pageSize
    const again = s.repeated ? renew(s, at) : []
    const splitter: Program = [{ op: 'splitFolio', addr: at }, dontneed(at, s.hugeSize), ...again, store(at)]
    return {
      boot: [mapAnonymous(at, s.hugeSize), store(at)],
      programs: roles(s, splitter, [gup(tail)], [[{ op: 'scanPfn', addr: tail }]]),
    }
  },
})

export const compactionVsGup = defineScenario({
  id: 'compaction-vs-gup',
  summary: 'compaction moves pages, small and huge, that gup_fast references and user code writes',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const [at, next] = [s.huge(0), s.huge(1)]
    const mover: Program = [
      { op: 'migrate', addr: at },
      { op: 'migrate', addr: next },
    ]
    const user: Program = [gup(at), store(next), gup(next, 1, { pin: true, write: true }), load(at)]
    const boot = [mapAnonymous(at, 2 * s.hugeSize), madvise(next, s.hugeSize, 'nohugepage'), store(at), store(next)]
    return { boot, programs: roles(s, mover, user) }
  },
})

export const splitVsDontneed = defineScenario({
  id: 'split-vs-dontneed',
  summary: 'the PMD of a huge page is split while MADV_DONTNEED drops the whole of it',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const again = s.repeated ? [...renew(s, at), store(at)] : []
    const programs = roles(s, [{ op: 'splitPmd', addr: at }], [dontneed(at, s.hugeSize), ...again])
    return { boot: [mapAnonymous(at, s.hugeSize), store(at)], programs }
  },
})

export const splitVsZap = defineScenario({
  id: 'split-vs-zap',
  summary: 'a folio is split while MADV_DONTNEED unmaps its last mapped page: the rmap walk against the zap',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    // One page is mapped, so that its entry is all that the walk finds: it goes by an empty table without the lock.
    const oneMapped: Program = [
      store(at),
      { op: 'splitPmd', addr: at },
      dontneed(at + s.pageSize, s.hugeSize - s.pageSize),
    ]
    const again = s.repeated ? [...renew(s, at), ...oneMapped] : []
    return {
      boot: [mapAnonymous(at, s.hugeSize), ...oneMapped],
      programs: roles(s, [{ op: 'splitFolio', addr: at }, ...again], [dontneed(at, s.hugeSize)]),
    }
  },
})

export const splitVsMigrate = defineScenario({
  id: 'split-vs-migrate',
  summary: 'a huge page under migration is split while gup_fast looks at it',
  arch: 'x86-64',
  cpus: 3,
  cpusMin: 2,
  build: (s) => {
    const at = s.huge(0)
    const mover: Program = [{ op: 'migrate', addr: at }, ...(s.repeated ? [...renew(s, at), store(at)] : [])]
    const programs = roles(s, mover, [{ op: 'splitPmd', addr: at }], [[gup(at, 1, { fastOnly: true })]])
    return { boot: [mapAnonymous(at, s.hugeSize), store(at)], programs }
  },
})
