/** `racewalk stress`: a thread for each CPU, as fast as the hardware goes. */
import type { Command } from 'commander'
import { UsageError } from '../base/errors.js'
import type { FreeRunResult, OperationCounts } from '../boot/threads/freeRun.js'
import type { JunitSuite } from '../report/junit.js'
import { findingDocument, type FindingDocument, type RunDocument } from '../report/json.js'
import { named, partNames } from '../report/names.js'
import { findingText } from '../report/text.js'
import { stress } from '../scenario/stress.js'
import { exploreFor, foundText, PLAIN, type Explored } from './explore.js'
import {
  bugOption,
  cpusOption,
  durationOption,
  fullOption,
  gpDelayOption,
  jsonOption,
  patchOption,
  seedOption,
} from './options.js'
import type { Invocation, Io } from './io.js'
import { junitOption, Outputs, type OutputOptions } from './outputs.js'
import { kernelText, patchDocument, subjectOf, type Subject } from './subject.js'
import { EXIT, Terminal, seconds, thousands, type ExitCode } from './terminal.js'

interface Options extends OutputOptions {
  bug?: string
  patch?: string
  cpus?: number
  duration: number
  perturb?: boolean
  explore?: boolean
  seed: number
  gpDelay?: number
  full?: boolean
  json?: boolean
}

const DURATION_DEFAULT_MS = 5_000
/** How long --explore looks for the same violation under chosen schedules. */
const EXPLORE_MS = 30_000

export function addStress(program: Command, { io, done }: Invocation): void {
  program
    .command('stress')
    .description('a thread for each CPU over one memory image: real races at full speed')
    .argument('<SCENARIO>', 'see racewalk list; or a file that exports one')
    .addOption(bugOption())
    .addOption(patchOption())
    .addOption(cpusOption())
    .addOption(durationOption('--duration <T>', 'how long').default(DURATION_DEFAULT_MS, '5s'))
    .option('--perturb', 'stretch the windows: random pauses at the points where another CPU can come between')
    .option('--explore', 'on a finding, go on with chosen schedules until a token replays the same violation')
    .addOption(seedOption())
    .addOption(gpDelayOption())
    .addOption(fullOption())
    .addOption(junitOption())
    .addOption(jsonOption())
    .action(async (id: string, options: Options) => done(await runStress(id, options, io)))
}

async function runStress(id: string, options: Options, io: Io): Promise<ExitCode> {
  if (options.full === true && options.explore !== true)
    throw new UsageError(
      '--full without --explore',
      'threads leave no steps to show',
      'add --explore, or leave --full out',
    )
  const subject = await subjectOf(id, options)
  const terminal = new Terminal(options.json === true, io)
  const outputs = new Outputs(options, terminal)
  const result = await stressFor(terminal, subject, options)
  terminal.print(totalsText(subject, options.perturb === true, result))
  const finding = result.finding === null ? null : findingDocument(result.finding, result.machine, null)
  if (result.finding !== null) terminal.print(`\n${reportText(result, terminal)}`)
  else if (result.fault === null) terminal.print(terminal.palette.good('nothing found'))
  const report = reportText(result, PLAIN)
  const explored =
    result.finding !== null && options.explore === true
      ? await goOn(terminal, subject, result.finding.oracle, options)
      : null
  // Only now: a report's replay takes the image away that addresses are named from.
  if (terminal.json) terminal.document(documentOf(subject, options, result, finding, explored))
  if (result.fault !== null) terminal.print(`\n${terminal.palette.bad('a fault of racewalk itself:')} ${result.fault}`)
  outputs.junit(() => junitOf(subject, options, result, report))
  return outputs.exitCode(result.fault !== null ? EXIT.fault : result.finding !== null ? EXIT.finding : EXIT.clean)
}

/**
 * The report on what a free run found, '' for nothing. Names addresses from the image: before another machine takes it.
 */
function reportText(
  { finding, machine }: FreeRunResult,
  { palette, width }: Pick<Terminal, 'palette' | 'width'>,
): string {
  if (finding === null) return ''
  return findingText(finding, { machine, palette, width, full: false, rows: [], token: null })
}

function junitOf(subject: Subject, options: Options, result: FreeRunResult, text: string): JunitSuite {
  const { finding, fault, seconds: s, machine, operations } = result
  const name = `${subject.scenario.id}, ${kernelText(subject)}`
  const properties = {
    arch: machine.config.arch,
    cpus: String(machine.config.cpus),
    seed: String(options.seed),
    operations: String(sum(operations)),
  }
  const failure = finding === null ? {} : { failure: { type: finding.oracle, message: finding.title, text } }
  const error = fault === null ? {} : { error: fault }
  return { name: 'racewalk stress', properties, cases: [{ name, seconds: s, ...failure, ...error }] }
}

