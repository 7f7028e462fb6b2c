/**
 * The accesses a CPU can make. The rows are data for four readers: Cpu declares one method for each name, the build
 * (boot/lower/lower.ts) inlines their schedule points at the call sites, traces name a step by its number, and engine
 * and searches ask for the properties. The number of an access is its place, from 1; 0 is no access.
 */
interface AccessRow {
  readonly name: string
  /** Width of the word that it goes to; 0 for what goes to none, and for a user's access, which goes to a page. */
  readonly bytes: 0 | 4 | 8
  /** It may change its word: all that does more than load, a cmpxchg that fails and `touch` among them. */
  readonly writes: boolean
  /** It orders other accesses and makes none. */
  readonly barrier?: true
}

const ROWS = [
  { name: 'readOnce32', bytes: 4, writes: false },
  { name: 'readOnce64', bytes: 8, writes: false },
  { name: 'writeOnce32', bytes: 4, writes: true },
  { name: 'writeOnce64', bytes: 8, writes: true },
  { name: 'loadAcquire32', bytes: 4, writes: false },
  { name: 'loadAcquire64', bytes: 8, writes: false },
  { name: 'storeRelease32', bytes: 4, writes: true },
  { name: 'storeRelease64', bytes: 8, writes: true },
  { name: 'xchg32', bytes: 4, writes: true },
  { name: 'xchg64', bytes: 8, writes: true },
  { name: 'cmpxchg32', bytes: 4, writes: true },
  { name: 'cmpxchg64', bytes: 8, writes: true },
  { name: 'atomicAdd32', bytes: 4, writes: true },
  { name: 'atomicAddReturn32', bytes: 4, writes: true },
  { name: 'atomicAnd32', bytes: 4, writes: true },
  { name: 'atomicOr32', bytes: 4, writes: true },
  { name: 'atomicXor32', bytes: 4, writes: true },
  { name: 'atomicFetchAdd32', bytes: 4, writes: true },
  { name: 'atomicFetchAnd32', bytes: 4, writes: true },
  { name: 'atomicFetchOr32', bytes: 4, writes: true },
  { name: 'atomicFetchXor32', bytes: 4, writes: true },
  { name: 'atomicAnd64', bytes: 8, writes: true },
  { name: 'atomicOr64', bytes: 8, writes: true },
  { name: 'atomicFetchAnd64', bytes: 8, writes: true },
  { name: 'atomicFetchOr64', bytes: 8, writes: true },
  { name: 'atomicAddUnless32', bytes: 4, writes: true },
  { name: 'plainRead32', bytes: 4, writes: false },
  { name: 'plainRead64', bytes: 8, writes: false },
  { name: 'plainWrite32', bytes: 4, writes: true },
  { name: 'plainWrite64', bytes: 8, writes: true },
  { name: 'smpMb', bytes: 0, writes: false, barrier: true },
  { name: 'smpRmb', bytes: 0, writes: false, barrier: true },
  { name: 'smpWmb', bytes: 0, writes: false, barrier: true },
  { name: 'touch', bytes: 0, writes: true },
] as const satisfies readonly AccessRow[]

export type AccessName = (typeof ROWS)[number]['name']

export const ACCESSES: readonly AccessName[] = ROWS.map(({ name }) => name)

/** Number of an access. */
export const Access = Object.fromEntries(ACCESSES.map((name, index) => [name, index + 1])) as Readonly<
  Record<AccessName, number>
>

/** Name of access `kind`; `step` for numbers that are none. */
export const accessName = (kind: number): string => ACCESSES[kind - 1] ?? 'step'

const BYTES = ROWS.map(({ bytes }) => bytes)
const WRITES = ROWS.map(({ writes }) => writes)
/** By number of an access: 1 for a barrier. */
const BARRIERS = Uint8Array.from([0, ...ROWS.map((row: AccessRow) => (row.barrier === true ? 1 : 0))])

/** Width in bytes of the word that access `kind` goes to; 0 for barriers. */
export const accessWidth = (kind: number): 0 | 4 | 8 => BYTES[kind - 1] ?? 0

/** Whether access `kind` may change its word. */
export const mayWrite = (kind: number): boolean => WRITES[kind - 1] === true

/** Whether access `kind` is a barrier. */
export const isBarrier = (kind: number): boolean => BARRIERS[kind] === 1
