import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

// The map of the rooms, as in src/README.md: a room imports from rooms above it. Rooms on one line do not import each
// other. Types count: a type of a room below is knowledge of that room.
const ROOMS = [
  ['base'],
  ['machine', 'input'],
  ['sync'],
  ['arch'],
  ['mm'],
  ['isa'],
  ['bug', 'check'],
  ['program'],
  ['subsystem'],
  ['boot'],
  ['scenario'],
  ['explore'],
  ['report'],
  ['cli'],
] as const

const SRC = fileURLToPath(new URL('../src', import.meta.url))
const rankOf = (room: string): number => ROOMS.findIndex((line) => (line as readonly string[]).includes(room))
const roomOf = (path: string): string => relative(SRC, path).split('/')[0] ?? ''

interface Edge {
  readonly file: string
  readonly from: string
  readonly to: string
}

function importsOf(file: string): string[] {
  const code = readFileSync(file, 'utf8')
  return [
    ...code.matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^'"\n;]*?(?:\n[^'"]*?)?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)/g,
    ),
  ].map((m) => (m[1] ?? m[2]) as string)
}

function edges(): Edge[] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  return files.flatMap((path) => {
    const file = join(SRC, path)
    const from = roomOf(file)
    const targets = importsOf(file).filter((target) => target.startsWith('.'))
    return targets.map((target) => ({ file: path, from, to: roomOf(join(dirname(file), target)) }))
  })
}

const isRoom = (name: string): boolean => !name.endsWith('.ts') && !name.endsWith('.js')
const crossing = edges().filter(({ from, to }) => isRoom(from) && isRoom(to) && from !== to)

describe('imports between the rooms of src/', () => {
  it('are found at all', () => {
    expect(crossing.length).toBeGreaterThan(200)
  })

  it('go to rooms of the map only', () => {
    expect(crossing.filter(({ from, to }) => rankOf(from) < 0 || rankOf(to) < 0).map(said)).toEqual([])
  })

  it('go upwards only', () => {
    const wrong = crossing.filter(({ from, to }) => rankOf(to) >= rankOf(from)).map(said)
    expect([...new Set(wrong)]).toEqual([])
  })

  it('never reach the public files, which are for the outside', () => {
    expect(
      edges()
        .filter(({ from, to }) => isRoom(from) && /^(index|kernel|vitest)\./.test(to))
        .map(said),
    ).toEqual([])
  })
})

// The maps inside the two rooms that have rooms of their own; `files`: those beside the folders.
const SUBROOMS = {
  explore: [
    ['session'],
    ['schedule'],
    ['strategy'],
    ['systematic'],
    ['insight'],
    ['shrink'],
    ['files'],
    ['shards', 'compare'],
  ],
  boot: [['lower'], ['files'], ['module'], ['threads'], ['recording']],
}

/** Imports between the rooms of `room`. */
function inside(room: string): Edge[] {
  const path = join(SRC, room)
  const subroomOf = (file: string): string => {
    const [first = '', ...rest] = relative(path, file).split('/')
    return rest.length === 0 ? 'files' : first
  }
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  return files.flatMap((file) => {
    const from = subroomOf(join(path, file))
    const targets = importsOf(join(path, file)).map((target) => join(path, dirname(file), target))
    const own = targets.filter((target) => target.startsWith(`${path}/`))
    return own.map((target) => ({ file, from, to: subroomOf(target) })).filter(({ to }) => to !== from)
  })
}

describe.each(Object.entries(SUBROOMS))('imports between the rooms of src/%s/', (room, lines) => {
  const rank = (name: string): number => lines.findIndex((line) => line.includes(name))
  const within = inside(room)

  it('go to rooms of the map, and upwards only', () => {
    expect(within.length).toBeGreaterThan(10)
    const wrong = within.filter(({ from, to }) => rank(from) < 0 || rank(to) < 0 || rank(to) >= rank(from))
    expect([...new Set(wrong.map(said))]).toEqual([])
  })
})

// Modules that import each other's values run in an order that depends on who is loaded first. `import type` is erased,
// and import() runs later, so neither counts; `import { type X }` stays as an import of nothing, and does.
const ROOT = dirname(SRC)
const VALUES = /^(?:import|export)\s+(?!type\b)(?:[^'";]*?\sfrom\s+)?'(\.[^']+)\.js'/gm

function valueImports(): Map<string, string[]> {
  const paths = ['src', 'workers', 'bench'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
  )
  const files = paths.filter((path) => path.endsWith('.ts'))
  const targets = (file: string): string[] =>
    [...readFileSync(join(ROOT, file), 'utf8').matchAll(VALUES)].map(([, to]) => join(dirname(file), `${to}.ts`))
  return new Map(files.map((file) => [file, targets(file).filter((to) => files.includes(to))]))
}

/** Takes away files that import no file that is left, until none does: what stays is in a circle, or leads into one. */
function inCircles(imports: Map<string, string[]>): string[] {
  const left = new Map(imports)
  for (let before = -1; before !== left.size;) {
    before = left.size
    for (const [file, targets] of left) if (!targets.some((to) => left.has(to))) left.delete(file)
  }
  return [...left].map(([file, targets]) => `${file} imports ${targets.filter((to) => left.has(to)).join(', ')}`)
}

describe('imports of values', () => {
  const imports = valueImports()

  it('are found in src/, workers/ and bench/', () => {
    expect(imports.size).toBeGreaterThan(250)
    expect(imports.get('bench/free.ts')).toEqual(['bench/harness.ts'])
    expect(imports.get('src/machine/cpu/cpu.ts')).toContain('src/machine/cpu/ipi.ts')
  })

  it('make no circle', () => {
    expect(
      inCircles(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
          ['d', []],
        ]),
      ),
    ).toHaveLength(3)
    expect(inCircles(imports)).toEqual([])
  })
})

function said({ file, from, to }: Edge): string {
  return `${file}: ${from} imports ${to}`
}
