/**
 * The JSON documents of the commands, one type each. Their fields are documented in src/guide/json.md; scripts rely on
 * them.
 */
import type { Machine } from '../boot/machine.js'
import type { Finding } from '../machine/engine/finding.js'
import type { Insight } from '../explore/insight/insight.js'
import { describeAddress } from './address.js'
import type { Changed } from './changed.js'
import type { DecisiveStep, Explanation } from './explain.js'
import type { Reduced } from './reduced.js'
import { ruleOf, type Rule } from './rules.js'
import type { Row } from './steps.js'

export interface FindingDocument {
  readonly oracle: string
  readonly title: string
  /** The rule that was broken, in words, and where the kernel has it. */
  readonly rule: Rule | null
  /** -1: seen when all CPUs had stopped. */
  readonly cpu: number
  /** What lives at the place it is about, by name. */
  readonly address: string | null
  /** The same place as a byte offset in the image. */
  readonly physical: number | null
  readonly details: readonly string[]
  readonly stack: readonly string[]
  readonly token: string | null
  /** The changes of the words that it is about, in the execution of the token. */
  readonly changed: readonly Changed[]
  /** The switch that decided it, in the execution of the token; null where none did. */
  readonly decisive: DecisiveStep | null
  /** What the token leaves of the scenario's programs; null when that is all. */
  readonly reduced: Reduced | null
}

/** What the documents of all runs have. */
export interface RunDocument {
  readonly command: 'stress' | 'explore' | 'replay' | 'run'
  readonly scenario: string | null
  readonly bug: string | null
  /** A patch of the user's: its file, and a hash of its contents; null for none. */
  readonly patch: { readonly file: string; readonly hash: string } | null
  readonly engine: 'controlled' | 'free' | 'perturbed'
  readonly arch: string
  readonly cpus: number
  readonly seed: number | null
  readonly executions?: number
  readonly seconds?: number
  /** Operations of programs that ended, in all. */
  readonly operations: number
  readonly findings: readonly FindingDocument[]
}

/** `machine`: as the run that found it left it. */
export function findingDocument(
  finding: Finding,
  machine: Machine,
  token: string | null,
  changed: readonly Changed[] = [],
  explanation: Pick<Explanation, 'decisive' | 'reduced'> = { decisive: null, reduced: null },
): FindingDocument {
  const { oracle, title, cpu, details, stack } = finding
  const address = finding.address === null ? null : describeAddress(machine, finding.address)
  return {
    oracle,
    title,
    cpu,
    address,
    physical: finding.address,
    details,
    stack,
    token,
    changed,
    decisive: explanation.decisive,
    reduced: explanation.reduced,
    rule: ruleOf(finding),
  }
}

export interface StepDocument {
  readonly step: number
  readonly cpu: number
  readonly access: string
  readonly address: string
  readonly before: string | null
  readonly after: string | null
  readonly stack: readonly string[]
  /** By an interrupt handler. */
  readonly interrupt: boolean
}

export function stepDocuments(rows: readonly Row[]): StepDocument[] {
  return rows.flatMap((row) => {
    if (row.kind !== 'access') return []
    const { step, cpu, access, name: address, before, after, stack, interrupt } = row
    return [{ step, cpu, access, address, before, after, stack, interrupt }]
  })
}

/** `all`: with the lists of what was not seen, which can have thousands of entries. */
export function coverageDocument(insight: Insight, all: boolean): object {
  if (all) return insight
  const { operations, accesses, ...counts } = insight
  return { ...counts, operations: { ...operations, unseen: undefined }, accesses: { ...accesses, unseen: undefined } }
}
