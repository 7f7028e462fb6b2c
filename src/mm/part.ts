import type { Cpu } from '../machine/cpu/cpu.js'
import type { Kernel } from './kernel.js'

/** The members of every part: the kernel it belongs to, and its CPU. */
export abstract class Part {
  readonly k: Kernel
  readonly cpu: Cpu

  constructor(k: Kernel) {
    this.k = k
    this.cpu = k.cpu
  }
}
