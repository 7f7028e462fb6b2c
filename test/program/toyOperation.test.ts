/**
 * A new operation is one row. The row below is all that there is of it: programs have it, both forms of the interpreter
 * run it, reductions shrink it by its sizes, and the schema and the checks of programs know its fields.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import type { VirtAddr } from '../../dist/src/base/units.js'
import { smallMachine } from '../../dist/src/boot/config.js'
import { lowerFree } from '../../dist/src/boot/lower/lower.js'
import { explore } from '../../dist/src/explore/explore.js'
import { checkProgram, programSchema } from '../../dist/src/program/checkProgram.js'
import { pick, whole, type Schema } from '../../dist/src/program/fields.js'
import type { Op, Program } from '../../dist/src/program/op.js'
import { operation, type AnyRow, type OperationsOf } from '../../dist/src/program/operation.js'
import { addOperations, OPERATIONS, OPERATION_NAMES } from '../../dist/src/program/operations/table.js'
import { reduced, sizeOf } from '../../dist/src/program/reduction.js'
import { PROGRAM_CPU, programCpu } from '../../dist/src/program/state.js'
import { defineScenario, mapAnonymous, roles } from '../../dist/src/scenario/scenario.js'
import { FORMS } from '../conformance/form.js'

const TOY = {
  sumPages: operation({
    summary: 'Numbers `pages` pages from 1 and returns the sum of the numbers, which it loads again.',
    fields: { addr: pick('Address in bytes'), pages: whole('Pages', 1) },
    sizes: ['pages'],
    *run(task, op) {
      const first = task.pick(op.addr)
      let sum = 0
      for (let i = 0; i < op.pages; i++) {
        const at = (first + i * task.k.geo.pageSize) as VirtAddr
        const fault = yield* task.userStore(at, i + 1)
        if (fault < 0) return fault
        sum += yield* task.userLoad(at)
      }
      return sum
    },
  }),
}

declare module '../../dist/src/program/op.js' {
  interface OperationTypes {
    sumPages: OperationsOf<typeof TOY>['sumPages']
  }
}

const AT = 0x10_000
const PAGE = 4096
const SUM: Op = { op: 'sumPages', addr: AT, pages: 3 }

/** The row as the build would make it for CPUs that are threads. */
function freeForm(row: AnyRow): AnyRow {
  const { run } = new Function(`return ${lowerFree(`({ ${String(row.run)} })`, 'toyOperation')}`)() as Required<AnyRow>
  return { ...row, run }
}

beforeAll(async () => {
  addOperations(TOY)
  const free = (await import(
    new URL('../../dist/free/src/program/operations/table.js', import.meta.url).href
  )) as typeof import('../../dist/src/program/operations/table.js')
  free.addOperations({ sumPages: freeForm(TOY.sumPages) })
})

describe('an operation that is one row', () => {
  it.each(FORMS)('runs as %s, returns its result and is counted', (_, { Machine, SoloEngine, drive, peek32 }) => {
    const machine = new Machine(smallMachine(1))
    machine.boot([mapAnonymous(AT, 4 * PAGE)], null)
    const { interpreter } = machine.makeCpu(0, new SoloEngine(), null)
    expect(drive(interpreter.execute(SUM))).toBe(1 + 2 + 3)
    expect(drive(interpreter.execute({ op: 'load', addr: AT + 2 * PAGE }))).toBe(3)
    expect(drive(interpreter.execute({ op: 'sumPages', addr: AT, pages: 5 }))).toBeLessThan(0)
    drive(interpreter.runOnce([SUM]))
    const counts = programCpu(machine.regions.program, 0) + PROGRAM_CPU.at.counts
    expect(peek32(counts + (OPERATIONS.get('sumPages')?.number ?? 0) * 4)).toBe(1)
  })

  it('is explored', () => {
    const scenario = defineScenario({
      id: 'sum-pages',
      summary: 'two CPUs number the same pages',
      arch: 'x86-64',
      cpus: 2,
      build: (s) => ({
        boot: [mapAnonymous(s.page(0), 4 * s.pageSize)],
        programs: roles(
          s,
          [{ op: 'sumPages', addr: s.page(0), pages: 2 }],
          [{ op: 'munmap', addr: s.page(1), len: 4096 }],
        ),
      }),
    })
    const { finding, executions, operations } = explore({ scenario, seed: 1, executions: 100 })
    expect([finding?.title, executions, operations]).toEqual([undefined, 100, 200])
  })

  it('is shrunk by its sizes', () => {
    expect(sizeOf(SUM, PAGE)).toBe(3)
    expect(reduced([[SUM]], [[{ path: [0], choice: 0, size: 1 }]], PAGE)).toEqual([[{ ...SUM, pages: 1 }]])
  })

  it('is in the schema of programs', () => {
    const definitions = programSchema()['$defs'] as Readonly<Record<string, Schema>>
    expect(definitions['sumPages']).toMatchObject({
      description: TOY.sumPages.summary,
      properties: { op: { const: 'sumPages' }, pages: { type: 'integer', minimum: 1 } },
      required: ['op', 'addr', 'pages'],
    })
    expect(Object.keys(definitions)).toEqual(['program', ...OPERATION_NAMES])
  })
})

describe('a program that is no program', () => {
  const said = (program: unknown): string => {
    try {
      checkProgram(program as Program, 'my.ts')
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }

  it('is said with operation, field and rule', () => {
    expect(said([SUM, { op: 'repeat', times: 2, body: [SUM] }])).toBe('')
    expect(said([{ ...SUM, pages: 0 }])).toBe('my.ts: sumPages with pages 0\n  pages is a whole number from 1')
    expect(said([{ op: 'munmap', addr: AT }])).toBe('my.ts: munmap has no len\n  len is a whole number from 0')
    expect(said([{ op: 'oneOf', of: [[{ op: 'madvise', addr: AT, len: 1, advice: 'no' }]] }])).toContain(
      'madvise with advice "no"\n  advice is one of normal, ',
    )
    expect(said([{ op: 'load', addr: AT, page: 1 }])).toContain(
      "field 'page'\n  its fields are addr, pages, reg, expect",
    )
    expect(said([{ op: 'lode' }])).toContain("my.ts: there is no operation 'lode'\n  there are: mmap, ")
  })
})
