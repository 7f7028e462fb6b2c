import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { Machine } from '../dist/src/boot/machine.js'
import { smallMachine } from '../dist/src/boot/config.js'

const SRC = fileURLToPath(new URL('../src', import.meta.url))
const KERNEL_ROOMS = ['sync', 'arch', 'mm', 'isa', 'bug']

/** Names that a kernel room takes from the raw image, with the reason for each: nothing of it is checked. */
const RAW: Readonly<Record<string, readonly string[]>> = {
  // How oracles and reports look at a word of a table.
  'isa/x86_64/word.ts': ['peek32'],
  'isa/s390/word.ts': ['peek32'],
  'isa/powerpc/word.ts': ['peek32'],
  // … and at a maple tree.
  'mm/maple/mapleLook.ts': ['peek32', 'peekF64'],
  // Answers to the final check, when nobody runs.
  'isa/s390/debts.ts': ['load32'],
  'isa/s390/reuse.ts': ['peek32'],
  // A statistic, which nothing is decided by.
  'mm/pageTables.ts': ['add32', 'note'],
  // READ_ONCE() without a schedule point; the header of explore/systematic/dpor.ts lists them.
  'mm/kernel.ts': ['load32'],
  'mm/splitHugePmd.ts': ['load32'],
  'mm/retract.ts': ['load32'],
  'mm/reclaim.ts': ['load32'],
  'mm/collapseScan.ts': ['load32'],
  'bug/rcu.ts': ['load32'],
  // The lock's own words, and the watchdog of readers.
  'sync/rwsem.ts': ['load32'],
  'sync/gracePeriod.ts': ['load32'],
  'sync/expedited.ts': ['load32'],
}

const files = KERNEL_ROOMS.flatMap((room) =>
  readdirSync(join(SRC, room), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `${room}/${path}`),
)

function rawNames(file: string): string[] {
  const code = readFileSync(join(SRC, file), 'utf8')
  const imports = [...code.matchAll(/import (type )?(?:\{([^}]*)\}|\*[^']*) from '[^']*\/image\/image\.js'/g)]
  return imports.flatMap(([, , names]) => (names ?? '*').split(',').map((name) => name.trim())).filter((n) => n !== '')
}

describe('the guards of fields', () => {
  it('are asked for by kernel code, which has no raw peek and poke', () => {
    const named = files.map((file) => ({ file, names: rawNames(file) })).filter(({ names }) => names.length > 0)
    const raw = Object.fromEntries(named.map(({ file, names }) => [file, names]))
    expect(raw).toEqual(RAW)
  })

  it('are there for every field, in words', () => {
    const { layout } = new Machine(smallMachine(2))
    const rules = layout.regions.flatMap(({ struct }) => [...struct.fields.values()].map(([, , { rule }]) => rule))
    expect(rules.length).toBeGreaterThan(200)
    for (const rule of rules) expect(rule).toMatch(/^[a-z].{5,}[^.]$/)
  })
})
