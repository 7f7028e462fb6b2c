/** `racewalk explore`: chosen schedules until one finds something. */
import type { Command } from 'commander'
import type { Bug } from '../bug/bug.js'
import { exploreAsync, type ExploreOptions, type ExploreResult, type FoundFinding } from '../explore/explore.js'
import { decodeToken } from '../explore/token.js'
import type { StrategyId } from '../explore/strategies.js'
import { whatChanged } from '../report/changed.js'
import { explain, type Explanation } from '../report/explain.js'
import type { JunitSuite } from '../report/junit.js'
import { findingDocument, type FindingDocument, type RunDocument } from '../report/json.js'
import { named, partNames } from '../report/names.js'
import { paletteFor } from '../report/palette.js'
import { findingText } from '../report/text.js'
import type { Scenario } from '../scenario/scenario.js'
import { bugNamed, scenarioNamed } from './names.js'
import {
  bugOption,
  cpusOption,
  durationOption,
  executionsOption,
  fullOption,
  jsonOption,
  gpDelayOption,
  seedOption,
  strategyOption,
} from './options.js'
import { htmlOption, junitOption, Outputs, traceOption, type OutputOptions } from './outputs.js'
import { EXIT, Terminal, seconds, thousands, untilInterrupted, type ExitCode } from './terminal.js'

interface Options extends OutputOptions {
  bug?: string
  cpus?: number
  executions?: number
  time?: number
  seed: number
  gpDelay?: number
  shrink?: boolean
  strategy: StrategyId
  full?: boolean
  json?: boolean
}

/** When neither a number of executions nor a time was asked for. */
const TIME_DEFAULT_MS = 30_000

export function addExplore(program: Command, done: (code: ExitCode) => void): void {
  program
    .command('explore')
    .description(
      'one machine in one thread, seeded schedules: finds a bug on purpose and gives a token that replays it',
    )
    .argument('<SCENARIO>', 'see racewalk list')
    .addOption(bugOption())
    .addOption(executionsOption())
    .addOption(durationOption('--time <T>', 'stop after this time (30s, unless --executions is given)'))
    .addOption(seedOption())
    .addOption(gpDelayOption())
    .addOption(strategyOption())
    .addOption(cpusOption())
    .option('--no-shrink', 'show the execution as it was found, with all its switches')
    .addOption(fullOption())
    .addOption(htmlOption())
    .addOption(traceOption())
    .addOption(junitOption())
    .addOption(jsonOption())
    .action(async (id: string, options: Options) => done(await runExplore(id, options)))
}

async function runExplore(id: string, options: Options): Promise<ExitCode> {
  const [scenario, bug] = [scenarioNamed(id, options.gpDelay), bugNamed(options.bug)]
  const terminal = new Terminal(options.json === true)
  const outputs = new Outputs(options, terminal)
  const timeMs = options.time ?? (options.executions === undefined ? TIME_DEFAULT_MS : Infinity)
  const { seed, strategy } = options
  const explored = await exploreFor(terminal, timeMs, {
    scenario,
    bug,
    seed,
    strategy,
    shrink: options.shrink !== false,
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.executions === undefined ? {} : { executions: options.executions }),
  })
  const cpus = explored.session.machine.config.cpus
  const { finding } = explored
  const explanation = finding === null ? null : explain(decodeToken(finding.token), scenario, bug)
  const run = { scenario: scenario.id, bug: bug?.id ?? null, cpus, seed }
  terminal.document(documentOf(explored, explanation, run))
  terminal.print(summaryText(scenario, bug, explored, terminal))
  if (finding !== null && explanation !== null)
    terminal.print(`\n${explainedText(finding, explanation, options.full === true, terminal)}`)
  outputs.execution(
    finding === null || explanation === null ? null : { explanation, scenario, bug, token: finding.token },
  )
  outputs.junit(() => junitOf(explored, explanation, run))
  return outputs.exitCode(finding === null ? EXIT.clean : EXIT.finding)
}

export interface Explored extends ExploreResult {
  readonly seconds: number
  readonly interrupted: boolean
}

