import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LOWERED_MARK, isLowered, lowerControlled, lowerFree } from '../../dist/src/boot/lower/lower.js'
import { lowerTree } from '../../dist/src/boot/lower/lowerTree.js'
import { EMITTED, EmittedProject } from './emittedProject.js'

describe('the build step', () => {
  let project: EmittedProject
  const at = (path: string): string => project.at(path)
  const read = (path: string): string => readFileSync(at(path), 'utf8')
  const run = (): string[] => lowerTree(at('dist'))

  beforeEach(() => {
    project = new EmittedProject()
    project.emit('src/mm/a', EMITTED)
    project.emit('workers/w', 'export const w = 1;\n')
  })
  afterEach(() => project.remove())

  it('writes the free form beside the tree and the controlled form in place, marked', () => {
    expect(run()).toEqual([])
    expect(read('dist/free/src/mm/a.js')).toBe(lowerFree(EMITTED, 'a.js'))
    expect(read('dist/src/mm/a.js')).toBe(`${lowerControlled(EMITTED, 'a.js')}${LOWERED_MARK}\n`)
    expect(read('dist/free/workers/w.js')).toBe('export const w = 1;\n')
    expect(isLowered(read('dist/workers/w.js'))).toBe(true)
    expect(existsSync(at('dist/free/src/mm/a.d.ts'))).toBe(false)
  })

  it('changes nothing when it runs again', () => {
    run()
    const before = [read('dist/free/src/mm/a.js'), read('dist/src/mm/a.js')]
    expect(run()).toEqual([])
    expect([read('dist/free/src/mm/a.js'), read('dist/src/mm/a.js')]).toEqual(before)
  })

  it('lowers anew what tsc has written anew', () => {
    run()
    const changed = EMITTED.replace('readOnce32', 'loadAcquire32')
    project.emit('src/mm/a', changed)
    run()
    expect([read('dist/free/src/mm/a.js'), isLowered(read('dist/src/mm/a.js'))]).toEqual([
      lowerFree(changed, 'a.js'),
      true,
    ])
  })

  it('removes both forms of a module whose source is gone, and nothing that tsc did not write', () => {
    writeFileSync(at('dist/src/generated.js'), 'export {};\n')
    run()
    rmSync(at('src/mm/a.ts'))
    run()
    const left = ['dist/src/mm/a.js', 'dist/free/src/mm/a.js', 'dist/src/mm/a.d.ts', 'dist/free/src/generated.js']
    expect(left.map((path) => existsSync(at(path)))).toEqual([false, false, false, true])
  })

  it('removes the free form of a module that is no longer in the tree', () => {
    run()
    rmSync(at('dist/src/mm/a.js'))
    run()
    expect(existsSync(at('dist/free/src/mm/a.js'))).toBe(false)
  })

  it('names what it cannot lower, and lowers the rest', () => {
    run()
    project.emit('src/mm/bad', 'function* f() {\n  yield 1;\n}\n')
    project.emit('src/mm/a', EMITTED)
    expect(run()).toEqual([expect.stringMatching(/dist\/src\/mm\/bad\.js:2: a schedule point carries no value/)])
    expect([existsSync(at('dist/free/src/mm/bad.js')), isLowered(read('dist/src/mm/bad.js'))]).toEqual([false, false])
    expect(isLowered(read('dist/src/mm/a.js'))).toBe(true)
  })

  it('complains of a marked file whose free form is gone', () => {
    run()
    rmSync(at('dist/free'), { recursive: true })
    expect(run()).toContainEqual(expect.stringContaining('a.js: its free form is gone; compile again'))
  })
})
