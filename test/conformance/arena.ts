/**
 * Runs an mm-steps recording on one CPU of the simulated kernel and reads the arena's state as /proc shows it.
 *
 * State is read from VMAs and page tables with plain looks, not through kernel functions: the walk here is the
 * oracle's.
 */
import type { Geometry } from '../../dist/src/arch/geometry.js'
import {
  pmdDirty,
  pmdLeaf,
  pmdPfn,
  pmdPresent,
  pteDirty,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
} from '../../dist/src/isa/x86_64/pte.js'
import { FAULT } from '../../dist/src/arch/generic/mmu.js'
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../../dist/src/base/units.js'
import type { MmCall, MmResult, Touch } from '../input/mmCall.js'
import type { MmState, MmVma } from '../input/mmSteps.js'
import { VM_FAULT_SIGBUS } from '../../dist/src/mm/faultFlags.js'
import type { Kernel } from '../../dist/src/mm/kernel.js'
import * as madv from '../../dist/src/mm/madvise.js'
import * as map from '../../dist/src/mm/mmap.js'
import { VM_LOCKONFAULT } from '../../dist/src/mm/mlock.js'
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../../dist/src/mm/mremap.js'
import * as vm from '../../dist/src/mm/mmStruct.js'
import { VMA } from '../../dist/src/mm/mmStruct.js'
import { PAGE, PG_DIRTY, PG_SWAPBACKED } from '../../dist/src/mm/page.js'
import type { Form } from './form.js'

const MMAP_FLAGS: Readonly<Record<string, number>> = {
  ANON: map.MAP_ANONYMOUS,
  FIXED: map.MAP_FIXED,
  NOREPL: map.MAP_FIXED_NOREPLACE,
  NORES: map.MAP_NORESERVE,
  LOCKED: map.MAP_LOCKED,
  POPULATE: map.MAP_POPULATE,
}
const MREMAP_FLAGS: Readonly<Record<string, number>> = {
  MAYMOVE: MREMAP_MAYMOVE,
  FIXED: MREMAP_FIXED,
  DONTUNMAP: MREMAP_DONTUNMAP,
}
const ERRNO: Readonly<Record<number, string>> = {
  [vm.ENOMEM]: 'ENOMEM',
  [vm.EAGAIN]: 'EAGAIN',
  [vm.EFAULT]: 'EFAULT',
  [vm.EBUSY]: 'EBUSY',
  [vm.EEXIST]: 'EEXIST',
  [vm.EINVAL]: 'EINVAL',
  [vm.EACCES]: 'EACCES',
  [vm.EPERM]: 'EPERM',
}
/** VmFlags of smaps. */
const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [vm.VM_READ, 'rd'],
  [vm.VM_WRITE, 'wr'],
  [vm.VM_EXEC, 'ex'],
  [vm.VM_SHARED, 'sh'],
  [vm.VM_MAYREAD, 'mr'],
  [vm.VM_MAYWRITE, 'mw'],
  [vm.VM_MAYEXEC, 'me'],
  [vm.VM_MAYSHARE, 'ms'],
  [vm.VM_LOCKED, 'lo'],
  [VM_LOCKONFAULT, 'lf'],
  [vm.VM_DONTCOPY, 'dc'],
  [vm.VM_ACCOUNT, 'ac'],
  [vm.VM_NORESERVE, 'nr'],
  [vm.VM_WIPEONFORK, 'wf'],
  [vm.VM_DONTDUMP, 'dd'],
  [vm.VM_HUGEPAGE, 'hg'],
  [vm.VM_NOHUGEPAGE, 'nh'],
]

const bits = (names: readonly string[], table: Readonly<Record<string, number>>): number =>
  names.reduce((sum, name) => sum | (table[name] ?? Number.NaN), 0)

interface Mapped {
  readonly letter: string
  /** 0 for the zero page. */
  readonly mapcount: number
  /** smaps' LazyFree. */
  readonly lazy: boolean
  readonly hugeHead: boolean
}

const ZERO_PAGE: Mapped = { letter: 's', mapcount: 0, lazy: false, hugeHead: false }

export class Arena {
  readonly k: Kernel
  readonly mm: PhysAddr
  readonly #geo: Geometry
  readonly #base: VirtAddr
  readonly #pages: number
  readonly #form: Form

