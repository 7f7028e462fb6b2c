/**
 * The mappings of frames, and their places: counted from the changes of entries, for the oracles that ask whether a
 * page was mapped at some time.
 *
 * A frame counts as mapped by each PTE that names it (present or PROT_NONE) in a table that is linked, and by each huge
 * PMD around it, usable or invalidated. Migration entries map nothing. The entries of a table that is not linked do not
 * count: they begin to when the table is linked and end to when it is unlinked. Mappings of the zero pages are not
 * counted. Whether the levels above a PMD table are linked is not looked at; a page may so count as mapped for too
 * long, never for too short a time.
 *
 * Free runs. A mapping is added before its entry is stored (entryChanging) and removed after the entry was changed
 * (entryChanged), so whoever has seen an entry finds it counted until after it has gone. The setter holds the lock of
 * the entry's table, or is the only one that knows the table, across both hooks: nobody but the hardware changes the
 * word in between, and that keeps the frame. Nobody changes entries of a table while it is linked or unlinked: the
 * links of PTE tables change under mmap_lock for write or with the table private, and under the locks that exclude rmap
 * walks if the table has pages of theirs.
 *
 * One change hands the frame on: a huge entry that becomes a table keeps its folio by the table's entries alone. There
 * the huge mapping is removed before the store, after those of the table were added.
 *
 * Removing notes the time first and subtracts second, so that a count of zero comes with a time that is not too early.
 *
 * mapMm and mapVpn are the place of the only mapping, while count is one and mapMm not zero. Adding writes them after
 * counting up, from zero to one only; otherwise, and before counting down from more than one, mapMm is cleared. A
 * reader that reads them first and then a count of one, of a frame in which no mapping went since some moment
 * (unmapClock), has the place of the mapping that was there all the time: another writer would have been counted before
 * it wrote.
 */
import { load32, peek32, peekF64, poke32, pokeF64 } from '../machine/image/image.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { Level } from '../arch/level.js'
import type { CheckedMachine } from './checkedMachine.js'
import { brief, briefAt, hugeFrame, isHuge, isWritable, pteFrame, tableFrame } from '../arch/entry.js'
import { hex } from './violation.js'
import { SHADOW, TABLE_SHADOW, count, happenedBefore, now, raise, set32, type Shadow } from './shadow.js'

const AT = SHADOW.at
/** The fields for huge mappings follow those for base pages in the same order. */
const HUGE = AT.hugeMaps - AT.maps

export class Mappings {
  readonly #shadow: Shadow
  readonly #machine: CheckedMachine

  constructor(machine: CheckedMachine, shadow: Shadow) {
    this.#machine = machine
    this.#shadow = shadow
  }

  // ---- entries ----------------------------------------------------------------------------------------------------

  entryChanging(cpu: Cpu, level: number, mm: number, addr: number, entry: number, after: bigint): void {
    const next = brief(after)
    if (level === Level.pte) this.#pteAdded(mm, addr, entry, next)
    else if (level === Level.pmd && isHuge(next)) this.#hugeAdded(mm, addr, entry, next)
    else {
      this.#tableLinked(level, mm, addr, entry, next)
      if (level === Level.pmd && tableFrame(next) >= 0) this.#hugeSplit(cpu, briefAt(entry), next)
    }
  }

