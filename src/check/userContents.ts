/**
 * contents: what a process has stored is there until it stores again, and no other process sees it through private
 * memory. Each load is compared with what was stored last at its place, and at the end the whole memory is.
 *
 * The place of a word in private memory is its address in the mm: whichever frame holds it, and whoever else maps that,
 * fork, COW, split, collapse, migration and reclaim leave it what it is; mremap() takes it along, and munmap(), MADV_
 * and truncation end it. The place of a word in a page of the page cache is in its file, until truncation or a hole
 * takes the page away. What a load has shown counts like what was stored, but for private pages that reclaim may drop
 * after the load. A store for a private mapping never goes to the page cache.
 *
 * A device that writes through a pin writes for the process that pinned the page: a pinned anonymous page stays that
 * process's own. Through a mere reference (FOLL_GET) the write may reach whoever got the page by a fork meanwhile, so
 * nothing is said of such a page and of its copies.
 *
 * Sound in controlled runs: an access and its hook are one step, so the record is exact. While a call gives contents up
 * or moves them, nothing is said of its ranges, and what was stored there meanwhile is unknown after it. A child has
 * what its parent had stored before the fork began, and has not stored anew since.
 *
 * Sound in free runs (storedWords.ts has the argument for one word):
 * - A store makes its record unknown before it stores. Its value is the record's if no other store overlapped.
 * - A load is judged only if no store was under way and none began from before the load until after it, and no call
 *   gave contents of this mm up before or after it. A call that began and ended in between has made a new version of
 *   what it gave up.
 * - The page that is asked for its kind is kept by the access (interrupts are off, and a flush waits), the device's by
 *   its reference. A page leaves the page cache only when nothing maps it any more.
 * - The child of a fork is known to nobody when it gets its records, and those of the parent are from before.
 */
