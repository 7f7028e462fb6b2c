/** Grace periods by themselves. */
import type { Op, Program } from '../../program/op.js'
import { defineScenario, dontneed, gup, load, mapAnonymous, roles, store } from '../scenario.js'

const expedited: Op = { op: 'synchronizeRcuExpedited' }

export const expeditedVsReader = defineScenario({
  id: 'expedited-vs-reader',
  summary:
    'an expedited grace period while another CPU is in readers: of page tables, with IRQs off, in rcu_read_lock()',
  arch: 'x86-64',
  cpus: 2,
  config: { thp: 'never' },
  build: (s) => {
    const at = s.page(0)
    const reader: Program = [store(at), gup(at, 1, { fastOnly: true }), dontneed(at, s.pageSize), load(at)]
    return {
      boot: [mapAnonymous(at, s.pageSize)],
      programs: roles(s, [expedited, { op: 'synchronizeRcu' }, expedited], reader),
    }
  },
})

export const expeditedVsExpedited = defineScenario({
  id: 'expedited-vs-expedited',
  summary: 'CPUs ask for expedited grace periods at the same time and wait for each other’s',
  arch: 'x86-64',
  cpus: 3,
  cpusMin: 2,
  build: (s) => ({ boot: [], programs: roles(s, [expedited, expedited], [expedited, expedited]) }),
})
