/**
 * Runs programs on a CPU. Between operations the CPU is in user mode: it takes interrupts, passes a quiescent state, and
 * ends when it was told to stop.
 */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import { CONTROL, CPU_AREA } from '../machine/cpu/area.js'
import { isEqual, isNonZero, type Step, type WaitCondition } from '../machine/engine/engine.js'
import { load32, peek32, peekF64, poke32 } from '../machine/image/image.js'
import { EventKind } from '../machine/trace/ring.js'
import { pmdLeaf, pmdNone, vmGetPageProt } from '../arch/entry.js'
import { FAULT } from '../arch/generic/mmu.js'
import type { Pfn, PteWord } from '../base/units.js'
import { FOLL_FAST_ONLY, FOLL_FORCE, FOLL_GET, FOLL_PIN, FOLL_WRITE } from '../mm/gupFast.js'
import { Part, type Kernel } from '../mm/kernel.js'
import { PG_DIRTY } from '../mm/page.js'
import { Litmus } from './litmus.js'
import { ADVICE, OP_NUMBER, type Op, type Pick, type Program } from './op.js'
import { HELD_MAX, PROGRAM_CPU, programCpu, slotAt, wordAt, type ProgramRegions } from './state.js'

/** Free-running: the words of CONTROL.phase. */
export const PHASE = { waiting: 0, running: 1, over: 2 } as const

/** An operation whose result is not what the program expected (recordings know what the real kernel answered). */
export interface Mismatch {
  readonly cpu: number
  readonly index: number
  readonly op: Op
  readonly expected: number
  readonly found: number
}

const MISMATCHES_MAX = 100

/** Hears which operations a program comes to, and what it chooses. */
export interface ProgramListener {
  /** CPU `cpu` begins `op`. */
  began(cpu: number, op: Op): void
  /** A oneOf took its program number `choice`, or, with `isAddress`, the operation that began last that address. */
  chose(cpu: number, choice: number, isAddress: boolean): void
}

export class Interpreter extends Part {
  /** Results that differ from what operations expect, the first hundred. */
  readonly mismatches: Mismatch[] = []
  listener: ProgramListener | null = null
  readonly #regions: ProgramRegions
  readonly #own: PhysAddr
  readonly #litmus: Litmus
  readonly #pages = new Int32Array(1024)

  constructor(k: Kernel, regions: ProgramRegions) {
    super(k)
    this.#regions = regions
    this.#own = programCpu(regions, k.cpu.id)
    this.#litmus = new Litmus(k.cpu, regions)
  }

  /** Runs the program once, then this CPU's RCU callbacks, and leaves the CPU idle. */
  *runOnce(program: Program): Step<void> {
    yield* this.k.rcu.eqsExit()
    yield* this.#runAll(program)
    yield* this.k.rcu.drain()
    yield* this.k.rcu.eqsEnter()
  }

  /** Runs a litmus test (isBare): its accesses and nothing else. */
  runBare(program: Program): Step<void> {
    return this.#litmus.run(program)
  }

