/**
 * A file of seeded mm calls in a fixed arena, with the real kernel's answer and the arena's state after each.
 *
 * Its format, as found in the files (the README of the recordings says hex for all; where the files differ, the files
 * win):
 * ```
 * # seed=1 steps=60 mode=fork pages=64 base=100000000000 kernel=6.18.44     decimal, but base is hex
 * init CALL = RESULT                      none or more, before step 0; then a state, if there are any
 * N CALL = RESULT                         N decimal, from 0 to steps - 1; then a state
 * N fork child                            then the child's state
 * fork parent = 0                         then the parent's
 *   V start+len perms [F@offset] rss= anon= lazy= thp= lck= [flags ]        start, len, offset hex; counters decimal
 *   P ....                                one letter for each page of the arena; not in mode thp
 * ```
 * Numbers in calls and results are hex and in pages; `start+bytes` is a start off page alignment. A read or write that
 * reaches beyond the arena has results for the pages inside only.
 * No file so far has F@offset: what a shared VMA maps must be followed from the calls.
 */
import type { VirtAddr } from '../../dist/src/base/units.js'
import { parseCall, parseResult, type MmCall, type MmResult } from './mmCall.js'
import { hexAddress, hexNumber } from '../../dist/src/input/numeral.js'
import { excerpt, refuse, splitLines, type Place } from '../../dist/src/input/place.js'

export type MmMode = 'small' | 'file' | 'fork' | 'thp'

/** smaps counters in pages; `thp` in huge pages. */
export interface MmCounters {
  readonly rss: number
  readonly anon: number
  readonly lazy: number
  readonly thp: number
  readonly lck: number
}

/** One VMA of the arena; pages, from the arena's base. */
export interface MmVma {
  readonly start: number
  readonly len: number
  /** `rwxp` or `-` each, s for shared. */
  readonly perms: string
  /** Maps the file, where the line says so. */
  readonly file: boolean
  readonly offset: number
  readonly counters: MmCounters
  /** Two-letter VmFlags of smaps, in their order. */
  readonly flags: readonly string[]
}

export interface MmState {
  readonly vmas: readonly MmVma[]
  /** A page a letter: A anonymous and ours alone, s shared or the zero page, f file, W swapped, `.` not present. */
  readonly pages: string | undefined
}

export interface MmStep {
  readonly n: number
  readonly line: number
  readonly call: MmCall
  readonly result: MmResult
  /** After the step; after fork, the parent's. */
  readonly state: MmState
  /** After fork: the child's. */
  readonly child?: MmState
}

export interface MmInit {
  readonly line: number
  readonly call: MmCall
  readonly result: MmResult
}

export interface MmSteps {
  readonly file: string
  readonly seed: number
  readonly mode: MmMode
  /** Size of the arena. */
  readonly pages: number
  readonly base: VirtAddr
  readonly kernel: string
  readonly init: readonly MmInit[]
  /** After init; null without: nothing is mapped then. */
  readonly initial: MmState | null
  readonly steps: readonly MmStep[]
}

/** Parses `text`; `file` is its name for complaints. Throws UsageError that names the line. */
export function parseMmSteps(text: string, file: string): MmSteps {
  return new StepReader(text, file).read()
}

const HEADER = /^# seed=(\d+) steps=(\d+) mode=(small|file|fork|thp) pages=(\d+) base=([0-9a-f]+) kernel=(\S+)$/
const VMA =
  /^ {2}V ([0-9a-f]+)\+([0-9a-f]+) ([r-][w-][x-][ps])(?: F@([0-9a-f]+))? rss=(\d+) anon=(\d+) lazy=(\d+) thp=(\d+) lck=(\d+) \[((?:\w\w ?)*)\]$/
const PAGES = /^ {2}P ([AsfW.]+)$/
const STEP = /^(\d+) (.+\(.*\)) = (.+)$/
const RULE = 'expected `N call(args) = result`, `  V start+len perms counters [flags]` or `  P letters` (mm-steps)'
const REMEDY = 'take the whole file from the recordings'

class StepReader {
  readonly #file: string
  readonly #lines: readonly string[]
  readonly #cut: boolean
  /** Lines read so far. */
  #at = 0
  #arena = 0 // pages
  /** Whether states have a P line. */
  #lettered = true

  constructor(text: string, file: string) {
    const { lines, cut } = splitLines(text)
    this.#file = file
    this.#lines = lines
    this.#cut = cut
  }

