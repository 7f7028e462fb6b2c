import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { main } from '../../dist/src/cli/command.js'
import type { Output } from '../../dist/src/cli/io.js'

/** The command as a file, for tests of processes. */
export const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Calls the command as a script would, without a terminal, in this process. */
export async function racewalk(...args: string[]): Promise<Ended> {
  const written = { out: '', err: '' }
  const outputTo = (name: 'out' | 'err'): Output => ({
    write: (text) => void (written[name] += text),
    isTerminal: false,
    columns: 0,
  })
  const io = { out: outputTo('out'), err: outputTo('err'), hasColours: false, onStop: () => () => {} }
  const code = await main([process.execPath, MAIN, ...args], io)
  return { code, ...written }
}

/** Runs the command in a process of its own, without a terminal. */
export function racewalkProcess(...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' })
  return { code: status, out: stdout, err: stderr }
}

/** The one JSON document on standard output. */
export function document(ended: Ended): Record<string, unknown> {
  return JSON.parse(ended.out) as Record<string, unknown>
}
