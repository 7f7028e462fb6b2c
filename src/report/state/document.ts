/** A recorded state as a JSON document; its fields are documented in src/guide/json.md. */
import type { Change, History } from './recorder.js'

/** The state of the machine through an execution: items in the order in which they are shown. */
export interface StateDocument {
  readonly items: readonly { readonly panel: string; readonly group: string; readonly name: string }[]
  /** What each item said before the first step; null: it was not there. */
  readonly start: readonly (string | null)[]
  /** By step: which items said something else after it; null: gone. */
  readonly changes: readonly (readonly Change[])[]
}

export function stateDocument({ items, start, changes }: History): StateDocument {
  return { items: items.map(({ panel, group, name }) => ({ panel, group, name })), start, changes }
}
