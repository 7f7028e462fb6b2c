/**
 * entry-legal: what page-table entries may say and what they may become in one store (legal.ts of each architecture),
 * and that leaves name frames that can be mapped.
 *
 * Sound in free runs: both words come from the atomic operation that made the change; a page that was just mapped, or
 * that a migration entry names, is kept by the mapping's or the migrator's reference while the lock of the table is
 * held.
 */
import {
  brief,
  hugeFrame,
  illegalChange,
  illegalEntry,
  illegalInUse,
  isMigrationEntry,
  levelName,
  pmdProtnone,
  pmdWrprotect,
  pteFrame,
  pteProtnone,
  pteWrprotect,
  swpOffsetPfn,
  tableFrame,
} from '../arch/entry.js'
import { phys, type PteWord } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { Level } from '../arch/level.js'
import type { CheckedMachine } from './checkedMachine.js'
import type { Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { hex, violation } from './violation.js'

const ORACLE = 'entry-legal'

export class EntryLegal {
  readonly #arch: CheckedMachine['arch']
  readonly #shadow: Shadow
  readonly #sites: Sites

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites) {
    this.#arch = machine.arch
    this.#shadow = shadow
    this.#sites = sites
  }

  entryChanged(cpu: Cpu, level: number, mm: number, addr: number, entry: number, before: bigint, after: bigint): void {
    const reason = this.#fault(mm, level, before as PteWord, after as PteWord)
    if (reason === null) return
    const frame = this.#frameOf(level, after)
    violation(cpu, ORACLE, `Bad page map: illegal ${levelName(level)}`, entry, [
      reason,
      `${hex(addr)} of mm ${hex(mm)}: ${hex(before)} → ${hex(after)}`,
      ...(frame >= 0 ? this.#sites.describe(frame) : []),
    ])
  }

  /** The rule that the change breaks, null: none. */
  #fault(mm: number, level: number, before: PteWord, after: PteWord): string | null {
    const { hugePages, frames, tables } = this.#shadow
    // Entries for tables have numbers of tables in the place of frames.
    const limit = level > Level.pte && tableFrame(brief(after)) >= 0 ? tables : frames
    const illegal =
      illegalEntry(level, judged(level, before, after), limit, hugePages) ??
      illegalChange(level, before, after, hugePages) ??
      (this.#arch.inUse?.(phys(mm)) === true ? illegalInUse(level, before, after) : null)
    if (illegal !== null) return illegal
    const frame = this.#frameOf(level, after)
    if (frame < 0 || this.#shadow.isData(frame) || this.#shadow.isReserved(frame)) return null
    return 'it names a frame that is no page'
  }

  /** The frame that a leaf maps, or that a migration entry waits for; -1: none. */
  #frameOf(level: number, entry: bigint): number {
    if (level > Level.pmd) return -1
    const low = brief(entry)
    const frame = level === Level.pte ? pteFrame(low) : hugeFrame(low, this.#shadow.hugePages)
    if (frame >= 0) return frame
    return isMigrationEntry(entry as PteWord) ? swpOffsetPfn(entry as PteWord) : -1
  }
}

/**
 * A page that comes back from migration takes its protection from the VMA and its right to be written from the
 * migration entry. mprotect(PROT_NONE) changes the VMA first, so the two may disagree until it gets to the entry
 * (upstream, too); nobody can use a PROT_NONE entry meanwhile.
 */
function judged(level: number, before: PteWord, after: PteWord): PteWord {
  if (!isMigrationEntry(before)) return after
  if (level === Level.pte) return pteProtnone(after) ? pteWrprotect(after) : after
  return pmdProtnone(after) ? pmdWrprotect(after) : after
}
