/**
 * The judge of the addresses that a CPU accesses, before it does. It hears of accesses where there are schedule points,
 * which the free-running form has not, and of peeks and pokes everywhere (machine/image/guarded.ts).
 */
import type { Cpu } from './cpu.js'

export interface AccessWatcher {
  /** `cpu` is at the point before access `kind` to `addr`; another CPU may go on in between. */
  accesses(cpu: Cpu, kind: number, addr: number): void
  /** `cpu` peeks or pokes at `addr`. */
  peeks(cpu: Cpu, addr: number): void
}