  /** Runs the program again and again until the stop word is set (or once), then serves interrupts until all have ended. */
  *runAsThread(program: Program, repeat: boolean): Step<void> {
    const { cpu, k } = this
    yield* cpu.waitUntil(phys(cpu.control + CONTROL.at.phase), isEqual, PHASE.running)
    yield* k.rcu.eqsExit()
    const runs = cpu.area + CPU_AREA.at.runs
    if (program.length > 0)
      do {
        yield* this.#runAll(program)
        poke32(runs, peek32(runs) + 1)
      } while (repeat && !this.#stopped)
    yield* this.#releaseAll()
    yield* k.rcu.drain()
    yield* k.rcu.eqsEnter()
    poke32(cpu.area + CPU_AREA.at.ended, 1)
    const ended = yield* cpu.atomicAddReturn32(phys(cpu.control + CONTROL.at.finished), 1)
    const phase = phys(cpu.control + CONTROL.at.phase)
    if (ended === cpu.cpuCount) {
      yield* cpu.storeRelease32(phase, PHASE.over)
      cpu.wakeWaiters(phase)
    } else yield* cpu.waitUntil(phase, isEqual, PHASE.over)
  }

  *#runAll(program: Program): Step<void> {
    for (let index = 0; index < program.length; index++) {
      const op = program[index] as Op
      if (op.op === 'repeat') {
        for (let i = 0; i < op.times && !this.#stopped; i++) yield* this.#runAll(op.body)
        continue
      }
      if (op.op === 'oneOf') {
        yield* this.#runAll(op.of[this.#choose(op.of.length, false)] as Program)
        continue
      }
      if (op.op === 'ifEqual') {
        if (this.#litmus.register(op.reg) === op.value) yield* this.#runAll(op.body)
        continue
      }
      yield* this.#runOne(op, index)
      if (this.#stopped) return
    }
  }

  /** Threads: the operation at hand is the last one. */
  get #stopped(): boolean {
    return this.cpu.engine.threads && load32(this.cpu.control + CONTROL.at.stop) !== 0
  }

  /** Waits for what another program does. A stop request ends it too, since that program may have stopped before. */
  *#sleepUntil(addr: PhysAddr, until: WaitCondition, operand: number): Step<number> {
    return yield* this.k.rcu.sleepUntil(addr, (seen, wanted) => until(seen, wanted) || this.#stopped, operand)
  }

  *#runOne(op: Op, index: number): Step<void> {
    const { cpu } = this
    const kind = OP_NUMBER.get(op.op) ?? 0
    if (this.listener !== null) this.listener.began(cpu.id, op)
    poke32(cpu.area + CPU_AREA.at.opIndex, index)
    poke32(cpu.area + CPU_AREA.at.opKind, kind)
    if (cpu.ring.on) cpu.ring.record(cpu.tick(), EventKind.op, kind, index, 0)
    const result = yield* this.execute(op)
    this.k.observer.returnsToUser(this.cpu)
    this.#note(op, index, result)
    const counts = this.#own + PROGRAM_CPU.at.counts + kind * 4
    poke32(counts, peek32(counts) + 1)
    const done = cpu.area + CPU_AREA.at.opsDone
    poke32(done, peek32(done) + 1)
    yield* cpu.cpuRelax()
    yield* this.k.rcu.noteQuiescent()
  }

  #note(op: Op, index: number, found: number): void {
    const expected = 'expect' in op ? op.expect : undefined
    if (expected === undefined || expected === found || this.mismatches.length >= MISMATCHES_MAX) return
    this.mismatches.push({ cpu: this.cpu.id, index, op, expected, found })
  }

  // ---- one operation ----------------------------------------------------------------------------------------------

