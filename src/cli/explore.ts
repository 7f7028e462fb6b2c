/** `racewalk explore`: chosen schedules until one finds something. */
import type { Command } from 'commander'
import { UsageError } from '../base/errors.js'
import { patched } from '../bug/patch.js'
import { exploreAsync, type ExploreOptions, type ExploreResult, type FoundFinding } from '../explore/explore.js'
import { exploreSharded } from '../explore/shards/shards.js'
import { decodeToken } from '../explore/schedule/token.js'
import { isSampled, type StrategyId } from '../explore/searches.js'
import { insightOf, type Insight } from '../explore/insight/insight.js'
import { whatChanged } from '../report/changed.js'
import { coverageText, whyNotText, type CoverageContext } from '../report/coverage.js'
import { curveText } from '../report/curve.js'
import { explain, type Explanation } from '../report/explain.js'
import type { JunitSuite } from '../report/junit.js'
import { coverageDocument, findingDocument, type FindingDocument, type RunDocument } from '../report/json.js'
import { named, partNames } from '../report/names.js'
import { paletteFor } from '../report/palette.js'
import { findingText } from '../report/text.js'
import { brokeOff, exploredCode, exploredDocument, exploredFault, exploredNotes } from './explored.js'
import { curveOf } from './curve.js'
import {
  bugOption,
  checkOption,
  cpusOption,
  curveOption,
  depthOption,
  durationOption,
  executionsOption,
  fullOption,
  jsonOption,
  maxStepsOption,
  gpDelayOption,
  resumeOption,
  patchOption,
  preemptionsOption,
  seedOption,
  shardsOption,
  strategyOption,
} from './options.js'
import type { Invocation, Io } from './io.js'
import { htmlOption, junitOption, Outputs, tokenOption, traceOption, type OutputOptions } from './outputs.js'
import { Terminal, seconds, thousands, type ExitCode } from './terminal.js'
import { kernelText, patchDocument, playedOf, subjectOf, type Subject } from './subject.js'

interface Options extends OutputOptions {
  bug?: string
  patch?: string
  cpus?: number
  executions?: number
  time?: number
  seed: number
  gpDelay?: number
  shrink?: boolean
  strategy: StrategyId
  depth?: number
  preemptions?: number
  maxSteps?: number
  shards?: number
  resume?: string
  check?: boolean
  insight?: boolean
  curve?: boolean
  full?: boolean
  json?: boolean
}

/** When neither a number of executions nor a time was asked for. */
const TIME_DEFAULT_MS = 30_000

export function addExplore(program: Command, { io, done }: Invocation): void {
  program
    .command('explore')
    .description(
      'chosen schedules, on one machine or on one for each shard: finds a bug on purpose and gives a token that replays it',
    )
    .argument('<SCENARIO>', 'see racewalk list; or a file that exports one')
    .addOption(bugOption())
    .addOption(patchOption())
    .addOption(executionsOption())
    .addOption(durationOption('--time <T>', 'stop after this time (30s, unless --executions is given)'))
    .addOption(seedOption())
    .addOption(gpDelayOption())
    .addOption(strategyOption())
    .addOption(depthOption())
    .addOption(preemptionsOption())
    .addOption(cpusOption())
    .addOption(maxStepsOption())
    .addOption(shardsOption())
    .addOption(resumeOption())
    .addOption(checkOption())
    .option('--insight', 'record what every execution covers, and list what was not seen')
    .addOption(curveOption())
    .option('--no-shrink', 'show the execution as it was found, with all its switches')
    .addOption(fullOption())
    .addOption(htmlOption())
    .addOption(traceOption())
    .addOption(tokenOption())
    .addOption(junitOption())
    .addOption(jsonOption())
    .action(async (id: string, options: Options, command: Command) => {
      if (command.getOptionValueSource('seed') === 'cli') checkSeed(options)
      done(await runExplore(id, options, io))
    })
}

/** Throws UsageError for a seed that counts for nothing. */
function checkSeed({ seed, strategy }: Options): void {
  if (isSampled(strategy)) return
  throw new UsageError(`--seed ${seed} with --strategy ${strategy}`, 'that draws nothing', 'leave --seed out')
}

