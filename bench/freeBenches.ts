/**
 * What do the kernel's operations cost, free-running, beside the least that the same atomics could cost in a
 * hand-written loop? One CPU, so that the code and not the contention is measured.
 */
import { Machine, type BootedCpu } from '../src/boot/machine.js'
import { fullMachine, withPgalloc } from '../src/boot/config.js'
import { drive } from '../src/machine/engine/engine.js'
import { FreeEngine } from '../src/machine/engine/free.js'
import * as image from '../src/machine/image/image.js'
import {
  add32,
  addUnless32,
  and32,
  cmpxchg32,
  load32,
  load64,
  store32,
  xchg64,
  xor32,
} from '../src/machine/image/image.js'
import { FOLL_FAST_ONLY, FOLL_GET } from '../src/mm/gupFast.js'
import { MM } from '../src/mm/mmStruct.js'
import { phys, type VirtAddr, type PteWord } from '../src/base/units.js'
import { PAGE } from '../src/mm/page.js'
import { spinLock, spinUnlock } from '../src/sync/spinlock.js'
import { wordAt } from '../src/program/state.js'
import { ptePfn } from '../src/isa/x86_64/pte.js'
import { CPU_AREA } from '../src/machine/cpu/area.js'
import { ipiRoundTrip } from './ipi.js'
import { ask, type Answer, type BenchPart, type Question } from './harness.js'

const BATCH = 200
const ARENA = 0x80_0000 as VirtAddr
const HUGE = 0x20_0000

/** The answers of one part; no two parts in one thread. */
export async function answersOf(part: BenchPart): Promise<Answer[]> {
  if (part === 'ipi') return [await ipiRoundTrip()]
  const questions = part === 'fragments' ? [fragments()] : kernelQuestions()
  const answers: Answer[] = []
  for (const question of questions) answers.push(await ask(question))
  return answers
}

function kernelQuestions(): Question[] {
  const machine = new Machine({ ...fullMachine(1), oracles: false, ringLength: 0 })
  machine.boot(
    [
      { op: 'mmap', addr: ARENA, len: 4 * HUGE, prot: 3, flags: 0x32 },
      { op: 'madvise', addr: ARENA, len: 2 * HUGE, advice: 'nohugepage' },
      { op: 'store', addr: ARENA, pages: 512 },
    ],
    null,
  )
  const cpu = machine.makeCpu(0, new FreeEngine(), null)
  drive(cpu.kernel.rcu.ctKernelEnter())
  return [
    accessors(machine),
    gupOne(machine, cpu),
    gupMany(machine, cpu),
    fault(machine, cpu),
    splitAndCollapse(machine, cpu),
    spinlock(machine, cpu),
    rcuRead(machine, cpu),
  ]
}

/** A 64-bit load: the wasm accessor, against JS Atomics on a BigUint64Array. */
function accessors(machine: Machine): Question {
  const at = wordAt(machine.regions.program, 0)
  const longs = new BigUint64Array(machine.memory.buffer)
  const seen = { nonZero: 0 }
  return {
    question: 'a 64-bit atomic load: wasm accessor / Atomics.load',
    batch: BATCH,
    ways: [
      {
        name: 'load64',
        run: () => {
          for (let i = 0; i < BATCH; i++) if (BigInt.asUintN(64, load64(at)) !== 0n) seen.nonZero++
        },
      },
      {
        name: 'Atomics.load',
        run: () => {
          for (let i = 0; i < BATCH; i++) if (Atomics.load(longs, at >>> 3) !== 0n) seen.nonZero++
        },
      },
    ],
  }
}

