/**
 * Scenarios of features that s390 alone has: levels that fold at run time, changes of entries that purge, debts of
 * flushes, RDP.
 */
import { MAP, PROT, type Program } from '../../program/op.js'
import { defineScenario, dontneed, gup, load, mapAnonymous, roles, store, type Setting } from '../scenario.js'

/** Where the third entry of a region-third table ends: within three levels, and the same offset below is mapped too. */
const boundary = (s: Setting): number => 3 * s.spanOf(3)
/** First address that three levels do not translate, and four do. */
const beyond = (s: Setting): number => s.spanOf(4)

export const gupVsUpgrade = defineScenario({
  id: 'gup-vs-upgrade',
  summary: 'gup_fast over the end of a region while the address space grows by a level',
  arch: 's390',
  cpus: 2,
  config: { pgalloc: 's390-full-page', thp: 'never' },
  build: (s) => {
    const [first, second] = [boundary(s) - s.pageSize, boundary(s)]
    const wrong = second - s.spanOf(3)
    const walk: Program = [gup(first, 2, { fastOnly: true }), load(first), gup(first, 2, { fastOnly: true })]
    const grow: Program = [mapAnonymous(beyond(s), s.pageSize), store(beyond(s)), load(second)]
    return {
      boot: [mapAnonymous(first, 2 * s.pageSize), store(first, 1, 2), mapAnonymous(wrong, s.pageSize), store(wrong, 3)],
      programs: roles(s, grow, walk),
    }
  },
})

export const upgradeVsTouch = defineScenario({
  id: 'upgrade-vs-touch',
  summary: 'two CPUs use memory beyond the limit of three levels as soon as it is mapped, and below it all the time',
  arch: 's390',
  cpus: 2,
  exploreOnly: true,
  config: { pgalloc: 's390-full-page', thp: 'never' },
  build: (s) => {
    const [low, high] = [s.page(0), beyond(s)]
    const grow: Program = [mapAnonymous(high, s.pageSize), store(high), { op: 'writeOnce', word: 0, value: 1 }]
    const follow: Program = [load(low), { op: 'awaitWord', word: 0, value: 1 }, load(high), store(high), store(low)]
    return { boot: [mapAnonymous(low, s.pageSize), store(low)], programs: roles(s, grow, follow) }
  },
})

export const upgradeVsKernelRead = defineScenario({
  id: 'upgrade-vs-kernel-read',
  summary: 'the kernel reads user memory in secondary-space mode while the address space grows by a level',
  arch: 's390',
  cpus: 2,
  exploreOnly: true,
  config: { pgalloc: 's390-full-page', thp: 'never' },
  build: (s) => {
    const low = s.page(0)
    return {
      boot: [mapAnonymous(low, 2 * s.pageSize), store(low)],
      programs: roles(
        s,
        [mapAnonymous(beyond(s), s.pageSize), store(beyond(s))],
        [{ op: 'kernelRead', addr: low, pages: 2 }, load(low)],
      ),
    }
  },
})

export const rdpVsWrite = defineScenario({
  id: 'rdp-vs-write',
  summary: 'two CPUs store to a page that both have in their TLB as protected; RDP opens the entry in place',
  arch: 's390',
  cpus: 2,
  files: [4],
  config: { pgalloc: 's390-full-page' },
  build: (s) => {
    const at = s.page(0)
    const shared = MAP.shared | MAP.fixed
    const map: Program = [
      { op: 'mmap', addr: at, len: s.pageSize, prot: PROT.read | PROT.write, flags: shared, file: 0 },
      load(at),
    ]
    const again: Program = s.repeated ? [{ op: 'munmap', addr: at, len: s.pageSize }, ...map] : []
    return { boot: map, programs: roles(s, [load(at), store(at, 1), ...again], [load(at), store(at, 2), load(at)]) }
  },
})

export const attachVsInvalidate = defineScenario({
  id: 'attach-vs-invalidate',
  summary: 'CPUs leave an address space and come back while others make its entries invalid and put the purge off',
  arch: 's390',
  cpus: 2,
  config: { pgalloc: 's390-full-page', thp: 'never' },
  build: (s) => {
    const [a, b] = [s.page(0), s.page(1)]
    const drop: Program = [dontneed(a, s.pageSize), { op: 'reschedule' }, store(a, 2), dontneed(b, s.pageSize)]
    const visit: Program = [load(a), load(b), { op: 'reschedule' }, load(a), load(b)]
    return {
      boot: [mapAnonymous(a, 2 * s.pageSize), store(a, 1, 2)],
      programs: roles(s, [...drop, ...(s.repeated ? [store(b)] : [])], visit),
    }
  },
})

export const leaveVsPurge = defineScenario({
  id: 'leave-vs-purge',
  summary:
    'a CPU leaves an address space and comes back, again and again, while another purges it as a whole and then an entry alone',
  arch: 's390',
  cpus: 2,
  config: { pgalloc: 's390-full-page', thp: 'never' },
  build: (s) => {
    const [at, other] = [s.page(0), s.huge(1)]
    // A freed table is a debt even while others are attached.
    const purge: Program = [
      { op: 'munmap', addr: other, len: s.pageSize },
      { op: 'migrate', addr: at },
    ]
    const again: Program = s.repeated ? [mapAnonymous(other, s.pageSize), store(other)] : []
    return {
      boot: [mapAnonymous(at, s.pageSize), store(at), mapAnonymous(other, s.pageSize), store(other)],
      programs: roles(
        s,
        [...purge, ...again],
        [{ op: 'repeat', times: 4, body: [load(at), { op: 'reschedule' }] }, load(at)],
      ),
    }
  },
})

export const exitVsExec = defineScenario({
  id: 'exit-vs-exec',
  summary: 'a process dies on the CPU that used it last, with base pages and a huge page, while others start anew',
  arch: 's390',
  cpus: 2,
  exploreOnly: true,
  config: { pgalloc: 's390-full-page' },
  build: (s) => {
    const [small, huge] = [s.page(0), s.huge(2)]
    const map: Program = [
      mapAnonymous(small, 2 * s.pageSize),
      store(small, 1, 2),
      mapAnonymous(huge, s.hugeSize),
      store(huge),
    ]
    const again: Program = [{ op: 'exec' }, ...map, load(small), load(huge), { op: 'exec' }, ...map]
    return { boot: map, programs: roles(s, [load(small), load(huge), ...again], [load(small), ...again]) }
  },
})
