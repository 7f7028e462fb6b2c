import { describe, expect, it } from 'vitest'
import { executions } from '../budget.js'
import { Machine } from './machine.js'
import { add, nothing, print, tasks, tooOld, type Torture } from './torture.js'

const CLEAN = executions(1500)

/** `early`: grace periods that end while half of the CPUs have still to report, and RCU's own watchdog silent. */
async function controlled(early: boolean, executions: number): Promise<Torture> {
  const machine = await Machine.boot(4, 'rcutorture', { early, long: 150 })
  const sum = nothing()
  for (let seed = 1; seed <= executions; seed++) {
    const outcome = machine.run(seed, tasks(4, 12))
    if (outcome.kind !== 'done') throw new Error(`seed ${seed}: ${JSON.stringify(outcome)}`)
    add(sum, outcome.results, machine.peek(3))
  }
  return sum
}

describe('rcutorture, every schedule', () => {
  it('sees no reader outlived', async () => {
    const torture = await controlled(false, CLEAN)
    print('controlled', torture)
    expect(tooOld(torture)).toBe(0)
    expect(Math.min(torture.ages[0] ?? 0, torture.ages[1] ?? 0, torture.waited)).toBeGreaterThan((2 / 3) * CLEAN)
  })

  it('sees readers outlived when a grace period does not wait for half of the CPUs', async () => {
    // About one section in 60, in a quarter of the schedules: a miss in 300 of them has a chance below 1e-30.
    const torture = await controlled(true, 300)
    print('controlled, half of the CPUs not waited for', torture)
    expect(tooOld(torture)).toBeGreaterThan(0)
  })
})
