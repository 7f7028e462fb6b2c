import { beforeEach, describe, expect, it } from 'vitest'
import { laboratory } from '../../dist/src/machine/image/guard.js'
import { cpuId, phys } from '../../dist/src/base/units.js'
import { placeCpuRegions } from '../../dist/src/machine/cpu/area.js'
import { Cpu } from '../../dist/src/machine/cpu/cpu.js'
import { placeIpiRegions } from '../../dist/src/machine/cpu/ipi.js'
import { FIRST_EVENT } from '../../dist/src/machine/engine/actions.js'
import { ControlledEngine, type Strategy } from '../../dist/src/machine/engine/controlled.js'
import { isEqual, type Step } from '../../dist/src/machine/engine/engine.js'
import { Panic } from '../../dist/src/machine/engine/finding.js'
import * as image from '../../dist/src/machine/image/image.js'
import { Layout } from '../../dist/src/machine/image/layout.js'
import { struct } from '../../dist/src/machine/image/struct.js'
import { EventRing, placeRings } from '../../dist/src/machine/trace/ring.js'

const stay: Strategy = {
  pick: ({ current, actions }) => (current >= 0 ? current : actions.from(0)),
  choose: () => 0,
}

describe('ControlledEngine', () => {
  let engine: ControlledEngine
  let cpus: Cpu[]
  let word: (n: number) => ReturnType<typeof phys>

  beforeEach(() => {
    const layout = new Layout()
    const regions = placeCpuRegions(layout, 2)
    const csd = placeIpiRegions(layout, 2)
    const rings = placeRings(layout, 2, 0)
    const words = layout.add('w', struct('w', 64, { v: [0, 4, laboratory] }), 4)
    image.attach(image.createMemory(layout.size))
    engine = new ControlledEngine(
      [0, 1].map((c) => () => (cpus[c] as Cpu).ipi.handle()),
      stay,
    )
    cpus = [0, 1].map(
      (c) => new Cpu(cpuId(c), 2, regions, csd, new EventRing(rings, c, 0, phys(regions.cpus + c * 256)), engine),
    )
    word = (n) => phys(words + n * 64)
  })

  const [first, second] = [(): Cpu => cpus[0] as Cpu, (): Cpu => cpus[1] as Cpu]

  it('gives the same execution for the same picks', () => {
    const order: number[] = []
    const program = function* (cpu: Cpu): Step<void> {
      for (let i = 0; i < 5; i++) {
        yield* cpu.atomicAddReturn32(word(0), 1)
        order.push(cpu.id)
      }
    }
    let turn = 0
    engine.strategy = { pick: () => ((turn++ * 7) % 3) % 2, choose: () => 0 }
    const run = (): string => {
      order.length = 0
      image.poke32(word(0), 0)
      engine.run([program(first()), program(second())])
      return `${order.join('')} ${image.peek32(word(0))}`
    }
    const once = run()
    turn = 0
    expect(run()).toBe(once)
    expect(once).toContain(' 10')
  })

  it('parks a waiting CPU until its word is written, at no cost in steps', () => {
    const waiter = function* (): Step<void> {
      yield* first().waitUntil(word(0), isEqual, 3)
    }
    const writer = function* (): Step<void> {
      for (let i = 1; i <= 3; i++) yield* second().writeOnce32(word(0), i)
    }
    expect(engine.run([waiter(), writer()])).toEqual({ kind: 'done' })
    expect(engine.steps).toBeLessThan(10)
  })

  it('sees a deadlock the moment it is complete and says who waits for what', () => {
    const wait = function* (cpu: Cpu, n: number): Step<void> {
      yield* cpu.waitUntil(word(n), isEqual, 1)
    }
    expect(engine.run([wait(first(), 0), wait(second(), 1)])).toEqual({
      kind: 'deadlock',
      waiting: [
        { cpu: 0, addr: word(0) },
        { cpu: 1, addr: word(1) },
      ],
    })
  })

  it('ends a program that never ends, by the step limit', () => {
    const spin = function* (): Step<void> {
      for (;;) yield* first().readOnce32(word(0))
    }
    const rest = function* (): Step<void> {}
    engine.stepLimit = 100
    expect(engine.run([spin(), rest()])).toEqual({ kind: 'steps', limit: 100 })
  })

  it('delivers interrupts only while they are enabled, and to waiting CPUs too', () => {
    const log: string[] = []
    for (const cpu of cpus)
      cpu.ipi.register({
        *ipi(info) {
          log.push(`ipi ${info} on ${cpu.id}`)
        },
      })
    const target = function* (): Step<void> {
      first().localIrqSave()
      yield* first().writeOnce32(word(0), 1)
      log.push('irqs off')
      yield* first().writeOnce32(word(1), 1)
      yield* first().localIrqRestore()
      yield* first().waitUntil(word(2), isEqual, 1)
    }
    const sender = function* (): Step<void> {
      yield* second().waitUntil(word(0), isEqual, 1)
      yield* second().ipi.callMany(phys(0), 0, 42, true)
      log.push('answered')
      yield* second().writeOnce32(word(2), 1)
    }
    // Prefer the sender and interrupts: the handler still cannot run before IRQs are on.
    engine.strategy = {
      pick: ({ actions }) => {
        const event = actions.from(FIRST_EVENT)
        return event >= 0 ? event : actions.has(1) ? 1 : 0
      },
      choose: () => 0,
    }
    expect(engine.run([target(), sender()])).toEqual({ kind: 'done' })
    expect(log).toEqual(['irqs off', 'ipi 42 on 0', 'answered'])
  })

  it('reports a waited IPI with IRQs off as the deadlock that it is', () => {
    for (const cpu of cpus) cpu.ipi.register({ *ipi() {} })
    const sender = function* (): Step<void> {
      first().localIrqSave()
      yield* first().ipi.callMany(phys(0), 0, 0, true)
    }
    const rest = function* (): Step<void> {}
    expect(() => engine.run([sender(), rest()])).toThrow(Panic)
  })
})
