/**
 * The one source of pseudo-randomness: xorshift32 (Marsaglia 2003), 32 bits of state, period 2^32 - 1.
 * Every consumer gets a stream of its own with split(), so that adding a draw in one place moves no other.
 */
export class Prng {
  #state: number

  /** `seed` is any integer; 0 is as good as any other. */
  constructor(seed: number) {
    this.#state = scramble(seed | 0)
  }

  /** Next 32 bits, 0 … 2^32 - 1. */
  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  /** Uniform in 0 … limit - 1 for 1 ≤ limit ≤ 2^32 (bias below limit / 2^32). */
  below(limit: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * limit)
  }

  /** An independent stream, named by `label` so that it does not depend on how many draws were made here. */
  static split(seed: number, label: number): Prng {
    return new Prng(scramble(seed | 0) ^ Math.imul(label + 1, 0x9e3779b9))
  }
}

/** Finaliser of murmur3: spreads nearby seeds; never returns 0, which xorshift cannot leave. */
function scramble(seed: number): number {
  let h = seed ^ 0x5bd1e995
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  h ^= h >>> 16
  return h === 0 ? 0x6d2b79f5 : h
}
