/** Address spaces: the maple tree of VMAs, and per-VMA locks. */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { MapleTree } from '../mm/maple/mapleTree.js'
import { VM_GROWSDOWN, VMA } from '../mm/mmStruct.js'
import { StackGrowth } from '../mm/stackGrowth.js'
import { VmaLock } from '../mm/vmaLock.js'
import { defineBug, defineMutant } from './bug.js'

const NO_VMA = phys(0)

class GrowsUnderReadLock extends StackGrowth {
  override *lockMmAndFindVma(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    yield* this.k.mms.mmapReadLock(mm)
    const vma = this.k.vmas.findVma(mm, addr)
    if (vma === 0 || peekF64(vma + VMA.at.start) <= addr) return vma
    if ((peek32(vma + VMA.at.flags) & VM_GROWSDOWN) === 0) return NO_VMA
    return (yield* this.expandDownwards(vma, addr)) === 0 ? vma : NO_VMA
  }
}
/** StackRot, CVE-2023-3269. 8d7071af8907 "mm: always expand the stack with the mmap write lock held". */
export const stackRot = defineBug({
  id: 'stack-rot',
  number: 'other',
  year: 2023,
  upstream: { introduced: '524e00b36e8c', fixed: '8d7071af8907' },
  summary: 'a stack grows under mmap_lock for read, which replaces nodes of the maple tree under those who read it',
  symptom:
    'a node of the tree is freed after a grace period while a reader of mmap_lock, who is no RCU reader, is in it',
  scenarios: ['fault-vs-stack-growth'],
  parts: { StackGrowth: GrowsUnderReadLock },
})

class FreesNodesAtOnce extends MapleTree {
  protected override *maFreeRcu(node: number): Step<void> {
    yield* this.mtFreeRcu(node)
  }
}

export const mapleNoGracePeriod = defineMutant({
  id: 'maple-no-grace-period',
  summary: 'nodes of the maple tree are freed as soon as others have taken their place',
  symptom: 'a fault that looks for its VMA under RCU reads a node that was freed',
  scenarios: ['fault-vs-munmap-rcu'],
  parts: { MapleTree: FreesNodesAtOnce },
})

class TakesDetachedVmas extends VmaLock {
  protected override isDetached(): boolean {
    return false
  }
}

export const vmaDetachedIgnored = defineMutant({
  id: 'vma-detached-ignored',
  summary: 'lock_vma_under_rcu() takes a VMA that has left the tree after it was found',
  symptom: 'a page is faulted into an address that was unmapped',
  scenarios: ['fault-vs-munmap-rcu'],
  parts: { VmaLock: TakesDetachedVmas },
})

class ChangesUnlocked extends VmaLock {
  override *vmaStartWrite(): Step<void> {}
}

export const vmaNoWriteLock = defineMutant({
  id: 'vma-no-write-lock',
  summary: 'VMAs change under mmap_lock alone, without vma_start_write()',
  symptom: 'a fault that has locked the VMA alone is in it when it is cut or unmapped',
  scenarios: ['fault-vs-protect-rcu'],
  parts: { VmaLock: ChangesUnlocked },
})
