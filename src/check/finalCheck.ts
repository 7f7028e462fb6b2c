/**
 * Rules of a machine whose CPUs have stopped and whose RCU has nothing left to do: every count is what its holders add
 * up to, and every frame in use has a holder.
 *
 * Runs after each execution that changed anything, thousands of times a second on small images; nothing is allocated on
 * the way. An execution that never touched a page or an entry ends in the state that boot left, which was checked.
 */
import { phys } from '../base/units.js'
import type { LostPart } from '../isa/architecture.js'
import { Panic, type Finding } from '../machine/engine/finding.js'
import { peek32 } from '../machine/image/image.js'
import { FrameKind } from '../arch/observer.js'
import { GUP_PIN_COUNTING_BIAS, PAGE, PAGE_MAPPING_ANON, PG_ANON_EXCLUSIVE, PG_HEAD } from '../mm/page.js'
import { MM } from '../mm/mmStruct.js'
import { ZONE } from '../mm/pageAllocator.js'
import type { CheckedMachine } from './checkedMachine.js'
import { DirtyKept } from './dirtyKept.js'
import { EndContents } from './endContents.js'
import { Expected, finding } from './expected.js'
import { SHADOW, Shadow, TABLE_FREED, TABLE_SHADOW } from './shadow.js'
import { Sites } from './sites.js'

/** References that somebody besides the kernel and gup's callers holds through frame `pfn`. */
export type ExtraReferences = (pfn: number) => number

const NO_EXTRA: ExtraReferences = () => 0
const checkers = new WeakMap<CheckedMachine, FinalChecker>()

function checkerOf(machine: CheckedMachine): FinalChecker {
  const known = checkers.get(machine)
  if (known !== undefined) return known
  const checker = new FinalChecker(machine)
  checkers.set(machine, checker)
  return checker
}

/** The first thing wrong, or null. Reads the image that this thread is attached to; nothing runs. */
export function finalCheck(machine: CheckedMachine, extra: ExtraReferences = NO_EXTRA): Finding | null {
  return checkerOf(machine).check(extra)
}

/** The end of the boot: a state that is good now need not be checked again after runs that change nothing of it. */
export function settle(machine: CheckedMachine): void {
  if (finalCheck(machine) === null) new Shadow(machine).settle()
}

const AT = SHADOW.at

class FinalChecker {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #expected: Expected
  readonly #contents: EndContents
  readonly #dirty: DirtyKept

  constructor(machine: CheckedMachine) {
    this.#machine = machine
    this.#shadow = new Shadow(machine)
    this.#sites = new Sites(machine, this.#shadow)
    this.#expected = new Expected(machine, this.#shadow, this.#sites)
    this.#dirty = new DirtyKept(machine, this.#shadow, this.#sites)
    this.#contents = new EndContents(machine, this.#shadow, this.#sites)
  }

  check(extra: ExtraReferences): Finding | null {
    if (!this.#shadow.touched) return null
    try {
      this.#expected.collect()
      this.#checkFrames(extra)
      this.#checkReuse()
      this.#contents.check()
      return null
    } catch (error) {
      if (error instanceof Panic) return error.finding
      throw error
    }
  }

  #checkFrames(extra: ExtraReferences): void {
    let free = 0
    for (let pfn = 0; pfn < this.#shadow.frames; pfn++) {
      const kind = this.#shadow.kind(pfn)
      if (kind === FrameKind.free) {
        free++
        this.#checkFree(pfn)
      } else if (kind === FrameKind.data) this.#checkData(pfn, extra)
      else if (kind === FrameKind.table) this.#checkTable(pfn)
      else if (kind === FrameKind.batch) this.#leaked(pfn, 'table batch')
    }
    const zone = this.#machine.regions.kernel.zone + ZONE.at.freePages
    const listed = peek32(zone)
    if (listed === free) return
    finding('frame-state', 'BUG: the free lists do not hold the free frames', zone, [
      `${free} are free, ${listed} are listed`,
    ])
  }

  #checkFree(pfn: number): void {
    this.#expect(pfn, PAGE.at.refcount, 0, 'references of a free page')
    const named = (this.#expected.refs[pfn] as number) + (this.#expected.maps[pfn] as number)
    if (named !== 0) this.#report(pfn, 'frame-state', 'BUG: KASAN: use-after-free: a free page is still in use', [])
  }

