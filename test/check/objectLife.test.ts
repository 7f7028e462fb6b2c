import { beforeEach, describe, it } from 'vitest'
import type { PhysAddr } from '../../dist/src/base/units.js'
import { Access } from '../../dist/src/machine/cpu/access.js'
import { VMA } from '../../dist/src/mm/mmStruct.js'
import { expectFinding, Lab } from './lab.js'

describe('object-life', () => {
  let lab: Lab, vma: PhysAddr
  beforeEach(() => {
    lab = new Lab()
    vma = lab.machine.regions.kernel.vmas
  })

  // As readOnce32() in a controlled run.
  const look = (): void => lab.cpu.accesses?.accesses(lab.cpu, Access.readOnce32, vma + VMA.at.vmLockSeq)

  it('is silent while the VMA is in use, also as another one', () => {
    lab.observer.objectAllocated(lab.cpu, vma)
    look()
    lab.observer.objectFreed(lab.cpu, vma)
    lab.observer.objectAllocated(lab.cpu, vma)
    look()
  })

  it('reports an access to one that was freed', () => {
    lab.observer.objectAllocated(lab.cpu, vma)
    lab.observer.objectFreed(lab.cpu, vma)
    expectFinding('object-life', 'access to vma[0x0], which was freed', look)
  })
})
