import { CPU_STATE } from '../../dist/src/arch/cpuState.js'
import { describe, expect, it } from 'vitest'
import { fullMachine } from '../../dist/src/boot/config.js'
import { freeRun, type FreeRunOptions, type FreeRunResult, type Progress } from '../../dist/src/boot/threads/freeRun.js'
import type { Machine } from '../../dist/src/boot/machine.js'
import { CPU_AREA, cpuAreaAt } from '../../dist/src/machine/cpu/area.js'
import { peek32, poke32 } from '../../dist/src/machine/image/image.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import type { Op, Program } from '../../dist/src/program/op.js'
import { crewOf } from './crew.js'

const swap: Program = [{ op: 'xchg', word: 0, value: 1, reg: 0 }, { op: 'synchronizeRcu' }]
const waitForever: Program = [{ op: 'awaitWord', word: 3, value: 7 }]

function run(programs: readonly Program[], more: Partial<FreeRunOptions> = {}): Promise<FreeRunResult> {
  const machine = fullMachine(programs.length, 4096)
  // Programs that end have all the time that they need on a busy machine.
  const durationMs = more.repeat === false ? 60_000 : 300
  return freeRun({ machine, boot: [], programs, durationMs, ...more })
}

const operationsOf = (result: FreeRunResult): number[] =>
  result.perCpu.map((counts) => Object.values(counts).reduce((sum, count) => sum + count, 0))

/**
 * A clock for the watch on which a look takes 100 ms if `counts` says that it counts, and no time otherwise: on a busy
 * machine a thread that comes to its turn late is not taken for one that hangs.
 */
function timeOf(
  counts: (waits: (cpu: number) => boolean, moved: (cpu: number) => boolean) => boolean,
  first: (machine: Machine) => void = () => {},
): Pick<FreeRunOptions, 'prepare' | 'onProgress' | 'clock'> {
  let [now, before] = [0, [] as readonly number[]]
  let waitingOn: (cpu: number) => number
  return {
    prepare: (machine) => {
      waitingOn = (cpu) => peek32(cpuAreaAt(machine.regions.cpus, cpu) + CPU_AREA.at.waitingOn)
      first(machine)
    },
    onProgress: ({ perCpu }) => {
      const [waits, moved] = [(cpu: number) => waitingOn(cpu) !== 0, (cpu: number) => perCpu[cpu] !== before[cpu]]
      if (counts(waits, moved)) now += 100
      before = perCpu
    },
    clock: () => now,
  }
}

const CLEAN = { finding: null, fault: null, mismatches: [] }

for (const perturb of [false, true])
  describe(`a free run, ${perturb ? 'generators with pauses' : 'stripped'}`, () => {
    const crew = crewOf(3, perturb)

    it('repeats each program on a thread of its own until the time is up', async () => {
      const result = await run([swap, swap, swap], { perturb, threads: crew.threads })
      expect(result).toMatchObject({ ...CLEAN, stopped: 'duration' })
      expect(operationsOf(result).every((count) => count > 0)).toBe(true)
      expect(result.operations.xchg).toBe(result.perCpu.reduce((sum, counts) => sum + (counts.xchg ?? 0), 0))
    })

    it('ends with the programs when they run once, and counts every operation', async () => {
      const result = await run([[{ op: 'repeat', times: 50, body: swap }], swap], {
        perturb,
        repeat: false,
        threads: crew.threads,
      })
      expect(result).toMatchObject({ ...CLEAN, stopped: 'programs ended' })
      expect(result.perCpu).toEqual([
        { xchg: 50, synchronizeRcu: 50 },
        { xchg: 1, synchronizeRcu: 1 },
      ])
    })
  })

describe('a free run', () => {
  const crew = crewOf(3)
  const runOfCrew: typeof run = (programs, more = {}) => run(programs, { ...more, threads: crew.threads })

  it('counts nothing of the boot program', async () => {
    const result = await runOfCrew([swap, []], { boot: [swap[0] as Op, swap[0] as Op], repeat: false })
    expect(result.operations).toEqual({ xchg: 1, synchronizeRcu: 1 })
  })

  it('hands a word from CPU to CPU: a CPU that waits for another one wakes', async () => {
    const turn = (mine: number, next: number): Program => [
      {
        op: 'repeat',
        times: 200,
        body: [
          { op: 'awaitWord', word: 0, value: mine },
          { op: 'storeRelease', word: 0, value: next },
        ],
      },
    ]
    const result = await runOfCrew([turn(0, 1), turn(1, 2), turn(2, 0)], { repeat: false })
    expect(result).toMatchObject({
      ...CLEAN,
      stopped: 'programs ended',
      operations: { awaitWord: 600, storeRelease: 600 },
    })
  })

  it('ends at its deadline although a CPU waits for something that never comes', async () => {
    expect(await runOfCrew([waitForever, swap])).toMatchObject({ ...CLEAN, stopped: 'duration' })
  })

  it('stops when the signal is aborted', async () => {
    const abort = new AbortController()
    const onProgress = ({ perCpu }: Progress): void => {
      if (perCpu.every((done) => done > 0)) abort.abort()
    }
    const result = await runOfCrew([swap, swap], { durationMs: 60_000, signal: abort.signal, onProgress })
    expect(result).toMatchObject({ ...CLEAN, stopped: 'interrupted' })
  })

  it('collects results that an operation did not expect, with CPU and place', async () => {
    const load: Op = { op: 'load', addr: 0x1000, expect: 5 }
    const { mismatches } = await runOfCrew([swap, [swap[0] as Op, load]], { repeat: false, compares: true })
    expect(mismatches).toEqual([{ cpu: 1, index: 1, op: load, expected: 5, found: expect.any(Number) }])
  })

  it('merges the last events of all CPUs in the order of the clock', async () => {
    const { rings } = await runOfCrew([swap, swap])
    expect(new Set(rings.map((event) => event.cpu))).toEqual(new Set([0, 1]))
    expect(rings.every((event, i) => i === 0 || event.seq >= (rings[i - 1]?.seq ?? 0))).toBe(true)
  })
})

