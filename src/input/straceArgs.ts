/**
 * Arguments of the calls that this simulator replays, from strace's text to typed values.
 *
 * The text is split at the commas outside of quotes, brackets and the `<…>` that `-y` writes after a descriptor; strace
 * writes < and > inside of such a path as octal escapes, which is what makes the split safe. Structures other than
 * clone's are not taken apart.
 */
import type { VirtAddr } from '../base/units.js'
import { straceAddress, straceNumber } from './numeral.js'
import { excerpt, refuse, type Place } from './place.js'
import type { CallArgs, CloneArgs, FlagSet, MmapArgs, MremapArgs, RangeArgs } from './straceEvent.js'

type Decoder = (args: ArgList) => CallArgs

/** Typed arguments of a call, or undefined for a call that is not replayed. `childTid` is the result of a clone. */
export function decodeArgs(name: string, text: string, place: Place, childTid?: number): CallArgs | undefined {
  const decode = Object.hasOwn(decoders, name) ? decoders[name] : undefined
  if (decode === undefined) return undefined
  return decode(new ArgList(name, text, place, childTid))
}

const decoders: Readonly<Record<string, Decoder>> = {
  mmap: (args) => ({ name: 'mmap', args: mmapArgs(args.expect(6)) }),
  munmap: (args) => ({ name: 'munmap', args: rangeArgs(args.expect(2)) }),
  mincore: (args) => ({ name: 'mincore', args: rangeArgs(args.expect(3)) }),
  mlock: (args) => ({ name: 'mlock', args: rangeArgs(args.expect(2)) }),
  munlock: (args) => ({ name: 'munlock', args: rangeArgs(args.expect(2)) }),
  mlock2: (args) => ({ name: 'mlock2', args: { ...rangeArgs(args.expect(3)), flags: args.flags(2) } }),
  msync: (args) => ({ name: 'msync', args: { ...rangeArgs(args.expect(3)), flags: args.flags(2) } }),
  mlockall: (args) => ({ name: 'mlockall', args: { flags: args.expect(1).flags(0) } }),
  munlockall: () => ({ name: 'munlockall', args: {} }),
  mprotect: (args) => ({ name: 'mprotect', args: { ...rangeArgs(args.expect(3)), prot: args.flags(2) } }),
  pkey_mprotect: (args) => ({
    name: 'pkey_mprotect',
    args: { ...rangeArgs(args.expect(4)), prot: args.flags(2), pkey: args.number(3) },
  }),
  madvise: (args) => ({ name: 'madvise', args: { ...rangeArgs(args.expect(3)), advice: args.text(2) } }),
  mremap: (args) => ({ name: 'mremap', args: mremapArgs(args.expect(4, 5)) }),
  brk: (args) => ({ name: 'brk', args: args.expect(1).text(0) === 'NULL' ? {} : { addr: args.address(0) } }),
  clone: (args) => ({ name: 'clone', args: cloneArgs(args) }),
  clone3: (args) => ({ name: 'clone3', args: cloneArgs(args) }),
  fork: (args) => ({ name: 'fork', args: child(new Set(['SIGCHLD']), args.childTid) }),
  vfork: (args) => ({ name: 'vfork', args: child(new Set(['CLONE_VM', 'CLONE_VFORK', 'SIGCHLD']), args.childTid) }),
  execve: (args) => ({ name: 'execve', args: { path: unquote(args.text(0)) } }),
  execveat: (args) => ({ name: 'execveat', args: { path: unquote(args.text(1)) } }),
  exit: (args) => ({ name: 'exit', args: { status: args.expect(1).number(0) } }),
  exit_group: (args) => ({ name: 'exit_group', args: { status: args.expect(1).number(0) } }),
  set_tid_address: (args) => ({ name: 'set_tid_address', args: { addr: args.expect(1).address(0) } }),
}

function rangeArgs(args: ArgList): RangeArgs {
  return { addr: args.address(0), length: args.number(1) }
}

function mmapArgs(args: ArgList): MmapArgs {
  const descriptor = /^(-?\d+)(?:<(.*)>(?:\(deleted\))?)?$/.exec(args.text(4))
  if (descriptor === null) args.refuse(4, 'a descriptor such as 3</path> or -1')
  const base = { ...rangeArgs(args), prot: args.flags(2), flags: args.flags(3) }
  const fd = Number(descriptor[1])
  const offset = args.number(5)
  if (descriptor[2] === undefined) return { ...base, fd, offset }
  return { ...base, fd, path: unescape(descriptor[2]).replace(/ \(deleted\)$/, ''), offset }
}

