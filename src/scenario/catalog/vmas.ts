/** VMAs that change while faults look for them under RCU: kernels with per-VMA locks. */
import { MAP, PROT } from '../../program/op.js'
import type { Op, Program } from '../../program/op.js'
import { defineScenario, dontneed, load, mapAnonymous, roles, store } from '../scenario.js'

const mprotect = (addr: number, len: number, prot: number): Op => ({ op: 'mprotect', addr, len, prot })
const munmap = (addr: number, len: number): Op => ({ op: 'munmap', addr, len })

export const faultVsMunmapRcu = defineScenario({
  id: 'fault-vs-munmap-rcu',
  summary: 'faults find their VMA under RCU while its neighbour and then itself are unmapped and mapped again',
  arch: 'x86-64',
  cpus: 2,
  config: { perVmaLock: true, thp: 'never' },
  build: (s) => {
    const [first, second, third] = [0, 1, 2].map((page) => s.huge(0) + page * s.pageSize) as [number, number, number]
    const faults: Program = [store(first), dontneed(first, s.pageSize), store(first), load(third)]
    const changes: Program = [munmap(second, s.pageSize), munmap(first, s.pageSize), mapAnonymous(first, s.pageSize)]
    const again: Program = s.repeated ? [mapAnonymous(first, 3 * s.pageSize), store(first, 1, 3)] : []
    return {
      boot: [mapAnonymous(first, 3 * s.pageSize), store(first, 1, 3)],
      programs: roles(s, [...changes, ...again], faults),
    }
  },
})

export const faultVsProtectRcu = defineScenario({
  id: 'fault-vs-protect-rcu',
  summary: 'faults find their VMA under RCU while mprotect cuts it and merges it again',
  arch: 'x86-64',
  cpus: 2,
  config: { perVmaLock: true, thp: 'never' },
  build: (s) => {
    const pages = [0, 1, 2].map((page) => s.huge(0) + page * s.pageSize) as [number, number, number]
    const [first, second] = pages
    const changes = [mprotect(second, s.pageSize, PROT.read), mprotect(second, s.pageSize, PROT.read | PROT.write)]
    return {
      boot: [mapAnonymous(first, 3 * s.pageSize), store(first, 1, 3), dontneed(first, 3 * s.pageSize)],
      programs: roles(s, changes, [load(pages[2]), load(second), dontneed(first, 3 * s.pageSize), load(first)]),
    }
  },
})

export const faultVsStackGrowth = defineScenario({
  id: 'fault-vs-stack-growth',
  summary: 'a stack grows down while faults look for other VMAs of its process',
  arch: 'x86-64',
  cpus: 2,
  config: { perVmaLock: true, thp: 'never' },
  build: (s) => {
    // Nothing below the stack, to which it would keep a distance.
    const [stack, heap] = [s.huge(1), s.huge(3)]
    const mapStack: Op = {
      op: 'mmap',
      addr: stack,
      len: s.pageSize,
      prot: PROT.read | PROT.write,
      flags: MAP.private | MAP.anonymous | MAP.fixed | MAP.growsDown,
    }
    const grow: Program = [store(stack - s.pageSize), store(stack - 2 * s.pageSize)]
    const again: Program = s.repeated ? [munmap(stack - 2 * s.pageSize, 3 * s.pageSize), mapStack, store(stack)] : []
    return {
      boot: [mapAnonymous(heap, s.pageSize), store(heap), mapStack, store(stack)],
      programs: roles(s, [...grow, ...again], [load(heap), dontneed(heap, s.pageSize), store(heap), load(stack)]),
    }
  },
})
