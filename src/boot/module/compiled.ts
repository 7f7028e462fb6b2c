/** A user's module, compiled: plain data, kept in a file that threads read. */
import type { Form } from '../lower/lower.js'

/** What a module is loaded for. Kernel code is lowered and keeps the kernel's rules; a scenario is plain data. */
export type Purpose = 'kernel' | 'scenario'

export interface CompiledModule {
  /** The user's file, absolute. */
  readonly file: string
  /** Of the file and all that it imports of the user's own: 12 hexadecimal digits. */
  readonly hash: string
  /** The module itself and the user's modules that it imports. */
  readonly units: readonly Unit[]
}

export interface Unit {
  readonly path: string
  /** Other units by the names under which this one imports them. */
  readonly imports: Readonly<Record<string, string>>
  /** Names of packages that it imports. */
  readonly packages: readonly string[]
  /** Bodies of CommonJS modules; the forms of plain data are the same. */
  readonly forms: Readonly<Partial<Record<Form, string>>>
  /** Source map, version 3, from either form to the user's lines. */
  readonly map: string
}
