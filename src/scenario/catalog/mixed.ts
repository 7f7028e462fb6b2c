/** Everything at once, at random, with a seed. */
import { defineScenario, dontneed, gup, load, mapAnonymous, store } from '../scenario.js'
import type { Op, Program } from '../../program/op.js'

export const mixed = defineScenario({
  id: 'mixed',
  summary: 'every operation of the catalogue at random, on two huge pages that all CPUs share',
  arch: 'x86-64',
  cpus: 4,
  cpusMin: 2,
  files: [4],
  build: (s) => {
    const arena = s.huge(0)
    const len = 2 * s.hugeSize
    const anyPage = { from: arena, step: s.pageSize, count: Math.min(8, len / s.pageSize) }
    const anyHuge = { from: arena, step: s.hugeSize, count: 2 }
    const to = s.huge(3)
    const moved: Op[] = [
      { op: 'mremap', addr: arena + s.pageSize, oldLen: s.pageSize, newLen: s.pageSize, flags: 3, newAddr: to },
      { op: 'mremap', addr: to, oldLen: s.pageSize, newLen: s.pageSize, flags: 3, newAddr: arena + s.pageSize },
    ]
    const of: Op[][] = [
      [{ op: 'load', addr: anyPage }],
      [{ op: 'store', addr: anyPage }],
      [{ op: 'gup', addr: anyPage, pages: 2 }],
      [{ op: 'gup', addr: anyPage, pages: 1, write: true, pin: true }],
      [{ op: 'gupWrite', addr: anyPage, value: 7, pin: true }],
      [{ op: 'splitPmd', addr: anyHuge }],
      [{ op: 'splitFolio', addr: anyHuge }],
      [{ op: 'madvise', addr: anyHuge, len: s.hugeSize, advice: 'dontneed' }],
      [{ op: 'madvise', addr: anyPage, len: s.pageSize, advice: 'dontneed' }],
      [{ op: 'collapse', addr: anyHuge }],
      [{ op: 'migrate', addr: anyPage }],
      [
        { op: 'numaHint', addr: anyHuge },
        { op: 'load', addr: anyHuge },
      ],
      [
        { op: 'mprotect', addr: anyPage, len: s.pageSize, prot: 1 },
        { op: 'mprotect', addr: arena, len, prot: 3 },
      ],
      [{ op: 'munmap', addr: anyPage, len: s.pageSize }, mapAnonymous(arena, len)],
      moved,
      [{ op: 'speculate', addr: anyPage }],
      [{ op: 'enterLazyTlb' }, { op: 'speculate', addr: anyPage }, { op: 'leaveLazyTlb' }],
    ]
    const forks = (slot: number): Op[] => [
      { op: 'fork', slot },
      { op: 'store', addr: anyPage },
      { op: 'reap', slot },
    ]
    const program = (cpu: number): Program => [
      { op: 'repeat', times: s.repeated ? 1 : 4, body: [{ op: 'oneOf', of: cpu < 8 ? [...of, forks(cpu)] : of }] },
    ]
    return {
      boot: [mapAnonymous(arena, len), store(arena), load(s.huge(1)), gup(arena), dontneed(s.huge(1), s.pageSize)],
      programs: Array.from({ length: s.cpus }, (_, cpu) => program(cpu)),
    }
  },
})