type StressSettings = Pick<Options, 'cpus' | 'duration' | 'perturb' | 'seed'>

export async function stressFor(
  terminal: Terminal,
  { scenario, bug, patch, change }: Subject,
  options: StressSettings,
): Promise<FreeRunResult> {
  return await terminal.untilStopped(async (signal) => {
    const result = await stress({
      scenario,
      bug,
      patch,
      ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
      durationMs: options.duration,
      perturb: options.perturb === true,
      seed: options.seed,
      signal,
      onProgress: ({ seconds: s, perCpu }) =>
        terminal.progress(
          `${scenario.id}: ${thousands(perCpu.reduce((a, b) => a + b, 0))} operations, ${seconds(s)} of ${seconds(options.duration / 1000)} (Ctrl-C stops)`,
        ),
    })
    terminal.quiet()
    return { ...result, finding: result.finding === null ? null : named(result.finding, partNames(change)) }
  })
}

/** The controlled engine on the same scenario, for the same violation. */
async function goOn(terminal: Terminal, subject: Subject, oracle: string, options: Options): Promise<Explored> {
  terminal.print(`\nlooking for the same violation (${oracle}) under chosen schedules …`)
  const explored = await exploreFor(terminal, EXPLORE_MS, {
    scenario: subject.scenario,
    bug: subject.bug,
    patch: subject.patch,
    seed: options.seed,
    wanted: oracle,
  })
  const { finding, executions } = explored
  if (finding === null) terminal.print(`none in ${thousands(executions)} executions`)
  else
    terminal.print(
      `found in execution ${thousands(finding.execution)}:\n\n${terminal.json ? '' : foundText(finding, subject, options.full === true, terminal)}`,
    )
  return explored
}

function documentOf(
  subject: Subject,
  options: Options,
  result: FreeRunResult,
  finding: FindingDocument | null,
  explored: Explored | null,
): object {
  const found = explored?.finding ?? null
  const sameOracle = found !== null && found.oracle === finding?.oracle
  const document: RunDocument = {
    command: 'stress',
    scenario: subject.scenario.id,
    bug: subject.bug?.id ?? null,
    patch: patchDocument(subject),
    engine: options.perturb === true ? 'perturbed' : 'free',
    arch: result.machine.config.arch,
    cpus: result.machine.config.cpus,
    seed: options.seed,
    seconds: result.seconds,
    operations: sum(result.operations),
    findings: finding === null ? [] : [{ ...finding, token: sameOracle ? found.token : null }],
  }
  const { operations: perOperation, perCpu, stopped, fault } = result
  const exploredDocument =
    explored === null
      ? {}
      : {
          explored: {
            executions: explored.executions,
            finding: found === null ? null : findingDocument(found, explored.session.machine, found.token),
          },
        }
  return { ...document, perOperation, perCpu, stopped, fault, ...exploredDocument }
}

/** Totals and rates by operation and CPU. */
export function totalsText(subject: Subject, perturb: boolean, result: FreeRunResult): string {
  const { perCpu, operations } = result
  const s = Math.max(result.seconds, 1e-3)
  const total = sum(operations)
  const lines = [
    `${subject.scenario.id}, ${kernelText(subject)}, ${perCpu.length} CPUs${perturb ? ', perturbed' : ''}: ` +
      `${thousands(total)} operations in ${seconds(result.seconds)}, ${thousands(total / s)} a second${result.stopped === 'interrupted' ? ' (interrupted)' : ''}`,
    '',
    ...ratesTable(operations, perCpu, s),
  ]
  return lines.join('\n')
}

/** CPUs that get a column of their own; more are summed up by their slowest and fastest. */
const CPU_COLUMNS = 8

function ratesTable(operations: OperationCounts, perCpu: readonly OperationCounts[], s: number): string[] {
  const wide = perCpu.length > CPU_COLUMNS
  const heads = wide ? ['slowest CPU', 'fastest CPU'] : perCpu.map((_, cpu) => `CPU ${cpu}`)
  const line = (name: string, total: number, cells: number[]): string =>
    `  ${name.padEnd(14)}${thousands(total).padStart(14)}${`${thousands(total / s)}/s`.padStart(14)}${cells.map((n) => thousands(n).padStart(13)).join('')}`
  const spread = (counts: number[]): number[] => (wide ? [Math.min(...counts), Math.max(...counts)] : counts)
  const names = Object.keys(operations) as (keyof OperationCounts)[]
  return [
    `  ${'operation'.padEnd(14)}${'total'.padStart(14)}${'rate'.padStart(14)}${heads.map((head) => head.padStart(13)).join('')}`,
    ...names.map((name) => line(name, operations[name] ?? 0, spread(perCpu.map((counts) => counts[name] ?? 0)))),
    line('all', sum(operations), spread(perCpu.map(sum))),
  ]
}

export function sum(counts: OperationCounts): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
