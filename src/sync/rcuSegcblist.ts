/**
 * The callbacks of one CPU, in the order in which they were queued, in four segments:
 *
 *   DONE         their grace period has passed: to be run
 *   WAIT         wait for grace period waitSeq
 *   NEXT_READY   wait for grace period nextReadySeq, a later one
 *   NEXT         queued; no grace period chosen yet
 *
 * Source: kernel/rcu/rcu_segcblist.c (v6.12). The list's own words are private to the CPU and its interrupts; all
 * methods want IRQs off. The heads are memory of the kernel that others may reach, hence plain accesses.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { RCU_CPU, rcuSeqDone } from './rcuLayout.js'

const AT = RCU_CPU.at

export class RcuSegcblist {
  readonly #cpu: Cpu
  readonly #own: PhysAddr

  /** `own` is the CPU's RCU_CPU. */
  constructor(cpu: Cpu, own: PhysAddr) {
    this.#cpu = cpu
    this.#own = own
  }

  /** rcu_segcblist_n_cbs(): callbacks queued and not yet done, those that are being run among them. */
  get nCbs(): number {
    return peek32(this.#own + AT.callbacks)
  }

  /** Part of rcu_segcblist_accelerate(): true when some have no grace period yet. */
  get anyNew(): boolean {
    return peek32(this.#own + AT.nextFirst) !== 0
  }

  /** rcu_segcblist_pend_cbs(): true when some wait for a grace period that was chosen. */
  get pendCbs(): boolean {
    return peek32(this.#own + AT.waitFirst) !== 0
  }

  /** rcu_segcblist_ready_cbs(): true when some are to be run. */
  get readyCbs(): boolean {
    return peek32(this.#own + AT.doneFirst) !== 0
  }

  /** rcu_segcblist_nextgp(): the number that the oldest waiting callback waits for. Caller: pendCbs. */
  get nextgp(): number {
    return peek32(this.#own + AT.waitSeq)
  }

  /** rcu_segcblist_enqueue(). */
  *enqueue(head: PhysAddr): Step<void> {
    this.addToCount(1)
    yield* this.append(AT.nextFirst, AT.nextLast, head, head)
  }

  /**
   * rcu_segcblist_entrain(): appends `head` behind all that are queued or being run, without a grace period of its own.
   */
  *entrain(head: PhysAddr): Step<void> {
    this.addToCount(1)
    if (this.anyNew) yield* this.append(AT.nextFirst, AT.nextLast, head, head)
    else if (peek32(this.#own + AT.nextReadyFirst) !== 0)
      yield* this.append(AT.nextReadyFirst, AT.nextReadyLast, head, head)
    else if (this.pendCbs) yield* this.append(AT.waitFirst, AT.waitLast, head, head)
    else yield* this.append(AT.doneFirst, AT.doneLast, head, head)
  }

  /**
   * rcu_segcblist_accelerate(): the new callbacks wait for `target` from here on; with them those of NEXT_READY, which
   * lose nothing but time.
   */
  *accelerate(target: number): Step<void> {
    if (!this.anyNew) return
    const [first, last] = [peek32(this.#own + AT.nextFirst), peek32(this.#own + AT.nextLast)]
    this.clear(AT.nextFirst, AT.nextLast)
    if (!this.pendCbs || this.nextgp === target) {
      poke32(this.#own + AT.waitSeq, target)
      poke32(this.#own + AT.wakeAt, target)
      yield* this.append(AT.waitFirst, AT.waitLast, first, last)
      return
    }
    poke32(this.#own + AT.nextReadySeq, target)
    yield* this.append(AT.nextReadyFirst, AT.nextReadyLast, first, last)
  }

  /** rcu_segcblist_advance(): moves callbacks that waited for grace periods up to `seq` to DONE. */
  *advance(seq: number): Step<void> {
    while (this.pendCbs && rcuSeqDone(seq, this.nextgp)) {
      const [first, last] = [peek32(this.#own + AT.waitFirst), peek32(this.#own + AT.waitLast)]
      const target = peek32(this.#own + AT.nextReadySeq)
      poke32(this.#own + AT.waitFirst, peek32(this.#own + AT.nextReadyFirst))
      poke32(this.#own + AT.waitLast, peek32(this.#own + AT.nextReadyLast))
      poke32(this.#own + AT.waitSeq, target)
      poke32(this.#own + AT.wakeAt, target)
      this.clear(AT.nextReadyFirst, AT.nextReadyLast)
      yield* this.append(AT.doneFirst, AT.doneLast, first, last)
    }
  }

  /** rcu_segcblist_extract_done_cbs(): takes the DONE segment off the list; the caller has read its ends before. */
  extractDoneCbs(): void {
    this.clear(AT.doneFirst, AT.doneLast)
  }

  get doneFirst(): number {
    return peek32(this.#own + AT.doneFirst)
  }

  get doneLast(): number {
    return peek32(this.#own + AT.doneLast)
  }

  /** Counts one callback that has run: rcu_segcblist_add_len(). */
  ran(): void {
    this.addToCount(-1)
  }

  protected addToCount(delta: number): void {
    poke32(this.#own + AT.callbacks, this.nCbs + delta)
  }

  protected clear(firstAt: number, lastAt: number): void {
    poke32(this.#own + firstAt, 0)
    poke32(this.#own + lastAt, 0)
  }

  /** Here only. Adds the chain from `first` to `last` to the end of a segment. */
  protected *append(firstAt: number, lastAt: number, first: number, last: number): Step<void> {
    const before = peek32(this.#own + lastAt)
    poke32(this.#own + lastAt, last)
    if (before === 0) poke32(this.#own + firstAt, first)
    else yield* this.#cpu.plainWrite32(phys(before), first)
  }
}
