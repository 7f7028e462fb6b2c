import { defineScenario, gup, mapAnonymous, roles, store, type Program } from 'racewalk'

/** Who does what to which memory: CPU 1 pins a page by gup_fast while CPU 0 unmaps it and maps a new one. */
export default defineScenario({
  id: 'pin-vs-unmap',
  summary: 'a page is pinned while its mapping goes',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const at = s.page(0)
    const map: Program = [mapAnonymous(at, s.pageSize), store(at)]
    const unmap: Program = [{ op: 'munmap', addr: at, len: s.pageSize }, ...map]
    const pin: Program = [gup(at, 1, { pin: true, fastOnly: true })]
    return { boot: map, programs: roles(s, unmap, pin) }
  },
})
