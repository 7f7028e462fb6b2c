/**
 * Messages between the main thread and a CPU's thread: the task that Piscina hands over, and the control channel
 * that Comlink runs over the task's port. While the CPU runs it hears only the image.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Finding } from '../../machine/engine/finding.js'
import type { Mismatch } from '../../program/interpret.js'
import type { Program } from '../../program/op.js'
import type { OwnOperations } from '../module/ownOperations.js'
import type { MachineConfig } from '../config.js'

/** Handed to a pool thread; the thread serves CpuControl on `port` until close(). */
export interface CpuTask {
  readonly port: MessagePort
}

/**
 * In what the kernel differs from mainline, for a thread: modules of the user's by the path of what was compiled of
 * them.
 */
export interface ChangeOrder {
  /** A bug of the catalogue by its id. */
  readonly bug: string | { readonly kept: string } | null
  readonly patch: { readonly kept: string } | null
}

export interface CpuBoot {
  readonly memory: WebAssembly.Memory
  readonly config: MachineConfig
  readonly cpu: number
  readonly change: ChangeOrder | null
  /** Operations of users' modules that programs have; null for none. */
  readonly operations: OwnOperations | null
  readonly seed: number
}

/** How a CPU's program ended. */
export type CpuEnd =
  | { readonly kind: 'done' }
  /** This CPU saw a violation. */
  | { readonly kind: 'finding'; readonly finding: Finding }
  /** Another CPU did. */
  | { readonly kind: 'halted' }
  /** A module of the user's threw: what it says. */
  | { readonly kind: 'thrown'; readonly message: string }
  /** racewalk itself failed. */
  | { readonly kind: 'fault'; readonly message: string }

export interface CpuReport {
  readonly end: CpuEnd
  readonly mismatches: readonly Mismatch[]
}

/** What a CPU's thread does when asked. */
export interface CpuControl {
  /** Attaches to the image and builds the CPU's kernel. */
  boot(boot: CpuBoot): Promise<void>
  /**
   * Runs the program (again and again with `repeat`, until the stop word is set), then serves interrupts until all
   * ended. `compares`: results that are not the expected ones are reported; otherwise the first is a finding.
   */
  run(program: Program, repeat: boolean, compares: boolean): CpuReport
  /** Ends the task. */
  close(): void
}
