/** The counts of rcutorture, whichever engine runs it. */
import type { Task } from './machine.js'

export interface Torture {
  /** Sections by the age that they saw. */
  ages: number[]
  replaced: number
  exhausted: number
  waited: number
}

export const nothing = (): Torture => ({ ages: new Array<number>(11).fill(0), replaced: 0, exhausted: 0, waited: 0 })

/** Adds what the programs of one run returned. */
export function add(sum: Torture, results: readonly unknown[], waited: number): void {
  const writer = results[0] as { replaced: number; exhausted: number }
  sum.replaced += writer.replaced
  sum.exhausted += writer.exhausted
  sum.waited += waited
  for (const result of results.slice(1))
    if (Array.isArray(result))
      (result as number[]).forEach((count, age) => (sum.ages[age] = (sum.ages[age] ?? 0) + count))
}

export const tooOld = (torture: Torture): number => torture.ages.slice(2).reduce((sum, count) => sum + count, 0)

export function print(title: string, { ages, replaced, exhausted, waited }: Torture): void {
  console.log(
    `${title}\n  sections by age  ${ages.join(' ')}\n  replaced ${replaced}, none free ${exhausted}, waited ${waited}`,
  )
}

/** One writer, one fake writer, readers; on threads the readers go on until the writer is done. */
export const tasks = (cpus: number, rounds: number, reads = rounds): Task[] =>
  Array.from({ length: cpus }, (_, cpu) => (cpu === 0 ? ['write', rounds] : [cpu === 1 ? 'wait' : 'read', reads]))
