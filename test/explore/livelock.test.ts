import { beforeEach, describe, expect, it } from 'vitest'
import { cpuId, phys } from '../../dist/src/base/units.js'
import { bugById } from '../../dist/src/bug/index.js'
import { explore, replay } from '../../dist/src/explore/explore.js'
import { Progress } from '../../dist/src/explore/session/progress.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import { RoundRobin } from '../../dist/src/explore/strategy/fair.js'
import { placeCpuRegions } from '../../dist/src/machine/cpu/area.js'
import { Cpu } from '../../dist/src/machine/cpu/cpu.js'
import { placeIpiRegions } from '../../dist/src/machine/cpu/ipi.js'
import { ControlledEngine, type RunEnd, type Strategy } from '../../dist/src/machine/engine/controlled.js'
import type { Step } from '../../dist/src/machine/engine/engine.js'
import * as image from '../../dist/src/machine/image/image.js'
import { laboratory } from '../../dist/src/machine/image/guard.js'
import { Layout } from '../../dist/src/machine/image/layout.js'
import { struct } from '../../dist/src/machine/image/struct.js'
import { EventRing, placeRings } from '../../dist/src/machine/trace/ring.js'
import type { Program } from '../../dist/src/program/op.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { defineScenario, dontneed, mapAnonymous, store, type Scenario } from '../../dist/src/scenario/scenario.js'

/** Goes on with whoever runs, to the end. */
const unfair: Strategy = {
  pick: ({ current, actions }) => (current >= 0 ? current : actions.from(0)),
  choose: () => 0,
}

const fair = (): Strategy => {
  const turns = new RoundRobin()
  return { pick: (point) => turns.pick(point), choose: () => 0 }
}

describe('a run that makes 20,000 accesses', () => {
  let engine: ControlledEngine
  let cpus: Cpu[]
  let word: (n: number) => ReturnType<typeof phys>
  let ended: number
  let progress: Progress

  beforeEach(() => {
    const layout = new Layout()
    const regions = placeCpuRegions(layout, 2)
    const csd = placeIpiRegions(layout, 2)
    const rings = placeRings(layout, 2, 0)
    const words = layout.add('w', struct('w', 64, { v: [0, 4, laboratory] }), 20_000)
    image.attach(image.createMemory(layout.size))
    engine = new ControlledEngine(
      [0, 1].map((c) => () => (cpus[c] as Cpu).ipi.handle()),
      unfair,
    )
    cpus = [0, 1].map(
      (c) => new Cpu(cpuId(c), 2, regions, csd, new EventRing(rings, c, 0, phys(regions.cpus + c * 256)), engine),
    )
    word = (n) => phys(words + n * 64)
    ended = 0
    progress = new Progress(engine, () => ended)
  })

  const run = (programs: (Step<void> | null)[]): RunEnd => {
    progress.begin(null)
    return engine.run(programs)
  }

  const cpu = (n: number): Cpu => cpus[n] as Cpu

  it('is a livelock when its CPUs see the same values of the same words again and again', () => {
    engine.strategy = fair()
    const toggle = function* (own: Cpu): Step<void> {
      for (;;) {
        yield* own.atomicFetchXor32(word(own.id), 1)
        yield* own.readOnce32(word(1 - own.id))
      }
    }
    expect(run([toggle(cpu(0)), toggle(cpu(1))])).toEqual({ kind: 'livelock' })
    expect(engine.steps).toBeLessThan(20_000)
  })

  it('is not finished when one of them could have gone on and did not', () => {
    const spin = function* (): Step<void> {
      while ((yield* cpu(0).readOnce32(word(0))) === 0);
    }
    const release = function* (): Step<void> {
      yield* cpu(1).writeOnce32(word(0), 1)
    }
    expect(run([spin(), release()])).toEqual({ kind: 'steps', limit: 20_000 })
    engine.strategy = fair()
    expect(run([spin(), release()])).toEqual({ kind: 'done' })
  })

  it.each<[string, (own: Cpu, round: number) => Step<void>]>([
    [
      'counts',
      function* (own) {
        yield* own.atomicAddReturn32(word(0), 1)
      },
    ],
    [
      'comes to words that are new to it',
      function* (own, round) {
        yield* own.readOnce32(word(round))
      },
    ],
    [
      'ends operations',
      function* (own, round) {
        yield* own.readOnce32(word(0))
        if (round % 1000 === 0) ended++
      },
    ],
  ])('is not finished, and no livelock, when it %s', (_what, access) => {
    const program = function* (): Step<void> {
      for (let round = 0; round < 20_500; round++) yield* access(cpu(0), round % 20_000)
    }
    expect(run([program(), null])).toEqual({ kind: 'steps', limit: 20_000 })
    engine.stepLimit = 30_000
    expect(run([program(), null])).toEqual({ kind: 'done' })
  })
})

const longProgram = (rounds: number): Scenario =>
  defineScenario({
    id: 'long-program',
    summary: 'many rounds of a store and a drop',
    arch: 'x86-64',
    cpus: 2,
    exploreOnly: true,
    build: (s) => {
      const at = s.page(0)
      const body: Program = [store(at), dontneed(at, s.pageSize)]
      return {
        boot: [mapAnonymous(at, s.pageSize)],
        programs: [[{ op: 'repeat', times: rounds, body }], [store(at)]],
      }
    },
  })

describe('a long program', () => {
  it('runs to its end: the limit grows with it', () => {
    const result = explore({ scenario: longProgram(400), executions: 1 })
    expect(result).toMatchObject({ finding: null, unfinished: 0, operations: 801 })
    expect(result.steps).toBeGreaterThan(20_000)
    expect(result.maxSteps).toBe(801_000)
  })

  it('is given up at the limit that is asked for, and the result says how often', () => {
    const result = explore({ scenario: longProgram(20), executions: 5, maxSteps: 500 })
    expect(result).toMatchObject({ finding: null, unfinished: 5, maxSteps: 500, executions: 5 })
  })

  it.each(['dpor', 'bounded'] as const)('is never a complete search under %s when ends are missing', (strategy) => {
    const scenario = scenarioById('message-passing')
    const whole = explore({ scenario, strategy })
    const cut = explore({ scenario, strategy, maxSteps: 3 })
    expect(whole).toMatchObject({ complete: true, unfinished: 0 })
    expect(cut).toMatchObject({ complete: false, finding: null })
    expect(cut.unfinished).toBe(cut.executions)
    expect(cut.progress).toMatchObject({ bound: null, note: expect.stringContaining('limit of accesses') as string })
  })

  it('refuses a limit that is none', () => {
    expect(() => explore({ scenario: longProgram(1), maxSteps: 0 })).toThrow('whole number from 1 on')
  })
})

describe('a livelock of the kernel', () => {
  it('is found with the words that it goes round in, and its token replays it', () => {
    const scenario = scenarioById('upgrade-vs-touch')
    const bug = bugById('upgrade-no-ipi')
    const { finding } = explore({ scenario, bug, executions: 20 })
    expect(finding).toMatchObject({ oracle: 'livelock' })
    expect(finding?.title).toMatch(/^INFO: livelock: CPU \d in \w+ goes round and gets nowhere$/)
    expect(finding?.details[0]).toMatch(/comes to these words again and again: .*mm\[0x0\]/)
    const again = replay(decodeToken(finding?.token ?? ''), scenario, bug)
    expect(again.finding?.title).toBe(finding?.title)
  })
})
