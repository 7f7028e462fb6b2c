/** Steps that a reader looks for: by CPU, access, word, value, function, operation, or what they changed. */
import type { PageData } from './data.js'

/** Numbers of the steps that have every word of `query` in them, in any case; none for an empty query. */
export function search(data: PageData, query: string): number[] {
  const words = query
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  if (words.length === 0) return []
  const found: number[] = []
  for (let step = 1; step <= data.steps.length; step++) {
    const text = textOf(data, step)
    if (words.every((word) => text.includes(word))) found.push(step)
  }
  return found
}

function textOf({ steps, stacks, items, changes }: PageData, number: number): string {
  const step = steps[number - 1]
  if (step === undefined) return ''
  const changed = (changes[number - 1] ?? []).map(({ item }) => {
    const { panel = '', group = '', name = '' } = items[item] ?? {}
    return `${panel} ${group} ${name}`
  })
  const { cpu, access, word, before, after, began } = step
  const parts = [
    `cpu ${cpu}`,
    access,
    word,
    before ?? '',
    after ?? '',
    ...began,
    ...(stacks[step.stack] ?? []),
    ...changed,
  ]
  return parts.join('\n').toLowerCase()
}

/** The first of `found` behind `step`, else the first of all; 0 when there is none. */
export const hitAfter = (found: readonly number[], step: number): number =>
  found.find((hit) => hit > step) ?? found[0] ?? 0

/** The last of `found` before `step`, else the last of all. */
export const hitBefore = (found: readonly number[], step: number): number =>
  found.findLast((hit) => hit < step) ?? found.at(-1) ?? 0
