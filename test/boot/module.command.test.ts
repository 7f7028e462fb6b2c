import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  UsageError,
  bugs,
  definePatch,
  explain,
  decodeToken,
  explore,
  loadBug,
  loadPatch,
  loadScenario,
  MAINLINE,
  scenarioById,
  stress,
  type Patch,
} from '../../dist/src/index.js'
import { patched } from '../../dist/src/bug/patch.js'
import { smallMachine } from '../../dist/src/boot/config.js'
import { Machine } from '../../dist/src/boot/machine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'racewalk-module-')))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
/** A file with `code` in it. */
function file(code: string, ending = 'ts', name = `m${files++}`): string {
  const path = join(folder, `${name}.${ending}`)
  writeFileSync(path, code)
  return path
}

/** A patch of gup_fast with `methods`, which begin on line 6. */
const patch = (
  methods: string,
  head = "import { definePatch, pteSame, type PhysAddr, type PteWord, type Step } from 'racewalk/kernel'",
): string =>
  `${head}
export default definePatch({
  parts: {
    GupFast: (Base) =>
      class extends Base {
${methods}
      },
  },
})
`

const ARGUMENTS = 'pmd: PteWord, pmdp: PhysAddr, pte: PteWord, ptep: PhysAddr'
const LOOKS_AGAIN = `
        protected override *pteUnchanged(${ARGUMENTS}): Step<boolean> {
          if (!pteSame((yield* this.cpu.readOnce64(ptep)) as PteWord, pte)) return false
          return (yield* this.cpu.readOnce64(pmdp)) === pmd
        }
        protected override *pmdUnchanged(pmd: PteWord, pmdp: PhysAddr): Step<boolean> {
          return (yield* this.cpu.readOnce64(pmdp)) === pmd
        }`
const NEVER_LOOKS = `
        protected override *pteUnchanged(): Step<boolean> {
          return true
        }
        protected override *pmdUnchanged(): Step<boolean> {
          return true
        }`

const bugNamed = (id: string) => bugs.find((bug) => bug.id === id) ?? null

describe('a patch from a file', () => {
  it('cures the bug that it is put on top of', async () => {
    const cure = await loadPatch(file(patch(LOOKS_AGAIN)))
    const options = { scenario: scenarioById('gup-vs-split'), bug: bugNamed('no-recheck'), executions: 300 }
    expect(explore(options).finding?.title).toMatch(/not exclusive|was no longer/)
    expect(explore({ ...options, patch: cure }).finding).toBeNull()
  })

  it('breaks mainline, whose methods keep their names but for those that it replaces', async () => {
    const broken = await loadPatch(file(patch(NEVER_LOOKS).replace('class extends', 'class Trusting extends')))
    const scenario = scenarioById('gup-vs-dontneed-broadcast')
    const { finding } = explore({ scenario, patch: broken, executions: 5000, shrink: true })
    expect(finding).not.toBeNull()
    const { rows } = explain(decodeToken(finding?.token ?? ''), scenario, patched(null, broken))
    const names = new Set(rows.flatMap((row) => (row.kind === 'access' ? row.stack : [])))
    expect([...names].filter((name) => name.startsWith('GupFast.'))).toContain('GupFast.gupFast')
    expect([...names].filter((name) => name.startsWith('Trusting.'))).toEqual([])
  })

  it('makes its accesses under schedule points, under the name of its class', async () => {
    const cure = await loadPatch(file(patch(LOOKS_AGAIN)))
    const scenario = scenarioById('gup-vs-split')
    const { finding } = explore({ scenario, bug: bugNamed('no-recheck'), executions: 600 })
    const { rows } = explain(decodeToken(finding?.token ?? ''), scenario, patched(bugNamed('no-recheck'), cure))
    const steps = rows.flatMap((row) => (row.kind === 'access' ? [row] : []))
    expect(steps.find(({ stack }) => /^PatchedGupFast\.p(te|md)Unchanged$/.test(stack[0] ?? ''))?.access).toBe(
      'readOnce64',
    )
  })

  it('is one class for all CPUs, and goes on top of what the architecture has', async () => {
    const head = "import { definePatch } from 'racewalk'\nimport { S390PtOps } from 'racewalk/kernel'\n"
    const onTop = await loadPatch(
      file(`${head}
export default definePatch({ parts: { PtOps: (Base) => class extends Base { isS390: boolean = this instanceof S390PtOps } } })`),
    )
    const kernels = (arch: 'x86-64' | 's390') => {
      const small = smallMachine(2)
      const kernel = {
        ...small.kernel,
        flushStyle: 'broadcast',
        pgalloc: arch === 's390' ? 's390-full-page' : 'one-page',
      } as const
      const machine = new Machine(
        arch === 's390' ? { ...small, arch, kernel, fragments: 2, frameBytes: 128 } : { ...small, kernel },
      )
      return [0, 1].map((id) => machine.makeCpu(id, new SoloEngine(), patched(null, onTop)).kernel.ops)
    }
    const [first, second] = kernels('x86-64')
    expect(first?.constructor).toBe(second?.constructor)
    expect([first, ...kernels('s390')].map((ops) => (ops as unknown as { isS390: boolean }).isS390)).toEqual([
      false,
      true,
      true,
    ])
  })

  it('runs free in the threads, and perturbed', async () => {
    const broken = await loadPatch(file(patch(NEVER_LOOKS)))
    const scenario = scenarioById('gup-vs-dontneed-broadcast')
    for (const perturb of [false, true]) {
      const { finding, fault } = await stress({ scenario, patch: broken, perturb, durationMs: 300_000 })
      expect(fault).toBeNull()
      expect(finding).not.toBeNull()
    }
  })

  it('may be JavaScript, and import files of its own', async () => {
    file('export const yes = true\n', 'mjs', 'answers')
    const head = "import { definePatch } from 'racewalk'\nimport { yes } from './answers.mjs'"
    const code = patch('        *pteUnchanged() { return yes } *pmdUnchanged() { return yes }', head)
    const broken = await loadPatch(file(code, 'mjs'))
    const scenario = scenarioById('gup-vs-dontneed-broadcast')
    expect(explore({ scenario, patch: broken, executions: 5000 }).finding).not.toBeNull()
  })

  it('is compiled anew when it, or a file that it imports, has changed', async () => {
    const head = "import { definePatch } from 'racewalk'\nimport { summary } from './words.js'"
    const path = file(patch('', head).replace('parts:', 'summary,\n  parts:'))
    const summaryOf = async (): Promise<string | undefined> => (await loadPatch(path)).summary
    file("export const summary = 'first'\n", 'ts', 'words')
    expect([await summaryOf(), await summaryOf()]).toEqual(['first', 'first'])
    file("export const summary = 'second'\n", 'ts', 'words')
    expect(await summaryOf()).toBe('second')
  })
})

