/** The data of a step player's page: one JSON document inside it. The page's scripts know no more. */

export interface PageStep {
  readonly cpu: number
  readonly access: string
  /** The word it went to, by name. */
  readonly word: string
  readonly before: string | null
  readonly after: string | null
  /** Index in `stacks`. */
  readonly stack: number
  readonly interrupt: boolean
  /** On a word that no other CPU changes or sees changed: of little interest for a race. */
  readonly isPrivate: boolean
  /** What began with it: an operation of the program, an interrupt. */
  readonly began: readonly string[]
}

export interface PagePanel {
  readonly id: string
  readonly title: string
  /** Its groups all have these names: they make the rows of a table. */
  readonly columns?: readonly string[]
}

export interface PageItem {
  readonly panel: string
  readonly group: string
  readonly name: string
}

export interface PageChange {
  readonly item: number
  readonly text: string | null
}

export interface PageFinding {
  readonly title: string
  readonly oracle: string
  /** -1: seen when all CPUs had stopped. */
  readonly cpu: number
  readonly rule: { readonly text: string; readonly source: string } | null
  readonly address: string | null
  readonly details: readonly string[]
  readonly stack: readonly string[]
}

export interface PageData {
  /** `gup-vs-split, bug pmdp-inval-addr, x86-64, 2 CPUs, 2 of 4 operations on 2 of 2 CPUs`. */
  readonly subject: string
  /** What the scenario is, in words. */
  readonly summary: string
  readonly cpus: number
  readonly finding: PageFinding | null
  /** The step with which the turn of the decisive switch begins; null for none. */
  readonly decisive: number | null
  /** The command that replays it. */
  readonly command: string
  readonly stacks: readonly (readonly string[])[]
  readonly steps: readonly PageStep[]
  readonly panels: readonly PagePanel[]
  /** In the order in which they are shown. */
  readonly items: readonly PageItem[]
  /** What each item says before the first step. */
  readonly start: readonly (string | null)[]
  /** changes[i]: what step i + 1 changed. */
  readonly changes: readonly (readonly PageChange[])[]
}
