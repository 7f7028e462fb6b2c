import { describe, expect, it } from 'vitest'
import { phys, type PhysAddr } from '../../dist/src/base/units.js'
import { Prng } from '../../dist/src/base/prng.js'
import { smallMachine } from '../../dist/src/boot/config.js'
import { Machine } from '../../dist/src/boot/machine.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32, peekF64 } from '../../dist/src/machine/image/image.js'
import type { Kernel } from '../../dist/src/mm/kernel.js'
import { TABLES } from '../../dist/src/mm/mms.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import {
  gapAt,
  MAPLE_ARANGE64_SLOTS,
  MAPLE_CPU,
  MAPLE_NODE,
  MAPLE_RANGE64_SLOTS,
  mteIsLeaf,
  mteToNode,
  pivotAt,
  slotAt,
} from '../../dist/src/mm/maple/mapleNode.js'

// A tree against a sorted array of ranges, by random stores. Entries are numbers that the tree does not look into.

interface Range {
  readonly start: number
  readonly end: number
  readonly entry: number
}

/** The array: all ranges from 0 to Infinity, neighbours without an entry joined. */
class Model {
  ranges: Range[] = [{ start: 0, end: Infinity, entry: 0 }]

  store(start: number, end: number, entry: number): void {
    const left = this.ranges.filter((range) => range.start < start).map((r) => ({ ...r, end: Math.min(r.end, start) }))
    const right = this.ranges.filter((range) => range.end > end).map((r) => ({ ...r, start: Math.max(r.start, end) }))
    this.ranges = []
    for (const range of [...left, { start, end, entry }, ...right]) {
      const last = this.ranges.at(-1)
      if (last?.entry === 0 && range.entry === 0) this.ranges[this.ranges.length - 1] = { ...last, end: range.end }
      else this.ranges.push(range)
    }
  }

  find(addr: number): number {
    return this.ranges.find(({ end, entry }) => end > addr && entry !== 0)?.entry ?? 0
  }

  findBelow(addr: number): number {
    return this.ranges.findLast(({ start, entry }) => start < addr && entry !== 0)?.entry ?? 0
  }

  at(addr: number): number {
    return this.ranges.find(({ end }) => end > addr)?.entry ?? 0
  }

  emptyArea(min: number, max: number, len: number): number {
    const room = this.#free(min, max).find(({ start, end }) => end - start >= len)
    return room?.start ?? -1
  }

  emptyAreaRev(min: number, max: number, len: number): number {
    const room = this.#free(min, max).findLast(({ start, end }) => end - start >= len)
    return room === undefined ? -1 : room.end - len
  }

  #free(min: number, max: number): Range[] {
    const free = this.ranges.filter(({ entry }) => entry === 0)
    return free.map((r) => ({ ...r, start: Math.max(r.start, min), end: Math.min(r.end, max) }))
  }
}

/** The ranges of the tree; on the way, what must hold of every node. */
function checked(mm: PhysAddr): Range[] {
  const root = peek32(mm + MM.at.mmMt)
  if (root === 0) return [{ start: 0, end: Infinity, entry: 0 }]
  const { ranges, depths } = below(root, 0, Infinity, 1, mm)
  expect(new Set(depths).size, 'all leaves are at one level').toBe(1)
  return ranges
}

function below(
  enode: number,
  min: number,
  max: number,
  depth: number,
  mm: PhysAddr,
): { ranges: Range[]; depths: number[]; gap: number } {
  const [node, leaf] = [mteToNode(enode), mteIsLeaf(enode)]
  const slots = peek32(node + MAPLE_NODE.at.end)
  expect(peek32(node + MAPLE_NODE.at.mm)).toBe(mm)
  expect(peek32(node + MAPLE_NODE.at.dead), 'no node that can be reached is dead').toBe(0)
  expect(slots).toBeGreaterThanOrEqual(leaf ? 1 : 2)
  expect(slots).toBeLessThanOrEqual(leaf ? MAPLE_RANGE64_SLOTS : MAPLE_ARANGE64_SLOTS)
  const found = { ranges: [] as Range[], depths: leaf ? [depth] : [], gap: 0 }
  let start = min
  for (let i = 0; i < slots; i++) {
    const [end, slot] = [peekF64(pivotAt(node, i)), peek32(slotAt(node, i))]
    expect(end, 'pivots ascend').toBeGreaterThan(start)
    if (leaf) {
      found.ranges.push({ start, end, entry: slot })
      if (slot === 0) found.gap = Math.max(found.gap, end - start)
    } else {
      const child = below(slot, start, end, depth + 1, mm)
      expect(peekF64(gapAt(node, i)), 'the largest gap below a slot').toBe(child.gap)
      found.ranges.push(...child.ranges)
      found.depths.push(...child.depths)
      found.gap = Math.max(found.gap, child.gap)
    }
    start = end
  }
  expect(start, 'the last pivot is the end of the node').toBe(max)
  return found
}

