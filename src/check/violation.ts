/** Reports of the oracles, titled in the kernel's manner: what, and in which kernel function it was seen. */
import type { Cpu } from '../machine/cpu/cpu.js'
import { kernelStack } from '../machine/engine/finding.js'

/** `BUG: <what> in <function>`. Ends the run. */
export function violation(cpu: Cpu, oracle: string, what: string, address: number, details: readonly string[]): never {
  const place = kernelStack(new Error().stack ?? '').find((name) => !TOO_LOW.test(name))
  cpu.report(oracle, place === undefined ? `BUG: ${what}` : `BUG: ${what} in ${place}`, address, details)
}

/** Functions that everybody calls, assertions, and functions without a class: their caller says more. */
const TOO_LOW = /^(PtOps|PageAllocator|Folios)\.|^#|[aA]ssert(Write)?(Locked|Held)(Write)?$/

export const hex = (value: number | bigint): string =>
  value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`
