/**
 * The cost of a design of page-table pages: counts over the same random life of tables on one CPU, and the time of one
 * allocation with its free. Both run from either tree of the build; only the free-running one gives meaningful times.
 */
import { Prng } from '../../base/prng.js'
import type { PhysAddr, Table } from '../../base/units.js'
import { smallMachine, withPgalloc } from '../../boot/config.js'
import { Machine } from '../../boot/machine.js'
import { drive, type Step } from '../../machine/engine/engine.js'
import { SoloEngine } from '../../machine/engine/solo.js'
import { peek32 } from '../../machine/image/image.js'
import type { Kernel } from '../../mm/kernel.js'
import { MM } from '../../mm/mmStruct.js'
import { NO_TABLE, PAGE } from '../../mm/page.js'

export interface ChurnCounts {
  /** Tables handed out in all. */
  readonly tables: number
  /** Pages in use for each table in use, on average over time; 1 where a table fills a page. */
  readonly pagesPerTable: number
  /** Parts of pages that no table uses, on average over time: free, pending, or never to be handed out again. */
  readonly idleParts: number
  /**
   * Operations between the end of a table and the moment its part is handed out again or its page is free, on
   * average.
   */
  readonly idleFor: number
  readonly callRcu: number
  /** Stores to the links of lists of pages, and the few of RCU's to the same words while callbacks run. */
  readonly listWrites: number
}

const ROUNDS = 4000
const LIVE_MAX = 40
const GRACE_EVERY = 8
const FRAMES = 512

/**
 * `ROUNDS` operations drawn from `seed`: a table is made; or one ends at once, through a gather, or deferred. Every few
 * operations a grace period passes.
 */
export function churn(pgalloc: string, seed: number): ChurnCounts {
  const life = new Churn(pgalloc)
  const prng = new Prng(seed)
  for (let round = 0; round < ROUNDS; round++) life.operation(prng, round)
  return life.counts()
}

class Churn {
  readonly #k: Kernel
  readonly #mm: PhysAddr
  readonly #live: Table[] = []
  readonly #gathered: Table[] = []
  /** Tables that have ended and whose part is idle still: when that began. */
  readonly #idleSince = new Map<Table, number>()
  readonly #pages = new Set<number>()
  #made = 0
  #callRcu = 0
  #inRcu = false
  #listWrites = 0
  #pageRounds = 0
  #liveRounds = 0
  #idleRounds = 0
  #idleEnded = 0
  #idleTotal = 0
  #rounds = 0

  constructor(pgalloc: string) {
    this.#k = solo(pgalloc)
    this.#mm = this.#k.mms.currentMm()
    this.#countCallRcu()
    this.#countListWrites()
  }

