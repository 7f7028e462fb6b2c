/**
 * The state of the machine through an execution: all of it before the first step, and what each step changed. Only
 * looks (peek), so a recorded execution is the execution.
 */
import type { Machine } from '../../boot/machine.js'
import { peek32 } from '../../machine/image/image.js'
import type { Program } from '../../program/op.js'
import { subsystemPanels } from '../../subsystem/index.js'
import { panels, type Cell, type Put } from './cell.js'
import { readCpus, readIpis } from './cpus.js'
import { FREE, frameRanges, readFrame } from './frames.js'
import { readLocks } from './locks.js'
import { readRcu } from './rcu.js'
import { readTables } from './tables.js'
import { readTlbs } from './tlbs.js'
import { readVmas } from './vmas.js'
import { readWords } from './words.js'

/** A cell through all of the execution. */
export interface Item {
  readonly panel: string
  readonly group: string
  readonly name: string
  /** Words of the image that it was about, and frames that it was about or led to, at any time. */
  readonly addrs: ReadonlySet<number>
  readonly frames: ReadonlySet<number>
}

/** What item number `item` says from then on; null: it is gone. */
export interface Change {
  readonly item: number
  readonly text: string | null
}

export interface History {
  /** In the order in which they are shown. */
  readonly items: readonly Item[]
  /** What each item said before the first step; null: it was not there. */
  readonly start: readonly (string | null)[]
  /** changes[i]: what step i + 1 changed, up to the next one's access. */
  readonly changes: readonly (readonly Change[])[]
}

interface Entry extends Item {
  readonly order: readonly [number, number]
  readonly addrs: Set<number>
  readonly frames: Set<number>
  readonly start: string | null
  /** By step, from 1. */
  readonly changes: Map<number, string | null>
  now: string | null
}

/** A source as it was last read. */
interface Watched extends Source {
  said: Set<Entry>
  /** A word of it has changed since. */
  stale: boolean
}

export class StateRecorder {
  readonly #entries = new Map<string, Entry>()
  readonly #sources: readonly Watched[]
  readonly #watch: ImageWatch
  /** CPUs that have made a step. */
  readonly #begun = new Set<number>()
  #steps = 0
  #isStart = true

