/** The coverage of an exploration in words, and the limits of a search that found nothing. */
import { withAtMost, type SearchProgress } from '../explore/strategy/search.js'
import { RECORDED_EVERY, RECORDED_FIRST } from '../explore/insight/coverage.js'
import { PCT_MISS, type Insight, type PairCounts, type UnseenOrder } from '../explore/insight/insight.js'
import type { Scenario } from '../scenario/scenario.js'

/** Lines of a list in text; the JSON document has all. */
const LISTED = 40

export interface CoverageContext {
  readonly scenario: Scenario
  /** How it was explored. */
  readonly strategy: string
  readonly cpus: number
  readonly gpDelay: number
  readonly found: boolean
  /** Executions that were given up at the limit of accesses. */
  readonly unfinished: number
  readonly complete: boolean
  readonly progress: SearchProgress | null
  /** A litmus test, without a kernel around it. */
  readonly bare: boolean
}

/** A few lines; `long`: followed by what was not seen. */
export function coverageText(insight: Insight, { progress, complete }: CoverageContext, long: boolean): string {
  const { recorded, executions, distinct, newChance, operations, accesses, pctDepth } = insight
  const lines = [
    `covered${recorded === executions ? '' : ` (of ${recordedText(insight)})`}:`,
    `  executions  ${count(distinct)} differ in more than the order of independent accesses; ` +
      (others(progress, complete) ?? `another one would be new with a chance of ${percent(newChance)}`),
  ]
  if (operations.pairs > 0)
    lines.push(
      `  operations  ${count(operations.pairs - operations.never)} of ${count(operations.pairs)} pairs overlapped, ` +
        `${count(operations.bothOrders)} of them with either one first`,
    )
  lines.push(
    `  accesses    of ${count(accesses.pairs)} pairs that conflict, ${count(accesses.bothOrders)} met in both orders, ` +
      `${count(accesses.oneOrder)} in one, ${count(accesses.never)} never`,
  )
  if (pctDepth > 0)
    lines.push(`  PCT         a bug of depth ${pctDepth} is found with a chance of ${percent(1 - PCT_MISS)} at least`)
  if (progress !== null) lines.push(`  schedules   ${progress.note}`)
  if (long) lines.push(...listText('operations', operations), ...listText('accesses', accesses))
  return lines.join('\n')
}

/** Null while a search has not been through its schedules. */
function others(progress: SearchProgress | null, complete: boolean): string | null {
  if (complete) return 'there are no others'
  return progress?.estimate === 0 && progress.bound !== null
    ? `there are no others ${withAtMost(progress.bound)}`
    : null
}

const recordedText = ({ recorded, executions }: Insight): string =>
  `${count(recorded)} of ${count(executions)} executions: the first ${RECORDED_FIRST}, then 1 in ${RECORDED_EVERY}`

function listText(what: string, { unseen, oneOrder, never }: PairCounts): string[] {
  const block = (title: string, entries: readonly UnseenOrder[], words: (entry: UnseenOrder) => string): string[] => {
    if (entries.length === 0) return []
    const rest = entries.length - LISTED
    const more = rest > 0 ? [`  … and ${count(rest)} more (--json has all)`] : []
    return ['', `${what} ${title}:`, ...entries.slice(0, LISTED).map((entry) => `  ${words(entry)}`), ...more]
  }
  return [
    ...block(
      `that met in one order only (${count(oneOrder)}); not seen`,
      unseen.filter(({ otherWay }) => otherWay),
      ({ first, second }) => `${first}, then ${second}`,
    ),
    ...block(
      `that never met (${count(never)})`,
      unseen.filter(({ otherWay }) => !otherWay),
      ({ first, second }) => `${first}, and ${second}`,
    ),
  ]
}

// ---- nothing found -------------------------------------------------------------------------------------------------

/** What it does and does not say that nothing was found, and what to try next. */
export function whyNotText(insight: Insight, context: CoverageContext): string {
  if (context.complete)
    return [
      'every schedule of this scenario was run: no order of its accesses breaks a rule that is checked. Not said:',
      ...leftOut(context).map((line) => `  - ${line}`),
    ].join('\n')
  return [
    'nothing found proves nothing. What a bug could hide behind:',
    ...[...notSeen(insight, context), ...leftOut(context)].map((line) => `  - ${line}`),
    'to look further:',
    ...tryNext(insight, context).map(([option, what]) => `  ${option.padEnd(32)} ${what}`),
  ].join('\n')
}

function notSeen({ newChance, operations, accesses }: Insight, { unfinished }: CoverageContext): string[] {
  const lines: string[] = []
  if (unfinished > 0) lines.push(`the ends of ${count(unfinished)} executions that were not finished`)
  if (newChance >= 0.01) lines.push(`executions: ${percent(newChance)} of further ones would be new ones`)
  const pairs = operations.unseen
    .filter(({ otherWay }) => !otherWay)
    .map(({ first, second }) => `${first} and ${second}`)
  if (pairs.length > 0) lines.push(`operations that never overlapped: ${few(pairs)}`)
  const orders = operations.unseen.filter(({ otherWay }) => otherWay)
  if (orders.length > 0)
    lines.push(
      `operations that never began in this order: ${few(orders.map(({ first, second }) => `${first}, ${second}`))}`,
    )
  if (accesses.oneOrder + accesses.never > 0)
    lines.push(
      `accesses: ${count(accesses.oneOrder)} pairs met in one order only, ${count(accesses.never)} never. Locks and the ` +
        'program forbid many of these; which, is not known',
    )
  return lines
}

function leftOut({ bare, cpus, complete }: CoverageContext): string[] {
  const lines = ['a missing barrier: accesses are sequentially consistent here']
  if (!bare) lines.push('what the model leaves out (racewalk guide model), and what no oracle checks')
  if (!bare || !complete) lines.push(`other programs than this scenario's, and more than ${cpus} CPUs`)
  return lines
}

/** Options and what they are for. */
function tryNext(insight: Insight, context: CoverageContext): [option: string, what: string][] {
  const { scenario, strategy, cpus, gpDelay, bare, unfinished } = context
  const options: [string, string][] = []
  if (unfinished > 0) options.push(['--max-steps N', 'a higher limit of accesses, so that executions end'])
  if (insight.newChance >= 0.01) options.push(['--time 10m, --seed N', 'more of the same, or others'])
  if (strategy !== 'bounded') options.push(['--strategy bounded', 'every schedule with 0, 1, 2, … preemptions'])
  else options.push(['--strategy portfolio', 'schedules with many preemptions, at random'])
  if (!bare && gpDelay === 0) options.push(['--gp-delay 50', 'grace periods and callbacks that come late'])
  if (cpus < (scenario.cpusMax ?? 4)) options.push([`--cpus ${cpus + 1}`, 'one CPU more'])
  if (scenario.exploreOnly !== true)
    options.push([`racewalk stress ${scenario.id}`, 'real threads, tables of 512 entries'])
  options.push(['--insight', 'lists what was not seen'])
  return options
}

const count = (n: number): string => n.toLocaleString('en-US')

function percent(share: number): string {
  if (share === 0) return 'almost 0 %'
  return share < 0.01 ? 'less than 1 %' : `${Math.round(share * 100)} %`
}

/** The first three. */
function few(words: readonly string[]): string {
  return words.slice(0, 3).join('; ') + (words.length > 3 ? `; and ${words.length - 3} more` : '')
}
