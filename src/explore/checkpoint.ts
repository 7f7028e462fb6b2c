/**
 * A checkpoint stores an exploration in a directory, so that a later process continues it. One small file holds the
 * options of the exploration and the tally of its executions; each save replaces the file as a whole, so that a process
 * that is killed leaves the old state or the new one.
 *
 * The tally covers executions without a gap. A sampled search needs no more: execution `n` of a seed is the same in
 * every process (sampled.ts). A systematic search stores its state as well (SystematicSearch.keep).
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../base/errors.js'
import { writeWhole } from '../base/wholeFile.js'
import { patchMark } from '../boot/module/origin.js'
import { buildId } from '../boot/build.js'
import type { Plan } from './runner.js'
import { emptyTally, type Tally } from './tally.js'

/** The part of an exploration that earlier processes ran. */
export interface Resumed {
  readonly executions: number
  readonly seconds: number
}

const FILE = 'exploration.json'
const FORMAT = 'racewalk exploration 3'
const SAVE_EVERY_MS = 1000

/** The options that an exploration must share with the one that it continues, by the names that users type. */
type Asked = Readonly<Record<string, string | number | boolean | null>>

interface Contents {
  readonly asked: Asked
  readonly seconds: number
  readonly tally: Tally
  readonly search: object | null
}

export class Checkpoint {
  /** As the directory had it. */
  readonly tally: Tally
  /** Where a systematic search stood; null for others, and at the beginning. */
  readonly search: object | null
  readonly resumed: Resumed | null
  readonly #directory: string
  readonly #asked: Asked
  readonly #start = performance.now()
  #savedAt = performance.now()

  /**
   * Opens or makes `directory`. Throws UsageError when it cannot be written, holds something else, or an exploration
   * that is damaged or was asked for something else. `modules`: URLs of the user's modules that take part.
   */
  constructor(directory: string, plan: Plan, modules: readonly string[] = []) {
    this.#directory = directory
    this.#asked = askedFor(plan, modules)
    const contents = read(directory)
    if (contents !== null) agree(directory, contents.asked, this.#asked)
    this.tally = contents === null ? emptyTally() : contents.tally
    this.search = contents?.search ?? null
    this.resumed = contents === null ? null : { executions: this.tally.executions, seconds: contents.seconds }
    const refused = this.save(this.tally, this.search)
    if (refused !== null) throw new UsageError(refused, undefined, 'name another directory, or make room')
  }

  /** Saves the tally if the last save is a second old. A failure shows at the end, in save(). */
  saveSometimes(tally: () => Tally, search: () => object | null): void {
    if (performance.now() - this.#savedAt >= SAVE_EVERY_MS) this.save(tally(), search())
  }

  /** Null, or why it could not be saved; the state before is still there then. */
  save(tally: Tally, search: object | null): string | null {
    const seconds = (this.resumed?.seconds ?? 0) + (performance.now() - this.#start) / 1000
    const contents: Contents = { asked: this.#asked, seconds, tally, search }
    const file = join(this.#directory, FILE)
    try {
      mkdirSync(this.#directory, { recursive: true })
      writeWhole(file, encode(contents))
      return null
    } catch (error) {
      return `cannot keep the exploration in ${this.#directory}: ${messageOf(error)}`
    } finally {
      this.#savedAt = performance.now()
    }
  }
}

function askedFor(
  { scenario, bug, patch, cpus, seed, strategy, depth, preemptions, wanted, check, insight, maxSteps }: Plan,
  modules: readonly string[],
): Asked {
  if (typeof wanted === 'function')
    throw new UsageError('an exploration that is kept', 'what is wanted is the name of an oracle, not a function')
  return {
    SCENARIO: scenario.id,
    '--bug': bug?.id ?? null,
    '--patch': patchMark(patch),
    '--cpus': cpus,
    '--seed': seed,
    '--strategy': strategy,
    '--depth': depth,
    '--preemptions': preemptions,
    '--max-steps': maxSteps,
    '--check': check,
    '--insight': insight,
    'what is wanted': wanted,
    'the build of racewalk': buildId(modules),
  }
}

function agree(directory: string, stored: Asked, asked: Asked): void {
  for (const [name, value] of Object.entries(asked)) {
    if (stored[name] === value) continue
    throw new UsageError(
      `${directory} holds another exploration: ${name} was ${shown(stored[name])}, now it is ${shown(value)}`,
      'an exploration goes on with what it began with',
      'ask for the same, or name a new directory',
    )
  }
}

function shown(value: unknown): string {
  if (value === true) return 'given'
  return value === null || value === undefined || value === false ? 'not given' : String(value)
}

// ---- the file ------------------------------------------------------------------------------------------------------

/** Null for a directory that does not exist or has no exploration and nothing else. */
function read(directory: string): Contents | null {
  const files = entriesOf(directory)
  if (files.includes(FILE)) return decode(join(directory, FILE))
  // A process that was killed while it saved for the first time leaves its temporary file.
  const others = files.filter((name) => !name.startsWith(`${FILE}.`))
  if (others.length === 0) return null
  throw new UsageError(
    `${directory} holds no exploration, but ${others.length === 1 ? others[0] : `${others.length} other files`}`,
    'an exploration has a directory of its own',
    'name one that is empty or does not exist',
  )
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new UsageError(`cannot read ${directory}: ${messageOf(error)}`, undefined, 'name another directory')
  }
}

/** `{"format", "checksum", "contents"}`, the checksum over the text of the contents. */
function encode(contents: Contents): string {
  const text = JSON.stringify(contents, (_key, value: unknown) => plain(value))
  return `{"format":"${FORMAT}","checksum":"${checksum(text)}","contents":${text}}\n`
}

function decode(file: string): Contents {
  const { format, checksum: expected, contents } = parse(file)
  if (format !== FORMAT)
    throw new UsageError(`${file} is '${String(format)}'`, `this racewalk reads '${FORMAT}'`, REMEDY)
  if (checksum(JSON.stringify(contents)) !== expected) throw damaged(file, 'its checksum does not fit')
  return revived(contents) as Contents
}

/** Maps and sets as objects with one key. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return { map: [...(value as ReadonlyMap<unknown, unknown>)] }
  return value instanceof Set ? { set: [...(value as ReadonlySet<unknown>)] } : value
}

function revived(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(revived)
  if ('map' in value) return new Map(revived(value.map) as [unknown, unknown][])
  if ('set' in value) return new Set(revived(value.set) as unknown[])
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revived(inner)]))
}

function parse(file: string): { format?: unknown; checksum?: unknown; contents?: unknown } {
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw damaged(file, messageOf(error))
  }
  if (typeof parsed !== 'object' || parsed === null) throw damaged(file, 'it is no JSON object')
  return parsed
}

const REMEDY = 'name a new directory'
const damaged = (file: string, why: string): UsageError => new UsageError(`${file} is damaged`, why, REMEDY)
const checksum = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
