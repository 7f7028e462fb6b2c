import { beforeAll, describe, expect, it } from 'vitest'
import { Prng } from '../../dist/src/base/prng.js'
import * as image from '../../dist/src/machine/image/image.js'

// The accessors are one-instruction wasm functions, JS Atomics is the reference: both run the same random operations on
// two halves of one shared memory and must leave the same words and return the same values. Seed printed in the title.
const SEED = 20_261_121
const ROUNDS = 20_000

/** What addUnless32 stands for, on one thread. */
function addUnless(ints: Int32Array, index: number, delta: number, unless: number): number {
  const seen = Atomics.load(ints, index)
  if (seen === unless) return 0
  Atomics.store(ints, index, seen + delta)
  return 1
}

describe(`accessors against Atomics (seed ${SEED})`, () => {
  let longs: BigInt64Array
  let ints: Int32Array

  beforeAll(() => {
    const memory = image.createMemory(65_536)
    image.attach(memory)
    longs = new BigInt64Array(memory.buffer)
    ints = new Int32Array(memory.buffer)
  })

  const MINE = 4096
  const THEIRS = 8192

  it('agree on every 32-bit operation', () => {
    const prng = new Prng(SEED)
    const ops: [
      string,
      (addr: number, v: number, w: number) => number | void,
      (i: number, v: number, w: number) => number,
    ][] = [
      ['load', (a) => image.load32(a), (i) => Atomics.load(ints, i)],
      ['store', (a, v) => image.store32(a, v), (i, v) => Atomics.store(ints, i, v)],
      ['add', (a, v) => image.add32(a, v), (i, v) => Atomics.add(ints, i, v)],
      ['and', (a, v) => image.and32(a, v), (i, v) => Atomics.and(ints, i, v)],
      ['or', (a, v) => image.or32(a, v), (i, v) => Atomics.or(ints, i, v)],
      ['xor', (a, v) => image.xor32(a, v), (i, v) => Atomics.xor(ints, i, v)],
      ['xchg', (a, v) => image.xchg32(a, v), (i, v) => Atomics.exchange(ints, i, v)],
      ['addUnless', (a, v, w) => image.addUnless32(a, v, w), (i, v, w) => addUnless(ints, i, v, w)],
      ['cmpxchg', (a, v, w) => image.cmpxchg32(a, w, v), (i, v, w) => Atomics.compareExchange(ints, i, w, v)],
    ]
    for (let round = 0; round < ROUNDS; round++) {
      const [name, mine, theirs] = ops[prng.below(ops.length)] as (typeof ops)[number]
      const word = prng.below(16)
      const value = prng.next() | 0
      // Half of the compare-exchanges expect what is there.
      const expected = prng.below(2) === 0 ? Atomics.load(ints, THEIRS / 4 + word) : prng.next() | 0
      const a = mine(MINE + word * 4, value, expected)
      const b = theirs(THEIRS / 4 + word, value, expected)
      if (name !== 'store') expect(a, name).toBe(b)
    }
    expect(ints.slice(MINE / 4, MINE / 4 + 16)).toEqual(ints.slice(THEIRS / 4, THEIRS / 4 + 16))
  })

  it('agree on every 64-bit operation, signs and high bits included', () => {
    const prng = new Prng(SEED + 1)
    const long = (): bigint => BigInt.asIntN(64, (BigInt(prng.next()) << 32n) | BigInt(prng.next()))
    const ops: [
      string,
      (a: number, v: bigint, w: bigint) => bigint | void,
      (i: number, v: bigint, w: bigint) => bigint,
    ][] = [
      ['load', (a) => image.load64(a), (i) => Atomics.load(longs, i)],
      ['store', (a, v) => image.store64(a, v), (i, v) => Atomics.store(longs, i, v)],
      ['and', (a, v) => image.and64(a, v), (i, v) => Atomics.and(longs, i, v)],
      ['or', (a, v) => image.or64(a, v), (i, v) => Atomics.or(longs, i, v)],
      ['xchg', (a, v) => image.xchg64(a, v), (i, v) => Atomics.exchange(longs, i, v)],
      ['cmpxchg', (a, v, w) => image.cmpxchg64(a, w, v), (i, v, w) => Atomics.compareExchange(longs, i, w, v)],
    ]
    for (let round = 0; round < ROUNDS; round++) {
      const [name, mine, theirs] = ops[prng.below(ops.length)] as (typeof ops)[number]
      const word = prng.below(8)
      const value = long()
      const expected = prng.below(2) === 0 ? Atomics.load(longs, THEIRS / 8 + 64 + word) : long()
      const a = mine(MINE + 512 + word * 8, value, expected)
      const b = theirs(THEIRS / 8 + 64 + word, value, expected)
      if (name !== 'store') expect(a, name).toBe(b)
    }
    expect(longs.slice((MINE + 512) / 8, (MINE + 512) / 8 + 8)).toEqual(longs.slice(THEIRS / 8 + 64, THEIRS / 8 + 72))
  })
})

describe('snapshot() and restore()', () => {
  it('bring back every word, whichever way it was stored', () => {
    image.attach(image.createMemory(131_072))
    for (let at = 0; at < 65_536; at += 4) image.poke32(at, at * 7)
    image.snapshot(65_536)
    const before = image.words.slice(0, 16_384)
    image.poke32(64, 1)
    image.poke64(4096, 2n)
    image.pokeF64(8192, 3.5)
    image.fillBytes(12_288, 0xff, 4096)
    image.copyBytes(20_480, 12_288, 256)
    image.store32(30_000, 5)
    image.note(30_000)
    expect(image.words.slice(0, 16_384)).not.toEqual(before)
    image.restore()
    expect(image.words.slice(0, 16_384)).toEqual(before)
    // A second round starts from a clean list of dirty blocks.
    image.poke32(128, 9)
    image.restore()
    expect(image.words.slice(0, 16_384)).toEqual(before)
  })
})
