import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { EMITTED, EmittedProject } from './emittedProject.js'

const SCRIPT = fileURLToPath(new URL('../../dist/src/boot/lower/lowerDist.js', import.meta.url))

describe('the build step as a command', () => {
  const project = new EmittedProject()
  afterAll(() => project.remove())
  const run = () => spawnSync(process.execPath, [SCRIPT, project.at('dist')], { encoding: 'utf8' })

  it('leaves modules that load, in both trees', () => {
    project.emit('src/mm/a', EMITTED)
    expect(run()).toMatchObject({ status: 0, stderr: '' })
    writeFileSync(project.at('package.json'), '{ "type": "module" }')
    const cpu = '{ at: () => false, readOnce32: (p) => p }'
    const print = (tree: string): string =>
      `{ const { f } = await import("file://${project.at(`${tree}/src/mm/a.js`)}"); const s = f(${cpu}, 7)
       console.log(s.next?.().value ?? s) }`
    const code = print('dist') + print('dist/free')
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })).toBe('7\n7\n')
  })

  it('fails when a module cannot be lowered', () => {
    project.emit('src/mm/bad', 'function* f() {\n  yield 1;\n}\n')
    const { status, stderr } = run()
    expect([status, stderr]).toEqual([2, expect.stringMatching(/bad\.js:2: a schedule point carries no value/)])
  })
})
