import { describe, expect, it } from 'vitest'
import { laboratory } from '../../dist/src/machine/image/guard.js'
import { Layout } from '../../dist/src/machine/image/layout.js'
import { fieldAt, struct } from '../../dist/src/machine/image/struct.js'
import { pfn } from '../../dist/src/base/units.js'
import { Machine } from '../../dist/src/boot/machine.js'
import { fullMachine, smallMachine } from '../../dist/src/boot/config.js'
import { ACCESSES, accessName, accessWidth, Access } from '../../dist/src/machine/cpu/access.js'

describe('struct()', () => {
  it('refuses fields that are misaligned, outside, or overlap outside a union', () => {
    expect(() => struct('s', 16, { a: [2, 4, laboratory] })).toThrow(/not aligned/)
    expect(() => struct('s', 16, { a: [12, 8, laboratory] })).toThrow(/not aligned|beyond/)
    expect(() => struct('s', 16, { a: [0, 8, laboratory], b: [4, 4, laboratory] })).toThrow(/overlap/)
    expect(() => struct('s', 16, { a: [0, 8, laboratory, 'u'], b: [4, 4, laboratory, 'u'] })).not.toThrow()
  })

  it('names every field that covers a byte, both sides of a union', () => {
    const s = struct('page', 32, {
      lru: [0, 8, laboratory, 'x'],
      rcu: [0, 8, laboratory, 'x'],
      count: [8, 4, laboratory],
      list: [16, 16, laboratory],
    })
    expect(fieldAt(s, 4)).toBe('lru|rcu')
    expect(fieldAt(s, 8)).toBe('count')
    expect(fieldAt(s, 24)).toBe('list[2]')
    expect(fieldAt(s, 12)).toBe('+0xc')
  })
})

describe('Layout', () => {
  it('places regions on cache lines, without overlap, frames last', () => {
    for (const config of [smallMachine(2), fullMachine(64)]) {
      const { layout } = new Machine(config)
      let end = 4096
      for (const region of layout.regions) {
        expect(region.base % 64, region.name).toBe(0)
        expect(region.base, region.name).toBeGreaterThanOrEqual(end)
        end = region.base + region.struct.size * region.count
      }
      expect(layout.frameBase).toBeGreaterThanOrEqual(end)
      expect(layout.frameBase % config.frameBytes).toBe(0)
    }
  })

  it('gives any address a name', () => {
    const layout = new Layout()
    const page = struct('page', 64, { flags: [0, 4, laboratory], refcount: [4, 4, laboratory] })
    const base = layout.add('page', page, 4)
    layout.placeFrames(4, 64)
    expect(layout.nameOf(base + 2 * 64 + 4)).toBe('page[0x2].refcount')
    expect(layout.nameOf(layout.frame(pfn(3)) + 0x18)).toBe('frame 0x3+0x18')
    expect(layout.nameOf(8)).toBe('null+0x8')
  })

  it('refuses a region placed twice and one placed after the frames', () => {
    const layout = new Layout()
    const s = struct('s', 64, { a: [0, 4, laboratory] })
    layout.add('s', s, 1)
    expect(() => layout.add('s', s, 1)).toThrow(/twice/)
    layout.placeFrames(1, 64)
    expect(() => layout.add('t', s, 1)).toThrow(/before the frames/)
  })
})

describe('accesses', () => {
  it('have numbers from 1, names and widths', () => {
    for (const name of ACCESSES) expect(accessName(Access[name])).toBe(name)
    expect(accessWidth(Access.xchg64)).toBe(8)
    expect(accessWidth(Access.readOnce32)).toBe(4)
    expect(accessWidth(Access.smpMb)).toBe(0)
  })
})
