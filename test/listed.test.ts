import { readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bugs } from '../dist/src/bug/index.js'
import { ARCHITECTURES } from '../dist/src/isa/index.js'
import { pgallocDesigns } from '../dist/src/isa/designs.js'
import { Pgalloc } from '../dist/src/mm/pgalloc/pgalloc.js'
import { scenarioById, scenarios } from '../dist/src/scenario/catalog/index.js'
import { SUBSYSTEMS } from '../dist/src/subsystem/index.js'
import { ROOT } from './documents.js'

// What is written and not listed would be code that nobody can reach. Each folder's modules are read here, and what
// they export has to be in the list that the commands use: a step that "How to add" (src/README.md) has and somebody
// forgot.

const DIST = join(ROOT, 'dist/src')

const modules = (folder: string): string[] =>
  readdirSync(join(DIST, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.js'))
    .map((path) => join(DIST, folder, path))

async function exported(folder: string): Promise<{ name: string; value: unknown }[]> {
  const loaded = await Promise.all(modules(folder).map((path) => import(path) as Promise<Record<string, unknown>>))
  return loaded.flatMap((module) => Object.entries(module).map(([name, value]) => ({ name, value })))
}

const hasFields = (value: unknown, ...fields: string[]): boolean =>
  typeof value === 'object' && value !== null && fields.every((field) => field in value)

const twice = (ids: readonly string[]): string[] => ids.filter((id, i) => ids.indexOf(id) < i)

describe('listed are', () => {
  it('the bugs of bug/, in bugs', async () => {
    const all = (await exported('bug')).filter(({ value }) => hasFields(value, 'id', 'symptom', 'parts'))
    expect(all.length).toBeGreaterThan(50)
    expect(all.filter(({ value }) => !bugs.some((bug) => bug === value)).map(({ name }) => name)).toEqual([])
    expect(twice(bugs.map(({ id }) => id))).toEqual([])
  })

  it('the scenarios of scenario/catalog/, in scenarios', async () => {
    const all = (await exported('scenario/catalog')).filter(({ value }) => hasFields(value, 'id', 'cpus', 'build'))
    expect(all.length).toBeGreaterThan(50)
    expect(all.filter(({ value }) => !scenarios.some((one) => one === value)).map(({ name }) => name)).toEqual([])
    expect(twice(scenarios.map(({ id }) => id))).toEqual([])
  })

  it('the folders of isa/, in ARCHITECTURES', async () => {
    const folders = readdirSync(join(DIST, 'isa'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
    for (const { name } of folders) {
      const rows = Object.values((await import(join(DIST, 'isa', name, 'arch.js'))) as object)
      expect(
        rows.filter((row) => ARCHITECTURES.some((arch) => arch === row)),
        name,
      ).toHaveLength(1)
    }
    expect(ARCHITECTURES).toHaveLength(folders.length)
  })

  it('the subsystems of subsystem/, in SUBSYSTEMS', async () => {
    const files = readdirSync(join(DIST, 'subsystem')).filter((file) => file.endsWith('.js'))
    const rows = files.filter((file) => !['index.js', 'subsystem.js'].includes(file))
    for (const file of rows) {
      const exports = Object.values((await import(join(DIST, 'subsystem', file))) as object)
      expect(
        exports.filter((value) => SUBSYSTEMS.some((subsystem) => subsystem === value)),
        file,
      ).toHaveLength(1)
    }
    expect(SUBSYSTEMS).toHaveLength(rows.length)
  })

  it('the designs of page tables, in their architectures or in a bug', async () => {
    const listed = new Set<unknown>([
      ...pgallocDesigns().map(({ part }) => part),
      ...bugs.flatMap(({ parts }) => Object.values(parts)),
    ])
    const classes = [...(await exported('isa')), ...(await exported('mm/pgalloc'))].filter(
      ({ value }) => typeof value === 'function' && value.prototype instanceof Pgalloc,
    )
    expect(classes.length).toBeGreaterThan(8)
    const isBase = (type: unknown): boolean =>
      [...classes.map(({ value }) => value), ...listed].some((other) => Object.getPrototypeOf(other) === type)
    expect(classes.filter(({ value }) => !listed.has(value) && !isBase(value)).map(({ name }) => name)).toEqual([])
  })

  it('the oracles of check/, among those that watch a machine', () => {
    const files = readdirSync(join(ROOT, 'src/check')).filter((file) => file.endsWith('.ts'))
    const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => ({ path, code: readFileSync(join(ROOT, 'src', path), 'utf8') }))
    const unused = files.filter((file) => {
      const name = basename(file, '.ts')
      return !sources.some(({ path, code }) => basename(path) !== file && code.includes(`/${name}.js'`))
    })
    expect(unused).toEqual([])
  })
})

it('a bug names scenarios that exist', () => {
  for (const { scenarios: shownBy } of bugs) for (const id of shownBy) expect(scenarioById(id)).toBeDefined()
})
