/**
 * The state of programs in the image: registers, pages they hold, counts of operations, slots for processes, litmus
 * words.
 */
import { UsageError } from '../base/errors.js'
import { phys, type PhysAddr } from '../base/units.js'
import type { Layout } from '../machine/image/layout.js'
import { laboratory } from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'

export const REGISTERS = 16
export const HELD_MAX = 64
export const SLOTS = 64
export const LITMUS_WORDS = 16
export const KINDS_MAX = 256

const COUNTS = 192 + HELD_MAX * 4
const SECTIONS = COUNTS + KINDS_MAX * 4

export const PROGRAM_CPU = struct('program', SECTIONS + 64, {
  regs: [0, REGISTERS * 8, laboratory], //   doubles
  held: [128, 4, laboratory], //             pages that gup returned and that are still held
  heldPages: [192, HELD_MAX * 4, laboratory], // frame * 2 + (1: pinned)
  counts: [COUNTS, KINDS_MAX * 4, laboratory], // operations done, by kind
  //                                         what operations have taken and not given back, by the program's own will:
  spinning: [SECTIONS, 4, laboratory], //    spinlocks: preemption is off so often
  reading: [SECTIONS + 4, 4, laboratory], // rcu_read_lock()
  sleeping: [SECTIONS + 8, 4, laboratory], // locks whose holder may sleep
})

export const SLOT = struct('slot', 4, { mm: [0, 4, laboratory] })
/**
 * A word of a program, and what stands behind it where it is more than a word: a lock has its owner at 4 (spinlock.ts,
 * rwsem.ts), a rwsem its waiters up to 15.
 */
export const LITMUS = struct('word', 64, {
  value: [0, 4, laboratory],
  locked: [4, 4, laboratory], //  of an MCS node
  first: [8, 4, laboratory], //   of a rwsem: its first waiter
  waitLock: [12, 4, laboratory], // and the lock of its waiters
  queue: [16, 4, laboratory], //  of an MCS node: the lock that it queues for
  holder: [20, 4, laboratory], // of an MCS lock: CPU + 1 that holds it
  head: [24, 4, laboratory], //   rcu_head of callRcu: the link
  func: [28, 4, laboratory], //   and the function
  headValue: [32, 4, laboratory], // what its callback stores
  waiters: [40, 8, laboratory], //   wait queue
})

/** RCU readers of litmus tests, see litmusRcu.ts. */
const READER = struct('reader', 64, { sections: [0, 4, laboratory] })

/** Words for operations of users' modules, each with a line of its own: of 32 bits, and from byte 32 on of 64. */
const OWN = struct('own', 64, {
  value: [0, 4, laboratory],
  word1: [4, 4, laboratory],
  word2: [8, 4, laboratory],
  word3: [12, 4, laboratory],
  word4: [16, 4, laboratory],
  word5: [20, 4, laboratory],
  word6: [24, 4, laboratory],
  word7: [28, 4, laboratory],
  wide0: [32, 8, laboratory],
  wide1: [40, 8, laboratory],
  wide2: [48, 8, laboratory],
  wide3: [56, 8, laboratory],
})
const OWN_WORDS = 64

export interface ProgramRegions {
  readonly cpus: PhysAddr
  readonly slots: PhysAddr
  readonly words: PhysAddr
  readonly readers: PhysAddr
  readonly own: PhysAddr
}

export function placeProgramRegions(layout: Layout, cpuCount: number): ProgramRegions {
  return {
    cpus: layout.add('program', PROGRAM_CPU, cpuCount),
    slots: layout.add('slot', SLOT, SLOTS),
    words: layout.add('word', LITMUS, LITMUS_WORDS),
    readers: layout.add('reader', READER, cpuCount),
    own: layout.add('own', OWN, OWN_WORDS),
  }
}

export const programCpu = (regions: ProgramRegions, cpu: number): PhysAddr =>
  phys(regions.cpus + cpu * PROGRAM_CPU.size)
export const slotAt = (regions: ProgramRegions, slot: number): PhysAddr => phys(regions.slots + slot * SLOT.size)
export const wordAt = (regions: ProgramRegions, word: number): PhysAddr => phys(regions.words + word * LITMUS.size)
export const readerAt = (regions: ProgramRegions, cpu: number): PhysAddr => phys(regions.readers + cpu * READER.size)

/** Word `n` of users' modules. Throws UsageError for one that there is not. */
export function ownWordAt(regions: ProgramRegions, n: number): PhysAddr {
  if (Number.isInteger(n) && n >= 0 && n < OWN_WORDS) return phys(regions.own + n * OWN.size)
  throw new UsageError(`ownWord(${n})`, `operations of one's own have words 0 to ${OWN_WORDS - 1}`)
}