  operation(prng: Prng, round: number): void {
    const { pgalloc } = this.#k
    const what = this.#live.length === 0 ? 0 : this.#live.length >= LIVE_MAX ? 3 + prng.below(3) : prng.below(6)
    if (what < 3) this.#make(round)
    else {
      const [table] = this.#live.splice(prng.below(this.#live.length), 1) as [Table]
      this.#idleSince.set(table, round)
      if (what === 3) drive(pgalloc.pteFree(this.#mm, table))
      else if (what === 4) drive(pgalloc.pteFreeDefer(this.#mm, table))
      else {
        drive(pgalloc.__pteFreeTlb(this.#mm, table))
        this.#gathered.push(table)
      }
    }
    if (round % GRACE_EVERY === 0) this.#gracePeriod()
    this.#sample(round)
  }

  #make(round: number): void {
    const table = drive(this.#k.pgalloc.pteAllocOne(this.#mm))
    if (table === NO_TABLE) throw new Error('the churn machine is out of memory')
    this.#endIdle(table, round)
    this.#live.push(table)
    this.#pages.add(this.#k.memmap.pfnOfTable(table))
    this.#made++
  }

  #gracePeriod(): void {
    const { pgalloc, rcu } = this.#k
    const gathered = this.#gathered.splice(0)
    drive(rcu.drain())
    drive(rcu.ctKernelEnter())
    // As the callback of a gather.
    for (const table of gathered) drive(pgalloc.__tlbRemoveTable(table))
  }

  #sample(round: number): void {
    const { memmap } = this.#k
    for (const pfn of this.#pages)
      if (peek32(memmap.page(pfn) + PAGE.at.refcount) === 0) {
        this.#pages.delete(pfn)
        for (let i = 0; i < memmap.fragments; i++) this.#endIdle((memmap.firstTable(pfn) + i) as Table, round)
      }
    this.#rounds++
    this.#pageRounds += this.#pages.size
    this.#liveRounds += this.#live.length
    this.#idleRounds += this.#pages.size * memmap.fragments - this.#live.length
  }

  #endIdle(table: Table, round: number): void {
    const since = this.#idleSince.get(table)
    if (since === undefined) return
    this.#idleSince.delete(table)
    this.#idleEnded++
    this.#idleTotal += round - since
  }

  #countCallRcu(): void {
    const { rcu } = this.#k
    const callRcu = rcu.callRcu.bind(rcu)
    const count = (): void => {
      this.#callRcu++
      this.#inRcu = true
    }
    const done = (): void => {
      this.#inRcu = false
    }
    rcu.callRcu = function* (head, func): Step<void> {
      count()
      yield* callRcu(head, func)
      done()
    }
  }

  /** Lists have their links in struct pages, in the mm, or (one design) in the tables. */
  #countListWrites(): void {
    const { cpu, memmap } = this.#k
    const write = cpu.plainWrite32.bind(cpu)
    const head = this.#mm + MM.at.pgtableList
    const links: readonly number[] = [PAGE.at.lruNext, PAGE.at.lruPrev]
    const isLink = (addr: number): boolean =>
      addr === head ||
      addr === head + 4 ||
      addr >= memmap.frameBase ||
      (addr >= memmap.base && addr < memmap.page(memmap.frameCount) && links.includes((addr - memmap.base) % PAGE.size))
    cpu.plainWrite32 = (addr, value): Step<void> => {
      // The links of RCU's own chains are in the same words.
      if (!this.#inRcu && isLink(addr)) this.#listWrites++
      return write(addr, value)
    }
  }

  counts(): ChurnCounts {
    return {
      tables: this.#made,
      pagesPerTable: this.#pageRounds / this.#liveRounds,
      idleParts: this.#idleRounds / this.#rounds,
      idleFor: this.#idleTotal / Math.max(1, this.#idleEnded),
      callRcu: this.#callRcu,
      listWrites: this.#listWrites,
    }
  }
}

const PAIRS = 20_000
const TIMED_ROUNDS = 7
const WARM_ROUNDS = 3

/** Nanoseconds of one pteAllocOne() with its pteFree(), beside a table that stays: the median of several rounds. */
export function allocFreeNs(pgalloc: string): number {
  const k = solo(pgalloc, false)
  const mm = k.mms.currentMm()
  drive(k.pgalloc.pteAllocOne(mm))
  const rounds: number[] = []
  for (let round = -WARM_ROUNDS; round < TIMED_ROUNDS; round++) {
    const start = performance.now()
    for (let i = 0; i < PAIRS; i++) {
      const table = drive(k.pgalloc.pteAllocOne(mm))
      drive(k.pgalloc.pteFree(mm, table))
    }
    if (round >= 0) rounds.push(((performance.now() - start) * 1e6) / PAIRS)
  }
  return rounds.sort((a, b) => a - b)[TIMED_ROUNDS >> 1] as number
}

/** A machine of one CPU, out of idle, with a process. */
function solo(pgalloc: string, oracles = true): Kernel {
  const config = smallMachine(1, FRAMES)
  const machine = new Machine(withPgalloc({ ...config, oracles, kernel: { ...config.kernel, pgalloc } }))
  machine.boot([], null)
  const { kernel } = machine.makeCpu(0, new SoloEngine(), null)
  drive(kernel.rcu.ctKernelEnter())
  return kernel
}
