import { afterEach, describe, expect, it, vi } from 'vitest'
import { Oracles } from '../../dist/src/check/oracles.js'
import { explore } from '../../dist/src/explore/explore.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'

// Every change of the byte that tracks two tables in a page, for either half. The
// executions are seeded, so a transition that is reached stays reached.
const TRANSITIONS = [
  '00→01', //                         a fresh page
  '01→03', '02→03', //                the free half is handed out
  '03→12', '03→21', //                a half is given back, the other stays
  '01→10', '02→20', //                the last half is given back
  '21→30', '12→30', //                a half is given back while the other waits
  '12→02', '21→01', //                the wait is over, the other stays
  '30→20', '30→10', //                the wait of one is over, the other waits
  '10→00', '20→00', //                nobody has the page
] // prettier-ignore

/** table-torture alone goes through all of them in 60. */
const EXECUTIONS = 100
const SCENARIOS = ['retract-vs-retract', 'retract-vs-munmap', 'retract-vs-fault', 'retract-vs-exit', 'table-torture']

describe('the tracking byte of s390-active', () => {
  afterEach(() => void vi.restoreAllMocks())

  it('goes through all legal transitions, and none else', () => {
    const seen = new Set<string>()
    const hex = (byte: number): string => byte.toString(16).padStart(2, '0')
    const original = Object.getOwnPropertyDescriptor(Oracles.prototype, 'tableBitsChanged')?.value as (
      ...args: unknown[]
    ) => void
    vi.spyOn(Oracles.prototype, 'tableBitsChanged').mockImplementation(function (
      this: Oracles,
      cpu,
      pfn,
      before,
      after,
    ) {
      seen.add(`${hex(before)}→${hex(after)}`)
      original.call(this, cpu, pfn, before, after)
    })
    for (const name of SCENARIOS) {
      const { finding } = explore({ scenario: scenarioById(`${name}@s390-active`), seed: 1, executions: EXECUTIONS })
      expect(finding).toBeNull()
    }
    expect([...seen].sort()).toEqual([...TRANSITIONS].sort())
  })
})
