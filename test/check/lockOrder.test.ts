import { beforeEach, describe, it } from 'vitest'
import { phys, type PhysAddr } from '../../dist/src/base/units.js'
import { type Step, drive } from '../../dist/src/machine/engine/engine.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import { PAGE } from '../../dist/src/mm/page.js'
import { ZONE } from '../../dist/src/mm/pageAllocator.js'
import { Level } from '../../dist/src/arch/level.js'
import { downRead, upRead } from '../../dist/src/sync/rwsem.js'
import { spinLock, spinTrylock, spinUnlock } from '../../dist/src/sync/spinlock.js'
import { expectFinding, Lab } from './lab.js'

describe('lock-order', () => {
  let lab: Lab
  let pmdLock: PhysAddr
  let pteLock: PhysAddr
  let mmapLock: PhysAddr
  const run = (step: Step<unknown>): unknown => drive(step)
  const lock = (at: PhysAddr): unknown => run(spinLock(lab.cpu, at))
  const unlock = (at: PhysAddr): unknown => run(spinUnlock(lab.cpu, at))

  beforeEach(() => {
    lab = new Lab()
    lab.cpu.locks = lab.observer
    run(lab.kernel.rcu.ctKernelEnter())
    pmdLock = phys(lab.page(lab.pmd) + PAGE.at.ptl)
    pteLock = phys(lab.page(lab.linkTable(0)) + PAGE.at.ptl)
    mmapLock = phys(lab.mm + MM.at.mmapLock)
  })

  it('is silent while locks are taken from the outside in, and after they were released', () => {
    run(downRead(lab.cpu, lab.kernel.rcu, mmapLock))
    lock(pmdLock)
    lock(pteLock)
    unlock(pteLock)
    unlock(pmdLock)
    run(upRead(lab.cpu, mmapLock))
    lock(pteLock)
    unlock(pteLock)
    lab.observer.returnsToUser(lab.cpu)
  })

  it('reports the first lock that is taken against the order, although nobody waits for it', () => {
    lock(pteLock)
    expectFinding('lock-order', 'pmdLock is taken while pteLock is held', () => lock(pmdLock))
  })

  it('reports a lock taken inside the allocator, which is innermost', () => {
    lock(phys(lab.machine.regions.kernel.zone + ZONE.at.lock))
    expectFinding('lock-order', 'pteLock is taken while zoneLock is held', () => lock(pteLock))
  })

  it('reports a second lock of a class that has no order of its own', () => {
    const [a, b] = [lab.page(lab.anonPage()), lab.page(lab.anonPage())]
    run(lab.kernel.folios.folioLock(a))
    expectFinding('lock-order', 'possible recursive locking: a second folioLock', () =>
      run(lab.kernel.folios.folioLock(b)),
    )
  })

  it('lets a trylock go against the order, which cannot wait, and counts what it took', () => {
    lock(pteLock)
    run(spinTrylock(lab.cpu, pmdLock))
    unlock(pteLock)
    expectFinding('lock-order', 'mmapLock is taken while pmdLock is held', () => {
      lab.cpu.preemptEnable()
      run(downRead(lab.cpu, lab.kernel.rcu, mmapLock))
    })
  })

  it('reports a lock that is held when an operation returns to user space', () => {
    lock(pteLock)
    expectFinding('lock-order', 'held when returning to user space: pteLock', () => lab.observer.returnsToUser(lab.cpu))
  })

  it('takes a table for what it is at the time: a PMD table', () => {
    const table = phys(lab.page(lab.table(Level.pmd)) + PAGE.at.ptl)
    lock(pteLock)
    expectFinding('lock-order', 'pmdLock is taken while pteLock is held', () => lock(table))
  })
})
