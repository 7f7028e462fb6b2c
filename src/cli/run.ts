/** `racewalk run`: a recording of a real program, on simulated CPUs. */
import { constants } from 'node:os'
import type { Command } from 'commander'
import type { Patch } from '../bug/patch.js'
import { loadPatch } from '../boot/module/load.js'
import { runRecording } from '../boot/recording/runRecording.js'
import type { RunRecordingResult } from '../boot/recording/runRecording.types.js'
import { formatVma } from '../input/maps.js'
import { findingDocument, type RunDocument } from '../report/json.js'
import type { JunitCase, JunitSuite } from '../report/junit.js'
import { findingText } from '../report/text.js'
import { PLAIN } from './explore.js'
import type { Invocation } from './io.js'
import { cpusOption, jsonOption, patchOption } from './options.js'
import { junitOption, Outputs, type OutputOptions } from './outputs.js'
import { patchDocument } from './subject.js'
import { sum } from './stress.js'
import { EXIT, Terminal, seconds, thousands, type ExitCode } from './terminal.js'

interface Options extends OutputOptions {
  patch?: string
  cpus?: number
  json?: boolean
}

export function addRun(program: Command, { io, done }: Invocation): void {
  program
    .command('run')
    .description('an strace recording of a real program, with gup_fast and khugepaged racing it')
    .argument('<FILE>', 'log of strace -f -y -tt -T -e trace=memory,…; its snapshots in NAME.maps beside it')
    .addOption(patchOption())
    .addOption(cpusOption())
    .addOption(junitOption())
    .addOption(jsonOption())
    .action(async (file: string, options: Options) => {
      const terminal = new Terminal(options.json === true, io)
      const outputs = new Outputs(options, terminal)
      const patch = options.patch === undefined ? null : await loadPatch(options.patch)
      const result = await runFor(terminal, file, options.cpus, patch)
      terminal.document(documentOf(result, options.cpus, patch))
      terminal.print(recordingText(result, terminal))
      outputs.junit(() => junitOf(result))
      done(outputs.exitCode(exitCodeOf(result)))
    })
}

export async function runFor(
  terminal: Terminal,
  file: string,
  cpus: number | undefined,
  patch: Patch | null = null,
): Promise<RunRecordingResult> {
  return await terminal.untilStopped(async (signal) => {
    const result = await runRecording({
      file,
      patch,
      ...(cpus === undefined ? {} : { cpus }),
      signal,
      onProgress: ({ seconds: s, perCpu }) =>
        terminal.progress(`${file}: ${thousands(perCpu.reduce((a, b) => a + b, 0))} operations, ${seconds(s)}`),
    })
    terminal.quiet()
    return result
  })
}

/** A difference from the real kernel is a finding too. */
export function exitCodeOf({ fault, finding, mismatches, mapsDifferences }: RunRecordingResult): ExitCode {
  if (fault !== null) return EXIT.fault
  return finding !== null || mismatches.length > 0 || mapsDifferences.length > 0 ? EXIT.finding : EXIT.clean
}

function documentOf(result: RunRecordingResult, cpus: number | undefined, patch: Patch | null): object {
  const { file, processes, skipped, operations, notReplayed, mismatches, mapsDifferences, interrupted } = result
  const { finding, machine, fault } = result
  const document: RunDocument = {
    command: 'run',
    scenario: null,
    bug: null,
    patch: patchDocument({ patch }),
    engine: 'free',
    arch: machine.config.arch,
    cpus: cpus ?? Math.max(0, ...processes.map((process) => process.cpus)),
    seed: null,
    seconds: result.seconds,
    operations: sum(operations),
    findings: finding === null ? [] : [findingDocument(finding, machine, null)],
  }
  const compared = { notReplayed, mismatches, mapsDifferences }
  return { ...document, file, perOperation: operations, interrupted, processes, skipped, ...compared, fault }
}

export function recordingText(result: RunRecordingResult, terminal: Terminal): string {
  const { file, processes, operations, finding, fault, machine } = result
  const { palette, width } = terminal
  const lines = [`${file}: ${thousands(sum(operations))} operations in ${seconds(result.seconds)}`]
  for (const { pid, threads, cpus, calls, mappings } of processes)
    lines.push(
      `  process ${pid}: ${threads} ${threads === 1 ? 'thread' : 'threads'} on ${cpus} CPUs, ${calls} calls replayed, ${mappings} mappings at the end`,
    )
  lines.push(...omittedLines(result))
  lines.push(...shortened(differenceLines(result)).map((line) => palette.bad(line)))
  if (result.interrupted) lines.push(palette.bad(interruptedText(result)))
  else if (agrees(result)) lines.push(palette.good(agreementText(result)))
  if (finding !== null)
    lines.push('', findingText(finding, { machine, palette, width, full: false, rows: [], token: null }))
  if (fault !== null) lines.push('', `${palette.bad('a fault of racewalk itself:')} ${fault}`)
  return lines.join('\n')
}

