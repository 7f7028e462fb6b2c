/**
 * Loads what a user wrote in a file of their own: a patch, a bug, a scenario (scenario/load.ts). It is compiled once,
 * by the main thread; threads that run the same kernel are told where it is kept.
 */
import { existsSync, statSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../../base/errors.js'
import type { Bug } from '../../bug/bug.js'
import type { Patch } from '../../bug/patch.js'
import { store, stored, type Stored } from './cache.js'
import { checkBug, checkPatch } from './check.js'
import type { CompiledModule, Purpose } from './compiled.js'
import { compile } from './compile.js'
import { evaluate } from './evaluate.js'
import { definingOperations } from './ownOperations.js'
import { setOrigin, type Origin } from './origin.js'
import { shown } from './places.js'
import { surfacesOf, type Surfaces } from './surfaces.js'

/** A module that is ready to run. */
export interface Prepared {
  readonly module: CompiledModule
  readonly origin: Origin
}

const ENDINGS = ['.ts', '.mts', '.js', '.mjs']

/** True for what names a file rather than something of a catalogue. */
export const isFileName = (name: string): boolean => name.includes('/') || name.includes('\\') || hasEnding(name)

const hasEnding = (name: string): boolean => ENDINGS.includes(extname(name))

/**
 * Compiles the module in `file`, or takes what was compiled of it before. Throws UsageError for all that is wrong with
 * it.
 */
export function prepare(file: string | URL, purpose: Purpose): Prepared {
  const path = typeof file === 'string' && !file.startsWith('file:') ? resolve(file) : fileURLToPath(file)
  checkFile(path)
  const { module, path: kept } = stored(path, purpose) ?? keep(compile(path, purpose), purpose)
  return { module, origin: { file: path, hash: module.hash, path: kept } }
}

/** What threads run has to be in a file; for everybody else a full disk does not matter. */
function keep(module: CompiledModule, purpose: Purpose): Pick<Stored, 'module'> & { readonly path: string | null } {
  try {
    return store(module, purpose)
  } catch {
    return { module, path: null }
  }
}

function checkFile(path: string): void {
  if (!existsSync(path)) throw new UsageError(`${shown(path)}: there is no such file`)
  if (!statSync(path).isFile()) throw new UsageError(`${shown(path)} is no file`)
  if (!hasEnding(path))
    throw new UsageError(`${shown(path)} is no module`, `a module's name ends in ${ENDINGS.join(', ')}`)
}

/** What was loaded in this thread: the same file gives the same classes again, as V8 likes it. */
const values = new Map<string, unknown>()

/** Runs a prepared module; `check` says whether its default export is what it should be. */
export function loaded<T extends object>(
  { module, origin }: Prepared,
  surfaces: Surfaces,
  check: (value: unknown, module: CompiledModule) => T,
): T {
  const key = `${origin.file} ${origin.hash}`
  const value = check(values.get(key) ?? definingOperations(origin.path, () => evaluate(module, surfaces)), module)
  values.set(key, value)
  setOrigin(value, origin)
  return value
}

/** What the module in `file` exports as its default, if `check` lets it pass. */
export async function loadFrom<T extends object>(
  file: string | URL,
  purpose: Purpose,
  check: (value: unknown, module: CompiledModule) => T,
): Promise<T> {
  const prepared = prepare(file, purpose)
  return loaded(prepared, await surfacesOf(prepared.module), check)
}

/**
 * The patch that the module in `file` exports as its default, for both engines. Throws UsageError that names file and
 * line of what does not compile, and of parts and methods that do not exist.
 */
export const loadPatch = (file: string | URL): Promise<Patch> => loadFrom(file, 'kernel', checkPatch)

/** The same for a bug. */
export const loadBug = (file: string | URL): Promise<Bug> => loadFrom(file, 'kernel', checkBug)
