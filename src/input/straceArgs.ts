/**
 * Arguments of the calls that this simulator replays, from strace's text to typed values.
 *
 * The text is split at the commas outside of quotes, brackets and the `<…>` that `-y` writes after a descriptor; strace
 * writes < and > inside of such a path as octal escapes, which is what makes the split safe. Structures other than
 * clone's are not taken apart.
 */
import { virt, type VirtAddr } from '../base/units.js'
import { straceAddress, straceNumber } from './numeral.js'
import { excerpt, refuse, type Place } from './place.js'
import type { CallArgs, CloneArgs, FlagSet, MmapArgs, MremapArgs, RangeArgs } from './straceEvent.js'

/** Undefined: a call of this name that is not replayed. */
type Decoder = (args: ArgList) => CallArgs | undefined

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
  madvise: (args) => ({ name: 'madvise', args: { ...rangeArgs(args.expect(3)), advice: adviceOf(args, 2) } }),
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
  mseal: (args) => ({ name: 'mseal', args: { ...rangeArgs(args), flags: args.number(2) } }),
  // strace 6.1 has no name for it yet.
  syscall_0x1ce: (args) => ({ name: 'mseal', args: { ...rangeArgs(args), flags: args.number(2) } }),
  remap_file_pages: (args) => ({
    name: 'remap_file_pages',
    args: { ...rangeArgs(args.expect(5)), prot: args.flags(2), page: args.number(3), flags: args.flags(4) },
  }),
  shmget: (args) => ({ name: 'shmget', args: { key: keyOf(args.expect(3).text(0)), size: args.number(1) } }),
  shmat: (args) => ({
    name: 'shmat',
    args: { id: args.expect(3).number(0), addr: args.address(1), flags: args.flags(2) },
  }),
  shmdt: (args) => ({ name: 'shmdt', args: { addr: args.expect(1).address(0) } }),
  process_madvise: (args) => ({
    name: 'process_madvise',
    args: { ranges: iovecs(args.expect(5).text(1)), advice: adviceOf(args, 3) },
  }),
  prctl: (args) => setVmaName(args),
  mbind: (args) => ({ name: 'mbind', args: { ...rangeArgs(args.expect(6)), policy: policyOf(args) } }),
  set_tid_address: (args) => ({ name: 'set_tid_address', args: { addr: args.expect(1).address(0) } }),
}

function rangeArgs(args: ArgList): RangeArgs {
  return { addr: args.address(0), length: args.number(1) }
}

function mmapArgs(args: ArgList): MmapArgs {
  const descriptor = /^(-?\d+)(?:<(.*)>(?:\(deleted\))?)?$/.exec(args.text(4))
  if (descriptor === null) args.refuse(4, 'a descriptor such as 3</path> or -1')
  const base = { ...rangeArgs(args), prot: args.flags(2), flags: named(args.flags(3), MAP_NUMBERS) }
  const fd = Number(descriptor[1])
  const offset = args.number(5)
  if (descriptor[2] === undefined) return { ...base, fd, offset }
  return { ...base, fd, path: unescape(descriptor[2]).replace(/ \(deleted\)$/, ''), offset }
}

function mremapArgs(args: ArgList): MremapArgs {
  const base = { oldAddr: args.address(0), oldLength: args.number(1), newLength: args.number(2), flags: args.flags(3) }
  return args.count === 5 ? { ...base, newAddr: args.address(4) } : base
}

/** What strace 6.1 has no names for yet. */
const MAP_NUMBERS: Readonly<Record<string, string>> = { '0x8': 'MAP_DROPPABLE' }
const ADVICE_NUMBERS: Readonly<Record<string, string>> = {
  '0x18': 'MADV_DONTNEED_LOCKED',
  '0x19': 'MADV_COLLAPSE',
  '0x66': 'MADV_GUARD_INSTALL',
  '0x67': 'MADV_GUARD_REMOVE',
}

const named = (flags: FlagSet, names: Readonly<Record<string, string>>): FlagSet =>
  new Set([...flags].map((flag) => names[flag] ?? flag))

function adviceOf(args: ArgList, index: number): string {
  const [advice = args.refuse(index, 'an advice')] = flagSet(args.text(index))
  return ADVICE_NUMBERS[advice] ?? advice
}

const keyOf = (text: string): number => (text === 'IPC_PRIVATE' ? 0 : (straceNumber(text) ?? 0))

/** `[{iov_base=0x…, iov_len=…}, …]`. */
function iovecs(text: string): RangeArgs[] {
  const found = text.matchAll(/iov_base=(0x[0-9a-f]+|NULL), iov_len=(\d+)/g)
  return [...found].map(([, base = '', length = '']) => ({
    addr: straceAddress(base) ?? virt(0),
    length: Number(length),
  }))
}

function setVmaName(args: ArgList): CallArgs | undefined {
  if (args.count < 5 || args.text(0) !== 'PR_SET_VMA') return undefined
  const text = args.text(4)
  const label = text === 'NULL' ? '' : unquote(text)
  return { name: 'set_vma_name', args: { addr: args.address(2), length: args.number(3), label } }
}

function policyOf(args: ArgList): string {
  return args.text(2) === 'MPOL_DEFAULT' ? '' : `${args.text(2)} ${args.text(3)}`
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
