/**
 * The effect of a log's calls on the mappings of one address space: expectedMaps(), the independent answer to which
 * both the snapshot of the real kernel and the simulator's own mm are compared.
 *
 * The rules that it takes for the recordings to agree with their snapshots, VMA for VMA (Linux 6.18, x86-64):
 * - Neighbours of one kind merge when a call made or changed one of them (vmaList.ts). munmap and a shrinking brk merge
 *   nothing.
 * - "One kind" includes flags that /proc/PID/maps does not show. Two of them decide here: VM_ACCOUNT (`ac`), which a
 *   private mapping gets when it is or becomes writable and keeps for good (so the data that a loader makes read-only
 *   stays apart from the read-only segment before it, with one path and a continuing offset), and VM_NOHUGEPAGE (`nh`),
 *   which MAP_STACK sets since Linux 6.7 (so a thread's stack stays apart from the anonymous memory above it).
 * - File mappings merge when path and protection are equal and the offset continues; never with anonymous memory
 *   (.bss).
 * - brk makes and merges anonymous memory from the page end of the old break to that of the new; `[heap]` is not a
 *   property but a name: private anonymous memory that overlaps [start_brk, brk). The first break seen is start_brk.
 * Further rules, on which no recording here depends: VM_NORESERVE (`nr`) of MAP_NORESERVE and no `ac` with it; the
 * flags of madvise and mlock; mremap; each MAP_SHARED|MAP_ANONYMOUS is a file of its own. They are held against the
 * mm-steps. [stack] grows down by faults, which no log shows: compareMaps() lets it begin lower.
 *
 * What the start does not show is taken to be the plainest: writable private memory has `ac`; neighbours that would
 * merge by all that is visible differ in some way, kept as a mark of its own, and so never merge.
 * All private memory counts as written to: it keeps its offset when mremap moves it, and `ac` when it becomes
 * read-only, and what a forked child inherited never merges with what the child maps itself.
 * Not modelled, refused by line: shmat, mbind, mseal and the like, mlockall, MAP_HUGETLB, PROT_GROWSDOWN. Calls that
 * failed change nothing, but those that stop at a hole (ENOMEM of mprotect, madvise, mlock) changed what was before it.
 */
import { virt } from '../base/units.js'
import type { MapsVma } from './maps.js'
import { refuse } from './place.js'
import { succeeded, type Call, type CallNamed, type LogEvent, type MremapArgs } from './straceEvent.js'
import { ADVICE, mmapHidden, needsAccount, protLetters, sorted, withFlags } from './vmFlags.js'
import { alter, insert, mappedUntil, mergeable, unmap, within, type Vma, type VmaList } from './vmaList.js'

/** The program break: `[heap]` lies between `start` and the current `end`. Not page aligned. */
export interface Heap {
  readonly start: number
  readonly end: number
}

/**
 * Mappings after `events` (in effect order) happened to an address space that began as `start`. `heap` is needed when
 * `start` has no [heap] and the events do not ask for the break before they move it. Throws UsageError that names the
 * line of a call that changes mappings in a way not modelled; `file` is the log's name.
 */
export function expectedMaps(
  start: readonly MapsVma[],
  events: readonly LogEvent[],
  heap?: Heap,
  file = 'log',
): MapsVma[] {
  const model = new AddressSpaceModel(file, start, heap)
  for (const event of events) model.apply(event)
  return model.maps()
}

const PAGE = 4096
const pageEnd = (address: number): number => Math.ceil(address / PAGE) * PAGE

export class AddressSpaceModel {
  #list: VmaList
  #heap: Heap | undefined
  #sharedFiles = 0
  /** The vsyscall page: shown, but no VMA of the process. */
  readonly #gate: readonly MapsVma[]
  readonly #file: string

  constructor(file: string, start: readonly MapsVma[], heap?: Heap) {
    this.#file = file
    this.#gate = start.filter((vma) => vma.start < 0)
    this.#list = initialList(start.filter((vma) => vma.start >= 0))
    const named = start.find(({ path }) => path === '[heap]')
    this.#heap = heap ?? (named === undefined ? undefined : { start: named.start, end: named.end })
  }

  get heap(): Heap | undefined {
    return this.#heap
  }

