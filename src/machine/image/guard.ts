/**
 * Guards: who may read and write a field of a structure without a schedule point.
 *
 * Each field declares its guard beside its offset (struct.ts). What a guard protects cannot race, so kernel code reads
 * and writes it by peek and poke (guarded.ts); with oracles on, an access without the guard is a finding
 * (check/guards.ts).
 *
 * One rule comes before all: an object that was allocated and that no other CPU can reach yet, or any more, is its
 * owner's (Observer.objectOwned), who may do with every field what it likes.
 *
 * A guard looks at the image itself to find its lock, with `wordAt`, which nobody checks: a check of the check would
 * not end. It must not turn down a right access in threads, where other CPUs go on between the access and the guard's
 * look. So what it looks at is this CPU's own (what it holds and owns), or stands still while the guard is held, or is
 * asked only where nobody else runs meanwhile (`concurrent`).
 */
import { peek32 } from './image.js'

/** What the running CPU holds; the answer is the CPU's own knowledge, so it is exact in threads, too. */
export interface Holder {
  readonly cpu: number
  /**
   * Others run while this CPU does (threads): a word that they write may have changed between the kernel's look at it
   * and the guard's.
   */
  readonly concurrent: boolean
  /** Holds the lock at `lock`, to read or to write. */
  holds(lock: number): boolean
  holdsToWrite(lock: number): boolean
  /** Holds a lock, to write, for whose address `test` is true. */
  holdsOne(test: (lock: number) => boolean): boolean
  /** Is the owner of the object at `object`: has allocated it or unlinked it, and nobody else reaches it. */
  owns(object: number): boolean
  readonly places: Places
}

/** Where regions of the image begin; Layout is one. */
export interface Places {
  base(region: string): number
}

/** `object`: address of the structure; `index`: its place in its array. */
export type Test = (holder: Holder, object: number, index: number) => boolean

export type LockOf = (object: number, places: Places) => number

export interface Guard {
  /** The rule in words, for reports. */
  readonly rule: string
  readonly mayRead: Test
  readonly mayWrite: Test
  /** Address of the lock of the object at `object` whose holder a report names; 0 for none. */
  readonly lockOf: LockOf | null
  /** The object is one of an array by CPU, and its CPU may read and write the field without being asked. */
  readonly ownCpu: boolean
}

/** The word at `addr`, for guards alone. */
export const wordAt: (addr: number) => number = peek32

export const always: Test = () => true
export const never: Test = () => false

/** A guard in full. */
export function guard(rule: string, mayRead: Test, mayWrite: Test, lockOf: LockOf | null = null): Guard {
  return { rule, mayRead, mayWrite, lockOf, ownCpu: false }
}

/** Private to the CPU whose area the field is in, but for what other CPUs may as well. */
export function privateBut(rule: string, mayRead: Test, mayWrite: Test = never): Guard {
  return { rule, mayRead, mayWrite, lockOf: null, ownCpu: true }
}

/** The lock at `lockOf(object)`: held to read or to write for a read, to write for a write. */
export function lockedBy(rule: string, lockOf: LockOf): Guard {
  return guard(
    rule,
    (holder, object) => holder.holds(lockOf(object, holder.places)),
    (holder, object) => holder.holdsToWrite(lockOf(object, holder.places)),
    lockOf,
  )
}

/** As lockedBy(), of a lock at a fixed distance from the object's beginning. */
export const ownLock = (rule: string, offset: number): Guard => lockedBy(rule, (object) => object + offset)

/** Accessors only: the field is read and written by CPUs at once. */
export const atomic: Guard = guard('accessed with accessors only: CPUs read and write it at once', never, never)

/** Private to the CPU whose area it is in. */
export const ownCpu: Guard = privateBut('private to its CPU', never)

/** Written before publication, read by anyone. */
export const constant: Guard = guard('written before publication, constant from then on', always, never)

/** A word of a lock, which the lock's own code alone touches; its argument is in sync/. */
export const lockWord: Guard = guard('a word of a lock, for the code of the lock alone', always, always)

/** What hardware keeps, or what the engine keeps for it: no data of the kernel. */
export const hardware: Guard = guard('kept by the hardware', always, always)

/** What programs, oracles and reports keep: no data of the kernel. */
export const laboratory: Guard = guard('kept by the laboratory', always, always)
