/**
 * The accesses a CPU can make, by name and number. The list is data for three readers: Cpu declares one method for each
 * name, the build (boot/lower/lower.ts) inlines their schedule points at the call sites, and traces name a step by its number.
 */
export const ACCESSES = [
  'readOnce32',
  'readOnce64',
  'writeOnce32',
  'writeOnce64',
  'loadAcquire32',
  'loadAcquire64',
  'storeRelease32',
  'storeRelease64',
  'xchg32',
  'xchg64',
  'cmpxchg32',
  'cmpxchg64',
  'atomicAdd32',
  'atomicAddReturn32',
  'atomicAnd32',
  'atomicOr32',
  'atomicXor32',
  'atomicFetchAdd32',
  'atomicFetchAnd32',
  'atomicFetchOr32',
  'atomicFetchXor32',
  'atomicAnd64',
  'atomicOr64',
  'atomicFetchAnd64',
  'atomicFetchOr64',
  'atomicAddUnless32',
  'plainRead32',
  'plainRead64',
  'plainWrite32',
  'plainWrite64',
  'smpMb',
  'smpRmb',
  'smpWmb',
  'touch',
] as const

export type AccessName = (typeof ACCESSES)[number]

/** Number of an access, from 1; 0 is no access. */
export const Access = Object.fromEntries(ACCESSES.map((name, index) => [name, index + 1])) as Readonly<
  Record<AccessName, number>
>

/** Name of access `kind`; `step` for numbers that are none. */
export const accessName = (kind: number): string => ACCESSES[kind - 1] ?? 'step'

/** Width in bytes of the word that access `kind` goes to; 0 for barriers. */
export const accessWidth = (kind: number): 0 | 4 | 8 => WIDTHS[kind - 1] ?? 0

const WIDTHS = ACCESSES.map((name) => (name.endsWith('64') ? 8 : name.endsWith('32') ? 4 : 0))

const WRITES = ACCESSES.map((name) => !/^(?:readOnce|loadAcquire|plainRead|smp)/.test(name))

/** Whether access `kind` may change its word: all that does more than load, a cmpxchg that fails and `touch` among them. */
export const mayWrite = (kind: number): boolean => WRITES[kind - 1] === true