/** Explores until something is found, the time is up, or Ctrl-C. */
export async function exploreFor(terminal: Terminal, timeMs: number, options: ExploreOptions): Promise<Explored> {
  const start = performance.now()
  const elapsed = (): number => (performance.now() - start) / 1000
  return await untilInterrupted(async (signal) => {
    const found = await exploreAsync({
      ...options,
      stop: () => signal.aborted || elapsed() * 1000 >= timeMs,
      onProgress: (executions) =>
        terminal.progress(
          `${options.scenario.id}: ${thousands(executions)} executions, ${seconds(elapsed())} (Ctrl-C stops)`,
        ),
    })
    terminal.quiet()
    const finding =
      found.finding === null ? null : { ...found.finding, ...named(found.finding, partNames(options.bug ?? null)) }
    return { ...found, finding, seconds: elapsed(), interrupted: signal.aborted }
  })
}

type Run = Pick<RunDocument, 'scenario' | 'bug' | 'cpus' | 'seed'>

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
    interrupted,
    execution: finding?.execution ?? null,
    switches: finding?.switches ?? null,
    outcomes: Object.fromEntries(outcomes),
  }
}

function summaryText(scenario: Scenario, bug: Bug | null, explored: Explored, terminal: Terminal): string {
  const { executions, operations, steps, finding, outcomes, interrupted } = explored
  const kernel = bug === null ? 'fixed code' : `bug ${bug.id}`
  const rate = thousands(executions / Math.max(explored.seconds, 1e-3))
  const lines = [
    `${scenario.id}, ${kernel}: ${thousands(executions)} executions in ${seconds(explored.seconds)} (${rate} a second), ` +
      `${thousands(operations)} operations, ${thousands(steps)} accesses${interrupted ? ', interrupted' : ''}`,
  ]
  for (const [outcome, count] of [...outcomes].sort()) lines.push(`  ${outcome.padEnd(20)} ${thousands(count)} times`)
  lines.push(finding === null ? terminal.palette.good('nothing found') : foundLine(finding))
  return lines.join('\n')
}

/** `found in execution 118 (shrunk from 41 switches between CPUs to 3):` */
function foundLine({ execution, switches }: FoundFinding): string {
  const shrunk =
    switches === null || switches.before === switches.after
      ? ''
      : ` (shrunk from ${switches.before} switches between CPUs to ${switches.after})`
  return `found in execution ${thousands(execution)}${shrunk}:`
}

export function explainedDocument(finding: FoundFinding, explanation: Explanation): FindingDocument {
  const { machine, history, rows } = explanation
  const changed = whatChanged(finding, machine, history, rows)
  return findingDocument(finding, machine, finding.token, changed)
}

function junitOf(explored: Explored, explanation: Explanation | null, run: Run): JunitSuite {
  const { finding, executions, seconds: s } = explored
  const name = run.bug === null ? `${run.scenario}` : `${run.scenario}, bug ${run.bug}`
  const { arch } = explored.session.machine.config
  const properties = { arch, cpus: String(run.cpus), seed: String(run.seed), executions: String(executions) }
  if (finding === null || explanation === null)
    return { name: 'racewalk explore', properties, cases: [{ name, seconds: s }] }
  const text = explainedText(finding, explanation, false, PLAIN)
  const failure = { type: finding.oracle, message: finding.title, text }
  return { name: 'racewalk explore', properties, cases: [{ name, seconds: s, failure }] }
}

/** How files have reports: without colours. */
export const PLAIN = { palette: paletteFor(false), width: 120 }

/** The report on a finding of the controlled engine, with the interleaving. */
export function foundText(
  finding: FoundFinding,
  scenario: Scenario,
  bug: Bug | null,
  full: boolean,
  terminal: Terminal,
): string {
  return explainedText(finding, explain(decodeToken(finding.token), scenario, bug), full, terminal)
}

function explainedText(
  finding: FoundFinding,
  explanation: Explanation,
  full: boolean,
  { palette, width }: Pick<Terminal, 'palette' | 'width'>,
): string {
  const { machine, rows, history } = explanation
  return findingText(explanation.finding ?? finding, {
    machine,
    rows,
    history,
    palette,
    width,
    full,
    token: finding.token,
  })
}