function gupOne(machine: Machine, { kernel, cpu }: BootedCpu): Question {
  const pages = new Int32Array(1)
  const pgd = image.peek32(kernel.mms.currentMm() + MM.at.pgd)
  const queue = cpu.area + CPU_AREA.at.callQueue
  return {
    question: 'gup_fast and put of one mapped page / hand-written walk',
    batch: BATCH,
    ways: [
      {
        name: 'getUserPagesFast + putPage',
        run: () => {
          for (let i = 0; i < BATCH; i++) {
            drive(kernel.gupFast.getUserPagesFast(ARENA, 1, FOLL_GET | FOLL_FAST_ONLY, pages))
            drive(kernel.gup.putPage(pages[0] as number, FOLL_GET))
          }
        },
      },
      {
        name: 'the same atomics by hand',
        run: () => {
          for (let i = 0; i < BATCH; i++) walkByHand(machine, pgd, queue, ARENA)
        },
      },
    ],
  }
}

/**
 * Walk, reference with head re-check, both entries again, the interrupt request that IRQs-on looks for, put: the
 * atomics of gup_fast and nothing else. -1 where any of them says no.
 */
function walkByHand(machine: Machine, pgd: number, queue: number, addr: VirtAddr): number {
  const pmdp = pmdpByHand(machine, pgd, addr)
  const page = referByHand(machine, pmdp, load64(pmdp) as PteWord, addr)
  return page < 0 || load32(queue) !== 0 ? -1 : putByHand(page)
}

/** Address of the PMD entry of `addr`. */
function pmdpByHand({ geo, memmap }: Machine, pgd: number, addr: VirtAddr): number {
  const top = load64(pgd + geo.pgdIndex(addr) * 8) as PteWord
  const pud = load64(memmap.frame(ptePfn(top)) + geo.pudIndex(addr) * 8) as PteWord
  return memmap.frame(ptePfn(pud)) + geo.pmdIndex(addr) * 8
}

/** The struct page of the page at `addr`, with a reference; -1: the entries changed since `pmd` was read. */
function referByHand({ geo, memmap }: Machine, pmdp: number, pmd: PteWord, addr: VirtAddr): number {
  const ptep = memmap.frame(ptePfn(pmd)) + geo.pteIndex(addr) * 8
  const pte = load64(ptep) as PteWord
  const page = memmap.page(ptePfn(pte))
  const head = load32(page + PAGE.at.compoundHead)
  if (addUnless32(page + PAGE.at.refcount, 1, 0) === 0) return -1
  if (load32(page + PAGE.at.compoundHead) !== head || load64(pmdp) !== pmd || load64(ptep) !== pte) return -1
  return page
}

function putByHand(page: number): number {
  load32(page + PAGE.at.compoundHead)
  return add32(page + PAGE.at.refcount, -1)
}

function gupMany(machine: Machine, { kernel, cpu }: BootedCpu): Question {
  const pages = new Int32Array(512)
  const pgd = image.peek32(kernel.mms.currentMm() + MM.at.pgd)
  const queue = cpu.area + CPU_AREA.at.callQueue
  return {
    question: 'gup_fast and put of 512 pages, per page / hand-written walk of the table',
    batch: 512,
    ways: [
      {
        name: 'getUserPagesFast(512)',
        run: () => {
          const got = drive(kernel.gupFast.getUserPagesFast(ARENA, 512, FOLL_GET | FOLL_FAST_ONLY, pages))
          for (let i = 0; i < got; i++) drive(kernel.gup.putPage(pages[i] as number, FOLL_GET))
        },
      },
      {
        name: 'the same atomics by hand',
        run: () => {
          const pmdp = pmdpByHand(machine, pgd, ARENA)
          const pmd = load64(pmdp) as PteWord
          for (let i = 0; i < 512; i++) pages[i] = referByHand(machine, pmdp, pmd, (ARENA + i * 4096) as VirtAddr)
          load32(queue)
          for (let i = 0; i < 512; i++) putByHand(pages[i] as number)
        },
      },
    ],
  }
}

