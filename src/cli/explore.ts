/** `racewalk explore`: chosen schedules until one finds something. */
import type { Command } from 'commander'
import { patched } from '../bug/patch.js'
import { exploreAsync, type ExploreOptions, type ExploreResult, type FoundFinding } from '../explore/explore.js'
import { decodeToken } from '../explore/token.js'
import type { StrategyId } from '../explore/strategies.js'
import { explain } from '../report/explain.js'
import { findingDocument, type RunDocument } from '../report/json.js'
import { named, partNames } from '../report/names.js'
import { findingText } from '../report/text.js'
import {
  bugOption,
  cpusOption,
  durationOption,
  executionsOption,
  fullOption,
  jsonOption,
  gpDelayOption,
  patchOption,
  seedOption,
  strategyOption,
} from './options.js'
import { kernelText, patchDocument, subjectOf, type Subject } from './subject.js'
import { EXIT, Terminal, seconds, thousands, untilInterrupted, type ExitCode } from './terminal.js'

interface Options {
  bug?: string
  patch?: string
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
    .argument('<SCENARIO>', 'see racewalk list; or a file that exports one')
    .addOption(bugOption())
    .addOption(patchOption())
    .addOption(executionsOption())
    .addOption(durationOption('--time <T>', 'stop after this time (30s, unless --executions is given)'))
    .addOption(seedOption())
    .addOption(gpDelayOption())
    .addOption(strategyOption())
    .addOption(cpusOption())
    .option('--no-shrink', 'show the execution as it was found, with all its switches')
    .addOption(fullOption())
    .addOption(jsonOption())
    .action(async (id: string, options: Options) => done(await runExplore(id, options)))
}

async function runExplore(id: string, options: Options): Promise<ExitCode> {
  const subject = await subjectOf(id, options)
  const { scenario, bug, patch } = subject
  const terminal = new Terminal(options.json === true)
  const timeMs = options.time ?? (options.executions === undefined ? TIME_DEFAULT_MS : Infinity)
  const { seed, strategy } = options
  const explored = await exploreFor(terminal, timeMs, {
    scenario,
    bug,
    patch,
    seed,
    strategy,
    shrink: options.shrink !== false,
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.executions === undefined ? {} : { executions: options.executions }),
  })
  const cpus = explored.session.machine.config.cpus
  terminal.document(
    documentOf(explored, { scenario: scenario.id, bug: bug?.id ?? null, patch: patchDocument(subject), cpus, seed }),
  )
  terminal.print(summaryText(subject, explored, terminal))
  if (explored.finding === null) return EXIT.clean
  if (!terminal.json) terminal.print(`\n${foundText(explored.finding, subject, options.full === true, terminal)}`)
  return EXIT.finding
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
      found.finding === null
        ? null
        : { ...found.finding, ...named(found.finding, partNames(patched(options.bug ?? null, options.patch ?? null))) }
    return { ...found, finding, seconds: elapsed(), interrupted: signal.aborted }
  })
}

function documentOf(
  explored: Explored,
  run: Pick<RunDocument, 'scenario' | 'bug' | 'patch' | 'cpus' | 'seed'>,
): object {
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
    execution: finding?.execution ?? null,
    switches: finding?.switches ?? null,
    outcomes: Object.fromEntries(outcomes),
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

/** The report on a finding of the controlled engine, with the interleaving. */
export function foundText(
  finding: FoundFinding,
  { scenario, change, replayOptions }: Subject,
  full: boolean,
  terminal: Terminal,
): string {
  const explanation = explain(decodeToken(finding.token), scenario, change)
  const { palette, width } = terminal
  const { machine, rows } = explanation
  const { token } = finding
  return findingText(explanation.finding ?? finding, { machine, rows, palette, width, full, token, replayOptions })
}
