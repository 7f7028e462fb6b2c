/**
 * Every bench runs to its end, on the smallest parameters, and prints what it is asked for. Their figures are not
 * tests.
 */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Where each bench is run from, and a line that only a complete run prints. Free-running ones need the stripped form.
 */
const BENCHES: Readonly<Record<string, readonly [path: string, output: RegExp]>> = {
  bugs: ['dist/bench/bugs.js', /pmdp-inval-addr.* 1\/1 /],
  controlled: ['dist/bench/controlled.js', /gup-vs-split .*portfolio .*\d/],
  detectors: ['dist/bench/detectors.js', /│ mixed +│ \d+/],
  free: ['dist/free/bench/free.js', /an IPI to another thread.*\d/],
  mappings: ['dist/free/bench/mappings.js', /│ 100 +│ \d+ +│ \d+ +│ [\d.]+/],
  replays: ['dist/bench/replays.js', /^3 of 3 findings replay/m],
  shards: ['dist/bench/shards.js', /│ gup-vs-split +│ 2 +│ \d+/],
  shrink: ['dist/bench/shrink.js', /pmdp-inval-addr.* 8 → 1 /],
  survive: ['dist/bench/survive.js', /^mixed: \d+ executions, \d+\/s, clean$/m],
  throughput: ['dist/free/bench/throughput.js', /one page: gup_fast and put +│ 1 +│ \d+/],
}
const PARTS = ['freeBenches', 'harness', 'ipi', 'ipiPeer', 'manyMappings']

describe('benches', () => {
  it('are all here', () => {
    const files = readdirSync(`${root}/bench`).map((file) => file.replace(/\.ts$/, ''))
    expect(files.sort()).toEqual([...Object.keys(BENCHES), ...PARTS].sort())
  })

  it.each(Object.entries(BENCHES))('%s runs', async (_, [path, output]) => {
    const { stdout } = await run(process.execPath, [path], {
      cwd: root,
      env: { ...process.env, RACEWALK_BENCH: 'smoke' },
    })
    expect(stdout).toMatch(output)
  })
})
