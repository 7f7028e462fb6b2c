/**
 * What a CPU can be told to do: operations as plain data. A program can be sent to a worker, written to a file, replayed
 * and shrunk. Addresses are bytes, multiples of the page size unless a load or store says otherwise.
 */

/** A fixed number, or one of `count` numbers from `from` in steps of `step`, chosen anew at each execution. */
export type Pick = number | { readonly from: number; readonly step: number; readonly count: number }

export type Op =
  // ---- memory of the current process
  | {
      op: 'mmap'
      addr: number
      len: number
      prot: number
      flags: number
      file?: number
      offset?: number
      expect?: number
    }
  | { op: 'munmap'; addr: Pick; len: number; expect?: number }
  | { op: 'mprotect'; addr: Pick; len: number; prot: number; expect?: number }
  | { op: 'madvise'; addr: Pick; len: number; advice: Advice; expect?: number }
  | { op: 'mremap'; addr: number; oldLen: number; newLen: number; flags: number; newAddr: number; expect?: number }
  | { op: 'brk'; addr: number; expect?: number }
  /** A user's access of one word at each of `pages` pages (1 unless given). `value`: what is stored, 1 unless given. */
  | { op: 'load'; addr: Pick; pages?: number; reg?: number; expect?: number }
  | { op: 'store'; addr: Pick; pages?: number; value?: number; expect?: number }
  /** The kernel reads a word at each of `pages` pages for its user, as strnlen_user() does; interrupts come in between. */
  | { op: 'kernelRead'; addr: Pick; pages: number; expect?: number }
  // ---- get_user_pages
  /** Takes and gives back `pages` pages, or keeps them (`hold`) until unpin. `pin`: FOLL_PIN instead of FOLL_GET. */
  | { op: 'gup'; addr: Pick; pages: number; write?: boolean; pin?: boolean; fastOnly?: boolean; hold?: boolean }
  | { op: 'unpin' }
  /** Writes a word through a page that gup returned, as a device or ptrace does; `force`: FOLL_FORCE. */
  | { op: 'gupWrite'; addr: Pick; value: number; force?: boolean; pin?: boolean; hold?: boolean }
  // ---- huge pages and reverse map
  | { op: 'splitPmd'; addr: Pick }
  | { op: 'splitFolio'; addr: Pick }
  | { op: 'collapse'; addr: Pick }
  /** Takes the PTE table of a shared file mapping away, as khugepaged does when the file range has become huge. */
  | { op: 'retract'; addr: Pick }
  /** The same for all mappings of page `page` of file `file` that begin a huge range there, without mmap_lock. */
  | { op: 'retractFile'; file: number; page: number }
  /** Unmaps `pages` pages (1 unless given) of file `file` from page `page` everywhere; they stay cached. Truncation does it first. */
  | { op: 'unmapFile'; file: number; page: number; pages?: number }
  /** Reclaim of `pages` pages (1 unless given) of file `file` from page `page`: unmapped everywhere and freed, if they are clean. */
  | { op: 'reclaim'; file: number; page: number; pages?: number }
  /** Maps a page of a shared file mapping as a userfaultfd monitor has it done (UFFDIO_CONTINUE). */
  | { op: 'fill'; addr: Pick }
  /** Compaction: moves the folio that is mapped at `addr` when the operation begins, knowing only its frame. */
  | { op: 'migrate'; addr: Pick }
  /** Arms a NUMA hint on the huge page at `addr`. */
  | { op: 'numaHint'; addr: Pick }
  /** A speculative walker by frame number: takes a reference on the frame mapped at `addr` when the operation begins. */
  | { op: 'scanPfn'; addr: Pick }
  // ---- processes
  /** Forks the current process; the child's address space goes to `slot`, where adopt or reap finds it. */
  | { op: 'fork'; slot: number }
  /** Waits for the address space in `slot`, makes it this CPU's, and empties the slot. */
  | { op: 'adopt'; slot: number }
  /** Ends the process in `slot`, if there is one. */
  | { op: 'reap'; slot: number }
  /** Leaves the current process for an empty one, as exit and execve do. */
  | { op: 'exec' }
  /** Switches to the idle task, which has no address space, and back. */
  | { op: 'reschedule' }
  /** Leaves the process. `lazy`: a kernel thread comes next and borrows its address space, alive or dead, as enterLazyTlb. */
  | { op: 'exit'; lazy?: boolean }
  /** A kernel thread takes the CPU over, and the process's tables stay loaded: no user accesses until leaveLazyTlb. */
  | { op: 'enterLazyTlb' }
  /** The process is back. */
  | { op: 'leaveLazyTlb' }
  /** The hardware walks to `addr` by the tables that are loaded, without being asked, whoever runs. */
  | { op: 'speculate'; addr: Pick }
  // ---- RCU
  | { op: 'synchronizeRcu' }
  | { op: 'synchronizeRcuExpedited' }
  // ---- words of a litmus test
  | { op: 'readOnce'; word: number; reg: number }
  | { op: 'writeOnce'; word: number; value: number }
  | { op: 'loadAcquire'; word: number; reg: number }
  | { op: 'storeRelease'; word: number; value: number }
  | { op: 'xchg'; word: number; value: number; reg: number }
  /** Stores `value` if the word is `expected`; `reg` gets what was there. */
  | { op: 'cmpxchg'; word: number; expected: number; value: number; reg: number }
  /** Adds `value`; the register gets what was there before. */
  | { op: 'fetchAdd'; word: number; value: number; reg: number }
  /** Waits, asleep, until the word has this value. */
  | { op: 'awaitWord'; word: number; value: number }
  /** Waits until the word is `expected`, and stores `value` in the same step. */
  | { op: 'cmpxchgWhen'; word: number; expected: number; value: number }
  /** The kernel's queued spinlock on a word, 0 when free. */
  | { op: 'spinLock'; word: number }
  | { op: 'spinUnlock'; word: number }
  /** An MCS lock on a word, 0 when free, with a node in another word. */
  | { op: 'mcsLock'; word: number; node: number }
  | { op: 'mcsUnlock'; word: number; node: number }
  | { op: 'smpMb' }
  | { op: 'smpRmb' }
  | { op: 'smpWmb' }
  // ---- control
  | { op: 'repeat'; times: number; body: readonly Op[] }
  /** One of the programs, chosen anew at each execution. */
  | { op: 'oneOf'; of: readonly (readonly Op[])[] }
  /** The body, if the register has this value. */
  | { op: 'ifEqual'; reg: number; value: number; body: readonly Op[] }