async function runExplore(id: string, options: Options, io: Io): Promise<ExitCode> {
  const subject = await subjectOf(id, options)
  const { scenario, bug, patch, change } = subject
  const terminal = new Terminal(options.json === true, io)
  const outputs = new Outputs(options, terminal)
  const timeMs = options.time ?? (options.executions === undefined ? TIME_DEFAULT_MS : Infinity)
  const { seed, strategy, shards, resume } = options
  const explored = await exploreFor(terminal, timeMs, {
    scenario,
    bug,
    patch,
    seed,
    strategy,
    shrink: options.shrink !== false,
    check: options.check === true,
    ...(options.depth === undefined ? {} : { depth: options.depth }),
    ...(options.preemptions === undefined ? {} : { preemptions: options.preemptions }),
    ...(options.maxSteps === undefined ? {} : { maxSteps: options.maxSteps }),
    ...(shards === undefined ? {} : { shards }),
    ...(resume === undefined ? {} : { resume }),
    insight: options.insight === true,
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.executions === undefined ? {} : { executions: options.executions }),
  })
  const cpus = explored.session.machine.config.cpus
  const { finding } = explored
  const run = { scenario: scenario.id, bug: bug?.id ?? null, patch: patchDocument(subject), cpus, seed }
  const explanation = finding === null ? null : explain(decodeToken(finding.token), scenario, change)
  const covered = insightOf(explored.coverage)
  const insight = explored.complete ? { ...covered, newChance: 0 } : covered
  const fault = exploredFault(explored)
  terminal.print(summaryText(subject, explored, terminal))
  printCoverage(insight, contextOf(explored, subject, options), options.insight === true, terminal)
  if (finding !== null && explanation !== null)
    terminal.print(`\n${explainedText(finding, explanation, subject, options.full === true, terminal)}`)
  const curve =
    finding !== null && options.curve === true ? await curveOf(finding.token, scenario, change, terminal) : undefined
  if (curve && explanation !== null) terminal.print(`\n${curveText(curve, explanation.rows)}`)
  terminal.document({
    ...documentOf(explored, explanation, run),
    coverage: coverageDocument(insight, options.insight === true),
    curve,
  })
  if (fault !== null) terminal.complain(fault)
  else if (options.check === true) terminal.print('each schedule was run twice, the same both times')
  if (resume !== undefined && finding === null && fault === null)
    terminal.print(`kept in ${resume}: the same command goes on from there`)
  outputs.execution(finding === null || explanation === null ? null : playedOf(subject, explanation, finding.token))
  outputs.junit(() => junitOf(explored, explanation, subject, run))
  return outputs.exitCode(exploredCode(explored))
}

/** What was covered, where nothing was found or --insight asks for it; and why nothing was found. */
function printCoverage(insight: Insight, context: CoverageContext, long: boolean, terminal: Terminal): void {
  if (terminal.json || (context.found && !long)) return
  terminal.print(`\n${coverageText(insight, context, long)}`)
  if (!context.found) terminal.print(`\n${whyNotText(insight, context)}`)
}

function contextOf(
  { finding, unfinished, complete, progress, session }: Explored,
  { scenario }: Subject,
  options: Options,
): CoverageContext {
  return {
    scenario,
    strategy: options.strategy,
    cpus: session.machine.config.cpus,
    gpDelay: session.machine.config.kernel.gpDelay,
    found: finding !== null,
    unfinished,
    complete,
    progress,
    bare: session.bare,
  }
}

export interface Explored extends ExploreResult {
  /** In all, those of a resumed exploration among them. */
  readonly seconds: number
  readonly interrupted: boolean
}

/** Explores until something is found, the time is up, or Ctrl-C; in several threads if `shards` says so. */
export async function exploreFor(
  terminal: Terminal,
  timeMs: number,
  options: ExploreOptions & { readonly shards?: number },
): Promise<Explored> {
  const start = performance.now()
  const elapsed = (): number => (performance.now() - start) / 1000
  return await terminal.untilStopped(async (signal) => {
    const { shards } = options
    const watched = {
      ...options,
      stop: () => signal.aborted || elapsed() * 1000 >= timeMs,
      onProgress: (executions: number) =>
        terminal.progress(
          `${options.scenario.id}: ${thousands(executions)} executions, ${seconds(elapsed())} (Ctrl-C stops)`,
        ),
    }
    const found = await (shards === undefined ? exploreAsync(watched) : exploreSharded({ ...watched, shards }))
    terminal.quiet()
    const finding =
      found.finding === null
        ? null
        : { ...found.finding, ...named(found.finding, partNames(patched(options.bug ?? null, options.patch ?? null))) }
    return { ...found, finding, seconds: (found.resumed?.seconds ?? 0) + elapsed(), interrupted: signal.aborted }
  })
}

