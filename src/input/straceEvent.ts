/**
 * The event of a line of an strace log, as plain typed data. strace.ts makes these; processes.ts and
 * addressSpaceModel.ts read them. Arguments keep strace's own spelling: flags are sets of names, a flag strace could
 * not name stays in the set as the number it printed.
 */
import type { VirtAddr } from '../base/units.js'

/** Flag names, for example PROT_READ and PROT_WRITE; empty for 0 and NULL. PROT_NONE is a member of its own. */
export type FlagSet = ReadonlySet<string>

/** A range as the program gave it: nothing is aligned or checked. */
export interface RangeArgs {
  readonly addr: VirtAddr
  readonly length: number
}

export interface MmapArgs extends RangeArgs {
  readonly prot: FlagSet
  readonly flags: FlagSet
  /** -1 for none. */
  readonly fd: number
  /** What the descriptor is open on (`-y`), without the mark of a deleted file. */
  readonly path?: string
  readonly offset: number
}

export interface MremapArgs {
  readonly oldAddr: VirtAddr
  readonly oldLength: number
  readonly newLength: number
  readonly flags: FlagSet
  /** Given with MREMAP_FIXED or MREMAP_DONTUNMAP only. */
  readonly newAddr?: VirtAddr
}

/** What clone, clone3, fork and vfork share: fork is {SIGCHLD}, vfork is {CLONE_VM, CLONE_VFORK, SIGCHLD}. */
export interface CloneArgs {
  readonly flags: FlagSet
  /** The thread made, when the call succeeded. */
  readonly childTid?: number
}

/** One member for each name, so that CallNamed can pick them. */
type Args<Name extends string, Value> = Name extends string ? { readonly name: Name; readonly args: Value } : never

export type CallArgs =
  | Args<'mmap', MmapArgs>
  | Args<'munmap' | 'mincore' | 'mlock' | 'munlock', RangeArgs>
  | Args<'mprotect', RangeArgs & { readonly prot: FlagSet }>
  | Args<'pkey_mprotect', RangeArgs & { readonly prot: FlagSet; readonly pkey: number }>
  | Args<'madvise', RangeArgs & { readonly advice: string }>
  | Args<'mremap', MremapArgs>
  /** No address: the program asks where the break is. */
  | Args<'brk', { readonly addr?: VirtAddr }>
  | Args<'mlock2' | 'msync', RangeArgs & { readonly flags: FlagSet }>
  | Args<'mlockall', { readonly flags: FlagSet }>
  | Args<'munlockall', Record<string, never>>
  | Args<'clone' | 'clone3' | 'fork' | 'vfork', CloneArgs>
  | Args<'execve' | 'execveat', { readonly path: string }>
  | Args<'exit' | 'exit_group', { readonly status: number }>
  | Args<'set_tid_address', { readonly addr: VirtAddr }>
  | Args<'mseal', RangeArgs & { readonly flags: number }>
  | Args<'remap_file_pages', RangeArgs & { readonly prot: FlagSet; readonly page: number; readonly flags: FlagSet }>
  | Args<'shmget', { readonly key: number; readonly size: number }>
  | Args<'shmat', { readonly id: number; readonly addr: VirtAddr; readonly flags: FlagSet }>
  | Args<'shmdt', { readonly addr: VirtAddr }>
  | Args<'process_madvise', { readonly ranges: readonly RangeArgs[]; readonly advice: string }>
  /** prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME): no name takes the name away. */
  | Args<'set_vma_name', RangeArgs & { readonly label: string }>
  /** The mode and its nodes, as strace prints them; none for MPOL_DEFAULT. */
  | Args<'mbind', RangeArgs & { readonly policy: string }>

/** Where and when. The log holds no other clock than strace's own. */
export interface EventPlace {
  /** Place in effect order, from 0 (effectOrder.ts). */
  readonly n: number
  /** Line on which it begins, from 1. */
  readonly line: number
  /** Line that carries the result; `line` itself unless the call was split by `<unfinished ...>`. */
  readonly endLine: number
  readonly tid: number
  /** Microseconds since midnight of the day the log begins on. */
  readonly startTime: number
}

export interface CallResult {
  /** Addresses signed; -1 for an error; undefined for `?`: the call never returned, or will be restarted. */
  readonly result: number | undefined
  readonly errno?: string
  /** `startTime` and the time strace measured inside the call. */
  readonly endTime?: number
}

export type Call = EventPlace & CallResult & CallArgs & { readonly kind: 'call' }
export type CallNamed<Name extends CallArgs['name']> = Extract<Call, { readonly name: Name }>

/** A call this simulator has no use for; `args` is the text between the parentheses. */
export type OtherCall = EventPlace &
  CallResult & { readonly kind: 'other'; readonly name: string; readonly args: string }

/** The moment at which /proc/PID/maps was saved as PID.`k`.maps; the log shows it as munmap(0x6d617000K000, 0). */
export type SnapshotMark = EventPlace & { readonly kind: 'snapshot'; readonly k: number }

/** The thread is gone: `+++ exited +++`, `+++ killed +++`. */
export type ThreadEnd = EventPlace & { readonly kind: 'end'; readonly status?: number; readonly signal?: string }

/** Thread `by` called execve: it takes the number `tid` of its leader, and whoever had that number is gone. */
export type Superseded = EventPlace & { readonly kind: 'superseded'; readonly by: number }

export type SignalSeen = EventPlace & { readonly kind: 'signal'; readonly signal: string }

export type LogEvent = Call | OtherCall | SnapshotMark | ThreadEnd | Superseded | SignalSeen

/** Whether the call is known to have done what it was asked. */
export const succeeded = (call: CallResult): boolean => call.result !== undefined && call.errno === undefined
