/** Reports of the oracles, titled in the kernel's manner: what, and in which kernel function it was seen. */
import type { Cpu } from '../machine/cpu/cpu.js'
import { kernelStack } from '../machine/engine/finding.js'

/** `BUG: <what> in <function>`. Ends the run. */
export function violation(cpu: Cpu, oracle: string, what: string, address: number, details: readonly string[]): never {
  const innermost = kernelStack(new Error().stack ?? '')[0]
  cpu.report(oracle, innermost === undefined ? `BUG: ${what}` : `BUG: ${what} in ${innermost}`, address, details)
}

export const hex = (value: number | bigint): string =>
  value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`
