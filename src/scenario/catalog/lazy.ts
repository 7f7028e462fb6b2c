/** Kernel threads that borrow the address space of a process (lazy TLB), and flushes that pass them over. */
import { MAP, PROT, type Op, type Program } from '../../program/op.js'
import { defineScenario, dontneed, load, mapAnonymous, roles, store } from '../scenario.js'

const speculate = (addr: number): Op => ({ op: 'speculate', addr })

export const lazyVsMunmap = defineScenario({
  id: 'lazy-vs-munmap',
  summary:
    'munmap in the last thread of a process, while a kernel thread runs on the tables that another one left loaded',
  arch: 'x86-64',
  cpus: 2,
  exploreOnly: true,
  config: { thp: 'never' },
  build: (s) => {
    const [at, other] = [s.huge(0), s.huge(2)]
    const reuse: Program = [mapAnonymous(other, s.hugeSize), store(other), { op: 'exit' }]
    return {
      boot: [mapAnonymous(at, s.hugeSize), store(at)],
      programs: roles(
        s,
        [{ op: 'munmap', addr: at, len: s.hugeSize }, ...reuse],
        [load(at), { op: 'exit', lazy: true }, speculate(at), speculate(at)],
      ),
    }
  },
})

export const lazyVsRetract = defineScenario({
  id: 'lazy-vs-retract',
  summary:
    'a page table is given back with pte_free_defer() while a kernel thread has it in its paging-structure cache',
  arch: 'x86-64',
  cpus: 2,
  files: [16],
  build: (s) => {
    const at = s.huge(0)
    const map: Program = [
      { op: 'mmap', addr: at, len: s.hugeSize, prot: PROT.read | PROT.write, flags: MAP.shared | MAP.fixed, file: 0 },
      load(at),
    ]
    const borrower: Program = [load(at), { op: 'enterLazyTlb' }, speculate(at), speculate(at), { op: 'leaveLazyTlb' }]
    return { boot: map, programs: roles(s, [{ op: 'retract', addr: at }, load(at)], borrower) }
  },
})

export const lazyVsDontneed = defineScenario({
  id: 'lazy-vs-dontneed',
  summary: 'pages go while a CPU is in a kernel thread, which flushes pass over, and the process comes back to it',
  arch: 'x86-64',
  cpus: 3,
  cpusMin: 2,
  config: { thp: 'never' },
  build: (s) => {
    const [a, b] = [s.page(0), s.page(1)]
    const drop = (at: number): Program => [dontneed(at, s.pageSize), ...(s.repeated ? [store(at)] : [])]
    const borrower: Program = [
      load(a),
      load(b),
      { op: 'enterLazyTlb' },
      speculate(a),
      { op: 'leaveLazyTlb' },
      load(a),
      load(b),
    ]
    return {
      boot: [mapAnonymous(a, 2 * s.pageSize), store(a, 1, 2)],
      programs: roles(s, drop(a), borrower, [drop(b)]),
    }
  },
})
