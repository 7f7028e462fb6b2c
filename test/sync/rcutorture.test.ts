import { describe, expect, it } from 'vitest'
import { Machine, runThreads, type Task } from './machine.js'

interface Torture {
  /** Sections by the age that they saw. */
  ages: number[]
  replaced: number
  exhausted: number
  waited: number
}

const nothing = (): Torture => ({ ages: new Array<number>(11).fill(0), replaced: 0, exhausted: 0, waited: 0 })

/** Adds what the programs of one run returned. */
function add(sum: Torture, results: readonly unknown[], waited: number): void {
  const writer = results[0] as { replaced: number; exhausted: number }
  sum.replaced += writer.replaced
  sum.exhausted += writer.exhausted
  sum.waited += waited
  for (const result of results.slice(1))
    if (Array.isArray(result))
      (result as number[]).forEach((count, age) => (sum.ages[age] = (sum.ages[age] ?? 0) + count))
}

const tooOld = (torture: Torture): number => torture.ages.slice(2).reduce((sum, count) => sum + count, 0)

function print(title: string, { ages, replaced, exhausted, waited }: Torture): void {
  console.log(
    `${title}\n  sections by age  ${ages.join(' ')}\n  replaced ${replaced}, none free ${exhausted}, waited ${waited}`,
  )
}

/** One writer, one fake writer, readers. */
const tasks = (cpus: number, rounds: number): Task[] =>
  Array.from({ length: cpus }, (_, cpu) => [cpu === 0 ? 'write' : cpu === 1 ? 'wait' : 'read', rounds])

async function controlled(early: boolean, executions: number): Promise<Torture> {
  const machine = await Machine.boot(4, 'rcutorture', { early, long: 60 })
  const sum = nothing()
  for (let seed = 1; seed <= executions; seed++) {
    const outcome = machine.run(seed, tasks(4, 12))
    if (outcome.kind !== 'done') throw new Error(`seed ${seed}: ${JSON.stringify(outcome)}`)
    add(sum, outcome.results, machine.peek(3))
  }
  return sum
}

async function threads(form: 'free' | 'perturb', early: boolean, cpus: number, rounds: number): Promise<Torture> {
  const long = form === 'free' ? 2000 : 60
  const { results, findings, words } = await runThreads(form, 'rcutorture', tasks(cpus, rounds), {
    bootArgs: { early, long },
  })
  expect(findings).toEqual([])
  const sum = nothing()
  add(sum, results, words[3] as number)
  return sum
}

describe('rcutorture, every schedule', () => {
  it('sees no reader outlived', async () => {
    const torture = await controlled(false, 1500)
    print('controlled', torture)
    expect(tooOld(torture)).toBe(0)
    expect(Math.min(torture.ages[0] ?? 0, torture.ages[1] ?? 0, torture.waited)).toBeGreaterThan(1000)
  })

  it('sees readers outlived when a grace period ends with a CPU missing', async () => {
    const torture = await controlled(true, 300)
    print('controlled, one CPU not waited for', torture)
    expect(tooOld(torture)).toBeGreaterThan(0)
  })
})

describe('rcutorture on threads', () => {
  it.each([
    ['free', 4, 20_000],
    ['free', 64, 40],
    ['perturb', 4, 1000],
  ] as const)('sees no reader outlived (%s, %i CPUs)', async (form, cpus, rounds) => {
    const torture = await threads(form, false, cpus, rounds)
    print(`${form}, ${cpus} CPUs`, torture)
    expect(tooOld(torture)).toBe(0)
    expect(torture.replaced).toBeGreaterThan(0)
  })

  it.each([
    ['free', 20_000],
    ['perturb', 1000],
  ] as const)('sees readers outlived when a grace period ends with a CPU missing (%s)', async (form, rounds) => {
    const torture = await threads(form, true, 4, rounds)
    print(`${form}, one CPU not waited for`, torture)
    expect(tooOld(torture)).toBeGreaterThan(0)
  })
})