function mremapArgs(args: ArgList): MremapArgs {
  const base = { oldAddr: args.address(0), oldLength: args.number(1), newLength: args.number(2), flags: args.flags(3) }
  return args.count === 5 ? { ...base, newAddr: args.address(4) } : base
}

/** clone names its arguments; clone3 has them in a structure, with the signal apart from the flags. */
function cloneArgs(args: ArgList): CloneArgs {
  const flags = /\bflags=([^,}\s]+)/.exec(args.whole)?.[1]
  if (flags === undefined) args.refuse(0, 'flags=…')
  const signal = /\bexit_signal=(SIG\w+)/.exec(args.whole)?.[1]
  return child(flagSet(signal === undefined ? flags : `${flags}|${signal}`), args.childTid)
}

const child = (flags: FlagSet, childTid: number | undefined): CloneArgs =>
  childTid === undefined ? { flags } : { flags, childTid }

/** `A|B|0x40` as {A, B, 0x40}, less the comment strace puts after a number it has no name for. */
function flagSet(text: string): FlagSet {
  const names = text
    .replace(/\/\*.*?\*\//g, '')
    .split('|')
    .map((name) => name.trim())
  return new Set(names.filter((name) => name !== '' && name !== '0' && name !== 'NULL'))
}

/** The arguments of one call, each read as what the call's signature says it is. */
class ArgList {
  readonly whole: string
  readonly childTid: number | undefined
  readonly #name: string
  readonly #place: Place
  readonly #parts: readonly string[]

  constructor(name: string, whole: string, place: Place, childTid: number | undefined) {
    this.whole = whole
    this.childTid = childTid
    this.#name = name
    this.#place = place
    this.#parts = splitArgs(whole)
  }

  get count(): number {
    return this.#parts.length
  }

  expect(least: number, most = least): this {
    if (this.count >= least && this.count <= most) return this
    const wanted = least === most ? `${least}` : `${least} or ${most}`
    refuse(this.#place, `${this.#name} with ${this.count} arguments`, `strace prints ${wanted} for it`)
  }

  text(index: number): string {
    return this.#parts[index] ?? this.refuse(index, 'an argument')
  }

  number(index: number): number {
    return straceNumber(this.text(index)) ?? this.refuse(index, 'a number')
  }

  address(index: number): VirtAddr {
    return straceAddress(this.text(index)) ?? this.refuse(index, 'an address: 0x… or NULL')
  }

  flags(index: number): FlagSet {
    return flagSet(this.text(index))
  }

  refuse(index: number, wanted: string): never {
    const found = excerpt(this.#parts[index] ?? '')
    refuse(this.#place, `argument ${index + 1} of ${this.#name} is ${found}`, `strace prints ${wanted} there`)
  }
}

/**
 * Splits at top-level commas. `<` opens a path only right after a digit: `21<<MAP_HUGE_SHIFT` and `=>` have no pair.
 */
function splitArgs(text: string): string[] {
  const parts: string[] = []
  let from = 0
  let depth = 0
  let inPath = false
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? ''
    if (inString) {
      if (char === '\\') at++
      else if (char === '"') inString = false
    } else if (inPath) inPath = char !== '>'
    else if (char === '"') inString = true
    else if (char === '<' && /^\d<[^<]/.test(text.slice(at - 1, at + 2))) inPath = true
    else if ('([{'.includes(char)) depth++
    else if (')]}'.includes(char)) depth--
    else if (char === ',' && depth === 0) {
      parts.push(text.slice(from, at).trim())
      from = at + 1
    }
  }
  const last = text.slice(from).trim()
  return parts.length === 0 && last === '' ? [] : [...parts, last]
}

const unquote = (text: string): string => unescape(text.replace(/^"|"(\.\.\.)?$/g, ''))

/** Undoes strace's C escapes. Octal ones are bytes, of UTF-8 as a rule; /proc/PID/maps has the bytes themselves. */
function unescape(text: string): string {
  return text.replace(/(?:\\[0-7]{1,3})+|\\./g, (escape) => {
    if (!/^\\[0-7]/.test(escape)) return { '\\n': '\n', '\\t': '\t', '\\r': '\r' }[escape] ?? escape.slice(1)
    const bytes = [...escape.matchAll(/\\([0-7]{1,3})/g)].map((match) => parseInt(match[1] ?? '0', 8))
    return Buffer.from(bytes).toString('utf8')
  })
}
