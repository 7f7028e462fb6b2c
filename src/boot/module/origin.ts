/** The file that a loaded module came from: threads receive its path. */
import { basename } from 'node:path'
import { UsageError } from '../../base/errors.js'
import { shown } from './places.js'

export interface Origin {
  /** The user's file, absolute. */
  readonly file: string
  /** Of its contents: 12 hexadecimal digits. */
  readonly hash: string
  /** The compiled module, for threads; null where it could not be kept. */
  readonly path: string | null
}

const origins = new WeakMap<object, Origin>()

export function setOrigin(value: object, origin: Origin): void {
  origins.set(value, origin)
}

/** Where `value` was loaded from; null for what was made in the program. */
export function originOf(value: object | null | undefined): Origin | null {
  return (value && origins.get(value)) ?? null
}

/** What a token says of a patch: the name of its file and the hash of its contents. Null for none. */
export function patchMark(patch: object | null): string | null {
  if (patch === null) return null
  const origin = originOf(patch)
  return origin === null ? 'a patch that was made in a program' : `${basename(origin.file)} ${origin.hash}`
}

/** Where threads find `value`. Throws UsageError for what they cannot have. */
export function keptPathOf(value: object, what: 'bug' | 'patch'): string {
  const origin = originOf(value)
  if (origin === null)
    throw new UsageError(
      `the ${what} is made in the program that runs it`,
      'threads load their kernel from a file of its own',
      `export it as the default of a module, and load that with load${what === 'bug' ? 'Bug' : 'Patch'}()`,
    )
  if (origin.path === null)
    throw new UsageError(
      `${shown(origin.file)} cannot be handed to threads`,
      'the folder for temporary files cannot be written',
      'make room there, or set TMPDIR to a folder that can be written',
    )
  return origin.path
}