/** A kernel whose image has room for `vmas` VMAs, and so for the nodes of a tree of them. */
function kernelFor(vmas: number, perVmaLock = false): { k: Kernel; mm: PhysAddr } {
  const config = smallMachine(1, 128)
  const machine = new Machine({ ...config, kernel: { ...config.kernel, vmas, perVmaLock } })
  machine.boot([], null)
  const k = machine.makeCpu(0, new SoloEngine(), null).kernel
  drive(k.rcu.ctKernelEnter())
  return { k, mm: k.mms.currentMm() }
}

const nodesInUse = ({ k }: { k: Kernel }): number => {
  let free = peek32(k.regions.mapleCpus + MAPLE_CPU.at.count)
  const first = peek32(k.regions.tables + TABLES.at.freeMapleNode)
  for (let node = first; node !== 0; node = peek32(node + MAPLE_NODE.at.next)) free++
  return peek32(k.regions.tables + TABLES.at.mapleNodesUsed) - free
}

describe.each([
  ['freed at once', false],
  ['freed by RCU', true],
])('a maple tree whose nodes are %s', (_, perVmaLock) => {
  const store = (k: Kernel, mm: PhysAddr, start: number, end: number, entry: number): void => {
    expect(drive(k.maple.masPreallocate(mm))).toBe(0)
    drive(k.maple.masStorePrealloc(mm, start, end, entry))
  }

  // Many short ranges make a tall tree, few long ones a tree that shrinks again and again.
  it.each([
    [1, 400, 3],
    [2, 4000, 8],
    [3, 4000, 400],
    [4, 100_000, 2000],
  ])('has what a sorted array has, after stores with seed %i', (seed, space, longest) => {
    const random = new Prng(seed)
    const lab = kernelFor(4096, perVmaLock)
    const { k, mm } = lab
    const model = new Model()
    for (let i = 1; i <= 600; i++) {
      const start = random.below(space)
      const end = start + 1 + random.below(longest)
      const entry = random.below(3) === 0 ? 0 : 8 * i
      store(k, mm, start, end, entry)
      model.store(start, end, entry)
      const [addr, len] = [random.below(space + longest), 1 + random.below(longest)]
      const [low, high] = [random.below(space), random.below(space)]
      const asked = [Math.min(low, high), Math.max(low, high), len] as const
      const found = [
        k.maple.masFind(mm, addr),
        k.maple.masPrev(mm, addr),
        drive(k.maple.masWalk(mm, phys(addr))),
        k.maple.masEmptyArea(mm, ...asked),
        k.maple.masEmptyAreaRev(mm, ...asked),
      ]
      const right = [
        model.find(addr),
        model.findBelow(addr),
        model.at(addr),
        model.emptyArea(...asked),
        model.emptyAreaRev(...asked),
      ]
      expect(found, `seed ${seed}, store ${i}`).toEqual(right)
      if (i % 100 === 0) expect(checked(mm), `seed ${seed}, store ${i}`).toEqual(model.ranges)
      if (perVmaLock && i % 20 === 0) drive(k.rcu.rcuNoteContextSwitch())
    }
    expect(checked(mm)).toEqual(model.ranges)
  })

  it('gives all its nodes back, however it is emptied', () => {
    const lab = kernelFor(4096, perVmaLock)
    const { k, mm } = lab
    const fill = (): void => {
      for (let i = 0; i < 1000; i++) store(k, mm, 2 * i, 2 * i + 1, 8 + 8 * i)
      drive(k.rcu.drain())
      drive(k.rcu.ctKernelEnter())
      expect(nodesInUse(lab)).toBeGreaterThan(1000 / 8)
    }
    const isEmpty = (): void => {
      drive(k.rcu.drain())
      drive(k.rcu.ctKernelEnter())
      expect([peek32(mm + MM.at.mmMt), nodesInUse(lab)]).toEqual([0, 0])
    }
    fill()
    for (let i = 0; i < 1000; i++) store(k, mm, 2 * i, 2 * i + 1, 0)
    isEmpty()
    fill()
    store(k, mm, 0, 5000, 0)
    isEmpty()
    fill()
    drive(k.maple.mtDestroy(mm))
    isEmpty()
  })
})
