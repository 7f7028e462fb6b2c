/**
 * The calls of an mm-steps file and their results, as typed data (mmSteps.ts has the format of the file).
 * Numbers are pages from the arena's base.
 */
import { hexNumber } from '../../dist/src/input/numeral.js'

export interface MmRange {
  readonly start: number
  readonly len: number
}

export type MmCall =
  | (MmRange & {
      readonly name: 'mmap'
      /** Bytes by which the start is off page alignment. */
      readonly bytes: number
      /** PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4. */
      readonly prot: number
      readonly shared: boolean
      /** ANON, FIXED, NOREPL, NORES, LOCKED, POPULATE. */
      readonly flags: readonly string[]
      /** Maps the file, at page `offset` of it. */
      readonly file: boolean
      readonly offset: number
    })
  | (MmRange & { readonly name: 'munmap'; readonly bytes: number })
  | (MmRange & { readonly name: 'mprotect'; readonly prot: number })
  | {
      readonly name: 'mremap'
      readonly start: number
      readonly oldLen: number
      readonly newLen: number
      /** MAYMOVE, FIXED, DONTUNMAP. */
      readonly flags: readonly string[]
      readonly newStart: number
    }
  /** `advice` without MADV_; a number for advice that does not exist. */
  | (MmRange & { readonly name: 'madvise'; readonly advice: string })
  | (MmRange & { readonly name: 'mlock' | 'munlock' | 'mlock2_onfault' })
  | { readonly name: 'fork' }
  /** Touch one byte in each of `count` pages. */
  | { readonly name: 'read' | 'write'; readonly start: number; readonly count: number }

export type Touch = 'ok' | 'SIGSEGV' | 'SIGBUS'

export type MmResult =
  | { readonly kind: 'ok' }
  /** mremap: where the mapping is now. */
  | { readonly kind: 'at'; readonly start: number }
  | { readonly kind: 'value'; readonly value: number }
  | { readonly kind: 'errno'; readonly errno: string }
  /** One for each page of a read or write. */
  | { readonly kind: 'touches'; readonly touches: readonly Touch[] }

/** `name(args)`, or undefined when it is not one of the calls above. */
export function parseCall(text: string): MmCall | undefined {
  const [, name = '', args = ''] = /^(\w+)\((.*)\)$/.exec(text) ?? []
  return Object.hasOwn(parsers, name) ? parsers[name]?.(args) : undefined
}

type Parser = (args: string) => MmCall | undefined

const HEX = '([0-9a-f]+)'
const RANGE = new RegExp(`^${HEX},${HEX}$`)
const MMAP = new RegExp(`^${HEX}(?:\\+${HEX})?,${HEX},prot=([0-7]),([SP])((?:\\|[A-Z]+)*)(?:,([F-])@${HEX})?$`)
const MUNMAP = new RegExp(`^${HEX}(?:\\+${HEX})?,${HEX}$`)
const MPROTECT = new RegExp(`^${HEX},${HEX},prot=([0-7])$`)
const MREMAP = new RegExp(`^${HEX},${HEX},${HEX},(0|[A-Z|]+),${HEX}$`)
const MADVISE = new RegExp(`^${HEX},${HEX},([A-Z_]+|\\d+)$`)

const hex = (text: string | undefined): number => hexNumber(text ?? '0') ?? 0
const names = (text: string | undefined): string[] =>
  (text ?? '').split('|').filter((name) => name !== '' && name !== '0')

const parsers: Readonly<Record<string, Parser>> = {
  mmap(args) {
    const match = MMAP.exec(args)
    if (match === null) return undefined
    const [, start, bytes, len, prot, kind, flags, file, offset] = match
    const range = { start: hex(start), bytes: hex(bytes), len: hex(len), prot: Number(prot) }
    const what = { shared: kind === 'S', flags: names(flags), file: file === 'F', offset: hex(offset) }
    return { name: 'mmap', ...range, ...what }
  },
  munmap(args) {
    const match = MUNMAP.exec(args)
    return match === null
      ? undefined
      : { name: 'munmap', start: hex(match[1]), bytes: hex(match[2]), len: hex(match[3]) }
  },
  mprotect(args) {
    const match = MPROTECT.exec(args)
    return match === null
      ? undefined
      : { name: 'mprotect', start: hex(match[1]), len: hex(match[2]), prot: Number(match[3]) }
  },
  mremap(args) {
    const match = MREMAP.exec(args)
    if (match === null) return undefined
    const [start, oldLen, newLen, newStart] = [hex(match[1]), hex(match[2]), hex(match[3]), hex(match[5])]
    return { name: 'mremap', start, oldLen, newLen, flags: names(match[4]), newStart }
  },
  madvise(args) {
    const match = MADVISE.exec(args)
    return match === null
      ? undefined
      : { name: 'madvise', start: hex(match[1]), len: hex(match[2]), advice: match[3] ?? '' }
  },
  mlock: (args) => ranged('mlock', args),
  munlock: (args) => ranged('munlock', args),
  mlock2_onfault: (args) => ranged('mlock2_onfault', args),
  read: (args) => touching('read', args),
  write: (args) => touching('write', args),
}

function ranged(name: 'mlock' | 'munlock' | 'mlock2_onfault', args: string): MmCall | undefined {
  const match = RANGE.exec(args)
  return match === null ? undefined : { name, start: hex(match[1]), len: hex(match[2]) }
}

function touching(name: 'read' | 'write', args: string): MmCall | undefined {
  const match = RANGE.exec(args)
  return match === null ? undefined : { name, start: hex(match[1]), count: hex(match[2]) }
}

/** The text after `=`, or undefined when a call of this name cannot answer so. */
export function parseResult(name: MmCall['name'], text: string): MmResult | undefined {
  if (name === 'read' || name === 'write') {
    const touches = text.split(' ').filter((touch): touch is Touch => /^(ok|SIGSEGV|SIGBUS)$/.test(touch))
    return touches.join(' ') === text ? { kind: 'touches', touches } : undefined
  }
  if (/^E[A-Z0-9]+$/.test(text)) return { kind: 'errno', errno: text }
  if (name === 'mmap') return text === 'ok' ? { kind: 'ok' } : undefined
  if (name === 'mremap') {
    const start = hexNumber(/^ok@([0-9a-f]+)$/.exec(text)?.[1] ?? '')
    return start === undefined ? undefined : { kind: 'at', start }
  }
  return text === '0' ? { kind: 'value', value: 0 } : undefined
}
