/**
 * A simulated CPU: the kernel's access vocabulary, interrupts, the one way to wait, and per-CPU state in the image.
 *
 * Each access is a schedule point and then one operation on one word. Accesses are leaf generators of one shape, point
 * first; the build inlines them at their call sites (boot/lower/lower.ts) and drops the points for the free-running
 * engine.
 *
 * Every marked access is sequentially consistent on the host. The names still say what order the *protocol* needs, for
 * the reader and for a weaker memory model later: acquire and release order one way, a value-returning atomic is a full
 * barrier, atomicAdd32 and its like order nothing (pair them with smpMb). Plain accesses say that a lock or privacy
 * makes the access race-free; they are points too, so that a missing lock shows.
 *
 * 32-bit values come back signed, 64-bit ones as unsigned bigints.
 */
import { assert, fail } from '../../base/assert.js'
import { phys, type CpuId, type PhysAddr } from '../../base/units.js'
import { isEqual, type Engine, type Step, type WaitCondition } from '../engine/engine.js'
import { Halted, Panic, kernelStack } from '../engine/finding.js'
import * as image from '../image/image.js'
import {
  add32,
  addUnless32,
  and32,
  and64,
  cmpxchg32,
  cmpxchg64,
  fence,
  load32,
  load64,
  or32,
  or64,
  note,
  peek32,
  poke32,
  store32,
  store64,
  words,
  xchg32,
  xchg64,
  xor32,
} from '../image/image.js'
import type { EventRing } from '../trace/ring.js'
import { Access } from './access.js'
import type { AccessWatcher } from './accessWatcher.js'
import { CONTROL, CPU_AREA, type CpuRegions } from './area.js'
import { Ipi } from './ipi.js'
import { NO_LOCK_WATCHER, type LockWatcher } from './lockWatcher.js'

/** Looks before a waiting thread sleeps. More would burn cores that the CPU waited for may need. */
const SPINS_BEFORE_SLEEP = 60
/** Bound on one sleep: a lost wake-up costs a delay, never a hang. */
const SLEEP_MS = 4

export class Cpu {
  readonly id: CpuId
  readonly cpuCount: number
  /** Address of this CPU's CPU_AREA. */
  readonly area: PhysAddr
  readonly control: PhysAddr
  /** Address of CPU 0's LOCK_NODES; the nodes of all CPUs are one array. */
  readonly lockNodes: PhysAddr
  readonly engine: Engine
  readonly ipi: Ipi
  readonly ring: EventRing
  /** Hears of the locks that this CPU takes; set at boot. */
  locks: LockWatcher = NO_LOCK_WATCHER
  /** Judges the accesses that this CPU is about to make; set at boot. */
  accesses: AccessWatcher | null = null
  readonly #cpus: PhysAddr

  constructor(id: CpuId, cpuCount: number, regions: CpuRegions, csdBase: PhysAddr, ring: EventRing, engine: Engine) {
    this.id = id
    this.cpuCount = cpuCount
    this.#cpus = regions.cpus
    this.area = areaOf(regions.cpus, id)
    this.control = regions.control
    this.lockNodes = regions.lockNodes
    this.engine = engine
    this.ring = ring
    this.ipi = new Ipi(this, csdBase)
  }

  // ---- schedule points ------------------------------------------------------------------------------------------

  /** Where another CPU may go on. The build replaces it by at() at the access's call site, or by nothing. */
  *point(kind: number, addr: number): Step<void> {
    if (this.at(kind, addr)) yield
  }

  /** The inlined form of point(): true when the caller must suspend before the access. */
  at(kind: number, addr: number): boolean {
    if (this.accesses !== null) this.accesses.accesses(this, kind, addr)
    return this.engine.decide(this.id, kind, addr)
  }

  /** Every store of the generator form ends here; the free-running form has no such call. */
  wrote(addr: number): void {
    note(addr)
    this.engine.wrote(addr)
  }

  // ---- loads and stores -----------------------------------------------------------------------------------------

  *readOnce32(addr: PhysAddr): Step<number> {
    yield* this.point(Access.readOnce32, addr)
    return load32(addr)
  }

  *readOnce64(addr: PhysAddr): Step<bigint> {
    yield* this.point(Access.readOnce64, addr)
    return BigInt.asUintN(64, load64(addr))
  }

  *writeOnce32(addr: PhysAddr, value: number): Step<void> {
    yield* this.point(Access.writeOnce32, addr)
    store32(addr, value)
    this.wrote(addr)
  }

  *writeOnce64(addr: PhysAddr, value: bigint): Step<void> {
    yield* this.point(Access.writeOnce64, addr)
    store64(addr, value)
    this.wrote(addr)
  }

