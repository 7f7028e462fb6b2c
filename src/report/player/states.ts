/** The state at any step, and when each of its items changed. Steps count from 1; 0 is before the first. */
import type { PageData } from './data.js'

interface Turn {
  readonly step: number
  readonly text: string | null
}

export class States {
  /** By item: what it says from which step on, the first from 0. */
  readonly #turns: readonly (readonly Turn[])[]

  constructor({ start, changes }: Pick<PageData, 'start' | 'changes'>) {
    const turns: Turn[][] = start.map((text) => [{ step: 0, text }])
    changes.forEach((list, i) => {
      for (const { item, text } of list) turns[item]?.push({ step: i + 1, text })
    })
    this.#turns = turns
  }

  get items(): number {
    return this.#turns.length
  }

  /** What `item` says after `step`; null: it is not there. */
  text(item: number, step: number): string | null {
    return this.#turn(item, step)?.text ?? null
  }

  /** The last step up to `step` that changed `item`, 0 for none. */
  changedAt(item: number, step: number): number {
    return this.#turn(item, step)?.step ?? 0
  }

  /** What `item` said before the change of `step`. */
  before(item: number, step: number): string | null {
    return step === 0 ? null : this.text(item, step - 1)
  }

  #turn(item: number, step: number): Turn | undefined {
    const turns = this.#turns[item] ?? []
    let [low, high] = [0, turns.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((turns[middle] as Turn).step <= step) low = middle
      else high = middle - 1
    }
    return turns[low]
  }
}