  read(): MmSteps {
    const header = HEADER.exec(this.#next('the header `# seed=… steps=… mode=… pages=… base=… kernel=…`'))
    const base = hexAddress(header?.[5] ?? '')
    if (header === null || base === undefined) this.#refuse('not the header of an mm-steps file')
    const mode = header[3] as MmMode
    const pages = Number(header[4])
    this.#arena = pages
    this.#lettered = mode !== 'thp'
    const init = this.#init()
    const initial = init.length === 0 ? null : this.#state()
    const steps = Array.from({ length: Number(header[2]) }, (_, n) => this.#step(n))
    if (this.#at < this.#lines.length) {
      this.#next('nothing')
      this.#refuse(`a line after the last of ${header[2]} steps`)
    }
    return {
      file: this.#file,
      seed: Number(header[1]),
      mode,
      pages,
      base,
      kernel: header[6] ?? '',
      init,
      initial,
      steps,
    }
  }

  #init(): MmInit[] {
    const init: MmInit[] = []
    while (this.#peek().startsWith('init ')) {
      const [, callText, resultText] = /^init (.+\(.*\)) = (.+)$/.exec(this.#next('init')) ?? []
      init.push({ line: this.#at, ...this.#callAndResult(callText, resultText) })
    }
    return init
  }

  #step(n: number): MmStep {
    const text = this.#next(`step ${n}`)
    if (text === `${n} fork child`) return this.#fork(n)
    const [, number, callText, resultText] = STEP.exec(text) ?? []
    if (number !== undefined && Number(number) !== n) this.#refuse(`step ${number} where step ${n} belongs`)
    const line = this.#at
    return { n, line, ...this.#callAndResult(callText, resultText), state: this.#state() }
  }

  #fork(n: number): MmStep {
    const line = this.#at
    const child = this.#state()
    const [, resultText] = /^fork parent = (\S+)$/.exec(this.#next('`fork parent`')) ?? []
    const result = resultText === undefined ? undefined : parseResult('fork', resultText)
    if (result === undefined) this.#refuse('not the `fork parent = 0` that follows `fork child`')
    return { n, line, call: { name: 'fork' }, result, child, state: this.#state() }
  }

  #callAndResult(callText: string | undefined, resultText: string | undefined): { call: MmCall; result: MmResult } {
    const call = callText === undefined ? undefined : parseCall(callText)
    const result = call === undefined || resultText === undefined ? undefined : parseResult(call.name, resultText)
    if (call === undefined || result === undefined) this.#refuse('not a step')
    this.#checkTouches(call, result)
    return { call, result }
  }

  /** Pages beyond the arena's end are asked for here and there, and left alone. */
  #checkTouches(call: MmCall, result: MmResult): void {
    if (result.kind !== 'touches' || (call.name !== 'read' && call.name !== 'write')) return
    const inside = Math.min(call.count, this.#arena - call.start)
    const found = result.touches.length
    if (found !== inside) this.#refuse(`${found} results for ${inside} pages`)
  }

  #state(): MmState {
    const vmas: MmVma[] = []
    while (this.#peek().startsWith('  V ')) vmas.push(this.#vma(this.#next('V')))
    if (!this.#lettered) return { vmas, pages: undefined }
    const pages = PAGES.exec(this.#next('a `  P …` line'))?.[1]
    if (pages === undefined) this.#refuse('neither a V nor the P line that ends a state')
    if (pages.length !== this.#arena) this.#refuse(`${pages.length} page letters in an arena of ${this.#arena} pages`)
    return { vmas, pages }
  }

  #vma(text: string): MmVma {
    const [, startText = '', lenText = '', perms = '', offsetText, ...rest] = VMA.exec(text) ?? []
    const [start, len] = [hexNumber(startText), hexNumber(lenText)]
    if (start === undefined || len === undefined) this.#refuse('not a V line')
    const [rss = 0, anon = 0, lazy = 0, thp = 0, lck = 0] = rest.slice(0, 5).map(Number)
    const flags = (rest[5] ?? '').split(' ').filter((flag) => flag !== '')
    const [file, offset] = [offsetText !== undefined, hexNumber(offsetText ?? '0') ?? 0]
    return { start, len, perms, file, offset, counters: { rss, anon, lazy, thp, lck }, flags }
  }

  #peek(): string {
    return this.#lines[this.#at] ?? ''
  }

  #next(wanted: string): string {
    const text = this.#lines[this.#at]
    if (text === undefined) refuse(this.#place(), `the file ends where ${wanted} belongs`, RULE, REMEDY)
    this.#at++
    return text
  }

  /**
   * Complains about the line read last. A last line without newline was cut: that explains whatever is wrong with it.
   */
  #refuse(what: string): never {
    const text = this.#lines[this.#at - 1] ?? ''
    const cut = this.#cut && this.#at === this.#lines.length
    refuse(this.#place(), `${cut ? 'the file ends in the middle of a line' : what}: ${excerpt(text)}`, RULE, REMEDY)
  }

  #place(): Place {
    return { file: this.#file, line: Math.max(this.#at, 1) }
  }
}