  /** Result: what the system call returns (negative errno), what a load read, or a negative VM_FAULT_ of a touch. */
  *execute(op: Op): Step<number> {
    const { k } = this
    const mm = k.mms.currentMm()
    switch (op.op) {
      case 'mmap':
        return yield* k.mmap.doMmap(
          mm,
          v(op.addr),
          op.len,
          op.prot,
          op.flags,
          this.#file(op.file),
          (op.offset ?? 0) / k.geo.pageSize,
        )
      case 'munmap':
        return yield* k.mmap.doMunmap(mm, this.#pick(op.addr), op.len)
      case 'mprotect':
        return yield* k.mprotect.doMprotect(mm, this.#pick(op.addr), op.len, op.prot)
      case 'madvise':
        return yield* k.madvise.doMadvise(mm, this.#pick(op.addr), op.len, ADVICE[op.advice])
      case 'mremap':
        return yield* k.mremap.doMremap(mm, v(op.addr), op.oldLen, op.newLen, op.flags, v(op.newAddr))
      case 'brk':
        return yield* k.brk.doBrk(mm, v(op.addr))
      case 'load':
        return yield* this.#load(this.#pick(op.addr), op.pages ?? 1, op.reg)
      case 'store':
        return yield* this.#store(this.#pick(op.addr), op.pages ?? 1, op.value ?? 1)
      case 'kernelRead':
        return yield* this.#kernelRead(this.#pick(op.addr), op.pages)
      case 'gup':
        return yield* this.#gup(op)
      case 'unpin':
        return yield* this.#releaseAll()
      case 'gupWrite':
        return yield* this.#gupWrite(op)
      case 'splitPmd':
        return yield* this.#splitPmd(this.#pick(op.addr))
      case 'splitFolio':
        return yield* this.#splitFolio(this.#pick(op.addr))
      case 'collapse':
        return yield* k.khugepaged.collapseHugePage(mm, this.#pick(op.addr))
      case 'retract':
        return yield* k.retract.retractTable(mm, this.#pick(op.addr))
      case 'retractFile':
        return yield* k.retract.retractPageTables(k.files.fileAt(op.file), op.page)
      case 'unmapFile':
        yield* k.zap.unmapMappingPages(k.files.fileAt(op.file), op.page, op.pages ?? 1)
        return 0
      case 'reclaim':
        return yield* k.reclaim.shrinkFile(k.files.fileAt(op.file), op.page, op.pages ?? 1)
      case 'fill':
        return yield* k.userfault.mfillContinue(this.#pick(op.addr))
      case 'migrate':
        return yield* this.#migrate(this.#pick(op.addr))
      case 'numaHint':
        return yield* this.#numaHint(this.#pick(op.addr))
      case 'scanPfn':
        return yield* this.#scanPfn(this.#pick(op.addr))
      default:
        return yield* this.#executeRest(op)
    }
  }

  *#executeRest(op: Op): Step<number> {
    const { k } = this
    switch (op.op) {
      case 'fork':
        return yield* this.#fork(slotAt(this.#regions, op.slot))
      case 'adopt':
        return yield* this.#adopt(slotAt(this.#regions, op.slot))
      case 'reap':
        return yield* this.#reap(slotAt(this.#regions, op.slot))
      case 'exec':
        return yield* this.#enter(yield* k.mms.mmAlloc())
      case 'exit':
        return yield* op.lazy === true ? this.#exitLazily() : this.#enter(phys(0))
      case 'enterLazyTlb':
        yield* k.mms.borrowMm()
        return 0
      case 'leaveLazyTlb':
        yield* k.mms.switchTo(k.mms.activeMm())
        return 0
      case 'speculate':
        return yield* k.mmu.speculate(this.#pick(op.addr))
      case 'reschedule':
        return yield* this.#reschedule()
      case 'synchronizeRcu':
        yield* k.rcu.synchronizeRcu()
        return 0
      case 'synchronizeRcuExpedited':
        yield* k.expedited.synchronizeRcuExpedited()
        return 0
      case 'awaitWord':
        return yield* this.#sleepUntil(wordAt(this.#regions, op.word), isEqual, op.value)
      default:
        return yield* this.#litmus.execute(op)
    }
  }

  #pick(addr: Pick): VirtAddr {
    if (typeof addr === 'number') return v(addr)
    return v(addr.from + addr.step * (addr.count > 1 ? this.#choose(addr.count, true) : 0))
  }

  #choose(count: number, isAddress: boolean): number {
    const choice = this.cpu.choose(count)
    if (this.listener !== null) this.listener.chose(this.cpu.id, choice, isAddress)
    return choice
  }

  #file(file: number | undefined): PhysAddr {
    return file === undefined ? phys(0) : this.k.files.fileAt(file)
  }

  // ---- user accesses ----------------------------------------------------------------------------------------------

  *#load(addr: VirtAddr, pages: number, reg: number | undefined): Step<number> {
    let result = 0
    for (let i = 0; i < pages; i++) {
      result = yield* this.userLoad(v(addr + i * this.k.geo.pageSize))
      if (result < 0) break
    }
    if (reg !== undefined) this.#litmus.setRegister(reg, result)
    return result
  }

  *#store(addr: VirtAddr, pages: number, value: number): Step<number> {
    for (let i = 0; i < pages; i++) {
      const result = yield* this.userStore(v(addr + i * this.k.geo.pageSize), value)
      if (result < 0) return result
    }
    return 0
  }

  *#kernelRead(addr: VirtAddr, pages: number): Step<number> {
    yield* this.k.mmu.userAccessBegin()
    const result = yield* this.#load(addr, pages, undefined)
    yield* this.k.mmu.userAccessEnd()
    return result
  }

  /** The word at `addr`, or the negative VM_FAULT_ code of the signal. */
  *userLoad(addr: VirtAddr): Step<number> {
    for (;;) {
      const value = yield* this.k.mmu.load(addr)
      if (value !== FAULT) return value
      const fault = yield* this.k.fault.userFault(addr, false)
      if (fault !== 0) return -fault
      yield* this.cpu.cpuRelax()
    }
  }

  *userStore(addr: VirtAddr, value: number): Step<number> {
    for (;;) {
      if ((yield* this.k.mmu.store(addr, value)) !== FAULT) return 0
      const fault = yield* this.k.fault.userFault(addr, true)
      if (fault !== 0) return -fault
      yield* this.cpu.cpuRelax()
    }
  }

  // ---- get_user_pages ---------------------------------------------------------------------------------------------

  *#gup(op: Extract<Op, { op: 'gup' }>): Step<number> {
    const flags =
      (op.pin === true ? FOLL_PIN : FOLL_GET) |
      (op.write === true ? FOLL_WRITE : 0) |
      (op.fastOnly === true ? FOLL_FAST_ONLY : 0)
    const got = yield* this.k.gupFast.getUserPagesFast(this.#pick(op.addr), op.pages, flags, this.#pages)
    for (let i = 0; i < got; i++) {
      if (op.hold === true && this.#hold(this.#pages[i] as number, flags)) continue
      yield* this.k.gup.release(this.#pages[i] as number, flags)
    }
    return got
  }

  *#gupWrite(op: Extract<Op, { op: 'gupWrite' }>): Step<number> {
    const mm = this.k.mms.currentMm()
    const addr = this.#pick(op.addr)
    const flags = (op.pin === true ? FOLL_PIN : FOLL_GET) | FOLL_WRITE | (op.force === true ? FOLL_FORCE : 0)
    const page = this.k.geo.pageAlignDown(addr)
    const got =
      op.force === true
        ? yield* this.k.gup.getUserPages(mm, page, 1, flags, this.#pages, 0)
        : yield* this.k.gupFast.getUserPagesFast(page, 1, flags, this.#pages)
    if (got !== 1) return got
    const pfn = this.#pages[0] as number
    const offset = (addr - page) & (this.k.memmap.frameBytes - 1)
    yield* this.cpu.writeOnce32(phys(this.k.memmap.frame(pfn) + offset), op.value)
    this.k.observer.kernelAccessed(this.cpu, pfn, true)
    this.k.observer.privateWrite(this.cpu, mm, page, pfn)
    // As unpin_user_pages_dirty_lock(): before the reference goes.
    const written = this.k.memmap.page(pfn)
    if (!this.k.folios.isAnonPage(written)) yield* this.k.folios.setFlag(written, PG_DIRTY)
    if (op.hold !== true || !this.#hold(pfn, flags)) yield* this.k.gup.release(pfn, flags)
    return 0
  }

  #hold(pfn: number, flags: number): boolean {
    const count = peek32(this.#own + PROGRAM_CPU.at.held)
    if (count >= HELD_MAX) return false
    poke32(this.#own + PROGRAM_CPU.at.heldPages + count * 4, pfn * 2 + ((flags & FOLL_PIN) !== 0 ? 1 : 0))
    poke32(this.#own + PROGRAM_CPU.at.held, count + 1)
    return true
  }

  *#releaseAll(): Step<number> {
    const count = peek32(this.#own + PROGRAM_CPU.at.held)
    for (let i = count - 1; i >= 0; i--) {
      const held = peek32(this.#own + PROGRAM_CPU.at.heldPages + i * 4)
      poke32(this.#own + PROGRAM_CPU.at.held, i)
      yield* this.k.gup.release(held >>> 1, (held & 1) !== 0 ? FOLL_PIN : FOLL_GET)
    }
    return count
  }

  // ---- huge pages and reverse map ---------------------------------------------------------------------------------

  *#splitPmd(addr: VirtAddr): Step<number> {
    const mm = this.k.mms.currentMm()
    yield* this.k.mms.mmapReadLock(mm)
    const vma = this.k.vmas.vmaLookup(mm, addr)
    const pmdp = vma === 0 ? phys(0) : yield* this.k.upper.findPmd(mm, addr)
    if (pmdp !== 0) yield* this.k.huge.splitHugePmd(vma, pmdp, this.k.geo.pmdAlignDown(addr), false, phys(0))
    yield* this.k.mms.mmapReadUnlock(mm)
    return 0
  }

  /** As debugfs' split_huge_pages does: a reference through gup, the folio lock, the split. */
  *#splitFolio(addr: VirtAddr): Step<number> {
    const { folios } = this.k
    const got = yield* this.k.gupFast.getUserPagesFast(addr, 1, FOLL_GET | FOLL_FAST_ONLY, this.#pages)
    if (got !== 1) return 0
    const pfn = this.#pages[0] as number
    const folio = yield* folios.compoundHead(this.k.memmap.page(pfn))
    let result = 0
    if (folios.isLarge(folio) && folios.isAnon(folio) && (yield* folios.folioTrylock(folio))) {
      result = yield* this.k.splitFolio.splitFolio(folio)
      yield* folios.folioUnlock(folio)
    }
    // The reference is the folio's, and after a split that of its first page, whichever page gup found.
    this.k.observer.gupReleased(this.cpu, pfn, false)
    yield* folios.folioPut(folio, 1)
    return result
  }

  /** The frame mapped at `addr` just now, without keeping a reference; -1. */
  *#frameAt(addr: VirtAddr): Step<number> {
    const got = yield* this.k.gupFast.getUserPagesFast(addr, 1, FOLL_GET | FOLL_FAST_ONLY, this.#pages)
    if (got !== 1) return -1
    const pfn = this.#pages[0] as number
    yield* this.k.gup.release(pfn, FOLL_GET)
    return pfn
  }

  *#migrate(addr: VirtAddr): Step<number> {
    const pfn = yield* this.#frameAt(addr)
    return pfn < 0 ? 0 : yield* this.k.migrate.migratePfn(pfn as Pfn)
  }

  *#numaHint(addr: VirtAddr): Step<number> {
    const mm = this.k.mms.currentMm()
    yield* this.k.mms.mmapReadLock(mm)
    const haddr = this.k.geo.pmdAlignDown(addr)
    const vma = this.k.vmas.vmaLookup(mm, haddr)
    const pmdp = vma === 0 ? phys(0) : yield* this.k.upper.findPmd(mm, haddr)
    const pmd = pmdp === 0 ? 0n : yield* this.cpu.readOnce64(pmdp)
    if (pmdp !== 0 && !pmdNone(pmd as PteWord) && pmdLeaf(pmd as PteWord)) {
      yield* this.k.gather.incTlbFlushPending(mm)
      yield* this.k.huge.changeHugePmd(vma, pmdp, haddr, vmGetPageProt(0), true)
      yield* this.k.tlbFlush.flushTlbRange(vma, haddr, v(haddr + this.k.geo.pmdSize))
      yield* this.k.gather.decTlbFlushPending(mm)
    }
    yield* this.k.mms.mmapReadUnlock(mm)
    return 0
  }

  /** The compaction and memory-failure pattern: a frame number, get-unless-zero, look again, put. */
  *#scanPfn(addr: VirtAddr): Step<number> {
    const pfn = yield* this.#frameAt(addr)
    if (pfn < 0) return 0
    const page = this.k.memmap.page(pfn)
    if (!(yield* this.k.folios.folioTryGet(page, 1))) return 0
    yield* this.cpu.touch(page)
    yield* this.k.folios.folioPut(page, 1)
    return 1
  }

  // ---- processes --------------------------------------------------------------------------------------------------

  *#fork(slot: PhysAddr): Step<number> {
    const child = yield* this.k.fork.dupMm(this.k.mms.currentMm())
    if (child === 0) return -12
    yield* this.cpu.storeRelease32(slot, child)
    this.cpu.wakeWaiters(slot)
    return 0
  }

  *#adopt(slot: PhysAddr): Step<number> {
    yield* this.#sleepUntil(slot, isNonZero, 0)
    const child = phys(yield* this.cpu.xchg32(slot, 0))
    return child === 0 ? 0 : yield* this.#enter(child)
  }

  /** The kernel thread is the idle task: RCU does not wait for this CPU meanwhile, and who flushes finds it away. */
  *#reschedule(): Step<number> {
    const mm = this.k.mms.currentMm()
    yield* this.k.mms.switchTo(phys(0))
    yield* this.k.rcu.eqsEnter()
    yield* this.k.rcu.eqsExit()
    yield* this.k.mms.switchTo(mm)
    return 0
  }

  *#reap(slot: PhysAddr): Step<number> {
    const child = phys(yield* this.cpu.xchg32(slot, 0))
    if (child !== 0) yield* this.k.mms.mmput(child)
    return 0
  }

  /** Makes `next` this CPU's address space, with the reference that the caller has, and drops the old one. */
  *#enter(next: PhysAddr): Step<number> {
    const previous = this.k.mms.currentMm()
    yield* this.k.mms.switchTo(next)
    if (previous !== 0) yield* this.k.mms.mmput(previous)
    return 0
  }

  /** exit_mm(): the address space is borrowed before it is given up, so that what is loaded stays while it is taken apart. */
  *#exitLazily(): Step<number> {
    const previous = this.k.mms.currentMm()
    yield* this.k.mms.borrowMm()
    if (previous !== 0) yield* this.k.mms.mmput(previous)
    return 0
  }

  /** Register `reg` of CPU `cpu`. */
  static register(regions: ProgramRegions, cpu: number, reg: number): number {
    return peekF64(programCpu(regions, cpu) + PROGRAM_CPU.at.regs + reg * 8)
  }

  /** Word `word` of a litmus test. */
  static word(regions: ProgramRegions, word: number): number {
    return peek32(wordAt(regions, word))
  }
}

const v = (addr: number): VirtAddr => addr as VirtAddr