/** Write faults on 16 empty pages and MADV_DONTNEED, per page. */
function fault(machine: Machine, { kernel, interpreter }: BootedCpu): Question {
  const at = ARENA + HUGE
  const frame = kernel.memmap.frame(kernel.memmap.frameCount - 1)
  return {
    question: 'a write fault and its zap, per page / as many atomics, and clearing the page',
    batch: 16,
    ways: [
      {
        name: 'store + MADV_DONTNEED',
        run: () => {
          drive(interpreter.execute({ op: 'store', addr: at, pages: 16 }))
          drive(interpreter.execute({ op: 'madvise', addr: at, len: 16 * 4096, advice: 'dontneed' }))
        },
      },
      {
        name: 'by hand',
        run: () => {
          for (let i = 0; i < 16; i++) {
            byHand(machine, FAULT)
            image.fillBytes(frame, 0, 4096)
          }
        },
      },
    ],
  }
}

/** Words of the program region, for atomics that stand for the kernel's. */
const LOCK = 8
const COUNT = 9
const ENTRY = 10

/** Atomics of an operation, by instruction, as a controlled run of it counts its accesses. */
interface Accesses {
  readonly load64: number
  readonly load32: number
  readonly store32: number
  readonly add32: number
  readonly cmpxchg32: number
  readonly and32: number
  readonly xchg64: number
}

/** A fault and its zap, of a page; besides, a page is cleared. */
const FAULT: Accesses = { load64: 19, load32: 4, store32: 2, add32: 5, cmpxchg32: 3, and32: 5, xchg64: 2 }
/** A PMD split, a folio split and a collapse, of an entry; besides, a page is copied. */
const COLLAPSE: Accesses = { load64: 11, load32: 1, store32: 3, add32: 1, cmpxchg32: 3, and32: 4, xchg64: 3 }

function byHand(machine: Machine, accesses: Accesses): void {
  const word = (index: number): number => wordAt(machine.regions.program, index)
  const [lock, count, entry] = [word(LOCK), word(COUNT), word(ENTRY)]
  for (let i = 0; i < accesses.load64; i++) load64(entry)
  for (let i = 0; i < accesses.load32; i++) load32(count)
  for (let i = 0; i < accesses.store32; i++) store32(count, 1)
  for (let i = 0; i < accesses.add32; i++) add32(count, 1)
  for (let i = 0; i < accesses.cmpxchg32; i++) cmpxchg32(lock, 0, 1)
  for (let i = 0; i < accesses.and32; i++) and32(lock, 0)
  for (let i = 0; i < accesses.xchg64; i++) xchg64(entry, 0x67n)
}

function splitAndCollapse(machine: Machine, { kernel, interpreter }: BootedCpu): Question {
  const at = ARENA + 2 * HUGE
  const last = kernel.memmap.frameCount - 1
  const [from, to] = [kernel.memmap.frame(last - 1), kernel.memmap.frame(last)]
  drive(interpreter.execute({ op: 'store', addr: at }))
  return {
    question: 'a PMD split, a folio split and a collapse / as many atomics, and copying 512 pages',
    batch: 1,
    ways: [
      {
        name: 'splitPmd + splitFolio + collapse',
        run: () => {
          drive(interpreter.execute({ op: 'splitFolio', addr: at }))
          drive(interpreter.execute({ op: 'collapse', addr: at }))
        },
      },
      {
        name: 'by hand',
        run: () => {
          for (let i = 0; i < 512; i++) {
            byHand(machine, COLLAPSE)
            image.copyBytes(to, from, 4096)
          }
        },
      },
    ],
  }
}

function spinlock(machine: Machine, { cpu }: BootedCpu): Question {
  const lock = wordAt(machine.regions.program, 2)
  const bare = wordAt(machine.regions.program, 3)
  return {
    question: 'spin_lock and spin_unlock, uncontended / cmpxchg and store',
    batch: BATCH,
    ways: [
      {
        name: 'spinLock + spinUnlock',
        run: () => {
          for (let i = 0; i < BATCH; i++) {
            drive(spinLock(cpu, lock))
            drive(spinUnlock(cpu, lock))
          }
        },
      },
      {
        name: 'cmpxchg + store',
        run: () => {
          for (let i = 0; i < BATCH; i++) {
            cmpxchg32(bare, 0, 1)
            store32(bare, 0)
          }
        },
      },
    ],
  }
}