describe('a free run that goes wrong', () => {
  it('reports a stall with who waits for what, and halts', async () => {
    const time = timeOf((waits) => waits(0) && waits(1))
    const result = await run([waitForever, waitForever], { durationMs: 60_000, stallMs: 300, ...time })
    expect(result).toMatchObject({ stopped: 'finding', fault: null, finding: { oracle: 'stall' } })
    expect(result.finding?.details).toHaveLength(2)
    expect(result.finding?.details[0]).toMatch(/^CPU 0 in awaitWord waits for word\[0x3\] \(IRQs on\)$/)
  })

  it('turns an exception in a CPU into a fault that names the CPU', async () => {
    const broken: Program = [{ op: 'oneOf', of: [] }]
    const result = await run([swap, broken], { durationMs: 60_000 })
    expect(result).toMatchObject({ stopped: 'fault', finding: null })
    expect(result.fault).toMatch(/^CPU 1: TypeError: /)
  })

  it('turns the death of a thread into a fault', async () => {
    const entry = new URL('./dyingCpu.mjs', import.meta.url)
    const result = await run([swap, swap], { durationMs: 60_000, entry })
    expect(result).toMatchObject({ stopped: 'fault', finding: null })
    expect(result.fault).toMatch(/the thread of CPU \d is gone/)
  })

  it('halts every CPU when an oracle fires on one, and returns what it saw', async () => {
    const { missingTlbFlush } = await import('../../dist/src/bug/tlb.js')
    const { stress } = await import('../../dist/src/scenario/stress.js')
    const { scenarioById } = await import('../../dist/src/scenario/catalog/index.js')
    const scenario = scenarioById(missingTlbFlush.scenarios[0] as string)
    const result = await stress({ scenario, bug: missingTlbFlush, perturb: true, durationMs: 60_000 })
    expect(result).toMatchObject({ stopped: 'finding', fault: null, finding: { cpu: expect.any(Number) } })
    expect(result.finding?.stack.length).toBeGreaterThan(0)
  })
})

describe('a free run in which one CPU gets nowhere', () => {
  /** Time passes while CPU 0 gets on and CPU 1 waits. */
  function unfair(stallMs: number, first: (machine: Machine) => void = () => {}): Partial<FreeRunOptions> {
    return { durationMs: 60_000, stallMs, ...timeOf((waits, moved) => moved(0) && waits(1), first) }
  }
  const xchg: Program = [{ op: 'xchg', word: 0, value: 1, reg: 0 }]
  const far = 0x7000_0000_0000
  const mapFar: Op = { op: 'mmap', addr: far, len: 0x1000, prot: 3, flags: 0x32 }
  const hold = (field: 'mmapLock' | 'pageTableLock') => (machine: Machine) => {
    const mm = peek32(cpuAreaAt(machine.regions.cpus, 0) + CPU_STATE.at.currentMm)
    poke32(mm + MM.at[field], 1)
    poke32(mm + MM.at[field] + 4, 1)
  }

  it('names it, the rwsem that it waits for, and who holds that', async () => {
    const result = await run([swap, [mapFar]], unfair(400, hold('mmapLock')))
    expect(result).toMatchObject({ stopped: 'finding', fault: null, finding: { oracle: 'stall', cpu: 1 } })
    expect(result.finding?.title).toBe('INFO: CPU 1 has not finished an operation for 400 ms while others did')
    expect(result.finding?.details).toHaveLength(2)
    expect(result.finding?.details[0]).toMatch(
      /^CPU 1 in mmap waits for its turn at mm\[0x0\]\.mmapLock, held by CPU 0 \(IRQs on\)$/,
    )
    expect(result.finding?.details[1]).toMatch(/^CPU 0 in (xchg|synchronizeRcu) /)
  })

  it('names the spinlock, however far behind in its queue the CPU stands', async () => {
    const store: Program = [{ op: 'store', addr: far }]
    const programs = [xchg, store, store, store]
    const result = await run(programs, { ...unfair(400, hold('pageTableLock')), boot: [mapFar] })
    expect(result).toMatchObject({ stopped: 'finding', fault: null, finding: { oracle: 'stall', cpu: 1 } })
    expect(result.finding?.details[0]).toMatch(
      /^CPU 1 in store waits for (its turn at )?mm\S*\.pageTableLock, held by CPU 0 \(/,
    )
  })

  it('names the word that no program of those that get on stores', async () => {
    const result = await run([swap, waitForever], unfair(400))
    expect(result).toMatchObject({ stopped: 'finding', fault: null, finding: { oracle: 'stall', cpu: 1 } })
    expect(result.finding?.details).toEqual([expect.stringMatching(/^CPU 1 in awaitWord waits for word\[0x3\] \(/)])
  })

  it('is silent while the word may yet come, and about a CPU whose program has ended', async () => {
    const late: Program = [
      { op: 'repeat', times: 1_000_000, body: xchg },
      { op: 'storeRelease', word: 3, value: 7 },
    ]
    const result = await run([late, waitForever, xchg], { ...unfair(200), repeat: false })
    expect(result).toMatchObject({ ...CLEAN, stopped: 'programs ended', operations: { awaitWord: 1 } })
  })
})
