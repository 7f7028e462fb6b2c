/**
 * The check that an execution is deterministic replays its recorded picks, and compares every access of the second run
 * with the first. Tokens, shrinking and shards rely on determinism. An execution is not deterministic when racewalk, or
 * a user's module, keeps state outside of the image or asks the host for anything.
 */
import type { Finding } from '../../machine/engine/finding.js'
import { cpuOf } from '../../machine/engine/actions.js'
import type { StepRecorder } from '../../machine/engine/controlled.js'
import { ReplayStrategy } from './replay.js'
import type { Execution, Session } from '../session/session.js'

/** The step of one run at which two runs of an execution diverge. */
export type Side =
  | { readonly kind: 'access'; readonly cpu: number; readonly access: number; readonly addr: number }
  /** Something came to a CPU (actions.ts). */
  | { readonly kind: 'event'; readonly action: number }
  /** It was over; `how` says with what. */
  | { readonly kind: 'end'; readonly how: string }

export interface Divergence {
  /** Number of the execution, from 1. */
  readonly execution: number
  /** Accesses that both runs made before they diverged. */
  readonly steps: number
  readonly first: Side
  readonly second: Side
}

/** Records executions, and compares each with a second run. */
export class Check {
  readonly #session: Session
  readonly #first = new Steps()
  readonly #second = new Steps()

  constructor(session: Session) {
    this.#session = session
  }

  /** For the first run. */
  get recorder(): StepRecorder {
    this.#first.clear()
    return this.#first
  }

  /** Runs the last execution again; the divergence of the two runs, null when they are the same. */
  again(first: Execution, execution: number): Divergence | null {
    const { engine } = this.#session
    const firstSteps = engine.steps
    const replay = new ReplayStrategy(engine.picks)
    this.#second.clear()
    const second = this.#session.execute(replay, this.#second)
    const at = this.#first.partsFrom(this.#second)
    const same = at < 0 && replay.exact && firstSteps === engine.steps && how(first) === how(second)
    if (same) return null
    const end = Math.max(this.#first.length, this.#second.length)
    const from = at < 0 ? end : at
    return {
      execution,
      steps: this.#first.accessesBefore(from),
      first: this.#first.side(from, how(first)),
      second: this.#second.side(from, how(second)),
    }
  }
}

/** Everything about an ending that has to be the same. */
function how({ finding, outcome }: Execution): string {
  return finding === null ? (outcome ?? 'nothing found') : said(finding)
}

const said = ({ title, details }: Finding): string => [title, ...details].join('; ')

/** Stands for the access where an event is recorded. */
const EVENT = 0
/** CPU, access, address. */
const WIDTH = 3

class Steps implements StepRecorder {
  #words = new Int32Array(1024 * WIDTH)
  #length = 0

  get length(): number {
    return this.#length
  }

  clear(): void {
    this.#length = 0
  }

  step(cpu: number, kind: number, addr: number): void {
    const at = this.#length * WIDTH
    if (at === this.#words.length) this.#grow()
    this.#words[at] = cpu
    this.#words[at + 1] = kind
    this.#words[at + 2] = addr
    this.#length++
  }

  event(action: number): void {
    this.step(cpuOf(action), EVENT, action)
  }

  end(): void {}

  /** Index of the first step that differs, or that only one has; -1 when there is none. */
  partsFrom(other: Steps): number {
    const length = Math.min(this.#length, other.#length)
    for (let at = 0; at < length * WIDTH; at++) if (this.#words[at] !== other.#words[at]) return Math.floor(at / WIDTH)
    return this.#length === other.#length ? -1 : length
  }

  /** Accesses among the first `index` steps; events are none. */
  accessesBefore(index: number): number {
    let accesses = 0
    for (let i = 0; i < Math.min(index, this.#length); i++) if (this.#words[i * WIDTH + 1] !== EVENT) accesses++
    return accesses
  }

  side(index: number, ending: string): Side {
    if (index >= this.#length) return { kind: 'end', how: ending }
    const [cpu = 0, access = 0, addr = 0] = this.#words.subarray(index * WIDTH, (index + 1) * WIDTH)
    return access === EVENT ? { kind: 'event', action: addr } : { kind: 'access', cpu, access, addr }
  }

  #grow(): void {
    const larger = new Int32Array(this.#words.length * 2)
    larger.set(this.#words)
    this.#words = larger
  }
}
