/** gup_fast against everything that takes its pages away. */
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
import type { Op, Program } from '../../program/op.js'

const pinRoundTrip = (addr: number): Op => gup(addr, 1, { pin: true, write: true })

export const gupVsSplit = defineScenario({
  id: 'gup-vs-split',
  summary: 'gup_fast walks a huge page while it is split, its pieces are dropped, and it is faulted in again',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const [last, half] = [at + s.hugeSize - s.pageSize, at + s.hugeSize / 2]
    const dropped = dontneed(at, s.hugeSize)
    const again: Program = [store(half), dropped, ...renew(s, at), store(at), { op: 'splitPmd', addr: at }]
    const splitter: Program = [{ op: 'splitFolio', addr: at }, ...(s.repeated ? again : [dropped])]
    const walker: Program = [gup(at, 2), pinRoundTrip(last), ...(s.repeated ? [load(half)] : [])]
    return { boot: [mapAnonymous(at, 2 * s.hugeSize), store(at)], programs: roles(s, splitter, walker) }
  },
})

export const gupVsCollapse = defineScenario({
  id: 'gup-vs-collapse',
  summary: 'gup_fast walks base pages while khugepaged collapses them into a huge page',
  arch: 'x86-64',
  cpus: 2,
  config: { flushStyle: 'broadcast' },
  build: (s) => {
    const at = s.huge(0)
    const pages = Math.min(4, s.hugeSize / s.pageSize)
    const small = storeSmall(s, at, pages)
    const collapse: Program = [{ op: 'collapse', addr: at }, dontneed(at, s.hugeSize), ...(s.repeated ? small : [])]
    const once = [gup(at, 1, { fastOnly: true })]
    const walker: Program = [
      ...once,
      gup(at + s.pageSize, 1, { write: true, pin: true }),
      gup(at + s.pageSize, 2, { fastOnly: true }),
    ]
    return { boot: [mapAnonymous(at, s.hugeSize), ...small], programs: roles(s, collapse, s.repeated ? walker : once) }
  },
})

export const gupVsMunmap = defineScenario({
  id: 'gup-vs-munmap',
  summary: 'gup_fast walks page tables that munmap unlinks and frees',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const map: Program = [mapAnonymous(at, s.hugeSize), madvise(at, s.hugeSize, 'nohugepage'), store(at, 1, 2)]
    const other = s.huge(2)
    const unmap: Program = [
      { op: 'munmap', addr: at, len: s.hugeSize },
      mapAnonymous(other, s.hugeSize),
      store(other),
      { op: 'munmap', addr: other, len: s.hugeSize },
      ...map,
    ]
    const walker: Program = [
      gup(at, 1, { fastOnly: true }),
      gup(at + s.pageSize, 1, { fastOnly: true, write: true }),
      load(at),
    ]
    return { boot: map, programs: roles(s, unmap, walker) }
  },
})

export const gupVsMunmapBroadcast = defineScenario({
  ...gupVsMunmap,
  id: 'gup-vs-munmap-broadcast',
  summary: 'the same where TLBs are flushed without interrupts, so that only RCU keeps the tables',
  config: { flushStyle: 'broadcast' },
})

export const gupVsMunmapIpi = defineScenario({
  ...gupVsMunmap,
  id: 'gup-vs-munmap-ipi',
  summary: 'the same where tables are freed at once after the flush interrupt, which walkers with IRQs off hold up',
  config: { tableFree: 'ipi' },
})

export const gupVsMunmapFallback = defineScenario({
  ...gupVsMunmap,
  id: 'gup-vs-munmap-fallback',
  summary:
    'the same where every second page for a batch of tables is missing: each table waits for an interrupt to all',
  config: { flushStyle: 'broadcast', failNowait: 50 },
})

export const gupVsDontneed = defineScenario({
  id: 'gup-vs-dontneed',
  summary: 'gup_fast and user loads against MADV_DONTNEED of base and huge pages',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const next = s.huge(1)
    const dropper: Program = [dontneed(at, s.hugeSize), store(at), dontneed(next, 2 * s.pageSize), store(next, 1, 2)]
    const walker: Program = [gup(at), load(at), gup(next, 1, { write: true }), load(next), store(next + s.pageSize)]
    const boot = [
      mapAnonymous(at, 2 * s.hugeSize),
      madvise(next, s.hugeSize, 'nohugepage'),
      store(at),
      store(next, 1, 2),
    ]
    return { boot, programs: roles(s, dropper, walker) }
  },
})

export const gupVsDontneedBroadcast = defineScenario({
  ...gupVsDontneed,
  id: 'gup-vs-dontneed-broadcast',
  summary: 'the same where TLBs are flushed without interrupts',
  config: { flushStyle: 'broadcast' },
})

export const gupVsFolioSplit = defineScenario({
  id: 'gup-vs-folio-split',
  summary:
    'gup_fast takes a tail page of a folio mapped by PTEs while the folio is split, TLBs flushed without interrupts',
  arch: 'x86-64',
  cpus: 2,
  config: { flushStyle: 'broadcast' },
  build: (s) => {
    const at = s.huge(0)
    const last = at + s.hugeSize - s.pageSize
    // A split keeps no page that holds only zeroes.
    const mapped: Program = [store(at), store(last), { op: 'splitPmd', addr: at }]
    const again = s.repeated ? [...renew(s, at), ...mapped] : []
    return {
      boot: [mapAnonymous(at, s.hugeSize), ...mapped],
      programs: roles(s, [{ op: 'splitFolio', addr: at }, ...again], [gup(last, 1, { fastOnly: true })]),
    }
  },
})

export const forkVsGup = defineScenario({
  id: 'fork-vs-gup',
  summary: 'pins taken while fork write-protects the same pages, then a write of the parent',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const next = s.huge(1)
    const pin = (addr: number): Op => gup(addr, 1, { pin: true, write: true, hold: true })
    const forker: Program = [
      { op: 'fork', slot: 0 },
      ...(s.repeated ? [store(at), store(next), { op: 'reap', slot: 0 } as Op] : []),
    ]
    const pinner: Program = s.repeated ? [pin(at), pin(next), store(at, 2), { op: 'unpin' }] : [pin(at)]
    const boot = [
      mapAnonymous(at, 2 * s.hugeSize),
      madvise(at, s.hugeSize, 'nohugepage'),
      store(at),
      ...(s.repeated ? [store(next)] : []),
    ]
    return { boot, programs: roles(s, forker, pinner) }
  },
})

export const forceWriteVsDontneed = defineScenario({
  id: 'force-write-vs-dontneed',
  summary: 'a FOLL_FORCE write to a read-only private file mapping against MADV_DONTNEED (Dirty COW)',
  arch: 'x86-64',
  cpus: 2,
  files: [2],
  build: (s) => {
    const at = s.page(0)
    const boot: Op[] = [{ op: 'mmap', addr: at, len: 2 * s.pageSize, prot: 1, flags: 0x12, file: 0 }, load(at)]
    return {
      boot,
      programs: roles(s, [{ op: 'gupWrite', addr: at, value: 66, force: true }], [dontneed(at, s.pageSize), load(at)]),
    }
  },
})