import type { Cpu } from '../machine/cpu/cpu.js'
import { load32, peek32, peekF64, poke32, pokeF64 } from '../machine/image/image.js'
import { vmaOf } from '../mm/maple/mapleLook.js'
import { VM_SHARED, VMA } from '../mm/mmStruct.js'
import { PAGE } from '../mm/page.js'
import type { CheckedMachine } from './checkedMachine.js'
import type { Contents } from './discardKept.js'
import { happenedBefore, now, set32, SHADOW, SHADOW_CPU, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { bump, STORED, StoredWords, type Place } from './storedWords.js'
import { hex, violation } from './violation.js'

const ORACLE = 'contents'
const AT = STORED.at
const CALL = SHADOW_CPU.at
/** Values of users have 31 bits. */
const VALUE = 0x7fff_ffff
/** No version: the load is not judged. */
const UNSURE = -1

export class UserContents {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #contents: Contents
  readonly #words: StoredWords
  readonly #frameMask: number
  /** Of the access under way on this CPU: its place, and the version of it before a load in threads. */
  readonly #place: Place = { space: 0, page: 0, offset: 0 }
  readonly #other: Place = { space: 0, page: 0, offset: 0 }
  #version = UNSURE
  /** Calls that gave contents up when this CPU's device asked for its page. */
  #asked = 0

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites, contents: Contents) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.#contents = contents
    this.#words = new StoredWords(machine.layout, machine.config.frames)
    this.#frameMask = machine.memmap.frameBytes - 1
  }

  // ---- users ------------------------------------------------------------------------------------------------------

  /** Threads: before the access. */
  accesses(cpu: Cpu, mm: number, addr: number, pfn: number, write: boolean): void {
    this.#version = UNSURE
    const place = this.#placeOf(mm, addr, pfn)
    if (place === null) return
    const at = this.#words.slotOf(place)
    this.#words.lock(at)
    if (write) this.#words.begin(at, place)
    else if (peek32(at + AT.writers) === 0 && !this.#isGivenUp(cpu, mm, addr)) {
      if (!this.#words.isOf(at, place)) this.#words.take(at, place)
      this.#version = peek32(at + AT.version)
    }
    this.#words.unlock(at)
  }

  accessed(cpu: Cpu, mm: number, addr: number, pfn: number, write: boolean, value: number): void {
    // In threads the page is asked once: what it was before the store is where the store is.
    const place = cpu.engine.threads ? (this.#place.space === 0 ? null : this.#place) : this.#placeOf(mm, addr, pfn)
    if (place === null) return
    if (write && place.space !== mm) this.#checkShared(cpu, mm, addr, pfn)
    if (write) this.#stored(cpu, place, value, !cpu.engine.threads)
    else this.#loaded(cpu, place, mm, addr, pfn, value)
  }

  #stored(cpu: Cpu, place: Place, value: number, begin: boolean): void {
    const at = this.#words.slotOf(place)
    this.#words.lock(at)
    if (begin) this.#words.begin(at, place)
    if (this.#words.end(at, place)) {
      this.#words.know(at, value & VALUE, now(cpu))
      this.#sites.note(cpu, at + AT.writeCpu)
    }
    this.#words.unlock(at)
  }

  /** A store went to the page cache. In threads the VMA may be on its way, and is not asked. */
  #checkShared(cpu: Cpu, mm: number, addr: number, pfn: number): void {
    const vma = cpu.engine.threads ? 0 : vmaOf(mm, addr)
    if (vma === 0 || (peek32(vma + VMA.at.flags) & VM_SHARED) !== 0) return
    if (addr < peekF64(vma + VMA.at.start) || addr >= peekF64(vma + VMA.at.end)) return
    violation(cpu, ORACLE, 'a store for a private mapping reaches the page cache', this.#machine.memmap.frame(pfn), [
      `${hex(addr)} of mm ${hex(mm)}`,
      ...this.#sites.describe(pfn),
    ])
  }

  #loaded(cpu: Cpu, place: Place, mm: number, addr: number, pfn: number, value: number): void {
    if (this.#isGivenUp(cpu, mm, addr)) return
    const at = this.#words.slotOf(place)
    this.#words.lock(at)
    if (!this.#isJudged(cpu, at, place)) return this.#words.unlock(at)
    const known = peek32(at + AT.known) !== 0 && !this.#isLoose(pfn)
    const expected = peek32(at + AT.value)
    if (known && expected !== value) return this.#report(cpu, at, mm, addr, pfn, value)
    if (!known && this.#stays(place, mm, pfn)) this.#learn(cpu, at, value)
    this.#words.unlock(at)
  }

  /** The slot is the place's, and in threads as it was before the load. */
  #isJudged(cpu: Cpu, at: number, place: Place): boolean {
    if (cpu.engine.threads)
      return this.#version !== UNSURE && peek32(at + AT.version) === this.#version && this.#words.isOf(at, place)
    if (!this.#words.isOf(at, place)) this.#words.take(at, place)
    return true
  }

  /** What a load has found there stays: reclaim may drop a private page to which nobody has stored since MADV_FREE. */
  #stays({ space }: Place, mm: number, pfn: number): boolean {
    return space !== mm || this.#shadow.isReserved(pfn) || peek32(this.#shadow.of(pfn) + SHADOW.at.written) !== 0
  }

  #learn(cpu: Cpu, at: number, value: number): void {
    this.#words.know(at, value, now(cpu))
    poke32(at + AT.writeCpu, 0)
  }

  /** The place of the word at `addr` of `mm`, which frame `pfn` holds; null for a page that is nobody's. */
  #placeOf(mm: number, addr: number, pfn: number): Place | null {
    const { geo, memmap } = this.#machine
    const place = this.#place
    place.space = 0
    const vpn = Math.floor(addr / geo.pageSize)
    place.offset = (addr - vpn * geo.pageSize) & this.#frameMask
    if (this.#shadow.isReserved(pfn)) [place.space, place.page] = [mm, vpn]
    else if (!this.#shadow.isData(pfn)) return null
    else if (this.#contents.isAnon(pfn)) [place.space, place.page] = [mm, vpn]
    else {
      const page = memmap.page(pfn)
      const file = load32(page + PAGE.at.mapping)
      if (file === 0) return null
      ;[place.space, place.page] = [file, peekF64(page + PAGE.at.index)]
    }
    return place
  }

  #isLoose(pfn: number): boolean {
    return load32(this.#shadow.of(pfn) + SHADOW.at.loose) !== 0
  }

  // ---- devices ----------------------------------------------------------------------------------------------------

  deviceAsks(cpu: Cpu): void {
    this.#asked = load32(this.#shadow.givenUp)
    // A call that is under way began before.
    for (let other = 0; other < cpu.cpuCount; other++)
      if (load32(this.#shadow.cpu(other) + CALL.givingUp) !== 0) this.#asked = UNSURE
  }

  deviceWrites(cpu: Cpu, mm: number, addr: number, pfn: number, pinned: boolean): void {
    const place = this.#placeOf(mm, addr, pfn)
    if (place === null) return
    if (!pinned && place.space === mm) set32(this.#shadow.of(pfn) + SHADOW.at.loose, 1)
    if (!cpu.engine.threads) return
    const at = this.#words.slotOf(place)
    this.#words.lock(at)
    this.#words.begin(at, place)
    this.#words.unlock(at)
  }

  deviceWrote(cpu: Cpu, mm: number, addr: number, pfn: number, pinned: boolean, value: number): void {
    const place = cpu.engine.threads ? (this.#place.space === 0 ? null : this.#place) : this.#placeOf(mm, addr, pfn)
    if (place === null) return
    this.#stored(cpu, place, value, !cpu.engine.threads)
    // The page may not have been the process's any more, or not its alone.
    if (place.space !== mm || (pinned && this.#asked === load32(this.#shadow.givenUp))) return
    this.#forget(this.#words.slotOf(place), place)
  }

  #forget(at: number, place: Place): void {
    this.#words.lock(at)
    if (this.#words.isOf(at, place)) this.#words.forget(at)
    this.#words.unlock(at)
  }

  contentsCreated(pfn: number, from: number): void {
    const loose = from >= 0 && this.#isLoose(from) ? 1 : 0
    if (peek32(this.#shadow.of(pfn) + SHADOW.at.loose) !== loose) set32(this.#shadow.of(pfn) + SHADOW.at.loose, loose)
  }

  // ---- calls that take contents away ------------------------------------------------------------------------------

  givingUp(cpu: Cpu, mm: number, start: number, end: number, to: number): void {
    const call = this.#shadow.cpu(cpu.id)
    pokeF64(call + CALL.giveStart, start)
    pokeF64(call + CALL.giveEnd, end)
    pokeF64(call + CALL.giveStart2, to)
    pokeF64(call + CALL.giveEnd2, to < 0 ? to : to + (end - start))
    poke32(call + CALL.giveStamp, cpu.tick())
    set32(call + CALL.givingUp, mm)
    bump(this.#shadow.givenUp)
    if (to < 0) this.#forgetRange(mm, start, end)
  }

  givenUp(cpu: Cpu, moved: boolean): void {
    const call = this.#shadow.cpu(cpu.id)
    const mm = peek32(call + CALL.givingUp)
    const [start, end] = [peekF64(call + CALL.giveStart), peekF64(call + CALL.giveEnd)]
    const to = peekF64(call + CALL.giveStart2)
    if (to >= 0) this.#forgetRange(mm, to, to + (end - start))
    if (to >= 0 && moved) this.#move(mm, start, end, to, peek32(call + CALL.giveStamp))
    this.#forgetRange(mm, start, end)
    set32(call + CALL.givingUp, 0)
  }

  /** What was stored before the call began goes along. */
  #move(mm: number, start: number, end: number, to: number, stamp: number): void {
    const { pageSize } = this.#machine.geo
    this.#eachOf(mm, start, end, (at) => {
      const page = peekF64(at + AT.page) + (to - start) / pageSize
      this.#copy(at, mm, page, stamp)
    })
  }

  forked(_cpu: Cpu, parent: number, child: number, start: number, end: number, stamp: number): void {
    this.#eachOf(parent, start, end, (at) => this.#copy(at, child, peekF64(at + AT.page), stamp))
  }

  /** Page `page` of `space` holds what the place of the slot at `from` holds since before `stamp`. */
  #copy(from: number, space: number, page: number, stamp: number): void {
    const words = this.#words
    const place = this.#other
    words.lock(from)
    ;[place.space, place.page, place.offset] = [space, page, peek32(from + AT.offset)]
    const stays = peek32(from + AT.known) !== 0 && happenedBefore(peek32(from + AT.clock), stamp)
    const [value, clock] = [peek32(from + AT.value), peek32(from + AT.clock)]
    const site = [AT.writeCpu, AT.writeOp, AT.writeClock, AT.writeStack].map((word) => peek32(from + word))
    words.unlock(from)
    if (!stays) return
    const at = words.slotOf(place)
    words.lock(at)
    if (peek32(at + AT.writers) === 0) {
      words.take(at, place)
      words.know(at, value, clock)
      site.forEach((word, i) => poke32(at + AT.writeCpu + 4 * i, word))
    }
    words.unlock(at)
  }

  fileGone(_cpu: Cpu, file: number, first: number, end: number): void {
    const { pageSize } = this.#machine.geo
    this.#forgetRange(file, first * pageSize, end * pageSize)
  }

  #forgetRange(space: number, start: number, end: number): void {
    this.#eachOf(space, start, end, (at) => {
      this.#words.lock(at)
      if (peek32(at + AT.space) === space) this.#words.forget(at)
      this.#words.unlock(at)
    })
  }

  /** Slots of places in start … end, bytes, of `space`. */
  #eachOf(space: number, start: number, end: number, visit: (at: number) => void): void {
    const { pageSize } = this.#machine.geo
    for (let i = 0; i < this.#words.count; i++) {
      const at = this.#words.slot(i)
      if (load32(at + AT.space) !== space) continue
      const addr = peekF64(at + AT.page) * pageSize
      if (addr >= start && addr < end) visit(at)
    }
  }

  /**
   * Some call is giving `addr` of `mm` up. In threads any address of the mm counts, since the ranges may be changing.
   */
  #isGivenUp(cpu: Cpu, mm: number, addr: number): boolean {
    for (let other = 0; other < cpu.cpuCount; other++) {
      const call = this.#shadow.cpu(other)
      if (load32(call + CALL.givingUp) !== mm) continue
      if (cpu.engine.threads) return true
      if (addr >= peekF64(call + CALL.giveStart) && addr < peekF64(call + CALL.giveEnd)) return true
      if (addr >= peekF64(call + CALL.giveStart2) && addr < peekF64(call + CALL.giveEnd2)) return true
    }
    return false
  }

  // ---- report -----------------------------------------------------------------------------------------------------

  /** The lock of the slot at `at` is held, and goes. */
  #report(cpu: Cpu, at: number, mm: number, addr: number, pfn: number, found: number): never {
    const lines = describeStored(at, this.#sites)
    this.#words.unlock(at)
    violation(cpu, ORACLE, 'a load reads what was not stored there', this.#machine.memmap.frame(pfn), [
      `${hex(addr)} of mm ${hex(mm)} holds ${found}`,
      ...lines,
      ...this.#sites.describe(pfn),
    ])
  }
}

/** The value that the place of the slot at `at` must hold, and who has stored it. */
export function describeStored(at: number, sites: Sites): string[] {
  const value = peek32(at + AT.value)
  if (peek32(at + AT.writeCpu) === 0) return [`${value} was read there, and nothing stored since`]
  return sites.site(`${value} was stored there last,`, at + AT.writeCpu)
}