describe('a bug from a file', () => {
  it('runs in both engines', async () => {
    const code = `import { defineBug, GupFast, type Step } from 'racewalk/kernel'
class Trusting extends GupFast {${NEVER_LOOKS}
}
export default defineBug({
  id: 'trusting', number: 'mutant', year: null, upstream: null, summary: 's', symptom: 's', scenarios: [],
  parts: { GupFast: Trusting },
  config: { flushStyle: 'broadcast' },
})`
    const bug = await loadBug(file(code))
    expect(explore({ scenario: scenarioById('gup-vs-split'), bug, executions: 5000 }).finding).not.toBeNull()
    const scenario = scenarioById('gup-vs-dontneed-broadcast')
    expect((await stress({ scenario, bug, durationMs: 300_000 })).finding).not.toBeNull()
  })
})

describe('a scenario from a file', () => {
  const code = `import { defineScenario, mapAnonymous, load, store } from 'racewalk'
export default defineScenario({
  id: 'own', summary: 's', arch: 'x86-64', cpus: 2,
  build: (s) => ({ boot: [mapAnonymous(s.page(0), s.pageSize)], programs: [[store(s.page(0))], [load(s.page(0))]] }),
})`

  it('is explored like one of the catalogue', async () => {
    const scenario = await loadScenario(file(code))
    expect(explore({ scenario, executions: 50 })).toMatchObject({ executions: 50, finding: null })
  })

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['without an id', code.replace("id: 'own'", "id: ''"), /exports no scenario: its id/],
    ['with a program too few', code.replace(', [load(s.page(0))]', ''), /made 1 programs for 2 CPUs/],
    ['whose build() throws', code.replace('s.page(0)', "s.page(JSON.parse('{'))"), /m\d+\.ts:4:\d+: SyntaxError/],
    [
      'with a wrong operation',
      code.replace('[store(s.page(0))]', "[{ op: 'stroe' }]"),
      /does not compile\n.*m\d+\.ts:4:/,
    ],
  ]
  it.each(refused)('is refused %s', async (_, wrong, message) => {
    await expect(loadScenario(file(wrong))).rejects.toThrow(UsageError)
    await expect(loadScenario(file(wrong))).rejects.toThrow(message)
  })
})