  /**
   * A huge entry becomes a table. Its mapping goes before the table can be seen: from then on others zap the entries
   * and drop the references, which are the only ones, and the folio may be gone when entryChanged() gets its turn.
   */
  #hugeSplit(cpu: Cpu, old: number, next: number): void {
    if (isHuge(old)) this.#hugeRemoved(cpu, old, next)
  }

  entryChanged(cpu: Cpu, level: number, entry: number, before: bigint, after: bigint): void {
    const [old, next] = [brief(before), brief(after)]
    if (level === Level.pte) this.#pteRemoved(cpu, entry, old, next)
    else if (level === Level.pmd && isHuge(old)) {
      if (tableFrame(next) < 0) this.#hugeRemoved(cpu, old, next)
    } else this.#tableUnlinked(cpu, level, old, next)
  }

  #pteAdded(mm: number, addr: number, entry: number, next: number): void {
    const frame = pteFrame(next)
    if (frame < 0 || !this.#counts(frame)) return
    const at = this.#shadow.of(frame)
    if (isWritable(Level.pte, next) && peek32(at + AT.writable) === 0) poke32(at + AT.writable, 1)
    if (pteFrame(briefAt(entry)) === frame || !this.#isLinked(entry)) return
    add(at, mm, this.#vpn(addr))
  }

  #pteRemoved(cpu: Cpu, entry: number, old: number, next: number): void {
    const frame = pteFrame(old)
    if (frame < 0 || pteFrame(next) === frame || !this.#counts(frame) || !this.#isLinked(entry)) return
    remove(cpu, this.#shadow.of(frame))
  }

  #hugeAdded(mm: number, addr: number, entry: number, next: number): void {
    const frame = hugeFrame(next, this.#shadow.hugePages)
    if (!this.#counts(frame) || hugeFrame(briefAt(entry), this.#shadow.hugePages) === frame) return
    add(this.#shadow.of(frame) + HUGE, mm, this.#hugeVpn(addr))
  }

  #hugeRemoved(cpu: Cpu, old: number, next: number): void {
    const frame = hugeFrame(old, this.#shadow.hugePages)
    if (this.#counts(frame) && hugeFrame(next, this.#shadow.hugePages) !== frame)
      remove(cpu, this.#shadow.of(frame) + HUGE)
  }

  /** Before the pointer is stored: the pages below become mapped all at once. */
  #tableLinked(level: number, mm: number, addr: number, entry: number, next: number): void {
    const table = tableFrame(next)
    if (!this.#shadow.tableExists(table) || tableFrame(briefAt(entry)) === table) return
    set32(this.#shadow.table(table) + TABLE_SHADOW.at.linked, 1)
    if (level !== Level.pmd) return
    const first = this.#machine.memmap.table(table)
    const vpn = this.#hugeVpn(addr)
    for (let i = 0; i < this.#machine.geo.ptrsPerPte; i++) {
      const frame = pteFrame(briefAt(first + i * 8))
      if (frame >= 0 && this.#counts(frame)) add(this.#shadow.of(frame), mm, vpn + i)
    }
  }

  #tableUnlinked(cpu: Cpu, level: number, old: number, next: number): void {
    const table = tableFrame(old)
    if (!this.#shadow.tableExists(table) || tableFrame(next) === table) return
    if (level === Level.pmd) {
      const first = this.#machine.memmap.table(table)
      for (let i = 0; i < this.#machine.geo.ptrsPerPte; i++) {
        const frame = pteFrame(briefAt(first + i * 8))
        if (frame >= 0 && this.#counts(frame)) remove(cpu, this.#shadow.of(frame))
      }
    }
    set32(this.#shadow.table(table) + TABLE_SHADOW.at.linked, 0)
  }

  #counts(frame: number): boolean {
    return this.#shadow.exists(frame) && !this.#shadow.isReserved(frame)
  }

  #isLinked(entry: number): boolean {
    return load32(this.#shadow.tableOf(entry) + TABLE_SHADOW.at.linked) !== 0
  }

  #vpn(addr: number): number {
    return Math.floor(addr / this.#machine.geo.pageSize)
  }

  #hugeVpn(addr: number): number {
    return Math.floor(addr / this.#machine.geo.pmdSize) * this.#shadow.hugePages
  }

  // ---- questions --------------------------------------------------------------------------------------------------

  /** Nothing maps frame `pfn`, and nothing has since `time`, a tick. */
  unmappedSince(pfn: number, time: number): boolean {
    const [base, huge] = [this.#shadow.of(pfn), this.#shadow.ofHuge(pfn) + HUGE]
    // Counts before times: see the header.
    if (load32(base + AT.maps) > 0 || load32(huge + AT.maps) > 0) return false
    return happenedBefore(load32(base + AT.unmapClock), time) && happenedBefore(load32(huge + AT.unmapClock), time)
  }

  /**
   * True when frame `pfn` was mapped since `time` in one place only, and that is another one than page `vpn` of `mm`.
   */
  mappedElsewhereSince(pfn: number, mm: number, vpn: number, time: number): boolean {
    const [base, huge] = [this.#shadow.of(pfn), this.#shadow.ofHuge(pfn) + HUGE]
    const [baseMm, hugeMm] = [load32(base + AT.mapMm), load32(huge + AT.mapMm)]
    const [baseVpn, hugeVpn] = [peekF64(base + AT.mapVpn), peekF64(huge + AT.mapVpn)]
    const [baseMaps, hugeMaps] = [load32(base + AT.maps), load32(huge + AT.maps)]
    if (baseMaps + hugeMaps !== 1) return false
    if (!happenedBefore(load32(base + AT.unmapClock), time) || !happenedBefore(load32(huge + AT.unmapClock), time))
      return false
    if (baseMaps === 1) return baseMm !== 0 && (baseMm !== mm || baseVpn !== vpn)
    return hugeMm !== 0 && (hugeMm !== mm || hugeVpn + (pfn & (this.#shadow.hugePages - 1)) !== vpn)
  }

  /** Frame `pfn` is mapped as a part of a huge page. */
  isMappedHuge(pfn: number): boolean {
    return load32(this.#shadow.ofHuge(pfn) + AT.hugeMaps) > 0
  }

  /** `mapped by 1 PTE, at 0x5000 of mm 0x2c00; by 0 huge entries`, as far as counts tell. */
  describe(pfn: number): string {
    const [base, huge] = [this.#shadow.of(pfn), this.#shadow.ofHuge(pfn) + HUGE]
    const place = (at: number): string => {
      const mm = peek32(at + AT.mapMm)
      return mm === 0 ? '' : `, at ${hex(peekF64(at + AT.mapVpn) * this.#machine.geo.pageSize)} of mm ${hex(mm)}`
    }
    const [ptes, pmds] = [peek32(base + AT.maps), peek32(huge + AT.maps)]
    return `mapped by ${ptes} PTEs${place(base)}; by ${pmds} huge entries${place(huge)}`
  }

  isMapped(pfn: number): boolean {
    return load32(this.#shadow.of(pfn) + AT.maps) > 0 || this.isMappedHuge(pfn)
  }
}

function add(at: number, mm: number, vpn: number): void {
  if (count(at + AT.maps, 1) !== 0) return set32(at + AT.mapMm, 0)
  pokeF64(at + AT.mapVpn, vpn)
  set32(at + AT.mapMm, mm)
}

function remove(cpu: Cpu, at: number): void {
  raise(at + AT.unmapClock, now(cpu))
  if (load32(at + AT.maps) !== 1) set32(at + AT.mapMm, 0)
  count(at + AT.maps, -1)
}
