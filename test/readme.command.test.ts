import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadBug, loadPatch, loadScenario } from '../dist/src/index.js'
import { racewalk, type Ended } from './cli/command.js'
import { ROOT, documents } from './documents.js'

// The TypeScript of README and guide as a user has it: files in one project, named by their first lines, which are
// compiled and run. Commands that are shown with their output run in that project.

const examples = documents.flatMap(({ path, blocks }) =>
  blocks.map((block) => ({ ...block, path, name: /^\/\/ ([\w.]+)\n/.exec(block.code)?.[1] ?? '' })),
)
const written = examples.filter(({ language }) => language === 'ts')
const containing = (text: string): string[] => written.filter(({ code }) => code.includes(text)).map(({ name }) => name)

const project = mkdtempSync(join(tmpdir(), 'racewalk-readme-'))
beforeAll(() => {
  for (const { name, code } of written) writeFileSync(join(project, name), code)
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  mkdirSync(join(project, 'node_modules'))
  symlinkSync(ROOT, join(project, 'node_modules/racewalk'), 'junction')
  symlinkSync(join(ROOT, 'node_modules/vitest'), join(project, 'node_modules/vitest'), 'junction')
})
afterAll(() => rmSync(project, { recursive: true }))

function ended(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  // The race tests find their bug in the first hundred; what finds nothing need not search longer here.
  const env = { ...process.env, VITEST: undefined, NODE_OPTIONS: undefined, RACEWALK_EXECUTIONS: '200' }
  return spawnSync(process.execPath, args, { cwd: project, encoding: 'utf8', env })
}

function node(...args: string[]): string {
  const { status, stdout, stderr } = ended(...args)
  expect(status, stdout + stderr).toBe(0)
  return stdout
}

describe('the examples of README and guide', () => {
  it('are in TypeScript, and each names its file in its first line', () => {
    expect(examples.filter(({ language }) => !['', 'ts'].includes(language))).toEqual([])
    expect(written.length).toBeGreaterThan(3)
    expect(written.filter(({ name }) => !name.endsWith('.ts'))).toEqual([])
    expect(new Set(written.map(({ name }) => name)).size).toBe(written.length)
  })

  it('type-check as one project', () => {
    const program = ts.createProgram(
      written.map(({ name }) => join(project, name)),
      {
        target: ts.ScriptTarget.ES2022,
        lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
        module: ts.ModuleKind.Preserve,
        moduleResolution: ts.ModuleResolutionKind.Bundler,
        strict: true,
        noImplicitOverride: true,
        skipLibCheck: true,
        noEmit: true,
        types: [],
      },
    )
    const complaints = ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
      return `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
    })
    expect(complaints).toEqual([])
  })

  it('load: scenarios, patches and bugs', async () => {
    const loaders = { defineScenario: loadScenario, definePatch: loadPatch, defineBug: loadBug }
    for (const [define, load] of Object.entries(loaders)) {
      const names = containing(`export default ${define}(`)
      expect(names.length, define).toBeGreaterThan(0)
      for (const name of names) await load(join(project, name))
    }
  })

  it('pass, where they are tests', () => {
    expect(containing("from 'racewalk/vitest'")).toEqual(['race.test.ts'])
    expect(node(join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--testTimeout', '60000')).toMatch(/3 passed/)
  })

  it('run, where they are programs', () => {
    const programs = containing('await load')
    expect(programs).toEqual(['library.ts'])
    for (const name of programs) {
      const { outputText } = ts.transpileModule(readFileSync(join(project, name), 'utf8'), {
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
      })
      writeFileSync(join(project, 'program.js'), outputText)
      expect(node('program.js')).toMatch(/KASAN.* rw2-[^]*duration/)
    }
  })
})

// A block that begins with `$ npx racewalk …` shows that command's output. `…` on a line of its own stands for lines
// that are left out. Times differ from run to run, and all figures of free runs do.
const sessions = examples
  .filter(({ code }) => code.startsWith('$ npx racewalk '))
  .map(({ path, code }) => {
    const [command = '', ...lines] = code.trimEnd().split('\n')
    return { path, args: command.replace('$ npx racewalk ', '').split(' '), lines }
  })

/**
 * A search that ends by itself may take its time: its usual 30 s are too few on a busy machine. A stress run, of which
 * all figures are left out, need not take its usual 5 s.
 */
function timed(args: readonly string[]): readonly string[] {
  if (args.includes('dpor')) return [...args, '--time', '10m']
  return args[0] === 'stress' ? [...args, '--duration', '1s'] : args
}

/** One run serves all places that show the same command. */
const runs = new Map<string, Promise<Ended>>()
function run(args: readonly string[]): Promise<Ended> {
  const line = args.join(' ')
  const result = runs.get(line) ?? racewalk(...timed(args))
  runs.set(line, result)
  return result
}

const withoutTimes = (line: string): string =>
  line
    .replace(/in [\d.]+ s \([\d,.]+ a second\)/, 'in a time')
    .replaceAll(/ +/g, ' ')
    .trim()
const withoutFigures = (line: string): string =>
  line
    .replaceAll(/\d[\d,.]*/g, 'N')
    .replaceAll(/ +/g, ' ')
    .trim()

describe('the commands of README and guide that are shown with their output', () => {
  // They name files of the project.
  const before = process.cwd()
  beforeAll(() => process.chdir(project))
  afterAll(() => process.chdir(before))

  it('are there', () => expect(sessions.length).toBeGreaterThan(5))

  it.each(sessions.map((session) => [`${session.path}: racewalk ${session.args.join(' ')}`, session] as const))(
    '%s',
    async (_, { args, lines }) => {
      const same = args[0] === 'stress' ? withoutFigures : withoutTimes
      const { code, out, err } = await run(args)
      expect(code, err).toBeLessThan(2)
      const real = out.split('\n').map(same)
      let at = 0
      for (const line of lines.map(same).filter((text) => text !== '' && text !== '…')) {
        const found = real.indexOf(line, at)
        expect(found, `${line}\nis not in the output after line ${at}:\n${out}`).toBeGreaterThanOrEqual(0)
        at = found + 1
      }
    },
  )
})
