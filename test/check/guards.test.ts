import { beforeEach, describe, expect, it } from 'vitest'
import { phys, type Pfn, type PhysAddr } from '../../dist/src/base/units.js'
import { smallMachine } from '../../dist/src/boot/config.js'
import { Machine, type BootedCpu } from '../../dist/src/boot/machine.js'
import { Level } from '../../dist/src/arch/level.js'
import { explore } from '../../dist/src/explore/explore.js'
import type { Cpu } from '../../dist/src/machine/cpu/cpu.js'
import type { Engine } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import * as image from '../../dist/src/machine/image/image.js'
import { peek32, peek64, peekF64, poke32, pokeF64 } from '../../dist/src/machine/image/guarded.js'
import { ANON_VMA, FILE, MM, VMA } from '../../dist/src/mm/mmStruct.js'
import { PAGE } from '../../dist/src/mm/page.js'
import { MAP, PROT } from '../../dist/src/program/op.js'
import { defineScenario, load, store } from '../../dist/src/scenario/scenario.js'
import { RCU, RCU_CPU } from '../../dist/src/sync/rcuLayout.js'
import { lockdepAssertHeld } from '../../dist/src/sync/spinlock.js'
import { rwsemAssertHeld, rwsemAssertHeldWrite } from '../../dist/src/sync/rwsem.js'
import { expectFinding, Lab } from './lab.js'

// Kernel code by hand on a machine of two CPUs, of which one runs at a time. A lock is held when the observer has heard
// so; its words do not matter.

/** Says which CPU runs; -1: none does, which is how boot looks. */
interface Turn extends Engine {
  running: number
}

const turnOf = (threads: boolean): Turn => Object.assign(new SoloEngine(), { threads, running: 0 }) as unknown as Turn

const ORACLE = 'unguarded-access'

