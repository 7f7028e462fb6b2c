import { describe, expect, it } from 'vitest'
import { traceDocument, type TraceEvent } from '../../dist/src/report/traceEvents.js'
import type { AccessRow } from '../../dist/src/report/steps.js'
import { byDefault } from './execution.js'

const { explanation, token } = byDefault('gup-vs-split', 'pmdp-inval-addr')
const { rows, finding } = explanation
const trace = traceDocument({ rows, cpus: 2, finding, subject: 'a subject', command: `replay ${token}` })
const events = trace.traceEvents
const accesses = rows.filter((row): row is AccessRow => row.kind === 'access')
const slices = events.filter(({ ph }) => ph === 'X')

describe('a trace', () => {
  it('has events of the format, each with what its phase needs', () => {
    const needs: Record<TraceEvent['ph'], readonly string[]> = {
      X: ['dur', 'cat'],
      i: ['s', 'cat'],
      s: ['id', 'cat'],
      f: ['id', 'cat', 'bp'],
      M: ['args'],
    }
    for (const event of events) {
      expect(event).toMatchObject({ name: expect.any(String), pid: 1, tid: expect.any(Number), ts: expect.any(Number) })
      for (const field of needs[event.ph]) expect(event, event.name).toHaveProperty(field)
    }
    expect(JSON.parse(JSON.stringify(trace))).toEqual(trace)
  })

  it('names the process and a thread for each CPU', () => {
    const names = events.filter(({ ph }) => ph === 'M').map(({ name, tid, args }) => [name, tid, args?.['name']])
    expect(names).toContainEqual(['process_name', 0, 'racewalk: a subject'])
    for (const cpu of [0, 1]) expect(names).toContainEqual(['thread_name', cpu, `CPU ${cpu}`])
  })

  it('has each access as a slice of a microsecond at its step, on its CPU', () => {
    const made = slices.filter(({ cat }) => cat === 'access').sort((a, b) => a.ts - b.ts)
    expect(made.map(({ tid, ts, dur }) => [tid, ts, dur])).toEqual(accesses.map(({ cpu, step }) => [cpu, step, 1]))
  })

  it('has slices that are inside of each other or apart', () => {
    for (const cpu of [0, 1]) {
      const open: TraceEvent[] = []
      for (const slice of slices.filter(({ tid }) => tid === cpu)) {
        const end = slice.ts + (slice.dur as number)
        while (open.length > 0 && ends(open.at(-1)) <= slice.ts) open.pop()
        if (open.length > 0) expect(end, slice.name).toBeLessThanOrEqual(ends(open.at(-1)))
        open.push(slice)
      }
    }
  })

  it('has around each access its operation and its kernel functions', () => {
    for (const { cpu, step, stack } of accesses) {
      const around = slices.filter(({ tid, ts, dur }) => tid === cpu && ts <= step && ts + (dur as number) > step)
      const functions = around.filter(({ cat }) => cat === 'function').map(({ name }) => name)
      expect(functions).toEqual([...stack].reverse())
    }
    const operations = slices.filter(({ cat }) => cat === 'operation').map(({ name, tid }) => [tid, name])
    expect(operations).toEqual([
      [0, 'splitFolio 0x10000'],
      [1, 'gup 0x10000 pages 2'],
    ])
  })

  it('leads with an arrow from who sends an interrupt to who takes it', () => {
    const [from, to] = [events.find(({ ph }) => ph === 's'), events.find(({ ph }) => ph === 'f')]
    expect([from?.tid, to?.tid].sort()).toEqual([0, 1])
    expect(from?.id).toBe(to?.id)
    const handlers = slices.filter(({ cat }) => cat === 'interrupt').map(({ tid, ts }) => [tid, ts])
    expect(handlers).toContainEqual([to?.tid, to?.ts])
    expect((from?.ts ?? 0) < (to?.ts ?? 0)).toBe(true)
  })

  it('ends in the finding', () => {
    const end = events.find(({ cat }) => cat === 'finding')
    expect(end).toMatchObject({ ph: 'i', name: finding?.title, tid: finding?.cpu, ts: accesses.length + 1 })
  })
})

const ends = (slice: TraceEvent | undefined): number => (slice?.ts ?? 0) + (slice?.dur ?? 0)
