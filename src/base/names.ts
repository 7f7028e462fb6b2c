/** Looking names up that a user typed. */
import { closest } from 'fastest-levenshtein'
import { UsageError } from './errors.js'

/** The item with this id. Throws UsageError that lists what exists and names the nearest. */
export function nearest<T extends { readonly id: string }>(what: string, id: string, items: readonly T[]): T {
  const found = items.find((item) => item.id === id)
  if (found !== undefined) return found
  const ids = items.map((item) => item.id)
  throw new UsageError(`no ${what} '${id}'`, `there are: ${ids.join(', ')}`, `did you mean '${closest(id, ids)}'?`)
}
