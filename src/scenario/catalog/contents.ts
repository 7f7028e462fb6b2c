/** Processes that store: what each of them reads back, and what stays of it. */
import { MAP, PROT, type Op, type Program } from '../../program/op.js'
import { defineScenario, load, madvise, mapAnonymous, roles, store } from '../scenario.js'

export const forkVsStore = defineScenario({
  id: 'fork-vs-store',
  summary: 'parent and child store to the same pages after a fork, and read them back',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const [small, huge] = [s.huge(0), s.huge(1)]
    const own = (value: number): Program => [store(small, value), store(huge, value + 1), load(small), load(huge)]
    const boot = [
      mapAnonymous(small, 2 * s.hugeSize),
      madvise(small, s.hugeSize, 'nohugepage'),
      store(small, 1),
      store(huge, 2),
    ]
    const parent: Program = [
      { op: 'fork', slot: 0 },
      ...own(10),
      ...(s.repeated ? [{ op: 'reap', slot: 0 } as Op] : []),
    ]
    const child: Program = s.repeated ? own(20) : [{ op: 'adopt', slot: 0 }, ...own(20)]
    return { boot, programs: roles(s, parent, child) }
  },
})

export const storeVsReclaim = defineScenario({
  id: 'store-vs-reclaim',
  summary: 'pages of a file are stored to, protected and unmapped while reclaim looks for clean ones',
  arch: 'x86-64',
  cpus: 2,
  files: [16],
  build: (s) => {
    const [shared, own] = [s.page(0), s.page(2)]
    const map = (addr: number, flags: number): Op => ({
      op: 'mmap',
      addr,
      len: 2 * s.pageSize,
      prot: PROT.read | PROT.write,
      flags: flags | MAP.fixed,
      file: 0,
    })
    const protect = (prot: number): Op => ({ op: 'mprotect', addr: shared, len: s.pageSize, prot })
    const user: Program = [
      ...(s.repeated ? [map(shared, MAP.shared)] : []),
      store(shared, 3, 2),
      protect(PROT.read),
      load(own),
      store(own, 4),
      load(shared),
      { op: 'munmap', addr: shared + s.pageSize, len: s.pageSize },
    ]
    const reclaim: Op = { op: 'reclaim', file: 0, page: 0, pages: 2 }
    const boot = [map(shared, MAP.shared), map(own, MAP.private)]
    return { boot, programs: roles(s, user, [reclaim, reclaim]) }
  },
})