export type Program = readonly Op[]
export type OpName = Op['op']

export type Advice =
  | 'dontneed'
  | 'free'
  | 'hugepage'
  | 'nohugepage'
  | 'collapse'
  | 'populateRead'
  | 'populateWrite'
  | 'dontfork'
  | 'dofork'
  | 'wipeonfork'
  | 'keeponfork'
  | 'normal'
  | 'random'
  | 'sequential'
  | 'willneed'
  | 'dontdump'
  | 'dodump'
  | 'cold'
  | 'pageout'

/** madvise's numbers, asm-generic/mman-common.h. */
export const ADVICE: Readonly<Record<Advice, number>> = {
  normal: 0,
  random: 1,
  sequential: 2,
  willneed: 3,
  dontneed: 4,
  free: 8,
  dontfork: 10,
  dofork: 11,
  hugepage: 14,
  nohugepage: 15,
  dontdump: 16,
  dodump: 17,
  wipeonfork: 18,
  keeponfork: 19,
  cold: 20,
  pageout: 21,
  populateRead: 22,
  populateWrite: 23,
  collapse: 25,
}

/** Those on words of a litmus test. */
const LITMUS_OPS = [
  'readOnce',
  'writeOnce',
  'loadAcquire',
  'storeRelease',
  'xchg',
  'cmpxchg',
  'fetchAdd',
  'awaitWord',
  'cmpxchgWhen',
  'spinLock',
  'spinUnlock',
  'mcsLock',
  'mcsUnlock',
  'smpMb',
  'smpRmb',
  'smpWmb',
] as const satisfies readonly OpName[]

/** Kinds of operations by number, as the image counts them. */
export const OPS: readonly OpName[] = [
  'mmap',
  'munmap',
  'mprotect',
  'madvise',
  'mremap',
  'brk',
  'load',
  'store',
  'kernelRead',
  'gup',
  'unpin',
  'gupWrite',
  'splitPmd',
  'splitFolio',
  'collapse',
  'retract',
  'retractFile',
  'unmapFile',
  'reclaim',
  'fill',
  'migrate',
  'numaHint',
  'scanPfn',
  'fork',
  'adopt',
  'reap',
  'exec',
  'exit',
  'reschedule',
  'enterLazyTlb',
  'leaveLazyTlb',
  'speculate',
  'synchronizeRcu',
  'synchronizeRcuExpedited',
  ...LITMUS_OPS,
  'repeat',
  'oneOf',
  'ifEqual',
]

export const OP_NUMBER = new Map<OpName, number>(OPS.map((name, index) => [name, index]))

export const PROT = { none: 0, read: 1, write: 2, exec: 4 } as const
export const MAP = {
  shared: 1,
  private: 2,
  fixed: 0x10,
  anonymous: 0x20,
  growsDown: 0x100,
  fixedNoreplace: 0x100000,
} as const
export const MREMAP = { mayMove: 1, fixed: 2, dontUnmap: 4 } as const

const BARE: ReadonlySet<OpName> = new Set(LITMUS_OPS)

/**
 * Numbers that say how much: of an operation all of these shrink together, and the least is one page. `len`, `oldLen` and
 * `newLen` are bytes, `pages` are pages. What is not here (addresses, flags, values) says which or what, not how much.
 */
export const SIZES: Readonly<Partial<Record<OpName, readonly string[]>>> = {
  mmap: ['len'],
  munmap: ['len'],
  mprotect: ['len'],
  madvise: ['len'],
  mremap: ['oldLen', 'newLen'],
  load: ['pages'],
  store: ['pages'],
  gup: ['pages'],
  unmapFile: ['pages'],
  reclaim: ['pages'],
}

/** Those that wait until another CPU's operation lets them go on. */
export const WAITING: ReadonlySet<OpName> = new Set([
  'adopt',
  'awaitWord',
  'cmpxchgWhen',
  'spinLock',
  'mcsLock',
] satisfies OpName[])

/** True for a litmus test: it touches words only, so that no kernel needs to run around it. */
export const isBare = (program: Program): boolean =>
  program.every((op) => (op.op === 'ifEqual' ? isBare(op.body) : BARE.has(op.op)))
