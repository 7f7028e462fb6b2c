/**
 * The context of a program on a CPU, as its operations see it: the CPU and its kernel, choices, registers, and the
 * pages that it holds. All that outlives an operation is in the image (state.ts).
 */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import { CONTROL } from '../machine/cpu/area.js'
import type { Step, WaitCondition } from '../machine/engine/engine.js'
import { load32, peek32, poke32 } from '../machine/image/image.js'
import { FAULT } from '../arch/generic/mmu.js'
import { FOLL_FAST_ONLY, FOLL_GET, FOLL_PIN } from '../mm/gupFast.js'
import type { Kernel } from '../mm/kernel.js'
import { Part } from '../mm/part.js'
import type { RcuCallback } from '../sync/rcu.js'
import type { Pick } from './fields.js'
import { Litmus } from './litmus.js'
import type { Op } from './op.js'
import type { Sections } from './sections.js'
import { HELD_MAX, LITMUS, PROGRAM_CPU, ownWordAt, programCpu, slotAt, wordAt, type ProgramRegions } from './state.js'

/** Hears which operations a program comes to, and what it chooses. */
export interface ProgramListener {
  /** CPU `cpu` begins `op`. */
  began(cpu: number, op: Op): void
  /** A oneOf took its program number `choice`, or, with `isAddress`, the operation that began last that address. */
  chose(cpu: number, choice: number, isAddress: boolean): void
}

export class Task extends Part {
  listener: ProgramListener | null = null
  readonly litmus: Litmus
  readonly sections: Sections
  /** Frames that get_user_pages returned last. */
  readonly pages = new Int32Array(1024)
  readonly #regions: ProgramRegions
  readonly #own: PhysAddr
  readonly #wordCallback: number

  constructor(k: Kernel, regions: ProgramRegions) {
    super(k)
    this.#regions = regions
    this.#own = programCpu(regions, k.cpu.id)
    this.litmus = new Litmus(k.cpu, regions)
    this.sections = this.litmus.sections
    this.#wordCallback = k.rcu.register(new WordCallback(k))
  }

  /** The mm of the process that runs here; 0: none. */
  get mm(): PhysAddr {
    return this.k.mms.currentMm()
  }

  // ---- arguments --------------------------------------------------------------------------------------------------

  pick(addr: Pick): VirtAddr {
    if (typeof addr === 'number') return addr as VirtAddr
    if ('reg' in addr) return (this.litmus.register(addr.reg) + (addr.plus ?? 0)) as VirtAddr
    return (addr.from + addr.step * (addr.count > 1 ? this.choose(addr.count, true) : 0)) as VirtAddr
  }

  choose(count: number, isAddress: boolean): number {
    const choice = this.cpu.choose(count)
    if (this.listener !== null) this.listener.chose(this.cpu.id, choice, isAddress)
    return choice
  }

  file(file: number | undefined): PhysAddr {
    return file === undefined ? phys(0) : this.k.files.fileAt(file)
  }

