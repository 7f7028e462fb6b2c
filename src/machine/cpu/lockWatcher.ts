/** Hears of locks. The class is the empty twin, as for the other observers; the lock-order oracle extends it. */
import type { Cpu } from './cpu.js'

export class LockWatcher {
  /** `cpu` is about to take the lock at `lock` and will wait until it has it. */
  lockAcquires(_cpu: Cpu, _lock: number): void {}
  /** `cpu` has the lock at `lock` that it waited for; `shared`: to read. */
  lockAcquired(_cpu: Cpu, _lock: number, _shared: boolean): void {}
  /** `cpu` got the lock at `lock` without waiting: a trylock, which can be part of no deadlock. `shared`: to read. */
  lockTried(_cpu: Cpu, _lock: number, _shared: boolean): void {}
  /** `cpu`, which holds the lock at `lock` to write, is about to hold it to read. */
  lockDowngraded(_cpu: Cpu, _lock: number): void {}
  /** `cpu` is about to release the lock at `lock`, or has just done so. */
  lockReleased(_cpu: Cpu, _lock: number): void {}
  /** `cpu` is in a function that needs the lock at `lock`; `shared`: held to read is enough. */
  lockAsserted(_cpu: Cpu, _lock: number, _shared: boolean): void {}
  /** An operation of a program begins on `cpu`. */
  entersKernel(_cpu: Cpu): void {}
  /** An operation of a program has ended on `cpu`. */
  returnsToUser(_cpu: Cpu): void {}
}

export const NO_LOCK_WATCHER = new LockWatcher()
