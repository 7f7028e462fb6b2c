/**
 * One process on a machine of one CPU, for tests of mm calls. Addresses are pages from a base, as in
 * `p.mmap(0, 4)`; state is read back as short text: `0+4 rw-p` is a VMA of four pages.
 */
import { FAULT } from '../../dist/src/arch/generic/mmu.js'
import { pmdLeaf, pmdPfn, pteNone, ptePfn, ptePresent } from '../../dist/src/isa/x86_64/pte.js'
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../../dist/src/base/units.js'
import { fullMachine, smallMachine, type MachineConfig } from '../../dist/src/boot/config.js'
import { Machine } from '../../dist/src/boot/machine.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32, peek64, peekF64 } from '../../dist/src/machine/image/image.js'
import { VM_FAULT_SIGBUS } from '../../dist/src/mm/faultFlags.js'
import type { Kernel, ThpEnabled } from '../../dist/src/mm/kernel.js'
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED } from '../../dist/src/mm/mmap.js'
import { vmasOf } from '../../dist/src/mm/maple/mapleLook.js'
import { ANON_VMA, MM, VM_EXEC, VM_MAYSHARE, VM_READ, VM_WRITE, VMA } from '../../dist/src/mm/mmStruct.js'

/** Tables of 4 entries and of 512: the tests of this folder hold in both. */
export const GEOMETRIES = [
  ['tables of 4 entries', smallMachine(1, 128)],
  ['tables of 512 entries', fullMachine(1, 4096)],
] as const

export const RW = 3
export const RO = 1

export class Process {
  readonly k: Kernel
  mm: PhysAddr
  readonly base: VirtAddr

  constructor(config: MachineConfig, options: { readonly thp?: ThpEnabled; readonly files?: readonly number[] } = {}) {
    const kernel = { ...config.kernel, thp: options.thp ?? 'never' }
    const machine = new Machine({ ...config, kernel, oracles: true })
    machine.boot([], null, options.files ?? [])
    this.k = machine.makeCpu(0, new SoloEngine(), null).kernel
    this.mm = this.k.mms.currentMm()
    this.base = (config.indexBits === 9 ? 2 ** 44 : 16 * 4096) as VirtAddr
    drive(this.k.rcu.ctKernelEnter())
  }

  at(page: number): VirtAddr {
    return (this.base + page * this.k.geo.pageSize) as VirtAddr
  }

  // ---- calls ------------------------------------------------------------------------------------------------------

  /** Anonymous and private unless told otherwise. The page it is at, or a negative errno. */
  mmap(page: number, pages: number, prot = RW, flags = MAP_FIXED, file = -1, pgoff = 0): number {
    const anonymous = file < 0 ? MAP_ANONYMOUS : 0
    const kind = (flags & MAP_SHARED) !== 0 ? 0 : MAP_PRIVATE
    const from = file < 0 ? phys(0) : this.k.files.fileAt(file)
    const at = drive(
      this.k.mmap.vmMmapPgoff(
        this.mm,
        this.at(page),
        pages * this.k.geo.pageSize,
        prot,
        flags | kind | anonymous,
        from,
        pgoff,
      ),
    )
    return at < 0 ? at : (at - this.base) / this.k.geo.pageSize
  }

  munmap(page: number, pages: number): number {
    return drive(this.k.mmap.vmMunmap(this.mm, this.at(page), pages * this.k.geo.pageSize))
  }

  mprotect(page: number, pages: number, prot: number): number {
    return drive(this.k.mprotect.doMprotectPkey(this.mm, this.at(page), pages * this.k.geo.pageSize, prot))
  }

  madvise(page: number, pages: number, advice: number): number {
    return drive(this.k.madvise.doMadvise(this.mm, this.at(page), pages * this.k.geo.pageSize, advice))
  }

  mremap(page: number, oldPages: number, newPages: number, flags: number, to = 0): number {
    const { pageSize } = this.k.geo
    const at = drive(
      this.k.mremap.doMremap(this.mm, this.at(page), oldPages * pageSize, newPages * pageSize, flags, this.at(to)),
    )
    return at < 0 ? at : (at - this.base) / pageSize
  }

  /** A child, which this process becomes with become(). */
  fork(): PhysAddr {
    const child = drive(this.k.fork.dupMm(this.mm))
    if (child === 0) throw new Error('fork: no memory')
    return child
  }