const agrees = ({ mismatches, mapsDifferences, finding, fault }: RunRecordingResult): boolean =>
  mismatches.length + mapsDifferences.length === 0 && finding === null && fault === null

function agreementText({ notReplayed }: RunRecordingResult): string {
  const calls = notReplayed.length === 0 ? 'every call' : 'every call that was replayed'
  const mappings = notReplayed.length === 0 ? 'the mappings' : 'the mappings that no other call made or changed'
  return `${calls} returned what the real kernel returned, and ${mappings} at the end are those of the snapshot`
}

function interruptedText({ skipped }: RunRecordingResult): string {
  const others = skipped.length === 0 ? '' : `; not begun: ${skipped.map((pid) => `process ${pid}`).join(', ')}`
  return `interrupted: the mappings of the process at hand were not compared${others}`
}

/** Calls that were not replayed: how many, and each with its line and reason. */
function omittedLines({ notReplayed }: RunRecordingResult): string[] {
  if (notReplayed.length === 0) return []
  const texts = notReplayed.map(({ pid, line, call, reason }) => `  line ${line}: ${call} of process ${pid}: ${reason}`)
  const count = notReplayed.length === 1 ? '1 call' : `${thousands(notReplayed.length)} calls`
  return [`${count} not replayed:`, ...shortened(texts)]
}

/**
 * A case for each process, which fails when it differs from the real kernel, and one for the kernel under them, with
 * the time of all.
 */
function junitOf(result: RunRecordingResult): JunitSuite {
  const { file, processes, operations, finding, fault, machine, seconds: s } = result
  const cases = processes.map(({ pid }): JunitCase => {
    const text = differenceLines(result, pid).join('\n')
    const message = `process ${pid} differs from the real kernel`
    return {
      name: `process ${pid}`,
      seconds: 0,
      ...(text === '' ? {} : { failure: { type: 'difference', message, text } }),
    }
  })
  const text = finding === null ? '' : findingText(finding, { machine, ...PLAIN, full: false, rows: [], token: null })
  const failure = finding === null ? {} : { failure: { type: finding.oracle, message: finding.title, text } }
  cases.push({ name: 'kernel', seconds: s, ...failure, ...(fault === null ? {} : { error: fault }) })
  const properties = { file, arch: machine.config.arch, operations: String(sum(operations)) }
  return { name: 'racewalk run', properties, cases }
}

/** Differences that are printed; --json has them all. */
const DIFFERENCES_SHOWN = 12

function shortened(lines: readonly string[]): readonly string[] {
  const more = lines.length - DIFFERENCES_SHOWN
  return more <= 0 ? lines : [...lines.slice(0, DIFFERENCES_SHOWN), `  … and ${more} more (--json has all)`]
}

/** Of process `only`, or of all. */
function differenceLines({ mismatches, mapsDifferences }: RunRecordingResult, only?: number): string[] {
  const isWanted = ({ pid }: { pid: number }): boolean => only === undefined || pid === only
  const calls = mismatches.filter(isWanted).map((mismatch) => mismatchText(mismatch))
  const mappings = mapsDifferences
    .filter(isWanted)
    .flatMap(({ pid, expected, found }) => [
      ...(expected === undefined ? [] : [`  process ${pid}: missing   ${formatVma(expected)}`]),
      ...(found === undefined ? [] : [`  process ${pid}: surplus   ${formatVma(found)}`]),
    ])
  return [...calls, ...mappings]
}

function mismatchText({ pid, line, op, expected, found }: RunRecordingResult['mismatches'][number]): string {
  const [ours, theirs] = [found, expected].map(resultText)
  return `  process ${pid}, line ${line}: ${op.op} returned ${ours}, the real kernel ${theirs}`
}

function resultText(result: number): string {
  const error = Object.entries(constants.errno).find(([, number]) => number === -result)?.[0]
  return error === undefined ? String(result) : `${result} (${error})`
}