  #checkTable(pfn: number): void {
    const { memmap } = this.#machine
    const first = memmap.firstTable(pfn)
    let used = this.#expected.kept[pfn] !== 0
    for (let nr: number = first; nr < first + memmap.fragments; nr++) used = this.#checkTableState(pfn, nr) || used
    if (!used) this.#leaked(pfn, 'page of page tables')
    if ((peek32(memmap.page(pfn) + PAGE.at.compoundHead) & 1) !== 0)
      return this.#expect(pfn, PAGE.at.refcount, 0, 'references of a tail')
    // The upper byte of the count is the allocator's own where tables share a page.
    const references = peek32(memmap.page(pfn) + PAGE.at.refcount) & 0xff_ffff
    if (references !== 1) this.#expect(pfn, PAGE.at.refcount, 1, 'references of a page table')
  }

  /** True when table `nr` is in use; then something must lead to it. Parts of upper tables count with the first. */
  #checkTableState(pfn: number, nr: number): boolean {
    const state = peek32(this.#shadow.table(nr) + TABLE_SHADOW.at.state)
    if (state === 0 || (state & TABLE_FREED) !== 0) return false
    const whole = this.#machine.memmap.wholeTable(state & 0xf, nr)
    if (this.#expected.tables[whole] === 0) this.#leaked(pfn, 'page table')
    return true
  }

  /** With nothing under way, a free part of a page of tables is within reach of the allocator. */
  #checkReuse(): void {
    const { arch, memmap, regions, config } = this.#machine
    if (arch.reuse === undefined) return
    for (let i = 0; i < config.kernel.mms; i++) {
      const mm = phys(regions.kernel.mms + i * MM.size)
      const lost = peek32(mm + MM.at.inUse) === 0 ? null : arch.reuse(memmap, mm)
      if (lost !== null) this.#unreachable(lost)
    }
  }

  #unreachable({ page, first }: LostPart): never {
    const { memmap } = this.#machine
    const pfn = memmap.pfnOf(page)
    this.#report(pfn, 'leak', `BUG: a free part of page of tables 0x${pfn.toString(16)} is never handed out`, [
      `the list begins with page 0x${memmap.pfnOf(first).toString(16)}, of which no part is free`,
    ])
  }

  // ---- pages ------------------------------------------------------------------------------------------------------

  #checkData(pfn: number, extra: ExtraReferences): void {
    const page = this.#machine.memmap.page(pfn)
    this.#expect(pfn, PAGE.at.mapcount, (this.#expected.maps[pfn] as number) - 1, 'mapcount (minus one)')
    this.#checkPins(pfn)
    this.#dirty.check(pfn, this.#expected)
    if ((peek32(page + PAGE.at.compoundHead) & 1) !== 0)
      return this.#expect(pfn, PAGE.at.refcount, 0, 'references of a tail')
    if ((peek32(page + PAGE.at.flags) & PG_HEAD) === 0) return this.#checkSmall(pfn, extra)
    this.#checkLarge(pfn, 1 << peek32(page + PAGE.at.order), extra)
  }

  #checkSmall(pfn: number, extra: ExtraReferences): void {
    const at = this.#shadow.of(pfn)
    const held = peek32(at + AT.gets) + peek32(at + AT.pins) * GUP_PIN_COUNTING_BIAS
    this.#checkReferences(pfn, (this.#expected.refs[pfn] as number) + held + extra(pfn))
  }

  #checkLarge(head: number, pages: number, extra: ExtraReferences): void {
    let [references, mappings, pins] = [this.#expected.refs[head] as number, this.#expected.entire[head] as number, 0]
    for (let pfn = head; pfn < head + pages; pfn++) {
      const at = this.#shadow.of(pfn)
      pins += peek32(at + AT.pins)
      references += peek32(at + AT.gets) + peek32(at + AT.pins) + extra(pfn)
      mappings += this.#expected.maps[pfn] as number
    }
    this.#checkReferences(head, references)
    const entire = (this.#expected.entire[head] as number) - 1
    this.#expect(head + 1, PAGE.at.entireMapcount, entire, 'entire mapcount (minus one) of the folio')
    this.#expect(head + 1, PAGE.at.largeMapcount, mappings, 'mapcount of the folio')
    this.#expect(head + 1, PAGE.at.pincount, pins, 'pins of the folio')
  }

  #checkReferences(pfn: number, expected: number): void {
    if (expected === 0) this.#leaked(pfn, 'page')
    this.#expect(pfn, PAGE.at.refcount, expected, 'references')
  }

  /** A2: pinned implies exclusive. */
  #checkPins(pfn: number): void {
    if (peek32(this.#shadow.of(pfn) + AT.pins) === 0) return
    const { memmap } = this.#machine
    const [page, head] = [memmap.page(pfn), memmap.page(this.#expected.headOf(pfn))]
    if ((peek32(head + PAGE.at.mapping) & PAGE_MAPPING_ANON) === 0) return
    if (((peek32(page + PAGE.at.flags) | peek32(head + PAGE.at.flags)) & PG_ANON_EXCLUSIVE) !== 0) return
    this.#report(pfn, 'pin-exclusive', 'BUG: pinned page lost its exclusive flag', [])
  }

  // ---- findings ---------------------------------------------------------------------------------------------------

  #expect(pfn: number, field: number, expected: number, what: string): void {
    const found = peek32(this.#machine.memmap.page(pfn) + field)
    if (found === expected) return
    const title = `BUG: Bad page state  pfn:0x${pfn.toString(16)}: wrong ${what}`
    this.#report(pfn, 'refcount', title, [`expected ${expected}, found ${found}`])
  }

  #leaked(pfn: number, what: string): never {
    const references = peek32(this.#machine.memmap.page(pfn) + PAGE.at.refcount)
    this.#report(pfn, 'leak', `BUG: memory leak: ${what} 0x${pfn.toString(16)}`, [
      `${references} references that nobody holds`,
    ])
  }

  #report(pfn: number, oracle: string, title: string, details: readonly string[]): never {
    finding(oracle, title, this.#machine.memmap.page(pfn), [...details, ...this.#sites.describe(pfn)])
  }
}