  become(mm: PhysAddr): void {
    drive(this.k.tlbFlush.switchMmIrqsOff(mm))
    this.mm = mm
  }

  exit(mm: PhysAddr): void {
    drive(this.k.mms.mmput(mm))
  }

  // ---- memory -----------------------------------------------------------------------------------------------------

  /** What the first word of the page is, or the signal. */
  read(page: number): number | 'SIGSEGV' | 'SIGBUS' {
    return this.#access(page, false, 0)
  }

  write(page: number, value = 1): 'ok' | 'SIGSEGV' | 'SIGBUS' {
    const found = this.#access(page, true, value)
    return typeof found === 'number' ? 'ok' : found
  }

  #access(page: number, write: boolean, value: number): number | 'SIGSEGV' | 'SIGBUS' {
    for (;;) {
      const found = drive(write ? this.k.mmu.store(this.at(page), value) : this.k.mmu.load(this.at(page)))
      if (found !== FAULT) return found
      const fault = drive(this.k.fault.doUserAddrFault(this.at(page), write))
      if (fault !== 0) return fault === VM_FAULT_SIGBUS ? 'SIGBUS' : 'SIGSEGV'
    }
  }

  // ---- state ------------------------------------------------------------------------------------------------------

  maps(mm: PhysAddr = this.mm): string[] {
    return this.vmas(mm).map((vma) => {
      const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
      const flags = peek32(vma + VMA.at.flags)
      const letter = (bit: number, name: string): string => ((flags & bit) !== 0 ? name : '-')
      const rights = letter(VM_READ, 'r') + letter(VM_WRITE, 'w') + letter(VM_EXEC, 'x')
      const { pageSize } = this.k.geo
      const kind = (flags & VM_MAYSHARE) !== 0 ? 's' : 'p'
      return `${(start - this.base) / pageSize}+${(end - start) / pageSize} ${rights}${kind}`
    })
  }

  vmas(mm: PhysAddr = this.mm): PhysAddr[] {
    return vmasOf(mm).map(phys)
  }

  vmaAt(page: number, mm: PhysAddr = this.mm): PhysAddr {
    return this.k.vmas.vmaLookup(mm, this.at(page))
  }

  /** The word that maps the page: a PTE, or a huge PMD; empty where there is no table. */
  entry(page: number, mm: PhysAddr = this.mm): PteWord {
    const { tables, upper } = this.k
    const addr = this.at(page)
    const word = (at: number): PteWord => peek64(at) as PteWord
    const pgd = word(upper.pgdOffset(mm, addr))
    const pud = ptePresent(pgd) ? word(upper.pudOffset(pgd, addr)) : pgd
    const pmd = ptePresent(pud) ? word(upper.pmdOffset(pud, addr)) : pud
    return pteNone(pmd) || pmdLeaf(pmd) ? pmd : word(tables.pteOffset(pmd, addr))
  }

  /** The frame that the page is in; -1 for none. */
  frameOf(page: number, mm: PhysAddr = this.mm): number {
    const entry = this.entry(page, mm)
    if (pteNone(entry) || !ptePresent(entry)) return -1
    if (!pmdLeaf(entry)) return ptePfn(entry)
    return pmdPfn(entry, this.k.geo.hpagePmdNr) + this.k.geo.pteIndex(this.at(page))
  }

  /** Frames that nobody has, after all that waited for a grace period was done. */
  freeFrames(): number {
    drive(this.k.rcu.drain())
    drive(this.k.rcu.ctKernelEnter())
    return this.k.pages.freeCount
  }

  vmasInUse(): number {
    return this.#inUse(this.k.regions.vmas, this.k.config.vmas, VMA)
  }

  anonVmasInUse(): number {
    return this.#inUse(this.k.regions.anonVmas, this.k.config.anonVmas, ANON_VMA)
  }

  #inUse(
    table: number,
    slots: number,
    layout: { readonly size: number; readonly at: { readonly inUse: number } },
  ): number {
    let used = 0
    for (let i = 0; i < slots; i++) if (peek32(table + i * layout.size + layout.at.inUse) === 1) used++
    return used
  }

  counter(field: 'rssAnon' | 'rssFile' | 'nrPtes' | 'mapCount', mm: PhysAddr = this.mm): number {
    return peek32(mm + MM.at[field])
  }
}
