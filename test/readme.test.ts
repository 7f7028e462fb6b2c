import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadBug, loadPatch, loadScenario } from '../dist/src/index.js'

// The README's TypeScript as a user has it: files in one project, named by their first lines, which are compiled and run.

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
const examples = [...readme.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language = '', code = '']) => ({
  language,
  code,
  name: /^\/\/ ([\w.]+)\n/.exec(code)?.[1] ?? '',
}))
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

function node(...args: string[]): string {
  const env = { ...process.env, VITEST: undefined, NODE_OPTIONS: undefined }
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: project, encoding: 'utf8', env })
  expect(status, stdout + stderr).toBe(0)
  return stdout
}

describe('the examples of the README', () => {
  it('are in TypeScript, and each names its file in its first line', () => {
    expect(examples.filter(({ language }) => !['', 'ts'].includes(language))).toEqual([])
    expect(written.length).toBeGreaterThan(3)
    expect(written.filter(({ name }) => !name.endsWith('.ts'))).toEqual([])
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