  /** ACQUIRE: this load before every later access of this CPU. */
  *loadAcquire32(addr: PhysAddr): Step<number> {
    yield* this.point(Access.loadAcquire32, addr)
    return load32(addr)
  }

  *loadAcquire64(addr: PhysAddr): Step<bigint> {
    yield* this.point(Access.loadAcquire64, addr)
    return BigInt.asUintN(64, load64(addr))
  }

  /** RELEASE: every earlier access of this CPU before this store. */
  *storeRelease32(addr: PhysAddr, value: number): Step<void> {
    yield* this.point(Access.storeRelease32, addr)
    store32(addr, value)
    this.wrote(addr)
  }

  *storeRelease64(addr: PhysAddr, value: bigint): Step<void> {
    yield* this.point(Access.storeRelease64, addr)
    store64(addr, value)
    this.wrote(addr)
  }

  *plainRead32(addr: PhysAddr): Step<number> {
    yield* this.point(Access.plainRead32, addr)
    return peek32(addr)
  }

  *plainRead64(addr: PhysAddr): Step<bigint> {
    yield* this.point(Access.plainRead64, addr)
    return BigInt.asUintN(64, load64(addr))
  }

  *plainWrite32(addr: PhysAddr, value: number): Step<void> {
    yield* this.point(Access.plainWrite32, addr)
    words[addr >>> 2] = value
    this.wrote(addr)
  }

  *plainWrite64(addr: PhysAddr, value: bigint): Step<void> {
    yield* this.point(Access.plainWrite64, addr)
    store64(addr, value)
    this.wrote(addr)
  }

  // ---- atomics that return a value: full barriers ---------------------------------------------------------------

  /** Stores `value`, returns what was there. */
  *xchg32(addr: PhysAddr, value: number): Step<number> {
    yield* this.point(Access.xchg32, addr)
    const old = xchg32(addr, value)
    this.wrote(addr)
    return old
  }

  *xchg64(addr: PhysAddr, value: bigint): Step<bigint> {
    yield* this.point(Access.xchg64, addr)
    const old = BigInt.asUintN(64, xchg64(addr, value))
    this.wrote(addr)
    return old
  }

  /** Stores `value` if the word is `expected`; returns what was there. A failed one orders nothing. */
  *cmpxchg32(addr: PhysAddr, expected: number, value: number): Step<number> {
    yield* this.point(Access.cmpxchg32, addr)
    const old = cmpxchg32(addr, expected, value)
    if (old === (expected | 0)) this.wrote(addr)
    return old
  }

  *cmpxchg64(addr: PhysAddr, expected: bigint, value: bigint): Step<bigint> {
    yield* this.point(Access.cmpxchg64, addr)
    const old = BigInt.asUintN(64, cmpxchg64(addr, expected, value))
    this.wrote(addr)
    return old
  }

  /** Adds; returns the new value. */
  *atomicAddReturn32(addr: PhysAddr, delta: number): Step<number> {
    yield* this.point(Access.atomicAddReturn32, addr)
    const old = add32(addr, delta)
    this.wrote(addr)
    return (old + delta) | 0
  }

  /** Adds; returns the old value. */
  *atomicFetchAdd32(addr: PhysAddr, delta: number): Step<number> {
    yield* this.point(Access.atomicFetchAdd32, addr)
    const old = add32(addr, delta)
    this.wrote(addr)
    return old
  }

  *atomicFetchAnd32(addr: PhysAddr, mask: number): Step<number> {
    yield* this.point(Access.atomicFetchAnd32, addr)
    const old = and32(addr, mask)
    this.wrote(addr)
    return old
  }

  *atomicFetchOr32(addr: PhysAddr, mask: number): Step<number> {
    yield* this.point(Access.atomicFetchOr32, addr)
    const old = or32(addr, mask)
    this.wrote(addr)
    return old
  }

  *atomicFetchXor32(addr: PhysAddr, mask: number): Step<number> {
    yield* this.point(Access.atomicFetchXor32, addr)
    const old = xor32(addr, mask)
    this.wrote(addr)
    return old
  }

  *atomicFetchAnd64(addr: PhysAddr, mask: bigint): Step<bigint> {
    yield* this.point(Access.atomicFetchAnd64, addr)
    const old = BigInt.asUintN(64, and64(addr, mask))
    this.wrote(addr)
    return old
  }

  *atomicFetchOr64(addr: PhysAddr, mask: bigint): Step<bigint> {
    yield* this.point(Access.atomicFetchOr64, addr)
    const old = BigInt.asUintN(64, or64(addr, mask))
    this.wrote(addr)
    return old
  }

