import { defineScenario, explore, gup, mapAnonymous, roles, store } from 'racewalk'

const pinVsUnmap = defineScenario({
  id: 'pin-vs-unmap',
  summary: 'a page is pinned while its mapping goes',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.page(0)
    const map = [mapAnonymous(at, s.pageSize), store(at)]
    const unmap = [{ op: 'munmap', addr: at, len: s.pageSize }, ...map]
    return { boot: map, programs: roles(s, unmap, [gup(at, 1, { pin: true, fastOnly: true })]) }
  },
})

const { executions, finding } = explore({ scenario: pinVsUnmap, executions: 2000 })
console.log(executions, finding?.title ?? 'nothing found')
