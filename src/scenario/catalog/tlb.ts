/** Stale translations: who flushes, and when. */
import { defineScenario, dontneed, load, madvise, mapAnonymous, roles, store } from '../scenario.js'
import type { Op, Program } from '../../program/op.js'

export const mremapVsTouch = defineScenario({
  id: 'mremap-vs-touch',
  summary: 'mremap moves pages that another CPU touches and compaction moves',
  arch: 'x86-64',
  cpus: 3,
  cpusMin: 2,
  build: (s) => {
    const [from, to] = [s.page(0), s.page(2)]
    const len = s.pageSize
    const move = (a: number, b: number): Op => ({
      op: 'mremap',
      addr: a,
      oldLen: len,
      newLen: len,
      flags: 3,
      newAddr: b,
    })
    const boot: Op[] = [mapAnonymous(from, len), madvise(from, len, 'nohugepage'), store(from)]
    const mover: Program = s.repeated ? [move(from, to), move(to, from)] : [move(from, to)]
    return { boot, programs: roles(s, mover, [load(from), load(from), load(to)], [[{ op: 'migrate', addr: to }]]) }
  },
})

export const dontneedVsDontneed = defineScenario({
  id: 'dontneed-vs-dontneed',
  summary: 'two MADV_DONTNEED of one range while a third CPU has it in its TLB',
  arch: 'x86-64',
  cpus: 3,
  cpusMin: 2,
  build: (s) => {
    const at = s.page(0)
    const boot: Op[] = [mapAnonymous(at, s.pageSize), madvise(at, s.pageSize, 'nohugepage'), store(at)]
    const drop: Program = [dontneed(at, s.pageSize)]
    const again: Program = [...drop, store(at)]
    return { boot, programs: roles(s, s.repeated ? again : drop, drop, [[load(at), load(at)]]) }
  },
})

export const protectVsTouch = defineScenario({
  id: 'mprotect-vs-touch',
  summary: 'mprotect takes write access away and gives it back while another CPU stores',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.huge(0)
    const [ro, rw] = [1, 3]
    const boot: Op[] = [mapAnonymous(at, s.hugeSize), store(at)]
    const guard: Program = [
      { op: 'mprotect', addr: at, len: s.pageSize, prot: ro },
      { op: 'mprotect', addr: at, len: s.hugeSize, prot: ro },
      { op: 'mprotect', addr: at, len: s.hugeSize, prot: rw },
    ]
    return { boot, programs: roles(s, guard, [store(at), load(at), store(at + s.pageSize)]) }
  },
})
