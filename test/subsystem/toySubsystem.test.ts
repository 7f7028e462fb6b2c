/**
 * A new subsystem is one row. The row below brings a part, a region, an operation, an oracle and a panel: the machine
 * is built with them, the operation is explored, its race is found by the oracle, and the report shows the panel.
 */
import { describe, expect, it } from 'vitest'
import { Observer } from '../../dist/src/arch/observer.js'
import type { PhysAddr } from '../../dist/src/base/units.js'
import { violation } from '../../dist/src/check/violation.js'
import { explore } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import type { Cpu } from '../../dist/src/machine/cpu/cpu.js'
import type { Step } from '../../dist/src/machine/engine/engine.js'
import { peek32, poke32 } from '../../dist/src/machine/image/image.js'
import { atomic, laboratory } from '../../dist/src/machine/image/guard.js'
import { struct } from '../../dist/src/machine/image/struct.js'
import { Part } from '../../dist/src/mm/part.js'
import { operation, type OperationsOf } from '../../dist/src/program/operation.js'
import { explain } from '../../dist/src/report/explain.js'
import { pageData } from '../../dist/src/report/playerHtml.js'
import { ruleOf } from '../../dist/src/report/rules.js'
import { defineScenario } from '../../dist/src/scenario/scenario.js'
import { addSubsystem, MAINLINE } from '../../dist/src/subsystem/index.js'
import { defineSubsystem } from '../../dist/src/subsystem/subsystem.js'

const METER = struct('meter', 64, {
  value: [0, 4, atomic], // what the part counts
  ended: [4, 4, laboratory], // counts that have ended, for the oracle
})

/** Counts, and loses counts when two CPUs do it at once. */
class Meter extends Part {
  *count(): Step<number> {
    const value = (this.k.regions.meter + METER.at.value) as PhysAddr
    const before = yield* this.cpu.readOnce32(value)
    yield* this.cpu.writeOnce32(value, before + 1)
    poke32(this.k.regions.meter + METER.at.ended, peek32(this.k.regions.meter + METER.at.ended) + 1)
    return before + 1
  }
}

const OPERATIONS = {
  meter: operation({
    summary: 'Counts once more.',
    fields: {},
    *run({ k }) {
      return yield* k.meter.count()
    },
  }),
}

declare module '../../dist/src/mm/kernel.js' {
  interface PartClasses {
    readonly Meter: typeof Meter
  }
  interface Kernel {
    readonly meter: Meter
  }
  interface KernelRegions {
    readonly meter: PhysAddr
  }
}
declare module '../../dist/src/program/op.js' {
  interface OperationTypes {
    meter: OperationsOf<typeof OPERATIONS>['meter']
  }
}

/** No count is lost. */
class NoneLost extends Observer {
  readonly #meter: number

  constructor(meter: number) {
    super()
    this.#meter = meter
  }

  override returnsToUser(cpu: Cpu): void {
    const [value, ended] = [peek32(this.#meter + METER.at.value), peek32(this.#meter + METER.at.ended)]
    if (value < ended) violation(cpu, 'meter', `${ended - value} counts lost`, this.#meter, [])
  }
}

addSubsystem(
  defineSubsystem({
    id: 'meter',
    summary: 'a counter without a lock',
    parts: { Meter },
    place: (layout) => ({ meter: layout.add('meter', METER, 1) }),
    format: ({ regions }) => {
      for (const field of [METER.at.value, METER.at.ended]) poke32(regions.meter + field, 100)
    },
    operations: OPERATIONS,
    oracles: [
      {
        id: 'meter',
        rule: { text: 'Every count counts.', source: 'this test' },
        observe: ({ layout }) => new NoneLost(layout.base('meter')),
      },
    ],
    panels: [
      {
        id: 'meter',
        title: 'Meter',
        regions: ['meter'],
        read: ({ layout }, put) => {
          const addr = layout.base('meter')
          put({ group: 'all', name: 'value', text: String(peek32(addr)), order: [0, 0], addr, frames: [] })
        },
      },
    ],
  }),
)

const scenario = (cpus: number) =>
  defineScenario({
    id: 'meter-vs-meter',
    summary: 'every CPU counts',
    arch: 'x86-64',
    cpus,
    cpusMin: 1,
    build: (s) => ({ boot: [{ op: 'meter' }], programs: Array.from({ length: s.cpus }, () => [{ op: 'meter' }]) }),
  })

describe('a subsystem that is one row', () => {
  it('is booted and runs', () => {
    const { finding, operations, session } = explore({ scenario: scenario(1), seed: 1, executions: 20 })
    expect([finding, operations]).toEqual([null, 20])
    expect(peek32(session.machine.layout.base('meter'))).toBe(102)
    expect(MAINLINE.Meter).toBe(Meter)
  })

  it('has its race found by its oracle, and its panel in the report', () => {
    const racing = scenario(2)
    const { finding } = explore({ scenario: racing, seed: 1, executions: 200 })
    if (finding === null) throw new Error('nothing was found')
    expect(finding).toMatchObject({ oracle: 'meter', title: expect.stringMatching(/^BUG: 1 counts lost/) })
    expect(ruleOf(finding)?.text).toBe('Every count counts.')

    const { token } = finding
    const explanation = explain(decodeToken(token), racing, null)
    const { panels, items, start, changes } = pageData({ explanation, scenario: racing, kernel: '', about: '', token })
    expect(panels.at(-1)).toEqual({ id: 'meter', title: 'Meter' })
    const meter = items.findIndex(({ panel }) => panel === 'meter')
    expect([items[meter], start[meter]]).toEqual([{ panel: 'meter', group: 'all', name: 'value' }, '101'])
    expect(changes.flat().filter(({ item }) => item === meter)).toEqual([{ item: meter, text: '102' }])
  })
})
