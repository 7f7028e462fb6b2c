/** `racewalk explore`: chosen schedules until one finds something. */
import type { Command } from 'commander'
import type { Bug } from '../bug/bug.js'
import { exploreAsync, type ExploreOptions, type ExploreResult, type FoundFinding } from '../explore/explore.js'
import { exploreSharded } from '../explore/shards.js'
import { decodeToken } from '../explore/token.js'
import type { StrategyId } from '../explore/strategies.js'
import { explain } from '../report/explain.js'
import { findingDocument, type RunDocument } from '../report/json.js'
import { named, partNames } from '../report/names.js'
import { findingText } from '../report/text.js'
import type { Scenario } from '../scenario/scenario.js'
import { brokeOff, exploredCode, exploredDocument, exploredFault, exploredNotes } from './explored.js'
import { bugNamed, scenarioNamed } from './names.js'
import {
  bugOption,
  checkOption,
  cpusOption,
  durationOption,
  executionsOption,
  fullOption,
  jsonOption,
  gpDelayOption,
  resumeOption,
  seedOption,
  shardsOption,
  strategyOption,
} from './options.js'
import { Terminal, seconds, thousands, untilInterrupted, type ExitCode } from './terminal.js'

interface Options {
  bug?: string
  cpus?: number
  executions?: number
  time?: number
  seed: number
  gpDelay?: number
  shrink?: boolean
  strategy: StrategyId
  shards?: number
  resume?: string
  check?: boolean
  full?: boolean
  json?: boolean
}

/** When neither a number of executions nor a time was asked for. */
const TIME_DEFAULT_MS = 30_000

export function addExplore(program: Command, done: (code: ExitCode) => void): void {
  program
    .command('explore')
    .description(
      'chosen schedules, on one machine or on one for each shard: finds a bug on purpose and gives a token that replays it',
    )
    .argument('<SCENARIO>', 'see racewalk list')
    .addOption(bugOption())
    .addOption(executionsOption())
    .addOption(durationOption('--time <T>', 'stop after this time (30s, unless --executions is given)'))
    .addOption(seedOption())
    .addOption(gpDelayOption())
    .addOption(strategyOption())
    .addOption(cpusOption())
    .addOption(shardsOption())
    .addOption(resumeOption())
    .addOption(checkOption())
    .option('--no-shrink', 'show the execution as it was found, with all its switches')
    .addOption(fullOption())
    .addOption(jsonOption())
    .action(async (id: string, options: Options) => done(await runExplore(id, options)))
}

async function runExplore(id: string, options: Options): Promise<ExitCode> {
  const [scenario, bug] = [scenarioNamed(id, options.gpDelay), bugNamed(options.bug)]
  const terminal = new Terminal(options.json === true)
  const timeMs = options.time ?? (options.executions === undefined ? TIME_DEFAULT_MS : Infinity)
  const { seed, strategy, shards, resume } = options
  const explored = await exploreFor(terminal, timeMs, {
    scenario,
    bug,
    seed,
    strategy,
    shrink: options.shrink !== false,
    check: options.check === true,
    ...(shards === undefined ? {} : { shards }),
    ...(resume === undefined ? {} : { resume }),
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.executions === undefined ? {} : { executions: options.executions }),
  })
  const cpus = explored.session.machine.config.cpus
  terminal.document(documentOf(explored, { scenario: scenario.id, bug: bug?.id ?? null, cpus, seed }))
  const fault = exploredFault(explored)
  terminal.print(summaryText(scenario, bug, explored, terminal))
  if (explored.finding !== null && !terminal.json)
    terminal.print(`\n${foundText(explored.finding, scenario, bug, options.full === true, terminal)}`)
  if (fault !== null) terminal.complain(fault)
  else if (options.check === true) terminal.print('each schedule was run twice, the same both times')
  if (resume !== undefined && explored.finding === null && fault === null)
    terminal.print(`kept in ${resume}: the same command goes on from there`)
  return exploredCode(explored)
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
  return await untilInterrupted(async (signal) => {
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
      found.finding === null ? null : { ...found.finding, ...named(found.finding, partNames(options.bug ?? null)) }
    return { ...found, finding, seconds: (found.resumed?.seconds ?? 0) + elapsed(), interrupted: signal.aborted }
  })
}

function documentOf(explored: Explored, run: Pick<RunDocument, 'scenario' | 'bug' | 'cpus' | 'seed'>): object {
  const { executions, operations, steps, finding, outcomes, session, interrupted } = explored
  const document: RunDocument = {
    command: 'explore',
    ...run,
    engine: 'controlled',
    arch: session.machine.config.arch,
    executions,
    seconds: explored.seconds,
    operations,
    findings: finding === null ? [] : [findingDocument(finding, session.machine, finding.token)],
  }
  return {
    ...document,
    steps,
    interrupted,
    ...exploredDocument(explored),
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
  lines.push(...exploredNotes(explored))
  if (finding !== null) lines.push(foundLine(finding))
  else if (!brokeOff(explored)) lines.push(terminal.palette.good('nothing found'))
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

/** The report on a finding of the controlled engine, with the interleaving. */
export function foundText(
  finding: FoundFinding,
  scenario: Scenario,
  bug: Bug | null,
  full: boolean,
  terminal: Terminal,
): string {
  const explanation = explain(decodeToken(finding.token), scenario, bug)
  const { palette, width } = terminal
  const { machine, rows } = explanation
  return findingText(explanation.finding ?? finding, { machine, rows, palette, width, full, token: finding.token })
}