  /** Adds `delta` unless the word is `unless`; true when it added (then a full barrier). */
  *atomicAddUnless32(addr: PhysAddr, delta: number, unless: number): Step<boolean> {
    yield* this.point(Access.atomicAddUnless32, addr)
    const added = addUnless32(addr, delta, unless) !== 0
    if (added) this.wrote(addr)
    return added
  }

  // ---- atomics without a result: no ordering --------------------------------------------------------------------

  *atomicAdd32(addr: PhysAddr, delta: number): Step<void> {
    yield* this.point(Access.atomicAdd32, addr)
    add32(addr, delta)
    this.wrote(addr)
  }

  *atomicAnd32(addr: PhysAddr, mask: number): Step<void> {
    yield* this.point(Access.atomicAnd32, addr)
    and32(addr, mask)
    this.wrote(addr)
  }

  *atomicOr32(addr: PhysAddr, mask: number): Step<void> {
    yield* this.point(Access.atomicOr32, addr)
    or32(addr, mask)
    this.wrote(addr)
  }

  *atomicXor32(addr: PhysAddr, mask: number): Step<void> {
    yield* this.point(Access.atomicXor32, addr)
    xor32(addr, mask)
    this.wrote(addr)
  }

  *atomicAnd64(addr: PhysAddr, mask: bigint): Step<void> {
    yield* this.point(Access.atomicAnd64, addr)
    and64(addr, mask)
    this.wrote(addr)
  }

  *atomicOr64(addr: PhysAddr, mask: bigint): Step<void> {
    yield* this.point(Access.atomicOr64, addr)
    or64(addr, mask)
    this.wrote(addr)
  }

  // ---- barriers -------------------------------------------------------------------------------------------------

  *smpMb(): Step<void> {
    yield* this.point(Access.smpMb, 0)
    this.#fence()
  }

  *smpRmb(): Step<void> {
    yield* this.point(Access.smpRmb, 0)
    this.#fence()
  }

  *smpWmb(): Step<void> {
    yield* this.point(Access.smpWmb, 0)
    this.#fence()
  }

