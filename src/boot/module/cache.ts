/**
 * Compiled modules on disk. Compiling takes a second, most of it for types that did not change; and threads read what
 * they run from here. A module is found by the contents of everything that it was made from.
 */
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeWhole } from '../../base/wholeFile.js'
import type { CompiledModule, Purpose } from './compiled.js'

/** Where a compiled module is kept. */
export interface Stored {
  readonly module: CompiledModule
  readonly path: string
}

/** The module at `file` as it was compiled before, if nothing has changed since; null otherwise. */
export function stored(file: string, purpose: Purpose): Stored | null {
  const folder = cacheFolder()
  const inputs = readJson<readonly string[]>(join(folder, `${named(file, purpose)}.inputs`))
  if (inputs === null) return null
  const path = join(folder, `${keyOf(inputs, purpose)}.json`)
  const module = readJson<CompiledModule>(path)
  return module === null ? null : { module, path }
}

/** Keeps `module`, whose units were just read. Throws what the file system says where it cannot. */
export function store(module: CompiledModule, purpose: Purpose): Stored {
  const folder = cacheFolder()
  const inputs = module.units.map((unit) => unit.path)
  const path = join(folder, `${keyOf(inputs, purpose)}.json`)
  writeWhole(path, JSON.stringify(module), OURS)
  writeWhole(join(folder, `${named(module.file, purpose)}.inputs`), JSON.stringify(inputs), OURS)
  return { module, path }
}

/** What a thread is told to run. */
export const readStored = (path: string): CompiledModule => JSON.parse(readFileSync(path, 'utf8')) as CompiledModule

// ---- names ----------------------------------------------------------------------------------------------------------

const named = (file: string, purpose: Purpose): string => digest([purpose, file])

/** Changes with the contents of `inputs`, and with the kernel whose types they were checked against. */
function keyOf(inputs: readonly string[], purpose: Purpose): string {
  const contents = inputs.flatMap((input) => [input, contentsOf(input)])
  return digest([purpose, String(builtAt()), process.version, ...contents])
}

function digest(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${text.length} ${text}`)
  return hash.digest('hex').slice(0, 32)
}

function contentsOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** This file is written anew whenever racewalk is built or installed. */
const builtAt = (): number => statSync(fileURLToPath(import.meta.url)).mtimeMs

// ---- files ----------------------------------------------------------------------------------------------------------

let folder: string | null = null
/** What is in it is for nobody else. */
const OURS = { mode: 0o600 }

/**
 * A folder of this user's own: what is in it is run. One that belongs to somebody else, or that others write, is not
 * used.
 */
function cacheFolder(): string {
  if (folder !== null) return folder
  const wanted = join(tmpdir(), `racewalk-${process.getuid?.() ?? 'cache'}`)
  try {
    mkdirSync(wanted, { recursive: true, mode: 0o700 })
  } catch {
    // Something else has the name; looked at below.
  }
  return (folder = isOurs(wanted) ? wanted : mkdtempSync(join(tmpdir(), 'racewalk-')))
}

function isOurs(path: string): boolean {
  try {
    const { mode, uid } = lstatSync(path)
    const directory = lstatSync(path).isDirectory()
    return directory && (process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0))
  } catch {
    return false
  }
}

function readJson<T>(path: string): T | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch {
    return null
  }
}
