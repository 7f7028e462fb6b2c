/**
 * A bug: the parts of the kernel that upstream had wrong, each a subclass of the fixed part. It overrides the methods
 * that the fix changed and nothing else, so that it reads like that diff, backwards.
 */
import type { KernelConfig, PartClasses } from '../mm/kernel.js'

export interface Bug {
  /** Short name, in kebab case. */
  readonly id: string
  /**
   * Its number in the table of upstream bugs in mm/RULES.md, `BUG-02` or `K01`: this project's own numbers, the first
   * series of huge pages and gup, the second of page tables, TLBs and RCU. `mutant` stands for a fault that no release
   * had, but that a test must find; `other` for an upstream bug without a number; `open` for a fault that upstream has
   * to this day, as far as its source tells.
   */
  readonly number: `BUG-${string}` | `K${string}` | 'mutant' | 'other' | 'open'
  /** Its number in the other series, for a bug that both have. */
  readonly also?: readonly string[]
  /** Of the fix, or of the draft that was never merged; null for mutants. */
  readonly year: number | null
  /** Abbreviated commits; null for drafts and mutants. */
  readonly upstream: { readonly introduced?: string; readonly fixed: string } | null
  /** What was wrong. */
  readonly summary: string
  /** What came of it. */
  readonly symptom: string
  /** Scenarios of the catalogue that show it. */
  readonly scenarios: readonly string[]
  readonly parts: Partial<PartClasses>
  /** Settings without which it does not show: some bugs live only where TLBs are flushed without interrupts. */
  readonly config?: Partial<KernelConfig>
}

export const defineBug = (bug: Bug): Bug => bug

/** A fault that no release had. */
export const defineMutant = (bug: Omit<Bug, 'number' | 'year' | 'upstream'>): Bug =>
  defineBug({ ...bug, number: 'mutant', year: null, upstream: null })
