/**
 * `racewalk demo`, which npm start runs: fixed code survives, a bug is caught, explained and replayed, a recording
 * runs.
 */
import type { Command } from 'commander'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodeToken } from '../explore/schedule/token.js'
import { explain } from '../report/explain.js'
import { replayCommand } from '../report/text.js'
import { exploreFor, foundText } from './explore.js'
import type { Invocation } from './io.js'
import { exitCodeOf, recordingText, runFor } from './run.js'
import { stressFor, totalsText } from './stress.js'
import { subjectOf, subjectOfToken } from './subject.js'
import { EXIT, Terminal, seconds, thousands, type ExitCode } from './terminal.js'

const SCENARIO = 'gup-vs-collapse'
const BUG = 'gup-collapse-pmd'
const STRESS_MS = 5_000
const EXPLORE_MS = 30_000
const RECORDING = '../../../test/fixtures/strace/ls.strace'

export function addDemo(program: Command, { io, done }: Invocation): void {
  program
    .command('demo')
    .description('a tour in under a minute: what npm start runs')
    .action(async () => done(await demo(new Terminal(false, io))))
}

/** The bug is found on purpose: the demo is clean when everything else is. */
async function demo(terminal: Terminal): Promise<ExitCode> {
  const survived = await stressFixedCode(terminal)
  const token = await catchABug(terminal)
  if (token !== null) await replayIt(terminal, token)
  const ran = await runARecording(terminal)
  tryNext(terminal, token)
  return survived && token !== null && ran ? EXIT.clean : EXIT.fault
}

function heading(terminal: Terminal, text: string): void {
  terminal.print(`\n${terminal.palette.strong(`── ${text}`)}\n`)
}

async function stressFixedCode(terminal: Terminal): Promise<boolean> {
  const subject = await subjectOf(SCENARIO, {})
  heading(terminal, `1. Real threads, fixed code, ${seconds(STRESS_MS / 1000)}: ${subject.scenario.summary}`)
  const result = await stressFor(terminal, subject, { duration: STRESS_MS, seed: 1 })
  terminal.print(totalsText(subject, false, result))
  const { finding, fault } = result
  if (finding === null && fault === null)
    terminal.print(`\n${terminal.palette.good('nothing found: the fixed code survives')}`)
  else terminal.print(terminal.palette.bad(`\nthis should not be: ${finding?.title ?? fault}`))
  return finding === null && fault === null
}

async function catchABug(terminal: Terminal): Promise<string | null> {
  const subject = await subjectOf(SCENARIO, { bug: BUG })
  const { scenario, bug } = subject
  heading(terminal, `2. The same scenario with an upstream bug: ${bug?.number} of ${bug?.year}, ${bug?.id}`)
  terminal.print(`${bug?.summary}\n`)
  const explored = await exploreFor(terminal, EXPLORE_MS, { scenario, bug, seed: 2, shrink: true })
  const { finding, executions } = explored
  if (finding === null) {
    terminal.print(terminal.palette.bad(`this should not be: not found in ${thousands(executions)} executions`))
    return null
  }
  terminal.print(`caught in execution ${thousands(finding.execution)} after ${seconds(explored.seconds)}:\n`)
  terminal.print(foundText(finding, subject, false, terminal))
  return finding.token
}

async function replayIt(terminal: Terminal, text: string): Promise<void> {
  heading(terminal, '3. The token replays it')
  const token = decodeToken(text)
  const { scenario, change } = await subjectOfToken(token, {})
  const { exact, finding, steps } = explain(token, scenario, change)
  terminal.print(
    `${steps} accesses, ${exact ? 'replayed step for step' : 'not as recorded'}: ${finding?.title ?? 'nothing found'}`,
  )
}

async function runARecording(terminal: Terminal): Promise<boolean> {
  heading(terminal, '4. A recording of a real program (ls), with gup_fast and khugepaged racing it')
  const result = await runFor(terminal, relative('', fileURLToPath(new URL(RECORDING, import.meta.url))), undefined)
  terminal.print(recordingText(result, terminal))
  return exitCodeOf(result) === EXIT.clean
}

function tryNext(terminal: Terminal, token: string | null): void {
  const { command } = terminal.palette
  heading(terminal, 'Try next')
  terminal.print(`  ${command(token === null ? 'npx racewalk list' : `${replayCommand(token)} --html race.html`)}`)
  terminal.print(`  ${command('npx racewalk explore gup-vs-split --bug pmdp-inval-addr')}`)
  terminal.print(`  ${command('npx racewalk stress mixed --cpus 8 --duration 30s')}`)
  terminal.print(`  ${command('npx racewalk guide')}`)
}