  slot(slot: number): PhysAddr {
    return slotAt(this.#regions, slot)
  }

  word(word: number): PhysAddr {
    return wordAt(this.#regions, word)
  }

  /** Word `n` of those that operations of users' modules have, with 64 bytes: 0 to 63. */
  ownWord(n: number): PhysAddr {
    return ownWordAt(this.#regions, n)
  }

  // ---- time -------------------------------------------------------------------------------------------------------

  /** Threads: the operation at hand is the last one, unless it leaves a section open for which others wait. */
  get stopped(): boolean {
    return this.isStopAsked && !this.sections.areOpen
  }

  /** Threads: programs are to end. */
  get isStopAsked(): boolean {
    return this.cpu.engine.threads && load32(this.cpu.control + CONTROL.at.stop) !== 0
  }

  /** Waits for what another program does. A stop request ends it too, since that program may have stopped before. */
  *sleepUntil(addr: PhysAddr, until: WaitCondition, operand: number): Step<number> {
    return yield* this.k.rcu.sleepUntil(addr, (seen, wanted) => until(seen, wanted) || this.isStopAsked, operand)
  }

  /** Counts an operation of kind `kind` that ended. */
  count(kind: number): void {
    const counts = this.#own + PROGRAM_CPU.at.counts + kind * 4
    poke32(counts, peek32(counts) + 1)
  }

  /** call_rcu() with the head of word `word`: its callback stores `value` there. */
  *callRcu(word: number, value: number): Step<number> {
    const at = this.word(word)
    poke32(at + LITMUS.at.headValue, value)
    yield* this.k.rcu.callRcu(phys(at + LITMUS.at.head), this.#wordCallback)
    return 0
  }

  // ---- user accesses ----------------------------------------------------------------------------------------------

  /** Loads a word of each of `pages` pages: the last one read, or the negative VM_FAULT_ code of the signal. */
  *loadPages(addr: VirtAddr, pages: number): Step<number> {
    let result = 0
    for (let i = 0; i < pages; i++) {
      result = yield* this.userLoad((addr + i * this.k.geo.pageSize) as VirtAddr)
      if (result < 0) break
    }
    return result
  }

  /** The word at `addr`, or the negative VM_FAULT_ code of the signal. */
  *userLoad(addr: VirtAddr): Step<number> {
    for (;;) {
      const value = yield* this.k.mmu.load(addr)
      if (value !== FAULT) return value
      const fault = yield* this.k.fault.doUserAddrFault(addr, false)
      if (fault !== 0) return -fault
      yield* this.cpu.cpuRelax()
    }
  }

  *userStore(addr: VirtAddr, value: number): Step<number> {
    for (;;) {
      if ((yield* this.k.mmu.store(addr, value)) !== FAULT) return 0
      const fault = yield* this.k.fault.doUserAddrFault(addr, true)
      if (fault !== 0) return -fault
      yield* this.cpu.cpuRelax()
    }
  }

  // ---- pages ------------------------------------------------------------------------------------------------------

  /** Keeps the reference on `pfn` that gup took with `flags` until releaseAll(); false when there is no room. */
  hold(pfn: number, flags: number): boolean {
    const count = peek32(this.#own + PROGRAM_CPU.at.held)
    if (count >= HELD_MAX) return false
    poke32(this.#own + PROGRAM_CPU.at.heldPages + count * 4, pfn * 2 + ((flags & FOLL_PIN) !== 0 ? 1 : 0))
    poke32(this.#own + PROGRAM_CPU.at.held, count + 1)
    return true
  }

  /** The frame of the `n`-th page that is held, -1 when there are not so many. */
  heldPage(n: number): number {
    if (n >= peek32(this.#own + PROGRAM_CPU.at.held)) return -1
    return peek32(this.#own + PROGRAM_CPU.at.heldPages + n * 4) >>> 1
  }

  /** Gives back the pages that are held: how many they were. */
  *releaseAll(): Step<number> {
    const count = peek32(this.#own + PROGRAM_CPU.at.held)
    for (let i = count - 1; i >= 0; i--) {
      const held = peek32(this.#own + PROGRAM_CPU.at.heldPages + i * 4)
      poke32(this.#own + PROGRAM_CPU.at.held, i)
      yield* this.k.gup.release(held >>> 1, (held & 1) !== 0 ? FOLL_PIN : FOLL_GET)
    }
    return count
  }

  /** The frame mapped at `addr` just now, without keeping a reference; -1. */
  *frameAt(addr: VirtAddr): Step<number> {
    const got = yield* this.k.gupFast.getUserPagesFast(addr, 1, FOLL_GET | FOLL_FAST_ONLY, this.pages)
    if (got !== 1) return -1
    const pfn = this.pages[0] as number
    yield* this.k.gup.release(pfn, FOLL_GET)
    return pfn
  }

  // ---- processes --------------------------------------------------------------------------------------------------

  /** Makes `next` this CPU's address space, with the reference that the caller has, and drops the old one. */
  *enter(next: PhysAddr): Step<number> {
    const previous = this.mm
    yield* this.k.mms.contextSwitch(next)
    if (previous !== 0) yield* this.k.mms.mmput(previous)
    return 0
  }
}

/** The callback of callRcu(): stores what was given to the word whose head it gets. */
class WordCallback extends Part implements RcuCallback {
  *rcu(head: PhysAddr): Step<void> {
    const word = phys(head - LITMUS.at.head)
    yield* this.cpu.storeRelease32(word, peek32(word + LITMUS.at.headValue))
    this.cpu.wakeWaiters(word)
  }
}
