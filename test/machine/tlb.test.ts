import { beforeEach, describe, expect, it } from 'vitest'
import * as image from '../../dist/src/machine/image/image.js'
import { Layout } from '../../dist/src/machine/image/layout.js'
import { placeTlbs, Tlb, TLB_ENTRY } from '../../dist/src/machine/cpu/tlb.js'

const SIZES = { base: 4, huge: 2, psc: 2 }
const [MM, OTHER] = [0x1000, 0x2000]
const HUGE = 4

describe('Tlb', () => {
  let tlb: Tlb
  let events: string[]

  beforeEach(() => {
    const layout = new Layout()
    const base = placeTlbs(layout, 1, SIZES)
    image.attach(image.createMemory(layout.size))
    events = []
    tlb = new Tlb(base, 0, 1, SIZES, {
      tlbFilled: (cpu, pfn, pages) => events.push(`+${cpu}:${pfn}/${pages}`),
      tlbDropped: (cpu, pfn, pages) => events.push(`-${cpu}:${pfn}/${pages}`),
    })
  })

  it('translates a base page until it is flushed', () => {
    const entry = tlb.fill(10, 77, 1, 0, 1, MM)
    expect(tlb.lookup(10, HUGE, MM)).toBe(entry)
    expect(image.peek32(entry + TLB_ENTRY.at.pfn)).toBe(77)
    expect(tlb.lookup(11, HUGE, MM)).toBe(0)
    tlb.flushRange(MM, 10, 11)
    expect(tlb.lookup(10, HUGE, MM)).toBe(0)
    expect(events).toEqual(['+0:77/1', '-0:77/1'])
  })

  it('translates every page of a huge page, and drops it when any of them is flushed', () => {
    tlb.fill(8, 32, HUGE, 0, 1, MM)
    for (let vpn = 8; vpn < 12; vpn++) expect(tlb.lookup(vpn, HUGE, MM)).not.toBe(0)
    expect(tlb.lookup(12, HUGE, MM)).toBe(0)
    tlb.flushRange(MM, 11, 12)
    expect(tlb.lookup(8, HUGE, MM)).toBe(0)
  })

  it('keeps a base and a huge translation of one address side by side', () => {
    tlb.fill(8, 32, HUGE, 0, 1, MM)
    const small = tlb.fill(9, 90, 1, 0, 2, MM)
    expect(tlb.lookup(9, HUGE, MM)).toBe(small)
    expect(tlb.lookup(10, HUGE, MM)).not.toBe(0)
  })

  it('flushes only the address space it is asked for', () => {
    tlb.fill(1, 5, 1, 0, 1, MM)
    tlb.flushRange(OTHER, 0, 100)
    expect(tlb.lookup(1, HUGE, MM)).not.toBe(0)
    tlb.flushAll()
    expect(tlb.lookup(1, HUGE, MM)).toBe(0)
  })

  it('tells of the entry that a fill throws out of its slot', () => {
    tlb.fill(1, 5, 1, 0, 1, MM)
    tlb.fill(5, 6, 1, 0, 1, MM)
    expect(events).toEqual(['+0:5/1', '-0:5/1', '+0:6/1'])
  })

  it('remembers where tables are until anything of the address space is flushed', () => {
    tlb.fillTable(5, 0x4000, MM)
    tlb.fillTable(6, 0x5000, OTHER)
    expect([tlb.lookupTable(5, MM), tlb.lookupTable(5, OTHER), tlb.lookupTable(7, MM)]).toEqual([0x4000, 0, 0])
    tlb.flushRange(OTHER, 1000, 1001)
    expect([tlb.lookupTable(5, MM), tlb.lookupTable(6, OTHER)]).toEqual([0x4000, 0])
    tlb.flushAll()
    expect(tlb.lookupTable(5, MM)).toBe(0)
  })
})