  /** Over the current mm of `kernel`, whose file 0 is the recording's. */
  constructor(form: Form, kernel: Kernel, base: VirtAddr, pages: number) {
    this.#form = form
    this.k = kernel
    this.mm = kernel.mms.currentMm()
    this.#geo = kernel.geo
    this.#base = base
    this.#pages = pages
  }

  // ---- calls ------------------------------------------------------------------------------------------------------

  /** Does `call` in this process; a fork gives its child to `withChild` while it lives. */
  call(call: MmCall, withChild: (child: MmState) => void): MmResult {
    const { k, mm } = this
    const { drive } = this.#form
    switch (call.name) {
      case 'mmap': {
        const flags = bits(call.flags, MMAP_FLAGS) | (call.shared ? map.MAP_SHARED : map.MAP_PRIVATE)
        const file = call.file ? k.files.fileAt(0) : phys(0)
        const at = this.#at(call.start) + call.bytes
        const result = drive(k.mmap.vmMmapPgoff(mm, at, this.#bytes(call.len), call.prot, flags, file, call.offset))
        return result < 0 ? this.#errno(result) : { kind: 'ok' }
      }
      case 'munmap':
        return this.#value(drive(k.mmap.vmMunmap(mm, this.#at(call.start) + call.bytes, this.#bytes(call.len))))
      case 'mprotect':
        return this.#value(drive(k.mprotect.doMprotectPkey(mm, this.#at(call.start), this.#bytes(call.len), call.prot)))
      case 'mremap': {
        const [oldLen, newLen] = [this.#bytes(call.oldLen), this.#bytes(call.newLen)]
        const [flags, to] = [bits(call.flags, MREMAP_FLAGS), this.#at(call.newStart)]
        const result = drive(k.mremap.doMremap(mm, this.#at(call.start), oldLen, newLen, flags, to))
        return result < 0 ? this.#errno(result) : { kind: 'at', start: (result - this.#base) / this.#geo.pageSize }
      }
      case 'madvise': {
        const advice = (madv as unknown as Record<string, number>)[`MADV_${call.advice}`] ?? Number(call.advice)
        return this.#value(drive(k.madvise.doMadvise(mm, this.#at(call.start), this.#bytes(call.len), advice)))
      }
      case 'fork':
        return this.#fork(withChild)
      case 'read':
      case 'write':
        return { kind: 'touches', touches: this.#touch(call.start, call.count, call.name === 'write') }
      default: {
        const { mlock } = k.mmap
        const [start, len] = [this.#at(call.start), this.#bytes(call.len)]
        if (call.name === 'munlock') return this.#value(drive(mlock.doMunlock(mm, start, len)))
        return this.#value(drive(mlock.doMlock(mm, start, len, call.name === 'mlock2_onfault')))
      }
    }
  }

  #fork(withChild: (child: MmState) => void): MmResult {
    const { drive } = this.#form
    const child = drive(this.k.fork.dupMm(this.mm))
    if (child === 0) return { kind: 'errno', errno: 'ENOMEM' }
    withChild(this.stateOf(child))
    drive(this.k.mms.mmput(child))
    return { kind: 'value', value: 0 }
  }

  #touch(start: number, count: number, write: boolean): Touch[] {
    const inside = Math.min(count, this.#pages - start)
    return Array.from({ length: inside }, (_, i) => this.#touchPage(this.#at(start + i), write))
  }

  /** The access again and again, with a fault handled in between, until it is done or the fault is a signal. */
  #touchPage(addr: VirtAddr, write: boolean): Touch {
    const { drive } = this.#form
    for (;;) {
      const found = drive(write ? this.k.mmu.store(addr, 1) : this.k.mmu.load(addr))
      if (found !== FAULT) return 'ok'
      const fault = drive(this.k.fault.doUserAddrFault(addr, write))
      if (fault !== 0) return fault === VM_FAULT_SIGBUS ? 'SIGBUS' : 'SIGSEGV'
    }
  }

  #at(page: number): VirtAddr {
    return (this.#base + this.#bytes(page)) as VirtAddr
  }

  #bytes(pages: number): number {
    return pages * this.#geo.pageSize
  }

  #value(result: number): MmResult {
    return result < 0 ? this.#errno(result) : { kind: 'value', value: result }
  }

  #errno(result: number): MmResult {
    return { kind: 'errno', errno: ERRNO[-result] ?? String(result) }
  }

  // ---- state ------------------------------------------------------------------------------------------------------

  state(): MmState {
    return this.stateOf(this.mm)
  }

  stateOf(mm: PhysAddr): MmState {
    const { peekF64, vmasOf } = this.#form
    const vmas: MmVma[] = []
    const letters = new Array<string>(this.#pages).fill('.')
    for (const vma of vmasOf(mm)) {
      const start = (peekF64(vma + VMA.at.start) - this.#base) / this.#geo.pageSize
      const end = (peekF64(vma + VMA.at.end) - this.#base) / this.#geo.pageSize
      if (start >= 0 && end <= this.#pages) vmas.push(this.#vma(mm, vma, start, end, letters))
    }
    return { vmas, pages: letters.join('') }
  }

  #vma(mm: PhysAddr, vma: number, start: number, end: number, letters: string[]): MmVma {
    const flags = this.#form.peek32(vma + VMA.at.flags)
    let [rss, anon, lazy, thp, pss] = [0, 0, 0, 0, 0]
    for (let page = start; page < end; page++) {
      const found = this.#look(mm, this.#at(page))
      if (found === null) continue
      letters[page] = found.letter
      if (found.mapcount === 0) continue
      rss++
      if (found.letter !== 'f') anon++
      if (found.lazy) lazy++
      if (found.hugeHead) thp++
      pss += 1 / found.mapcount
    }
    const letter = (bit: number, name: string): string => ((flags & bit) !== 0 ? name : '-')
    const kind = (flags & vm.VM_MAYSHARE) !== 0 ? 's' : 'p'
    const perms = letter(vm.VM_READ, 'r') + letter(vm.VM_WRITE, 'w') + letter(vm.VM_EXEC, 'x') + kind
    const lck = (flags & vm.VM_LOCKED) !== 0 ? Math.floor(pss) : 0
    const names = FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name)
    const counters = { rss, anon, lazy, thp, lck }
    return { start, len: end - start, perms, file: false, offset: 0, counters, flags: names }
  }

  /** What maps the page at `addr`; null for nothing present. */
  #look(mm: PhysAddr, addr: VirtAddr): Mapped | null {
    const { tables, upper, pages } = this.k
    const word = (entry: number): PteWord => this.#form.peek64(entry) as PteWord
    const pgd = word(upper.pgdOffset(mm, addr))
    if (!ptePresent(pgd)) return null
    const pud = word(upper.pudOffset(pgd, addr))
    if (!ptePresent(pud)) return null
    const pmd = word(upper.pmdOffset(pud, addr))
    if (pteNone(pmd) || !pmdPresent(pmd)) return null
    if (!pmdLeaf(pmd)) return this.#lookPte(word(tables.pteOffset(pmd, addr)))
    const head = pmdPfn(pmd, this.#geo.hpagePmdNr)
    if (pages.isHugeZeroPfn(head)) return ZERO_PAGE
    const found = this.#page(head + this.#geo.pteIndex(addr), pmdDirty(pmd))
    return { ...found, hugeHead: this.#geo.pteIndex(addr) === 0 }
  }

  #lookPte(pte: PteWord): Mapped | null {
    if (pteNone(pte) || !ptePresent(pte)) return null
    return pteSpecial(pte) ? ZERO_PAGE : this.#page(ptePfn(pte), pteDirty(pte))
  }

  #page(pfn: number, dirty: boolean): Mapped {
    const { peek32 } = this.#form
    const page = this.k.memmap.page(pfn)
    const head = peek32(page + PAGE.at.compoundHead)
    const folio = phys((head & 1) !== 0 ? head - 1 : page)
    const entire = this.k.folios.isLarge(folio) ? peek32(folio + PAGE.size + PAGE.at.entireMapcount) + 1 : 0
    const mapcount = peek32(page + PAGE.at.mapcount) + 1 + entire
    const anon = this.k.folios.isAnon(folio)
    const letter = !anon ? 'f' : mapcount > 1 ? 's' : 'A'
    const lazy = anon && !dirty && (peek32(folio + PAGE.at.flags) & (PG_SWAPBACKED | PG_DIRTY)) === 0
    return { letter, mapcount, lazy, hugeHead: false }
  }
}
