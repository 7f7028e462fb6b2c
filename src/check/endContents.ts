/**
 * contents, at the end: each word that is known (userContents.ts) is in the memory that the page tables lead to, or in
 * the page cache. So a store that got lost, or reached another process, is found although nobody loads it any more.
 *
 * All CPUs have stopped, and no call is under way: plain loads see everything.
 */
import { peek32, peekF64 } from '../machine/image/image.js'
import { fileByte } from '../mm/file.js'
import { FILE, MM } from '../mm/mmStruct.js'
import type { CheckedMachine } from './checkedMachine.js'
import { frameAt } from './dirtyKept.js'
import { finding } from './expected.js'
import { SHADOW, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { STORED, StoredWords } from './storedWords.js'
import { describeStored } from './userContents.js'
import { hex } from './violation.js'

const ORACLE = 'contents'
const AT = STORED.at
const VALUE = 0x7fff_ffff
const NONE = -1

export class EndContents {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #words: StoredWords

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.#words = new StoredWords(machine.layout, machine.config.frames)
  }

  check(): void {
    for (let i = 0; i < this.#words.count; i++) {
      const at = this.#words.slot(i)
      if (peek32(at + AT.known) !== 0) this.#checkWord(at, peek32(at + AT.space), peekF64(at + AT.page))
    }
  }

  #checkWord(at: number, space: number, page: number): void {
    const { mms, files } = this.#machine.regions.kernel
    const { config } = this.#machine
    const isMm = space >= mms && space < mms + config.kernel.mms * MM.size
    if (isMm) this.#checkPrivate(at, space, page)
    else if (space >= files) this.#checkFile(at, space, page)
  }

  #checkPrivate(at: number, mm: number, vpn: number): void {
    if (peek32(mm + MM.at.inUse) === 0 || peek32(mm + MM.at.mmUsers) === 0) return
    const addr = vpn * this.#machine.geo.pageSize
    const pfn = frameAt(this.#machine, this.#shadow, mm, addr)
    if (pfn !== NONE && peek32(this.#shadow.of(pfn) + SHADOW.at.loose) !== 0) return
    const found = pfn === NONE ? 0 : this.#wordOf(pfn, at)
    if (found === peek32(at + AT.value)) return
    const where = `${hex(addr + peek32(at + AT.offset))} of mm ${hex(mm)}`
    this.#report(at, pfn === NONE ? `${where} is mapped nowhere` : `${where} holds ${found}`, pfn)
  }

  #checkFile(at: number, file: number, index: number): void {
    if (peek32(file + FILE.at.id) === 0 || index >= peek32(file + FILE.at.size)) return
    const slot = peek32(file + FILE.at.cache) + 4 * index
    const page = peek32(slot)
    const pfn = page === 0 ? NONE : this.#machine.memmap.pfnOf(page)
    const found = pfn === NONE ? this.#onDisk(file, index, slot) : this.#wordOf(pfn, at)
    if (found === peek32(at + AT.value)) return
    const where = `page ${index} of file ${peek32(file + FILE.at.id)}`
    this.#report(at, pfn === NONE ? `${where} has left the page cache` : `${where} holds ${found}`, pfn)
  }

  /** What a page that is read anew holds: zeroes for a hole, and of shared memory, which has nothing to read from. */
  #onDisk(file: number, index: number, slot: number): number {
    const { pageCache, pageHoles } = this.#machine.regions.kernel
    const isHole = peek32(pageHoles + (slot - pageCache)) !== 0
    if (isHole || peek32(file + FILE.at.zeroed) !== 0) return 0
    return Math.imul(fileByte(peek32(file + FILE.at.id), index), 0x0101_0101) & VALUE
  }

  #wordOf(pfn: number, at: number): number {
    return peek32(this.#machine.memmap.frame(pfn) + peek32(at + AT.offset)) & VALUE
  }

  #report(at: number, where: string, pfn: number): never {
    const frame = pfn === NONE ? [] : this.#sites.describe(pfn)
    const lines = [where, ...describeStored(at, this.#sites), ...frame]
    const address = pfn === NONE ? at : this.#machine.memmap.frame(pfn)
    finding(ORACLE, 'BUG: memory does not hold what was stored there last', address, lines)
  }
}
