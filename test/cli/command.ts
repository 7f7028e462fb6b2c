import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the built command as a script would: no terminal. */
export function racewalk(...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    timeout: 110_000,
  })
  return { code: status, out: stdout, err: stderr }
}

/** The one JSON document on standard output. */
export function document(ended: Ended): Record<string, unknown> {
  return JSON.parse(ended.out) as Record<string, unknown>
}