describe('unguarded-access', () => {
  let machine: Machine
  let engine: Turn
  let cpus: BootedCpu[]
  let mm: PhysAddr, vma: PhysAddr, anonVma: PhysAddr, file: PhysAddr, mmapLock: PhysAddr

  const start = (threads: boolean) => {
    machine = new Machine(smallMachine(2))
    engine = turnOf(threads)
    cpus = [0, 1].map((id) => machine.makeCpu(id, engine, null))
    const { mms, vmas, anonVmas, files } = machine.regions.kernel
    ;[mm, vma, anonVma, file, mmapLock] = [mms, vmas, anonVmas, files, phys(mms + MM.at.mmapLock)]
    image.poke32(vma + VMA.at.mm, mm)
    image.poke32(vma + VMA.at.anonVma, anonVma)
    image.poke32(vma + VMA.at.file, file)
    image.poke32(vma + VMA.at.fileLinked, 1)
  }
  beforeEach(() => start(false))

  const cpu = (id = 0): Cpu => (cpus[id] as BootedCpu).cpu
  const observer = (id = 0) => (cpus[id] as BootedCpu).kernel.observer
  const hold = (lock: number, shared = false, id = 0) => observer(id).lockAcquired(cpu(id), lock, shared)
  const release = (lock: number, id = 0) => observer(id).lockReleased(cpu(id), lock)
  const refuses = (words: string, access: () => unknown) => expectFinding(ORACLE, words, () => void access())

  describe('of a field with a lock', () => {
    const read = () => peek32(mm + MM.at.mapCount)
    const write = () => poke32(mm + MM.at.mapCount, 1)

    it('is silent under the lock: to read for a read, to write for both', () => {
      hold(mmapLock, true)
      read()
      release(mmapLock)
      hold(mmapLock)
      read()
      write()
    })

    it('reports a read and a write without the lock', () => {
      refuses('unguarded read of mm.mapCount', read)
      refuses('unguarded write of mm.mapCount', write)
    })

    it('reports a write under a lock that is held to read, also after a downgrade', () => {
      hold(mmapLock, true)
      refuses('unguarded write of mm.mapCount', write)
      release(mmapLock)
      hold(mmapLock)
      observer().lockDowngraded(cpu(), mmapLock)
      read()
      refuses('unguarded write of mm.mapCount', write)
    })

    it('reports an access after the lock was released, and one under the lock of another object', () => {
      hold(mmapLock)
      release(mmapLock)
      refuses('mm.mapCount', read)
      hold(mmapLock + MM.size)
      refuses('mm.mapCount', read)
    })

    it('says what the guard is, what this CPU holds, who holds the lock, and who wrote last', () => {
      engine.running = 1
      hold(mmapLock, false, 1)
      write()
      engine.running = 0
      hold(anonVma, true)
      const { details, cpu: id } = refuses('mm.mapCount', read)
      expect(id).toBe(0)
      expect(details.join('\n')).toContain('guard: mmap_lock of the mm')
      expect(details.join('\n')).toMatch(/its lock: mm.*mmapLock.*, held to write by CPU 1 in operation/)
      expect(details.join('\n')).toMatch(/CPU 0 holds: anonVma.*rwsem.* to read/)
      expect(details.join('\n')).toMatch(/last written.*CPU 1/)
    })
  })

  describe('of a field with several locks', () => {
    const resize = () => pokeF64(vma + VMA.at.start, 0)

    it('lets a reader hold any one of them', () => {
      for (const lock of [mmapLock, anonVma, file]) {
        hold(lock, true)
        peekF64(vma + VMA.at.start)
        release(lock)
      }
      refuses('unguarded read of vma.start', () => peekF64(vma + VMA.at.start))
    })

    it('makes a writer hold all of them', () => {
      hold(mmapLock)
      refuses('unguarded write of vma.start', resize)
      hold(anonVma)
      refuses('unguarded write of vma.start', resize)
      hold(file)
      resize()
    })

    it('asks a writer for those alone on whose lists the object is', () => {
      image.poke32(vma + VMA.at.anonVma, 0)
      image.poke32(vma + VMA.at.fileLinked, 0)
      hold(mmapLock)
      resize()
    })
  })

  describe('of an owner', () => {
    it('is silent about the one who has allocated the object, and reports others', () => {
      observer().objectOwned(cpu(), vma)
      poke32(vma + VMA.at.flags, 1)
      engine.running = 1
      refuses('unguarded write of vma.flags', () => poke32(vma + VMA.at.flags, 1))
    })

    it('reports an owner who goes on after publication', () => {
      observer().objectOwned(cpu(), vma)
      observer().objectShared(cpu(), vma)
      refuses('unguarded write of vma.flags', () => poke32(vma + VMA.at.flags, 1))
    })
  })

  it('lets anybody read a constant field, and nobody but the owner write it', () => {
    peek32(vma + VMA.at.mm)
    refuses('unguarded write of vma.mm', () => poke32(vma + VMA.at.mm, mm))
  })

  it('reports peek and poke of a field that is for accessors', () => {
    refuses('unguarded read of mm.mmUsers', () => peek32(mm + MM.at.mmUsers))
    refuses('unguarded write of anonVma.refcount', () => poke32(anonVma + ANON_VMA.at.refcount, 1))
  })

  it('lets a CPU alone use its own words', () => {
    const own = machine.regions.rcu + RCU.size
    poke32(own + RCU_CPU.at.waitSeq, 1)
    refuses('unguarded read of rcuCpu.waitSeq', () => peek32(own + RCU_CPU.size + RCU_CPU.at.waitSeq))
  })

  it('asks for a word that changes all the time only where nobody else runs meanwhile', () => {
    const other = machine.regions.rcu + RCU.size + RCU_CPU.size
    const look = () => peek32(other + RCU_CPU.at.callbacks)
    hold(machine.regions.rcu)
    look()
    image.poke32(other + RCU_CPU.at.watching, 1)
    refuses('unguarded read of rcuCpu.callbacks', look)
    release(machine.regions.rcu)
    image.poke32(other + RCU_CPU.at.watching, 0)
    refuses('unguarded read of rcuCpu.callbacks', look)
  })

  it('does not ask for it in threads', () => {
    start(true)
    // The thread is that of the CPU that was made last.
    const other = machine.regions.rcu + RCU.size
    image.poke32(other + RCU_CPU.at.watching, 1)
    refuses('unguarded read of rcuCpu.callbacks', () => peek32(other + RCU_CPU.at.callbacks))
    hold(machine.regions.rcu, false, 1)
    peek32(other + RCU_CPU.at.callbacks)
  })

  it('takes a slot of the page cache for that of the file whose lock is held', () => {
    const { pageCache } = machine.regions.kernel
    image.poke32(file + FILE.at.id, 1)
    image.poke32(file + FILE.at.cache, pageCache)
    image.poke32(file + FILE.at.pages, 2)
    hold(file + FILE.at.lock)
    poke32(pageCache + 4, 0)
    refuses('unguarded write of pageCache.page', () => poke32(pageCache + 8, 0))
    release(file + FILE.at.lock)
    refuses('unguarded write of pageCache.page', () => poke32(pageCache + 4, 0))
  })

  it('is silent at boot, when one CPU runs alone', () => {
    engine.running = -1
    poke32(mm + MM.at.mapCount, 1)
    rwsemAssertHeld(cpu(), mmapLock)
  })

  describe('of functions that assert a lock', () => {
    it('is silent when it is held in the mode that is asked for', () => {
      hold(mmapLock, true)
      rwsemAssertHeld(cpu(), mmapLock)
      release(mmapLock)
      hold(mmapLock)
      rwsemAssertHeld(cpu(), mmapLock)
      rwsemAssertHeldWrite(cpu(), mmapLock)
      hold(mm + MM.at.pageTableLock)
      lockdepAssertHeld(cpu(), phys(mm + MM.at.pageTableLock))
    })

    it('reports one that is not held, or held to read only, or by another CPU', () => {
      refuses('mm.mmapLock is not held', () => rwsemAssertHeld(cpu(), mmapLock))
      hold(mmapLock, true)
      refuses('mm.mmapLock is not held', () => rwsemAssertHeldWrite(cpu(), mmapLock))
      hold(mm + MM.at.pageTableLock, false, 1)
      refuses('mm.pageTableLock is not held', () => lockdepAssertHeld(cpu(), phys(mm + MM.at.pageTableLock)))
    })

    it('names the function that needs the lock', () => {
      const { title, details } = refuses('', () => (cpus[0] as BootedCpu).kernel.vmas.findVma(mm, 0))
      expect(title).toBe('BUG: mm.mmapLock is not held in Vmas.findVma')
      expect(details).toContain('CPU 0 holds: no lock')
    })
  })
})