  /** The mappings as /proc/PID/maps would show them. */
  maps(): MapsVma[] {
    return [...this.#list.map((vma) => this.#shown(vma)), ...this.#gate]
  }

  /**
   * What a child gets from fork now, with hidden flags: not MADV_DONTFORK ranges, nothing locked, and written memory
   * with a mark of its own. (The child shares an anon_vma with its parent there, and mm/vma.c lets such a VMA grow by
   * nothing new: vma_had_uncowed_parents.)
   */
  forked(): MapsVma[] {
    const copied = this.#list.filter(({ hidden }) => !hidden.includes('dc'))
    const marked = copied.map((vma, index) => {
      const written = !vma.shared && (vma.prot.includes('w') || vma.hidden.includes('ac'))
      const { hidden } = withFlags(vma, written ? [`forked${index}`] : [], ['lo', 'lf'])
      return { ...this.#shown(vma), hidden }
    })
    return [...marked, ...this.#gate]
  }

  apply(event: LogEvent): void {
    if (event.kind === 'other' && succeeded(event) && UNMODELLED.has(event.name)) this.#refuse(event, event.name)
    if (event.kind !== 'call' || event.result === undefined) return
    if (event.name === 'mprotect' || event.name === 'pkey_mprotect') this.#mprotect(event)
    else if (event.name === 'madvise') this.#madvise(event)
    else if (event.name === 'mlock' || event.name === 'mlock2' || event.name === 'munlock') this.#mlock(event)
    else if (succeeded(event)) this.#applyWhole(event, event.result)
  }

  /** Calls that do all or nothing. */
  #applyWhole(event: Call, result: number): void {
    if (event.name === 'mmap') this.#mmap(event, result)
    else if (event.name === 'munmap') this.#unmap(event.args.addr, event.args.length)
    else if (event.name === 'mremap') this.#mremap(event.args, result)
    else if (event.name === 'brk') this.#brk(event, result)
    else if (event.name === 'mlockall' || event.name === 'munlockall') this.#refuse(event, event.name)
  }

  #mmap(event: CallNamed<'mmap'>, start: number): void {
    const { prot: protFlags, flags, length, path = '', offset: fileOffset } = event.args
    if (flags.has('MAP_HUGETLB')) this.#refuse(event, 'mmap with MAP_HUGETLB')
    const shared = flags.has('MAP_SHARED') || flags.has('MAP_SHARED_VALIDATE')
    const anonymous = flags.has('MAP_ANONYMOUS')
    const file = anonymous ? (shared ? this.#sharedFile() : undefined) : path
    const offset = file === undefined ? start : anonymous ? 0 : fileOffset
    const prot = protLetters(protFlags)
    const what = { prot, shared, file, offset, hidden: mmapHidden(flags, prot, shared) }
    this.#list = insert(this.#list, { start, end: start + pageEnd(length), ...what })
  }

  #unmap(start: number, length: number): void {
    this.#list = unmap(this.#list, start, start + pageEnd(length))
  }

  /** Stops with ENOMEM at the first hole; what lies before it is changed. */
  #mprotect(event: CallNamed<'mprotect' | 'pkey_mprotect'>): void {
    const { addr, length, prot: flags } = event.args
    if (event.errno !== undefined && event.errno !== 'ENOMEM') return
    if (flags.has('PROT_GROWSDOWN') || flags.has('PROT_GROWSUP')) this.#refuse(event, 'mprotect with PROT_GROWSDOWN')
    const asked = addr + pageEnd(length)
    const end = event.errno === undefined ? asked : Math.min(asked, mappedUntil(this.#list, addr))
    const prot = protLetters(flags)
    const pkey = event.name === 'pkey_mprotect' && event.args.pkey > 0 ? `pkey${event.args.pkey}` : undefined
    this.#list = alter(this.#list, addr, end, (part) => {
      const plain = part.hidden.filter((flag) => event.name === 'mprotect' || !flag.startsWith('pkey'))
      const kept = pkey === undefined ? plain : sorted([...plain, pkey])
      return { ...part, prot, hidden: needsAccount(part, prot) ? sorted([...kept, 'ac']) : kept }
    })
  }