  /** Looks at the state before the first step. */
  constructor(machine: Machine, programs: readonly Program[]) {
    const sources = sourcesOf(machine, programs, this.#begun)
    this.#sources = sources.map((source) => ({ ...source, said: new Set(), stale: false }))
    this.#watch = new ImageWatch(machine.layout.size, this.#sources)
    for (const source of this.#sources) this.#read(source)
    this.#isStart = false
  }

  /** The next step has been made, by `cpu`. */
  stepped(cpu: number): void {
    this.#steps++
    this.#begun.add(cpu)
    this.#watch.look()
    for (const source of this.#sources) if (source.stale || source.ranges.length === 0) this.#read(source)
  }

  #read(source: Watched): void {
    const before = source.said
    source.said = new Set()
    source.stale = false
    source.read((cell) => source.said.add(this.#note(cell)))
    for (const entry of before) if (!source.said.has(entry)) this.#change(entry, null)
  }

  #note(cell: Cell): Entry {
    const key = `${cell.panel}\n${cell.group}\n${cell.name}`
    const entry = this.#entries.get(key) ?? this.#enter(key, cell)
    if (cell.addr !== 0) entry.addrs.add(cell.addr)
    for (const frame of cell.frames) entry.frames.add(frame)
    if (entry.now !== cell.text) this.#change(entry, cell.text)
    return entry
  }

  #enter(key: string, { panel, group, name, order, text }: Cell): Entry {
    const now = this.#isStart ? text : null
    const [addrs, frames, changes] = [new Set<number>(), new Set<number>(), new Map<number, string | null>()]
    const entry: Entry = { panel, group, name, order, start: now, now, addrs, frames, changes }
    this.#entries.set(key, entry)
    return entry
  }

  #change(entry: Entry, text: string | null): void {
    entry.now = text
    entry.changes.set(this.#steps, text)
  }

  history(): History {
    const ranks = new Map(panels().map(({ id }, index) => [id, index]))
    const entries = [...this.#entries.values()].filter(isWorthShowing).sort((a, b) => inOrder(a, b, ranks))
    const changes: Change[][] = Array.from({ length: this.#steps }, () => [])
    entries.forEach((entry, item) => {
      for (const [step, text] of entry.changes) (changes[step - 1] as Change[]).push({ item, text })
    })
    const items = entries.map(({ panel, group, name, addrs, frames }) => ({ panel, group, name, addrs, frames }))
    return { items, start: entries.map(({ start }) => start), changes }
  }
}

// ---- sources --------------------------------------------------------------------------------------------------------

/** A part of the state and where it is in the image: it says the same until a word of it changes. */
interface Source {
  /** Address and bytes; none: it is read after every step. */
  readonly ranges: readonly (readonly [from: number, bytes: number])[]
  readonly read: (put: Put) => void
}

function sourcesOf(machine: Machine, programs: readonly Program[], begun: ReadonlySet<number>): Source[] {
  const { layout, config } = machine
  const regions = (...names: string[]): Source['ranges'] =>
    layout.regions.filter(({ name }) => names.includes(name)).map((r) => [r.base, r.struct.size * r.count])
  const frames = [layout.frameBase, layout.size - layout.frameBase] as const
  return [
    { ranges: [], read: (put) => readCpus(machine, programs, begun, put) },
    { ranges: regions('csd', 'cpu'), read: (put) => readIpis(machine, put) },
    { ranges: regions('program', 'word'), read: (put) => readWords(machine, programs, put) },
    { ranges: [...regions('mm', 'page', 'tableShadow'), frames], read: (put) => readTables(machine, put) },
    { ranges: regions('tlb', 'psc'), read: (put) => readTlbs(machine, put) },
    { ranges: regions(...LOCK_REGIONS), read: (put) => readLocks(machine, put) },
    { ranges: regions('rcu', 'rcuCpu', 'cpu', 'page'), read: (put) => readRcu(machine, put) },
    { ranges: regions('mm', 'vma'), read: (put) => readVmas(machine, put) },
    ...Array.from({ length: config.frames }, (_, pfn) => ({
      ranges: frameRanges(machine, pfn),
      read: (put: Put) => readFrame(machine, pfn, put),
    })),
    ...subsystemPanels().map(({ id: panel, regions: names, read }) => ({
      ranges: regions(...names),
      read: (put: Put) => read(machine, (cell) => put({ panel, ...cell })),
    })),
  ]
}

const LOCK_REGIONS = ['cpu', 'lockNodes', 'shadowCpu', 'rcu', 'zone', 'tables', 'mm', 'anonVma', 'file', 'page']

const BLOCK = 64

/** Sees which sources have a changed word, in one pass over a copy of the image. */
class ImageWatch {
  readonly #words: Int32Array
  /** By block of the image: the sources that have a part of it. */
  readonly #sources: Watched[][]

  constructor(bytes: number, sources: readonly Watched[]) {
    this.#sources = Array.from({ length: Math.ceil(bytes / BLOCK) }, () => [])
    for (const source of sources)
      for (const [from, size] of source.ranges)
        for (let at = from - (from % BLOCK); at < from + size; at += BLOCK) this.#sources[at / BLOCK]?.push(source)
    this.#words = new Int32Array(this.#sources.length * (BLOCK / 4))
    for (let i = 0; i < this.#words.length; i++) this.#words[i] = peek32(i * 4)
  }

  look(): void {
    const words = this.#words
    for (let i = 0; i < words.length; i++) {
      const word = peek32(i * 4)
      if (words[i] === word) continue
      words[i] = word
      for (const source of this.#sources[Math.floor((i * 4) / BLOCK)] ?? []) source.stale = true
    }
  }
}

// ---- order ----------------------------------------------------------------------------------------------------------

/** Frames that are free from beginning to end say nothing. */
const isWorthShowing = ({ panel, name, start, changes }: Entry): boolean =>
  panel !== 'frames' || name !== 'use' || start !== FREE || changes.size > 0

/** `ranks`: panels by their place. */
function inOrder(a: Entry, b: Entry, ranks: ReadonlyMap<string, number>): number {
  const panelsApart = (ranks.get(a.panel) as number) - (ranks.get(b.panel) as number)
  return panelsApart || a.order[0] - b.order[0] || a.order[1] - b.order[1] || (a.name < b.name ? -1 : 1)
}