function rcuRead(machine: Machine, { kernel }: BootedCpu): Question {
  const at = wordAt(machine.regions.program, 4)
  return {
    question: 'rcu_read_lock, load, rcu_read_unlock / the load',
    batch: BATCH,
    ways: [
      {
        name: 'read-side section',
        run: () => {
          for (let i = 0; i < BATCH; i++) {
            kernel.rcu.rcuReadLock()
            load32(at)
            kernel.rcu.rcuReadUnlock()
          }
        },
      },
      {
        name: 'load',
        run: () => {
          for (let i = 0; i < BATCH; i++) load32(phys(at))
        },
      },
    ],
  }
}

/** One table of a page that another one keeps: handed out and given back at once, as s390 did until v6.7. */
function fragments(): Question {
  const config = fullMachine(1)
  const kernelConfig = { ...config.kernel, pgalloc: 's390-active' } as const
  const machine = new Machine(withPgalloc({ ...config, kernel: kernelConfig, oracles: false, ringLength: 0 }))
  machine.boot([], null)
  const { kernel } = machine.makeCpu(0, new FreeEngine(), null)
  drive(kernel.rcu.ctKernelEnter())
  const mm = kernel.mms.currentMm()
  drive(kernel.pgalloc.pteAllocOne(mm))
  initListByHand(machine)
  return {
    question: 'a PTE table of a shared page, allocated and freed / the same atomics by hand',
    batch: BATCH,
    ways: [
      {
        name: 'pteAllocOne + pteFree',
        run: () => {
          for (let i = 0; i < BATCH; i++) {
            const table = drive(kernel.pgalloc.pteAllocOne(mm))
            drive(kernel.pgalloc.pteFree(mm, table))
          }
        },
      },
      {
        name: 'the same atomics by hand',
        run: () => {
          for (let i = 0; i < BATCH; i++) fragmentByHand(machine)
        },
      },
    ],
  }
}

/**
 * Lock, the byte read and changed, the page off the list, unlock; lock, the byte, the flag, on the list, unlock, the
 * byte. The lists are changed with all their stores, and without the checks of CONFIG_DEBUG_LIST.
 */
function fragmentByHand(machine: Machine): void {
  const word = (index: number): number => wordAt(machine.regions.program, index)
  const [lock, byte, head, node] = [word(LOCK), word(COUNT), word(ENTRY), word(ENTRY + 1)]
  cmpxchg32(lock, 0, 1)
  load32(byte)
  xor32(byte, 2)
  listDelInitByHand(image.peek32(head))
  and32(lock, 0)
  cmpxchg32(lock, 0, 1)
  xor32(byte, 0x22)
  load32(byte)
  listAddByHand(node, head)
  and32(lock, 0)
  xor32(byte, 0x20)
}

function listDelInitByHand(node: number): void {
  const [next, prev] = [image.peek32(node), image.peek32(node + 4)]
  image.poke32(next + 4, prev)
  image.poke32(prev, next)
  image.poke32(node, node)
  image.poke32(node + 4, node)
}

function listAddByHand(node: number, head: number): void {
  const next = image.peek32(head)
  image.poke32(next + 4, node)
  image.poke32(node, next)
  image.poke32(node + 4, head)
  image.poke32(head, node)
}

/** A list of one node, as the byte says: one part of the page is free. */
function initListByHand(machine: Machine): void {
  const [head, node] = [wordAt(machine.regions.program, ENTRY), wordAt(machine.regions.program, ENTRY + 1)]
  for (const at of [head, head + 4]) image.poke32(at, node)
  for (const at of [node, node + 4]) image.poke32(at, head)
}