  /** Goes on behind a hole and says ENOMEM in the end. */
  #madvise(event: CallNamed<'madvise'>): void {
    const { addr, length, advice } = event.args
    const change = Object.hasOwn(ADVICE, advice) ? ADVICE[advice] : undefined
    if (change === undefined || (event.errno !== undefined && event.errno !== 'ENOMEM')) return
    this.#list = alter(this.#list, addr, addr + pageEnd(length), (part) => withFlags(part, change.set, change.clear))
  }

  /**
   * ENOMEM is from a hole, or from pages that may not be touched (all is locked then), or from a limit (nothing is).
   */
  #mlock(event: CallNamed<'mlock' | 'mlock2' | 'munlock'>): void {
    const start = event.args.addr - (event.args.addr % PAGE)
    const asked = pageEnd(event.args.addr + event.args.length)
    const mapped = mappedUntil(this.#list, start)
    const untouchable = within(this.#list, start, asked).some(({ prot }) => prot === '---')
    if (event.errno !== undefined && (event.errno !== 'ENOMEM' || (mapped >= asked && !untouchable))) return
    const onFault = event.name === 'mlock2' && event.args.flags.has('MLOCK_ONFAULT')
    const [set, clear] = event.name === 'munlock' ? [[], ['lo', 'lf']] : onFault ? [['lo', 'lf'], []] : [['lo'], ['lf']]
    this.#list = alter(this.#list, start, Math.min(asked, mapped), (part) =>
      part.file?.startsWith('[v') === true ? part : withFlags(part, set, clear),
    )
  }

  #mremap(args: MremapArgs, result: number): void {
    const [oldLength, newLength] = [pageEnd(args.oldLength), pageEnd(args.newLength)]
    const [oldStart, oldEnd] = [args.oldAddr, args.oldAddr + oldLength]
    if (result !== oldStart) return this.#move(args, result, oldLength, newLength)
    if (newLength <= oldLength) this.#list = unmap(this.#list, oldStart + newLength, oldEnd)
    const [last] = within(this.#list, oldEnd - PAGE, oldEnd)
    if (newLength > oldLength && last !== undefined)
      this.#list = insert(this.#list, { ...last, end: oldStart + newLength })
  }

  /**
   * An old length of 0 makes a second mapping of shared memory; MREMAP_DONTUNMAP leaves an empty one behind. Since 6.17
   * several VMAs can move at once, and what lies at the target is unmapped under each of them, not under their holes.
   */
  #move(args: MremapArgs, to: number, oldLength: number, newLength: number): void {
    const from = args.oldAddr
    const parts = within(this.#list, from, from + Math.max(Math.min(oldLength, newLength), PAGE))
    const locked = { set: [], clear: ['lo', 'lf'] }
    if (args.flags.has('MREMAP_DONTUNMAP')) {
      this.#list = alter(this.#list, from, from + oldLength, (part) => withFlags(part, locked.set, locked.clear))
    } else this.#list = unmap(this.#list, from, from + oldLength)
    parts.forEach((part, index) => {
      const start = to + (part.start - from)
      const grows = newLength > oldLength && index === parts.length - 1
      const end = grows ? to + newLength : to + (part.end - from)
      this.#list = insert(this.#list, { ...part, start, end })
    })
  }

  /** brk returns the break that holds afterwards: the old one when it could not move. */
  #brk(event: CallNamed<'brk'>, result: number): void {
    if (this.#heap === undefined) {
      if (event.args.addr !== undefined) this.#refuse(event, 'brk before the log asked where the break is')
      this.#heap = { start: result, end: result }
      return
    }
    const [from, to] = [pageEnd(this.#heap.end), pageEnd(result)]
    this.#heap = { ...this.#heap, end: result }
    if (to < from) this.#list = unmap(this.#list, to, from)
    const anonymous = { prot: 'rw-', shared: false, file: undefined, hidden: ['ac'] }
    if (to > from) this.#list = insert(this.#list, { ...anonymous, start: from, end: to, offset: from })
  }

  #sharedFile(): string {
    return `${SHARED_ANONYMOUS}#${++this.#sharedFiles}`
  }

  #shown(vma: Vma): MapsVma {
    const path = vma.file === undefined ? this.#anonymousName(vma) : vma.file.replace(SHARED_NUMBER, SHARED_ANONYMOUS)
    const offset = vma.file === undefined || path.startsWith('[') ? 0 : vma.offset
    const perms = `${vma.prot}${vma.shared ? 's' : 'p'}`
    return { start: virt(vma.start), end: virt(vma.end), perms, offset, path }
  }

  #anonymousName(vma: Vma): string {
    const heap = this.#heap
    return heap !== undefined && vma.start < heap.end && vma.end > heap.start ? '[heap]' : ''
  }

  #refuse(event: LogEvent, what: string): never {
    const rule = 'its effect on mappings is not modelled'
    refuse({ file: this.#file, line: event.line }, what, rule, 'leave the process that does this out of the recording')
  }
}

/** The name /proc/PID/maps has for shared anonymous memory, which is an unnamed file of its own each time. */
const SHARED_ANONYMOUS = '/dev/zero'
const SHARED_NUMBER = /^\/dev\/zero#\d+$/

/** Calls of strace's %memory and %ipc that make, remove, split or seal VMAs. */
const UNMODELLED: ReadonlySet<string> = new Set(
  'shmat shmdt remap_file_pages mbind set_mempolicy_home_node mseal map_shadow_stack io_setup io_destroy'.split(' '),
)

function initialList(start: readonly MapsVma[]): VmaList {
  const list: Vma[] = []
  start.forEach((vma, index) => {
    const [prot, shared] = [vma.perms.slice(0, 3), vma.perms.endsWith('s')]
    const file = vma.path === '' || vma.path === '[heap]' ? undefined : vma.path
    const offset = file === undefined ? vma.start : vma.offset
    const hidden = vma.hidden ?? (!shared && prot.includes('w') ? ['ac'] : [])
    const made = { start: vma.start, end: vma.end, prot, shared, file, offset, hidden }
    const before = list[list.length - 1]
    const apart = before !== undefined && mergeable(before, made) ? [`apart${index}`] : []
    list.push({ ...made, hidden: sorted([...apart, ...hidden]) })
  })
  return list
}
