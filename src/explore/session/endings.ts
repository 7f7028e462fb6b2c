/**
 * The name of an ending of a litmus test, in the words of its scenario. The scenario's function takes longer than the
 * test. It therefore runs once for each ending, and a decision tree over the values that it read gives the name from
 * then on. The function must depend on the values that it reads alone.
 */
import type { Scenario } from '../../scenario/scenario.js'

/** Reads a register of a CPU, or a word, as the execution left it. */
export interface Readers {
  readonly reg: (cpu: number, reg: number) => number
  readonly word: (word: number) => number
}

/** One read: of register `at` of CPU `cpu`, or of word `at` for `cpu` -1. */
interface Read {
  readonly cpu: number
  readonly at: number
}

/** A read, and where its values lead. */
interface Fork {
  readonly read: Read
  readonly byValue: Map<number, Fork | Leaf>
}

interface Leaf {
  readonly ending: string
}

export class Endings {
  readonly #outcome: NonNullable<Scenario['outcome']>
  readonly #readers: Readers
  #root: Fork | Leaf | null = null

  constructor(outcome: NonNullable<Scenario['outcome']>, readers: Readers) {
    this.#outcome = outcome
    this.#readers = readers
  }

  /** The name of the ending that the machine is in. */
  name(): string {
    let node = this.#root
    while (node !== null && 'read' in node) node = node.byValue.get(this.#value(node.read)) ?? null
    return node === null ? this.#learn() : node.ending
  }

  #value({ cpu, at }: Read): number {
    return cpu < 0 ? this.#readers.word(at) : this.#readers.reg(cpu, at)
  }

  /** Has the ending named, and remembers the way to it. */
  #learn(): string {
    const reads: Read[] = []
    const noted = (read: Read): number => {
      reads.push(read)
      return this.#value(read)
    }
    const ending = this.#outcome(
      (cpu, at) => noted({ cpu, at }),
      (at) => noted({ cpu: -1, at }),
    )
    let attach = (node: Fork | Leaf): void => void (this.#root = node)
    let known = this.#root
    for (const read of reads) {
      const fork: Fork = known !== null && 'read' in known ? known : { read, byValue: new Map() }
      if (known === null) attach(fork)
      const value = this.#value(read)
      attach = (node) => void fork.byValue.set(value, node)
      known = fork.byValue.get(value) ?? null
    }
    attach({ ending })
    return ending
  }
}
