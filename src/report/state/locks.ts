/** Locks that are held or waited for, by whom. */
import { lockWaitedFor } from '../../boot/threads/waiting.js'
import type { Machine } from '../../boot/machine.js'
import { SHADOW_CPU, shadowCpuAt } from '../../check/shadow.js'
import { CPU_AREA, LOCK_NODES } from '../../machine/cpu/area.js'
import { peek32 } from '../../machine/image/image.js'
import { ANON_VMA, FILE, MM } from '../../mm/mmStruct.js'
import { TABLES } from '../../mm/mms.js'
import { PAGE, PG_LOCKED, PG_TABLE } from '../../mm/page.js'
import { ZONE } from '../../mm/pageAllocator.js'
import { LOCK_ORDER } from '../../sync/lockOrder.js'
import { RCU } from '../../sync/rcuLayout.js'
import { isReadLocked, isWriteLocked, RWSEM_FIRST, rwsemOwner } from '../../sync/rwsem.js'
import { isSpinLocked, spinOwner } from '../../sync/spinlock.js'
import { phys } from '../../base/units.js'
import { describeAddress } from '../address.js'
import { NO_FRAMES, type Put } from './cell.js'

export function readLocks(machine: Machine, put: Put): void {
  const { memmap, config } = machine
  const say = (at: number, holders: string, waiters: readonly number[], name?: string): void => {
    if (holders === '' && waiters.length === 0) return
    const queue = waiters.length === 0 ? '' : `; ${cpuNames(waiters)} ${waiters.length === 1 ? 'waits' : 'wait'}`
    const text = `${holders === '' ? 'nobody' : holders}${queue}`
    const [group, order] = ['held by', [0, at] as const]
    put({ panel: 'locks', group, name: name ?? lockName(machine, at), text, order, addr: at, frames: NO_FRAMES })
  }
  const waiting = spinWaiters(machine)
  for (const at of spinlocks(machine)) {
    const owner = spinOwner(phys(at))
    say(at, !isSpinLocked(phys(at)) ? '' : owner < 0 ? 'being released' : `CPU ${owner}`, waiting.get(at) ?? [])
  }
  for (const at of rwsems(machine)) say(at, rwsemHolders(machine, at), sleepers(machine, at))
  for (let pfn = 0; pfn < config.frames; pfn++) {
    const page = memmap.page(pfn)
    const locked = (peek32(page + PAGE.at.flags) & PG_LOCKED) !== 0
    if (locked)
      say(
        page,
        cpuNames(holdersOf(machine, page)) || 'somebody',
        waiting.get(page) ?? [],
        `${pageName(machine, page)}: folio lock`,
      )
  }
}

/** `mm0.mmapLock`, `page[0x9].ptl`. */
const lockName = (machine: Machine, at: number): string =>
  describeAddress(machine, at)
    .replace(/^mm\[(\d+)\]/, 'mm$1')
    .replace(/\[0\]$/, '')

const pageName = (machine: Machine, page: number): string =>
  describeAddress(machine, page + PAGE.at.refcount).replace(/\.\w+$/, '')

// ---- where locks are ----------------------------------------------------------------------------------------------

function spinlocks({ regions, config, memmap }: Machine): number[] {
  const { kernel } = regions
  const found = [kernel.zone + ZONE.at.lock, regions.rcu + RCU.at.lock]
  for (const field of ['mmLock', 'vmaLock', 'anonVmaLock', 'fileLock', 'pgtableLock'] as const)
    found.push(kernel.tables + TABLES.at[field])
  for (let slot = 0; slot < config.kernel.mms; slot++) {
    const mm = kernel.mms + slot * MM.size
    if (peek32(mm + MM.at.inUse) !== 0) found.push(mm + MM.at.pageTableLock, mm + MM.at.contextLock)
  }
  for (let file = 0; file < config.kernel.files; file++) found.push(kernel.files + file * FILE.size + FILE.at.lock)
  for (let pfn = 0; pfn < config.frames; pfn++) {
    const page = memmap.page(pfn)
    if ((peek32(page + PAGE.at.flags) & PG_TABLE) !== 0) found.push(page + PAGE.at.ptl)
  }
  return found
}

function rwsems({ regions, config }: Machine): number[] {
  const { kernel } = regions
  const found: number[] = []
  for (let slot = 0; slot < config.kernel.mms; slot++) {
    const mm = kernel.mms + slot * MM.size
    if (peek32(mm + MM.at.inUse) !== 0) found.push(mm + MM.at.mmapLock)
  }
  for (let i = 0; i < config.kernel.anonVmas; i++) found.push(kernel.anonVmas + i * ANON_VMA.size + ANON_VMA.at.rwsem)
  for (let file = 0; file < config.kernel.files; file++)
    found.push(kernel.files + file * FILE.size + FILE.at.rwsem, kernel.files + file * FILE.size + FILE.at.hugeLock)
  return found
}

// ---- who holds them, and who waits --------------------------------------------------------------------------------

function rwsemHolders(machine: Machine, at: number): string {
  const owner = rwsemOwner(phys(at))
  if (isWriteLocked(phys(at)) && owner >= 0) return `CPU ${owner} to write`
  if (!isReadLocked(phys(at))) return ''
  const asleep = sleepers(machine, at)
  const readers = holdersOf(machine, at).filter((cpu) => !asleep.includes(cpu))
  return `${cpuNames(readers) || 'somebody'} to read`
}

/** CPUs of which the lock-order oracle knows that the lock at `at` is the one of its class that they took last. */
function holdersOf({ config, regions }: Machine, at: number): number[] {
  if (!config.oracles) return []
  return Array.from({ length: config.cpus }, (_, cpu) => cpu).filter((cpu) => {
    const own = shadowCpuAt(regions.shadow, cpu)
    return LOCK_ORDER.some(
      (_, index) =>
        peek32(own + SHADOW_CPU.at.held + index * 4) > 0 && peek32(own + SHADOW_CPU.at.last + index * 4) === at,
    )
  })
}

/** CPUs that wait for a spinlock, by its address. */
function spinWaiters(machine: Machine): Map<number, number[]> {
  const found = new Map<number, number[]>()
  for (let cpu = 0; cpu < machine.config.cpus; cpu++) {
    const word = peek32(machine.regions.cpus.cpus + cpu * CPU_AREA.size + CPU_AREA.at.waitingOn)
    if (word === 0) continue
    const lock = lockWaitedFor(machine, cpu, word)
    found.set(lock, [...(found.get(lock) ?? []), cpu])
  }
  return found
}

/** CPUs that sleep on the rwsem at `at`, in their order. */
function sleepers({ config, regions }: Machine, at: number): number[] {
  const first = regions.cpus.lockNodes
  const found: number[] = []
  for (let node = peek32(at + RWSEM_FIRST); node !== 0 && found.length < config.cpus;) {
    const cpu = (node - first) / LOCK_NODES.size
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= config.cpus) break
    found.push(cpu)
    node = peek32(node + LOCK_NODES.at.sleepNext)
  }
  return found
}

const cpuNames = (cpus: readonly number[]): string => (cpus.length === 0 ? '' : `CPU ${cpus.join(', ')}`)
