import { describe, expect, it } from 'vitest'
import { LEVEL_NAMES } from '../../dist/src/arch/level.js'
import { Geometry, type GeometryOptions, smallGeometry } from '../../dist/src/arch/geometry.js'
import { x86_64 } from '../../dist/src/isa/x86_64/arch.js'
import { UsageError } from '../../dist/src/base/errors.js'
import { Prng } from '../../dist/src/base/prng.js'
import { virt } from '../../dist/src/base/units.js'

const geometries = [2, 3, 4, 9].map((bits) => [bits, smallGeometry(bits)] as const)

/** Index by 64-bit integer arithmetic, the way the manual draws it. */
const bitField = (addr: number, shift: number, bits: number): number =>
  Number((BigInt.asUintN(64, BigInt(addr)) >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n))

/** Page-aligned addresses of both halves: edges of every level, one page to each side of them, and random ones. */
function addresses(geometry: Geometry): number[] {
  const edges = LEVEL_NAMES.map((level) => 2 ** geometry.tableShift(level)).concat(geometry.taskSize, 2 ** 31, 2 ** 32)
  const near = edges.flatMap((edge) => [0, edge, 7 * edge, 2 * geometry.taskSize - edge]).flatMap(pageNeighbours)
  const prng = new Prng(geometry.indexBits)
  const random = Array.from({ length: 500 }, () => prng.below(2 ** 27) * 2 ** 20 + prng.below(2 ** 8) * 4096)
  const user = near.concat(random)
  return user.concat(user.map((addr) => -4096 - addr)).filter((addr) => Math.abs(addr) <= 2 ** 48)
}
const pageNeighbours = (addr: number): number[] => [addr - 4096, addr, addr + 4096].filter((a) => a >= 0)

describe('x86-64 with four levels', () => {
  const g = x86_64.geometry

  it('takes 0x00007f1234567000 apart as the manual does', () => {
    const addr = virt(0x7f1234567000)
    expect([g.pgdIndex(addr), g.pudIndex(addr), g.pmdIndex(addr), g.pteIndex(addr)]).toEqual([
      0x0fe, 0x048, 0x1a2, 0x167,
    ])
  })

  it('has the kernel’s shifts and sizes', () => {
    expect([g.pageShift, g.pmdShift, g.pudShift, g.p4dShift, g.pgdirShift]).toEqual([12, 21, 30, 39, 39])
    expect([g.pageSize, g.pmdSize, g.pudSize, g.pgdirSize]).toEqual([4096, 2 ** 21, 2 ** 30, 2 ** 39])
    expect([g.ptrsPerTable, g.hpagePmdNr, g.hpagePmdOrder]).toEqual([512, 512, 9])
  })

  it('keeps the last page of the user half free', () => {
    expect(g.taskSize).toBe(0x7ffffffff000)
  })

  it('places the kernel half, which is negative, in the upper half of the root', () => {
    expect(g.pgdIndex(virt(-(2 ** 47)))).toBe(256)
    const last = virt(-4096)
    expect([g.pgdIndex(last), g.pudIndex(last), g.pmdIndex(last), g.pteIndex(last)]).toEqual([511, 511, 511, 511])
  })
})

describe.each(geometries)('a geometry of 2^%i entries', (bits, g) => {
  it('agrees with 64-bit integer arithmetic on the index of every level', () => {
    for (const addr of addresses(g).map(virt)) {
      const indices = [g.pgdIndex(addr), g.pudIndex(addr), g.pmdIndex(addr), g.pteIndex(addr)]
      const shifts = [g.pgdirShift, g.pudShift, g.pmdShift, g.pageShift]
      expect(indices, `0x${addr.toString(16)}`).toEqual(shifts.map((shift) => bitField(addr, shift, bits)))
    }
  })

  it('finds the same page for every byte of it', () => {
    for (const addr of addresses(g)) {
      const inside = virt(addr + 4095)
      expect(g.pteIndex(inside)).toBe(g.pteIndex(virt(addr)))
      expect(g.pageAlignDown(inside)).toBe(addr)
    }
  })

  it('aligns to huge pages', () => {
    for (const addr of addresses(g).map(virt)) {
      const down = g.pmdAlignDown(addr)
      expect(addr - down).toBe(g.pteIndex(addr) * g.pageSize)
      expect(g.pmdAlignUp(addr)).toBe(down === addr ? addr : down + g.pmdSize)
      expect(g.pteIndex(down)).toBe(0)
    }
  })

  it('walks a range through entries that touch, each inside one slot', () => {
    const steps = [
      [g.pgdAddrEnd.bind(g), g.pgdirSize],
      [g.pudAddrEnd.bind(g), g.pudSize],
      [g.pmdAddrEnd.bind(g), g.pmdSize],
    ] as const
    for (const [addrEnd, size] of steps) {
      for (const start of [0, 4096, size - 4096, g.taskSize - 3 * size, -3 * size]) {
        const end = virt(start + 2 * size + 4096)
        const bounds = [virt(start)]
        while (bounds.at(-1)! < end) bounds.push(addrEnd(bounds.at(-1)!, end))
        expect(bounds.at(-1)).toBe(end)
        for (const [i, from] of bounds.slice(0, -1).entries())
          expect(Math.floor(from / size)).toBe(Math.floor((bounds[i + 1]! - 1) / size))
        expect(bounds.length - 1).toBe(Math.floor((end - 1) / size) - Math.floor(start / size) + 1)
      }
    }
  })

  it('ends a walk to the top of the address space at its top', () => {
    expect(g.pmdAddrEnd(virt(-4096), virt(0))).toBe(0)
    expect(g.pgdAddrEnd(virt(-4096), virt(0))).toBe(0)
  })

  it('gives each level the span of a whole table of the next', () => {
    expect(LEVEL_NAMES.map((level) => g.tableShift(level))).toEqual([g.pgdirShift, g.pudShift, g.pmdShift, g.pageShift])
    expect(g.pgdirSize).toBe(g.pudSize * g.ptrsPerTable)
    expect(g.pudSize).toBe(g.pmdSize * g.ptrsPerTable)
    expect(g.pmdSize).toBe(g.pageSize * g.hpagePmdNr)
    expect(g.hpagePmdNr).toBe(2 ** g.hpagePmdOrder)
  })

  it('gives the user half of the root’s entries to tasks', () => {
    expect(g.pgdIndex(virt(g.taskSize - 4096))).toBe(g.ptrsPerTable / 2 - 1)
  })
})

describe('an impossible geometry', () => {
  it.each([1, 10, 2.5, NaN])('of 2^%d entries names the range that is possible', (bits) => {
    expect(() => smallGeometry(bits)).toThrow(UsageError)
    expect(() => smallGeometry(bits)).toThrow('from 2 to 9')
  })

  it.each([
    { levels: 3, indexBits: 9, pageShift: 12 },
    { levels: 4, indexBits: 9, pageShift: 14 },
  ])('of $levels levels and pages of 2^$pageShift bytes is refused', (options) => {
    expect(() => new Geometry(options as unknown as GeometryOptions)).toThrow(UsageError)
  })
})
