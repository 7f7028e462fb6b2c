/** Clean pages of files that are unmapped behind everybody's back, and flushed later. */
import { MAP, PROT, type Op, type Program } from '../../program/op.js'
import { defineScenario, gup, load, mapAnonymous, roles, store } from '../scenario.js'

const FILE_PAGES = 16

/** The first pages of the first file. */
const mapFile = (addr: number, len: number): Op => ({
  op: 'mmap',
  addr,
  len,
  prot: PROT.read | PROT.write,
  flags: MAP.shared | MAP.fixed,
  file: 0,
})
const loads = (addr: number, pages: number): Op => ({ op: 'load', addr, pages })
const reclaim = (page: number, pages: number): Op => ({ op: 'reclaim', file: 0, page, pages })

export const reclaimVsProtect = defineScenario({
  id: 'reclaim-vs-mprotect',
  summary: 'pages of a file are reclaimed, and flushed at the end, while mprotect finds their entries empty',
  arch: 'x86-64',
  cpus: 3,
  cpusMin: 3,
  files: [FILE_PAGES],
  build: (s) => {
    // The last page of one table and the first of the next: mprotect takes two locks.
    const [at, len] = [s.huge(1) - s.pageSize, 2 * s.pageSize]
    const protect = (prot: number): Op => ({ op: 'mprotect', addr: at, len, prot })
    const again: Program = s.repeated ? [protect(PROT.read | PROT.write)] : []
    return {
      boot: [mapFile(at, len), loads(at, 2)],
      programs: roles(s, [reclaim(0, 2)], [protect(PROT.read), ...again], [[loads(at, 2), gup(at, 2)]]),
    }
  },
})

export const reclaimVsMunmap = defineScenario({
  id: 'reclaim-vs-munmap',
  summary: 'pages of two tables are reclaimed, and flushed at the end, while munmap zaps both, and others touch them',
  arch: 'x86-64',
  cpus: 3,
  cpusMin: 3,
  files: [FILE_PAGES],
  build: (s) => {
    const at = s.huge(1) - s.pageSize
    const map: Program = [mapFile(at, 2 * s.pageSize), loads(at, 2)]
    // Neighbours keep the tables, whose flush would be one of the pages.
    const neighbours = [at - s.pageSize, at + 2 * s.pageSize].flatMap((page) => [
      mapAnonymous(page, s.pageSize),
      store(page),
    ])
    const unmap: Program = [{ op: 'munmap', addr: at, len: 2 * s.pageSize }]
    const again: Program = s.repeated ? map : []
    return {
      boot: [...neighbours, ...map],
      programs: roles(s, [reclaim(0, 2)], [...unmap, ...again], [[loads(at, 2)]]),
    }
  },
})

export const retractVsUnmapFile = defineScenario({
  id: 'retract-vs-unmap-file',
  summary: 'a file is unmapped through the reverse map, without mmap_lock, from a table that is taken away meanwhile',
  arch: 'x86-64',
  cpus: 2,
  files: [FILE_PAGES],
  build: (s) => {
    const at = s.huge(0)
    const retract: Op = { op: 'retract', addr: at }
    const unmap: Op = { op: 'unmapFile', file: 0, page: 0, pages: 2 }
    return {
      boot: [mapFile(at, s.hugeSize), loads(at, 2)],
      programs: roles(s, [retract, loads(at, 2), retract], [unmap, load(at), unmap]),
    }
  },
})

export const retractVsReclaim = defineScenario({
  id: 'retract-vs-reclaim',
  summary: 'an rmap walk unmaps pages of a file from a table that is taken away and built anew',
  arch: 'x86-64',
  cpus: 2,
  files: [FILE_PAGES],
  build: (s) => {
    const at = s.huge(0)
    const retract: Op = { op: 'retract', addr: at }
    return {
      boot: [mapFile(at, s.hugeSize), loads(at, 2)],
      programs: roles(s, [retract, loads(at, 2), retract], [reclaim(0, 2), load(at), reclaim(1, 1)]),
    }
  },
})
