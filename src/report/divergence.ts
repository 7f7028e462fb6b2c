/** An execution that was not the same again, in words. */
import type { Machine } from '../boot/machine.js'
import type { Divergence, Side } from '../explore/schedule/check.js'
import { accessName } from '../machine/cpu/access.js'
import { cpuOf, kindName } from '../machine/engine/actions.js'
import { describeAddress } from './address.js'

export interface DivergenceDocument {
  /** Number of the execution, from 1. */
  readonly execution: number
  /** Accesses that were the same. */
  readonly steps: number
  /** What came next in the first run, and in the second. */
  readonly first: string
  readonly second: string
}

/** `machine` names addresses, by what lives there now. */
export function divergenceDocument(divergence: Divergence, machine: Machine): DivergenceDocument {
  const { execution, steps, first, second } = divergence
  return { execution, steps, first: sideText(first, machine), second: sideText(second, machine) }
}

export function divergenceText({ execution, steps, first, second }: DivergenceDocument): string {
  return [
    `execution ${execution} is not the same when it is run again: after ${steps} accesses`,
    `  the first time   ${first}`,
    `  the second time  ${second}`,
    'Something outside of the image decided, or kept state from one execution to the next. In the catalogue that is a fault',
    'of racewalk; in a scenario, bug or patch of your own look for variables, clocks and random numbers.',
  ].join('\n')
}

function sideText(side: Side, machine: Machine): string {
  if (side.kind === 'end') return `ended: ${side.how}`
  if (side.kind === 'event') return `CPU ${cpuOf(side.action)} ${kindName(side.action)}`
  return `CPU ${side.cpu} ${accessName(side.access)} ${describeAddress(machine, side.addr)}`
}