type Run = Pick<RunDocument, 'scenario' | 'bug' | 'patch' | 'cpus' | 'seed'>

/** `explanation`: of the finding, if there is one. */
function documentOf(explored: Explored, explanation: Explanation | null, run: Run): object {
  const { executions, operations, steps, finding, outcomes, session, interrupted } = explored
  const document: RunDocument = {
    command: 'explore',
    ...run,
    engine: 'controlled',
    arch: session.machine.config.arch,
    executions,
    seconds: explored.seconds,
    operations,
    findings: finding === null || explanation === null ? [] : [explainedDocument(finding, explanation)],
  }
  return {
    ...document,
    steps,
    unfinished: explored.unfinished,
    interrupted,
    ...exploredDocument(explored),
    execution: finding?.execution ?? null,
    switches: finding?.switches ?? null,
    outcomes: Object.fromEntries(outcomes),
    complete: explored.complete,
    progress: explored.progress,
  }
}

function summaryText(subject: Subject, explored: Explored, terminal: Terminal): string {
  const { executions, operations, steps, finding, outcomes, interrupted } = explored
  const rate = thousands(executions / Math.max(explored.seconds, 1e-3))
  const lines = [
    `${subject.scenario.id}, ${kernelText(subject)}: ${thousands(executions)} executions in ${seconds(explored.seconds)} (${rate} a second), ` +
      `${thousands(operations)} operations, ${thousands(steps)} accesses${interrupted ? ', interrupted' : ''}`,
  ]
  for (const [outcome, count] of [...outcomes].sort()) lines.push(`  ${outcome.padEnd(20)} ${thousands(count)} times`)
  lines.push(...exploredNotes(explored))
  if (finding !== null) lines.push(foundLine(finding))
  else if (!brokeOff(explored)) lines.push(terminal.palette.good('nothing found'))
  return lines.join('\n')
}

/** `found in execution 118:` */
const foundLine = ({ execution }: FoundFinding): string => `found in execution ${thousands(execution)}:`

function explainedDocument(finding: FoundFinding, explanation: Explanation): FindingDocument {
  const { machine, history, rows } = explanation
  const changed = whatChanged(finding, machine, history, rows)
  return findingDocument(finding, machine, finding.token, changed, explanation)
}

function junitOf(explored: Explored, explanation: Explanation | null, subject: Subject, run: Run): JunitSuite {
  const { finding, executions, seconds: s } = explored
  const name = run.bug === null ? `${run.scenario}` : `${run.scenario}, bug ${run.bug}`
  const { arch } = explored.session.machine.config
  const properties = { arch, cpus: String(run.cpus), seed: String(run.seed), executions: String(executions) }
  if (finding === null || explanation === null)
    return { name: 'racewalk explore', properties, cases: [{ name, seconds: s }] }
  const text = explainedText(finding, explanation, subject, false, PLAIN)
  const failure = { type: finding.oracle, message: finding.title, text }
  return { name: 'racewalk explore', properties, cases: [{ name, seconds: s, failure }] }
}

/** How files have reports: without colours. */
export const PLAIN = { palette: paletteFor(false), width: 120 }

/** The report on a finding of the controlled engine, with the interleaving. */
export function foundText(finding: FoundFinding, subject: Subject, full: boolean, terminal: Terminal): string {
  return explainedText(
    finding,
    explain(decodeToken(finding.token), subject.scenario, subject.change),
    subject,
    full,
    terminal,
  )
}

function explainedText(
  finding: FoundFinding,
  explanation: Explanation,
  { replayOptions }: Subject,
  full: boolean,
  { palette, width }: Pick<Terminal, 'palette' | 'width'>,
): string {
  const { token, switches } = finding
  const looks = { palette, width, full }
  return findingText(explanation.finding ?? finding, { ...explanation, ...looks, switches, token, replayOptions })
}
