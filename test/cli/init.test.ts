import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { document, racewalk, type Ended } from './command.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'racewalk-init-'))
afterAll(() => rmSync(folder, { recursive: true }))

const FILES = [
  '.gitignore',
  'README.md',
  'package.json',
  'patch.ts',
  'race.test.ts',
  'scenario.ts',
  'tsconfig.json',
  'vitest.config.ts',
]

describe('racewalk init', () => {
  const project = join(folder, 'my-race')
  beforeAll(async () => {
    expect((await racewalk('init', project)).code).toBe(0)
    // What npm install would do.
    mkdirSync(join(project, 'node_modules'))
    for (const [name, target] of [
      ['racewalk', ROOT],
      ['vitest', join(ROOT, 'node_modules/vitest')],
      ['typescript', join(ROOT, 'node_modules/typescript')],
    ] as const)
      symlinkSync(target, join(project, 'node_modules', name), 'junction')
  })

  function node(script: string, ...args: string[]): Ended {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, script), ...args], {
      cwd: project,
      encoding: 'utf8',
      // The bug comes in the first hundred; what finds nothing need not search longer here.
      env: { ...process.env, VITEST: undefined, NODE_OPTIONS: undefined, RACEWALK_EXECUTIONS: '200' },
    })
    return { code: status, out: stdout, err: stderr }
  }

  it('makes a project that asks for what it needs', () => {
    expect(readdirSync(project).sort()).toEqual([...FILES, 'node_modules'].sort())
    const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as Record<string, object>
    expect(manifest['name']).toBe('my-race')
    expect(Object.keys(manifest['devDependencies'] ?? {})).toEqual(['racewalk', 'typescript', 'vitest'])
  })

  it('whose types are right', () => {
    expect(node('node_modules/typescript/bin/tsc')).toEqual({ code: 0, out: '', err: '' })
  })

  it('whose race test passes', () => {
    const { code, out } = node('node_modules/vitest/vitest.mjs', 'run')
    expect(out).toMatch(/3 passed/)
    expect(code).toBe(0)
  })

  it('whose commands find the race, and nothing with the patch', async () => {
    const { scripts } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
      scripts: Record<'bug' | 'patched', string>
    }
    const run = async (command: string): Promise<number | null> => (await racewalk(...command.split(' ').slice(1))).code
    const before = process.cwd()
    process.chdir(project)
    try {
      expect([await run(scripts.bug), await run(scripts.patched)]).toEqual([1, 0])
    } finally {
      process.chdir(before)
    }
  })

  it('refuses a folder that is not empty, and leaves it alone', async () => {
    const { code, err } = await racewalk('init', project)
    expect(err).toMatch(/my-race is not empty[^]*choose another name/)
    expect(code).toBe(2)
    expect(readdirSync(project).length).toBe(FILES.length + 1)
  })

  it('refuses a file, and what npm takes for no name', async () => {
    writeFileSync(join(folder, 'file'), '')
    expect(await racewalk('init', join(folder, 'file'))).toMatchObject({
      code: 2,
      err: expect.stringMatching(/is a file/),
    })
    expect((await racewalk('init', join(folder, 'My Race'))).err).toMatch(
      /no name for a project[^]*racewalk init my-race/,
    )
  })

  it('fills a folder that is empty, and says what it wrote', async () => {
    mkdirSync(join(folder, 'empty'))
    expect(document(await racewalk('init', join(folder, 'empty'), '--json'))['files']).toEqual(
      expect.arrayContaining(FILES),
    )
  })
})