// In TypeScript the compiler says it, with its own words; in JavaScript racewalk does.
describe('a patch is refused, with file and line,', () => {
  const refused: readonly (readonly [string, string, string, RegExp])[] = [
    [
      'that does not parse',
      patch('        *pteUnchanged( {'),
      'ts',
      /does not compile\n.*\.ts:8:3: Parameter declaration expected/,
    ],
    [
      'that does not type-check',
      patch('\n        protected override *pteUnchanged(): Step<number> { return 1 }'),
      'ts',
      /does not compile\n[^]*\.ts:7:29: .*pteUnchanged[^]*'number' is not assignable to type 'boolean'/,
    ],
    [
      'of a part that does not exist',
      patch('').replace('GupFast', 'GupFsat'),
      'ts',
      /\.ts:4:5: .*mean to write 'GupFast'/,
    ],
    [
      '… in JavaScript',
      patch('', '').replace('GupFast', 'GupFsat').replace('definePatch', ''),
      'mjs',
      /\.mjs:4:5: the kernel has no part 'GupFsat'[^]*did you mean 'GupFast'/,
    ],
    [
      'that overrides what does not exist',
      patch('        override *pteUnchnged(): Step<boolean> { return true }'),
      'ts',
      /\.ts:6:19: .*mean 'pteUnchanged'/,
    ],
    [
      'that overrides nothing and calls it nowhere',
      patch('        *pteUnchnged(): Step<boolean> { return true }'),
      'ts',
      /\.ts:6:10: pteUnchnged\(\) overrides nothing in GupFast, and nothing calls it[^]*did you mean 'pteUnchanged'/,
    ],
    [
      '… in JavaScript',
      patch('        *pteUnchnged() { return true }', "import { definePatch } from 'racewalk'"),
      'mjs',
      /\.mjs:6:10: pteUnchnged\(\) overrides nothing/,
    ],
    [
      'that overrides without saying so',
      patch('        *gupPutFolio(): Step<void> {}'),
      'ts',
      /\.ts:6:10: .*must have an 'override' modifier/,
    ],
    [
      'whose part is a class and no function of one',
      patch('', "import { GupFast } from 'racewalk/kernel'")
        .replace('(Base) =>', '')
        .replace('Base', 'GupFast')
        .replace('definePatch', ''),
      'mjs',
      /\.mjs:4:5: GupFast is no function of its base class/,
    ],
    [
      'whose part is not derived from the kernel’s',
      patch('').replace(' extends Base', '').replace('(Base)', '(): any'),
      'ts',
      /\.ts:4:5: GupFast is no subclass/,
    ],
    [
      'whose method is no kernel function where one is called',
      patch('        pteUnchanged() { return true }', "import { definePatch } from 'racewalk'"),
      'mjs',
      /\.mjs:6:9: pteUnchanged\(\) overrides a kernel function, and is none[^]*write \*pteUnchanged/,
    ],
    [
      'whose method is a kernel function where none is called',
      patch('        *pmdAccessPermitted() { return true }', "import { definePatch } from 'racewalk'"),
      'mjs',
      /\.mjs:6:10: pmdAccessPermitted\(\) overrides what is no kernel function, and is one[^]*leave the \*/,
    ],
    [
      'that keeps state in an object or a variable',
      patch(`        count = 0
        protected override *pmdUnchanged(): Step<boolean> {
          this.count++
          all += 1
          const mine = [0]
          mine[0] = 1
          return true
        }`).replace('export', 'let all = 0\nexport'),
      'ts',
      /does not compile\n.*\.ts:9:11: the state of the kernel is in the image.*\n.*\.ts:10:11: the state[^\n]*$/,
    ],
    ['without a default export', 'export const patch = 1', 'ts', /has no default export/],
    ['that is no patch', 'export default 7', 'ts', /exports no parts/],
    [
      'that drives no generator',
      patch(`        protected override *pmdUnchanged(pmd: PteWord, pmdp: PhysAddr): Step<boolean> {
          this.cpu.readOnce64(pmdp)
          if (super.pmdUnchanged(pmd, pmdp)) return true
          const step = super.pmdUnchanged(pmd, pmdp)
          return yield* step
        }`),
      'ts',
      /\.ts:7:11: readOnce64\(\) is a kernel function that nobody drives[^]*\.ts:8:15: pmdUn[^]*\.ts:9:24: pmdUn/,
    ],
    [
      'that catches',
      patch(`        override *gupPutFolio(folio: PhysAddr): Step<void> {
          try {
            yield* super.gupPutFolio(folio, 1, 0)
          } finally {}
        }`),
      'ts',
      /\.ts:7:11: kernel code has no try/,
    ],
    [
      'that hides an access from the lowering, behind types that are gone',
      patch(`        protected override *pmdUnchanged(pmd: PteWord, pmdp: PhysAddr): Step<boolean> {
          return (yield* pmd ? this.cpu.readOnce64(pmdp) : this.cpu.readOnce64(pmdp)) === pmd
        }`).replace('export', 'interface Gone {\n  a: number\n}\nexport'),
      'ts',
      /\.ts:10:\d+: an access is hidden behind this yield\*/,
    ],
    [
      'that throws when it is loaded',
      `interface Gone {\n  a: 1\n}\nJSON.parse('{')\n${patch('')}`,
      'ts',
      /\.ts:4:\d+: SyntaxError: .*JSON/,
    ],
    [
      'that imports what is not there',
      "import './gone.js'\nexport default 1",
      'mjs',
      /'\.\/gone\.js' cannot be imported/,
    ],
  ]
  it.each(refused)('%s', async (_, code, ending, message) => {
    const loading = loadPatch(file(code, ending))
    await expect(loading).rejects.toThrow(UsageError)
    await expect(loading).rejects.toThrow(message)
  })

  it('whose file is not there, or no module', async () => {
    await expect(loadPatch(join(folder, 'gone.ts'))).rejects.toThrow(/gone\.ts: there is no such file/)
    await expect(loadPatch(folder)).rejects.toThrow(/is no file/)
    await expect(loadPatch(file('', 'json'))).rejects.toThrow(/a module's name ends in \.ts, /)
  })
})

describe('a patch that throws while it runs', () => {
  const code = `interface Gone {
  a: number
}
${patch('        protected override *pmdUnchanged(): Step<boolean> { return JSON.parse("{") }')}`

  it('is at fault itself, with the line in its source', async () => {
    const throwing = await loadPatch(file(code))
    const scenario = scenarioById('gup-vs-split')
    const said = /m\d+\.ts:9:\d+: SyntaxError: .*JSON[^]*PatchedGupFast\.pmdUnchanged \(.*m\d+\.ts:9:/
    expect(() => explore({ scenario, patch: throwing, executions: 500 })).toThrow(UsageError)
    expect(() => explore({ scenario, patch: throwing, executions: 500 })).toThrow(said)
    await expect(stress({ scenario, patch: throwing, durationMs: 30_000 })).rejects.toThrow(said)
  })

  it('when a thread loads it, too', async () => {
    const inThreads = await loadPatch(
      file(
        `import { definePatch } from 'racewalk'
if (new Error().stack.includes('kept.js')) throw new Error('not here')
export default definePatch({ parts: { GupFast: (Base) => class extends Base {} } })`,
        'mjs',
      ),
    )
    const running = stress({ scenario: scenarioById('gup-vs-split'), patch: inThreads, durationMs: 30_000 })
    await expect(running).rejects.toThrow(/m\d+\.mjs:2:\d+: Error: not here/)
  })
})

describe('a helper method of a patch', () => {
  it('is fine when something calls it', async () => {
    const code = patch(`        *second(pmdp: PhysAddr): Step<bigint> { return yield* this.cpu.readOnce64(pmdp) }
        protected override *pmdUnchanged(pmd: PteWord, pmdp: PhysAddr): Step<boolean> {
          return (yield* this.second(pmdp)) === pmd
        }`)
    expect(Object.keys((await loadPatch(file(code))).parts)).toEqual(['GupFast'])
  })
})

describe('a patch that is made in the program', () => {
  const made = (derive: (Base: typeof MAINLINE.GupFast) => typeof MAINLINE.GupFast): Patch =>
    definePatch({ parts: { GupFast: derive } })
  const scenario = scenarioById('gup-vs-split')

  it('does not reach threads, and says how it would', async () => {
    const inProgram = made((Base) => class extends Base {})
    await expect(stress({ scenario, patch: inProgram })).rejects.toThrow(
      /threads load their kernel from a file[^]*loadPatch\(\)/,
    )
  })

  it('is refused if its accesses would be no schedule points', () => {
    // Built here from text, since the code of this file is lowered.
    const derive = new Function(
      'Base',
      'return class Raw extends Base { *pmdUnchanged(pmd, pmdp) { return yield* this.cpu.readOnce64(pmdp) } }',
    )
    expect(() => explore({ scenario, patch: made(derive as never), executions: 1 })).toThrow(
      /Raw has an access as it was written.*readOnce64/,
    )
  })
})
