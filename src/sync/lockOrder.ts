/**
 * The lock order, as data: it documents the classes of locks and is what a checker runs.
 *
 * Source: the comments at the head of mm/rmap.c and mm/filemap.c (v6.12), reduced to the locks that are modelled. A
 * lock may be taken while one from further up is held, never the other way round; waiting against the order is how two
 * CPUs wait for each other.
 */

/**
 * `sleeping`: its holder may sleep, its waiter does. `spin`: preemption is off. `irq`: a spinlock taken with IRQs off.
 */
export type LockKind = 'sleeping' | 'spin' | 'irq'

export interface LockClass {
  readonly name: LockName
  readonly kind: LockKind
  /** When two locks of the class may be held at once, and in which order they are taken; null: never. */
  readonly nesting: string | null
  readonly guards: string
}

export type LockName = (typeof NAMES)[number]

/** Outermost first. */
const NAMES = [
  'inodeRwsem',
  'mmapLock',
  'vmaLock',
  'invalidateLock',
  'folioLock',
  'iMmapRwsem',
  'anonVmaRwsem',
  'pmdLock',
  'pteLock',
  'pageTableLock',
  'pageCacheLock',
  'pgtableListLock',
  'slotLock',
  'zoneLock',
  'rcuGpLock',
] as const

type Row = Omit<LockClass, 'name'>

const ROWS: Readonly<Record<LockName, Row>> = {
  inodeRwsem: { kind: 'sleeping', nesting: null, guards: 'the size of a file' },
  mmapLock: { kind: 'sleeping', nesting: 'fork: parent, then the child nobody knows yet', guards: 'the vmas of an mm' },
  vmaLock: { kind: 'sleeping', nesting: null, guards: 'a vma against change while a fault is in it' },
  invalidateLock: { kind: 'sleeping', nesting: null, guards: 'a file against pages being read in while others go' },
  folioLock: { kind: 'sleeping', nesting: null, guards: 'a folio against splitting and migration' },
  iMmapRwsem: { kind: 'sleeping', nesting: null, guards: 'the tree of vmas that map a file' },
  anonVmaRwsem: {
    kind: 'sleeping',
    nesting: null,
    guards: 'the tree of vmas that map anonymous folios; the root is locked',
  },
  pmdLock: {
    kind: 'spin',
    nesting: 'fork: child, then parent; mremap: old, then new',
    guards: 'entries of a PMD table',
  },
  pteLock: {
    kind: 'spin',
    nesting: 'fork: child, then parent; mremap: old, then new',
    guards: 'entries of a PTE table',
  },
  pageTableLock: { kind: 'spin', nesting: null, guards: 'upper levels of the tables, and the cursor of PTE tables' },
  pageCacheLock: { kind: 'spin', nesting: null, guards: 'the pages of a file' },
  pgtableListLock: { kind: 'spin', nesting: null, guards: 'pages with a PTE table to hand out' },
  slotLock: { kind: 'spin', nesting: null, guards: 'which mms, vmas, anon_vmas and files are in use' },
  zoneLock: { kind: 'irq', nesting: null, guards: 'the buddy free lists' },
  rcuGpLock: { kind: 'irq', nesting: null, guards: 'grace-period state; nothing is taken inside it' },
}

/** The table, outermost class first. */
export const LOCK_ORDER: readonly LockClass[] = NAMES.map((name) => ({ name, ...ROWS[name] }))

/** True when a lock of class `inner` may be taken while one of class `outer` is held. */
export function nestsInside(outer: LockName, inner: LockName): boolean {
  if (outer === inner) return ROWS[outer].nesting !== null
  return NAMES.indexOf(outer) < NAMES.indexOf(inner)
}