  /** CPUs of one thread see each other's accesses in the order in which they are made. */
  #fence(): void {
    if (this.engine.threads) fence()
  }

  /**
   * A point without an access of its own, for a step that touches `addr` by other means (a user's load, a page copy).
   */
  *touch(addr: PhysAddr): Step<void> {
    yield* this.point(Access.touch, addr)
    void addr
  }

  // ---- interrupts and preemption --------------------------------------------------------------------------------

  get irqsEnabled(): boolean {
    return peek32(this.area + CPU_AREA.at.irqDepth) === 0
  }

  /** Nests. Until the matching localIrqRestore() this CPU takes no interrupt and passes no quiescent state. */
  localIrqSave(): void {
    const at = this.area + CPU_AREA.at.irqDepth
    const depth = peek32(at)
    poke32(at, depth + 1)
    if (depth === 0) this.engine.interruptsEnabled(this.id, false)
  }

  *localIrqRestore(): Step<void> {
    const at = this.area + CPU_AREA.at.irqDepth
    const depth = peek32(at) - 1
    assert(depth >= 0, 'localIrqRestore() without localIrqSave()')
    poke32(at, depth)
    if (depth !== 0) return
    this.engine.interruptsEnabled(this.id, true)
    if (this.engine.threads) yield* this.ipi.poll()
  }

  preemptDisable(): void {
    const at = this.area + CPU_AREA.at.preemptCount
    poke32(at, peek32(at) + 1)
  }

  preemptEnable(): void {
    const at = this.area + CPU_AREA.at.preemptCount
    const count = peek32(at) - 1
    assert(count >= 0, 'preemptEnable() without preemptDisable()')
    poke32(at, count)
  }

  get preemptCount(): number {
    return peek32(this.area + CPU_AREA.at.preemptCount)
  }

  /** A safe point: threads take pending interrupts here, and halt when another CPU panicked. */
  *cpuRelax(): Step<void> {
    if (!this.engine.threads) return
    this.haltOnPanic()
    if (this.irqsEnabled) yield* this.ipi.poll()
  }

  // ---- waiting --------------------------------------------------------------------------------------------------

  /**
   * Waits until `until(word, operand)` holds of the word at `addr` and returns the word. ACQUIRE: the load that ends
   * the wait comes before every later access. While it waits with interrupts on, this CPU takes them.
   *
   * Controlled, the load is made when the condition holds; until then the CPU cannot go on. As a thread it looks a few
   * times and then sleeps on its doorbell; whoever changes the word calls wakeWaiters().
   */
  *waitUntil(addr: PhysAddr, until: WaitCondition, operand: number): Step<number> {
    if (!this.engine.threads) return yield* this.#loadWhen(addr, until, operand)
    for (let looks = 0; ; looks++) {
      const seen = yield* this.loadAcquire32(addr)
      if (until(seen, operand)) return seen
      yield* this.cpuRelax()
      if (looks >= SPINS_BEFORE_SLEEP) this.#sleep(addr, until, operand)
    }
  }

  *#loadWhen(addr: PhysAddr, until: WaitCondition, operand: number): Step<number> {
    poke32(this.area + CPU_AREA.at.waitingOn, addr)
    this.engine.awaits(until, operand)
    const seen = yield* this.loadAcquire32(addr)
    poke32(this.area + CPU_AREA.at.waitingOn, 0)
    if (!until(seen, operand)) fail(`CPU ${this.id} runs alone and waits for a store to 0x${addr.toString(16)}`)
    return seen
  }

  /**
   * Waits until the word is `expected`, and stores `value` in the same step: a lock that is taken the moment it is
   * free. Full barrier.
   */
  *cmpxchgWhen32(addr: PhysAddr, expected: number, value: number): Step<void> {
    for (;;) {
      if (!this.engine.threads) this.engine.awaits(isEqual, expected)
      if ((yield* this.cmpxchg32(addr, expected, value)) === expected) return
      yield* this.waitUntil(addr, isEqual, expected)
    }
  }

  /**
   * Full barrier (A): the announcement in waitingOn and sleepers before the last look at the word. Otherwise both sides
   * could miss each other: the waiter sees the old word, the writer sees no waiter. Pairs with (B) in wakeWaiters().
   * The doorbell is read before the look at the call queue, so that a request queued after it ends the sleep at once.
   */
  #sleep(addr: PhysAddr, until: WaitCondition, operand: number): void {
    const doorbell = this.area + CPU_AREA.at.doorbell
    const rung = load32(doorbell)
    store32(this.area + CPU_AREA.at.waitingOn, addr)
    add32(this.control + CONTROL.at.sleepers, 1)
    const interrupted = this.irqsEnabled && this.ipi.pending
    if (!interrupted && !until(load32(addr), operand)) Atomics.wait(words, doorbell >>> 2, rung, SLEEP_MS)
    add32(this.control + CONTROL.at.sleepers, -1)
    store32(this.area + CPU_AREA.at.waitingOn, 0)
  }

  /** Wakes threads that sleep on the word at `addr`, after a store to it. */
  wakeWaiters(addr: PhysAddr): void {
    if (!this.engine.threads) return
    // (B): the caller's store to the word before this load of sleepers. Pairs with (A) in #sleep().
    if (load32(this.control + CONTROL.at.sleepers) === 0) return
    for (let cpu = 0; cpu < this.cpuCount; cpu++)
      if (load32(areaOf(this.#cpus, cpu) + CPU_AREA.at.waitingOn) === addr) this.ringDoorbell(cpu)
  }

  /** Rings the doorbell of `cpu`: ends its sleep, whatever it waits for. */
  ringDoorbell(cpu: number): void {
    const doorbell = areaOf(this.#cpus, cpu) + CPU_AREA.at.doorbell
    add32(doorbell, 1)
    Atomics.notify(words, doorbell >>> 2)
  }

  /** Address of the area of `cpu`. */
  areaOf(cpu: number): PhysAddr {
    return areaOf(this.#cpus, cpu)
  }

  // ---- choices and findings -------------------------------------------------------------------------------------

  /** A choice that is not the schedule (an allocation that fails, a TLB that evicts): 0 … n-1. */
  choose(n: number): number {
    return this.engine.choose(this.id, n, this.area + CPU_AREA.at.prng)
  }

  /** The machine's panic: reports a broken rule and ends the run. */
  report(oracle: string, title: string, address: number | null, details: readonly string[] = []): never {
    const stack = kernelStack(new Error().stack ?? '')
    throw new Panic({ oracle, title, cpu: this.id, address, details, stack })
  }

  /** Threads: ends this CPU's program when another CPU has panicked. */
  haltOnPanic(): void {
    if (load32(this.control + CONTROL.at.panic) !== 0) throw new Halted()
  }

  /** Ticks of the observers' clock so far; advance it with tick(). */
  get clock(): number {
    return load32(this.control + CONTROL.at.clock)
  }

  /** Advances the observers' clock; returns the new time. */
  tick(): number {
    const at = this.control + CONTROL.at.clock
    const now = add32(at, 1) + 1
    image.note(at)
    return now
  }
}

function areaOf(cpus: PhysAddr, cpu: number): PhysAddr {
  return phys(cpus + cpu * CPU_AREA.size)
}
