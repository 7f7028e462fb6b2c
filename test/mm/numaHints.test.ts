/**
 * PROT_NONE entries: a NUMA hint where the memory may be accessed, and what mprotect() meant where it may not. Accesses
 * that are forced (FOLL_FORCE) tell the two apart.
 */
import { describe, expect, it } from 'vitest'
import { pteProtnone, pteWrite } from '../../dist/src/isa/x86_64/pte.js'
import { explore } from '../../dist/src/explore/explore.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import type { Op } from '../../dist/src/program/op.js'
import { defineScenario, load, mapAnonymous, store, type Setting } from '../../dist/src/scenario/scenario.js'
import { executions } from '../budget.js'
import { GEOMETRIES, Process, RO } from './process.js'

const EXECUTIONS = executions(20)

/** A read-only pin wants the page exclusive: it is unshared, unless a write has done that. */
const forced = (addr: number): readonly Op[] => [
  { op: 'gup', addr, pages: 1, force: true, pin: true },
  { op: 'gupWrite', addr, value: 9, force: true },
]

/** Three ranges: with a page of the process's own, with the zero page, with nothing. Then all access is taken away. */
const inaccessible = (arch: 'x86-64' | 's390' | 'powerpc', size: 'base' | 'huge', shared: boolean) =>
  defineScenario({
    id: `force-${size}${shared ? '-shared' : ''}`,
    summary: 'forced accesses to PROT_NONE memory',
    arch,
    cpus: 2,
    build: (s: Setting) => {
      const [first, len] = size === 'huge' ? [s.huge(0), s.hugeSize] : [s.page(0), s.pageSize]
      const ranges = [first, first + len, first + 2 * len] as const
      const boot: Op[] = [
        mapAnonymous(first, 3 * len),
        store(ranges[0], 1),
        load(ranges[1]),
        ...(shared ? [{ op: 'fork', slot: 0 } as const] : []),
        { op: 'mprotect', addr: first, len: 3 * len, prot: 0 },
      ]
      const program = ranges.flatMap(forced)
      return { boot, programs: [program, program] }
    },
  })

describe.each(['x86-64', 's390', 'powerpc'] as const)('forced accesses to memory without access rights, %s', (arch) => {
  it.each([
    ['base', false],
    ['base', true],
    ['huge', false],
    ['huge', true],
  ] as const)('to %s pages, shared with a child: %s: end, with nothing to report', (size, shared) => {
    const scenario = inaccessible(arch, size, shared)
    expect(explore({ scenario, executions: EXECUTIONS, seed: 1 }).finding).toBeNull()
  })
})

describe.each(GEOMETRIES)('NUMA hints on base pages, %s', (_name, config) => {
  const hint = (p: Process, page: number, pages = 1): void => {
    drive(p.k.mms.mmapReadLock(p.mm))
    drive(p.k.mprotect.changeProtNuma(p.k.vmas.vmaLookup(p.mm, p.at(page)), p.at(page), p.at(page + pages)))
    drive(p.k.mms.mmapReadUnlock(p.mm))
  }

  it('take the rights away, and the next access gets them and what was stored back', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(0, 5)
    hint(p, 0)
    expect(pteProtnone(p.entry(0))).toBe(true)
    expect(p.read(0)).toBe(5)
    expect([pteProtnone(p.entry(0)), pteWrite(p.entry(0))]).toEqual([false, true])
  })

  it('are not armed on the zero page, nor on pages that a child shares', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.read(0)
    p.write(1, 5)
    hint(p, 0)
    expect(pteProtnone(p.entry(0))).toBe(false)
    p.fork()
    hint(p, 1)
    expect(pteProtnone(p.entry(1))).toBe(false)
  })

  it('do not give a page more rights than the memory has', () => {
    const p = new Process(config)
    p.mmap(0, 1)
    p.write(0, 5)
    p.mprotect(0, 1, RO)
    hint(p, 0)
    expect(p.read(0)).toBe(5)
    expect(pteWrite(p.entry(0))).toBe(false)
  })
})
