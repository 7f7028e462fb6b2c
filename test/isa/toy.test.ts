/**
 * A new architecture is one folder and one row. The folder is toy/, the row is the line below: named behind an `@` it
 * boots, runs every scenario, and is judged by every oracle.
 */
import { describe, expect, it } from 'vitest'
import { fullMachine, withPgalloc } from '../../dist/src/boot/config.js'
import { Machine } from '../../dist/src/boot/machine.js'
import { bugs } from '../../dist/src/bug/index.js'
import { explore } from '../../dist/src/explore/explore.js'
import { ARCHITECTURES } from '../../dist/src/isa/index.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { gup, mapAnonymous, store } from '../../dist/src/scenario/scenario.js'
import { toy } from './toy/arch.js'

ARCHITECTURES.push(toy)

describe('a toy architecture', () => {
  it.each(['gup-vs-split', 'fault-vs-split', 'fork-vs-gup', 'reclaim-vs-fault'])('survives %s', (name) => {
    const scenario = scenarioById(`${name}@toy`)
    expect([scenario.id, scenario.arch]).toEqual([`${name}@toy`, 'toy'])
    const { finding, executions } = explore({ scenario, seed: 1, executions: 150 })
    expect([finding?.title, executions]).toEqual([undefined, 150])
  })

  it('shows a bug of generic code', () => {
    const bug = bugs.find(({ id }) => id === 'pmdp-inval-addr') ?? null
    const { finding } = explore({ scenario: scenarioById('fault-vs-split@toy'), bug, seed: 1, executions: 300 })
    expect(finding).not.toBeNull()
  })

  it('has its real geometry where it is stressed', () => {
    const base = fullMachine(1)
    const machine = new Machine(withPgalloc({ ...base, kernel: { ...base.kernel, pgalloc: toy.pgalloc } }))
    expect(machine.geo).toBe(toy.geometry)
    const at = toy.geometry.pmdSize * 4
    machine.boot([mapAnonymous(at, toy.geometry.pmdSize)], null)
    const cpu = machine.makeCpu(0, new SoloEngine(), null)
    drive(
      cpu.interpreter.runOnce([store(at), gup(at, 4), { op: 'splitPmd', addr: at }, { op: 'splitFolio', addr: at }]),
    )
    expect(machine.finalCheck(cpu)).toBeNull()
  })

  it('is refused by a scenario about flushes that interrupt', () => {
    expect(() => scenarioById('gup-vs-munmap-ipi@toy')).toThrow('has none')
  })
})
