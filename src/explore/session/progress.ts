/**
 * Tells a livelock from an execution that is long. An execution gets somewhere while operations end, or while some CPU
 * comes to a word that it has not seen with this value in the operation at hand. It is a livelock when neither happens
 * although every CPU that could go on did, again and again, and every interrupt was taken: nothing that any of them
 * sees will be different from then on. A loop that counts is therefore none; it ends at the limit of accesses.
 *
 * An execution that is short costs nothing. A long one is recorded from the first look on at which no operation had
 * ended since the look before it.
 */
import { cpuOf, isInterrupt } from '../../machine/engine/actions.js'
import type { ControlledEngine, StepRecorder, Watch } from '../../machine/engine/controlled.js'
import type { Finding } from '../../machine/engine/finding.js'
import { peek32 } from '../../machine/image/image.js'
import type { Layout } from '../../machine/image/layout.js'
import { both } from './recorders.js'

/** Accesses of each CPU between two looks without which the schedule is to blame. */
const FAIR_LEAST = 128
/** Words that a report names for each CPU. */
const WORDS_SHOWN = 8

/** The words that one CPU came to while it was recorded. */
interface Seen {
  /** By address of 32 bits, the values. */
  readonly words: Map<number, Set<number>>
  /** Addresses of the accesses themselves, in the order of the first ones. */
  readonly accessed: Set<number>
  /** Accesses and interrupts since the last look. */
  accesses: number
  interrupts: number
}

export class Progress implements Watch, StepRecorder {
  readonly #engine: ControlledEngine
  readonly #operationsEnded: () => number
  #ended = 0
  #recorder: StepRecorder | null = null
  #seen: Seen[] = []
  #isNew = false

  /** `operationsEnded`: of all CPUs, in the execution that runs. */
  constructor(engine: ControlledEngine, operationsEnded: () => number) {
    this.#engine = engine
    this.#operationsEnded = operationsEnded
    engine.watch = this
  }

  /** An execution begins that `recorder` hears. */
  begin(recorder: StepRecorder | null): void {
    this.#recorder = recorder
    this.#engine.recorder = recorder
    this.#ended = 0
    this.#seen = []
  }

  isStuck(): boolean {
    const ended = this.#operationsEnded()
    if (ended !== this.#ended) this.#record(ended, null)
    else if (this.#seen.length === 0) this.#record(ended, both(this.#recorder, this))
    else {
      if (!this.#isNew && this.#isFair()) return true
      for (const seen of this.#seen) seen.accesses = seen.interrupts = 0
    }
    this.#isNew = false
    return false
  }

  /** Records from here on; null: no more. */
  #record(ended: number, recorder: StepRecorder | null): void {
    this.#ended = ended
    this.#engine.recorder = recorder ?? this.#recorder
    this.#seen = []
    if (recorder === null) return
    for (let cpu = 0; cpu < this.#engine.cpuCount; cpu++)
      this.#seen.push({ words: new Map(), accessed: new Set(), accesses: 0, interrupts: 0 })
  }

  /** Whether all that could happen since the last look did. */
  #isFair(): boolean {
    const { runnable, interruptible } = this.#engine
    return this.#seen.every(
      ({ accesses, interrupts }, cpu) =>
        (((runnable >>> cpu) & 1) === 0 || accesses >= FAIR_LEAST) &&
        (((interruptible >>> cpu) & 1) === 0 || interrupts > 0),
    )
  }

  step(cpu: number, _kind: number, addr: number): void {
    const seen = this.#seen[cpu] as Seen
    seen.accesses++
    seen.accessed.add(addr)
    // The half of a 64-bit word, or a neighbour.
    for (const word of [addr, addr ^ 4]) if (isNewValue(seen.words, word)) this.#isNew = true
  }

  event(action: number): void {
    if (isInterrupt(action)) (this.#seen[cpuOf(action)] as Seen).interrupts++
  }

  end(): void {}

  /** The livelock that isStuck() saw last. `operationOf`: the operation at hand of a CPU, in words. */
  finding(layout: Layout, operationOf: (cpu: number) => string): Finding {
    const stuck = [...this.#seen.keys()].filter((cpu) => (this.#seen[cpu] as Seen).accesses > 0)
    const names = stuck.map((cpu) => `CPU ${cpu} in ${operationOf(cpu)}`)
    const verb = stuck.length === 1 ? 'goes round and gets' : 'go round and get'
    const title = `INFO: livelock: ${names.join(' and ')} ${verb} nowhere`
    const details = stuck.map((cpu) => `CPU ${cpu} comes to these words again and again: ${this.#words(cpu, layout)}`)
    details.push('No operation ends, no word has a value that it did not have before.')
    return { oracle: 'livelock', title, cpu: stuck[0] ?? -1, address: null, details, stack: [] }
  }

  #words(cpu: number, layout: Layout): string {
    const names = new Set([...(this.#seen[cpu] as Seen).accessed].map((addr) => layout.nameOf(addr)))
    const shown = [...names].slice(0, WORDS_SHOWN).join(', ')
    return names.size > WORDS_SHOWN ? `${shown}, and ${names.size - WORDS_SHOWN} more` : shown
  }
}

/** Notes the value of the word at `addr`; true for one that it was not seen with before. */
function isNewValue(words: Map<number, Set<number>>, addr: number): boolean {
  let values = words.get(addr)
  if (values === undefined) words.set(addr, (values = new Set()))
  const before = values.size
  values.add(peek32(addr))
  return values.size !== before
}
