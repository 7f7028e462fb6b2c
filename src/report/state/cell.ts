/** The cells of a state of the machine: each is one thing that a reader can look at, with its text. */
import { subsystemPanels } from '../../subsystem/index.js'

interface PanelTitle {
  readonly id: string
  readonly title: string
  /** Its groups all have these names. */
  readonly columns?: readonly string[]
}

/**
 * Parts of the machine, in the order in which they are shown; those of subsystems in rooms of their own come after
 * them.
 */
const PANELS: readonly PanelTitle[] = [
  { id: 'cpus', title: 'CPUs', columns: ['operation', 'context', 'waits', 'address space'] },
  { id: 'words', title: 'Words and registers' },
  { id: 'tables', title: 'Page tables' },
  { id: 'tlbs', title: 'TLBs' },
  { id: 'frames', title: 'Frames', columns: ['use', 'refcount', 'mapcount', 'flags', 'allocated by'] },
  { id: 'locks', title: 'Locks' },
  { id: 'rcu', title: 'RCU' },
  { id: 'ipis', title: 'Interrupts under way' },
  { id: 'vmas', title: 'Address spaces' },
]

export const panels = (): readonly PanelTitle[] => [
  ...PANELS,
  ...subsystemPanels().map(({ id, title, columns }) => ({ id, title, ...(columns === undefined ? {} : { columns }) })),
]

export interface Cell {
  readonly panel: string
  /** What it is a part of: `mm0`, `CPU 1`, `0x2a` among the frames. */
  readonly group: string
  /** Unique in its group: `pmd[0] of 0x10000`, `refcount`. */
  readonly name: string
  readonly text: string
  /** Place in its panel: of the group, then in the group. */
  readonly order: readonly [group: number, within: number]
  /** The word of the image that it is about; 0 where there is no single one. */
  readonly addr: number
  /** Frames that it is about or leads to. */
  readonly frames: readonly number[]
}

export type Put = (cell: Cell) => void

export const NO_FRAMES: readonly number[] = []