describe('unguarded-access of page-table entries', () => {
  let lab: Lab
  let table: Pfn
  let ptl: number
  let pmdLock: number
  const hold = (lock: number, shared = false) => lab.observer.lockAcquired(lab.cpu, lock, shared)

  beforeEach(() => {
    lab = new Lab()
    table = lab.linkTable(0)
    ptl = lab.page(table) + PAGE.at.ptl
    pmdLock = lab.page(lab.pmd) + PAGE.at.ptl
    for (const { cpu } of lab.cpus) Object.assign(cpu.engine, { running: 0 })
  })

  it('is silent under the lock of the table', () => {
    const page = lab.anonPage()
    hold(ptl)
    lab.map(table, 1, page)
    peek64(lab.ptep(table, 1))
  })

  it('reports a change and a peek without it', () => {
    const page = lab.anonPage()
    expectFinding(ORACLE, 'unguarded write of a page-table entry', () => lab.map(table, 1, page))
    expectFinding(ORACLE, 'unguarded read', () => peek64(lab.ptep(table, 1)))
  })

  it('asks nothing for a table that is linked nowhere', () => {
    const spare = lab.table(Level.pte)
    lab.map(spare, 1, lab.anonPage())
    peek64(lab.ptep(spare, 1))
  })

  it('lets a table be unlinked under mmap_lock, or under the lock of the table above', () => {
    expectFinding(ORACLE, 'unguarded write', () => lab.set(Level.pmd, lab.pmdp(0), 0n))
    hold(lab.mm + MM.at.mmapLock, true)
    lab.set(Level.pmd, lab.pmdp(0), 0n)
    expectFinding(ORACLE, 'unguarded write', () => lab.linkTable(0, table))
    hold(pmdLock)
    lab.linkTable(0, table)
  })
})

// The last user of the file behind shared memory takes its pages from the cache, with no lock of the file.
describe.each(['x86-64', 's390', 'powerpc'] as const)('the end of shared anonymous memory, %s', (arch) => {
  it('is silent about the pages that are cached then', () => {
    const scenario = defineScenario({
      id: 'end-of-shared-memory',
      summary: 'the mapping goes while another CPU uses its pages',
      arch,
      cpus: 2,
      build: (s) => {
        const [at, len] = [s.page(0), 2 * s.pageSize]
        const flags = MAP.shared | MAP.anonymous | MAP.fixed
        return {
          boot: [{ op: 'mmap', addr: at, len, prot: PROT.read | PROT.write, flags }, store(at, 1, 2)],
          programs: [[{ op: 'munmap', addr: at, len }], [load(at), store(at + s.pageSize)]],
        }
      },
    })
    expect(explore({ scenario, seed: 1, executions: 50 }).finding).toBeNull()
  })
})
