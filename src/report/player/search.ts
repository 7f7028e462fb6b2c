/** Steps that a reader looks for: by CPU, access, word, value, function, operation, or what they changed. */
import type { PageData } from './data.js'
import { itemName } from './itemName.js'

/** By step, from the first: everything that it can be found by, in small letters. */
export const searchTexts = (data: PageData): string[] => data.steps.map((_, i) => textOf(data, i + 1))

/**
 * Numbers of the steps that have every word of `query` in their text, in any case; `cpu 1` is a word. None for none.
 */
export function search(texts: readonly string[], query: string): number[] {
  const words = query
    .toLowerCase()
    .replace(/\bcpu (\d)/g, 'cpu$1')
    .split(/\s+/)
    .filter((word) => word !== '')
  if (words.length === 0) return []
  return texts.flatMap((text, i) => (words.every((word) => text.includes(word)) ? [i + 1] : []))
}

function textOf({ steps, stacks, items, changes }: PageData, number: number): string {
  const step = steps[number - 1]
  if (step === undefined) return ''
  const changed = (changes[number - 1] ?? []).map(({ item }) => {
    const what = items[item]
    return what === undefined ? '' : itemName(what)
  })
  const { cpu, access, word, before, after, began } = step
  const parts = [
    `cpu${cpu}`,
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
