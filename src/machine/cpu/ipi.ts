/**
 * Inter-processor interrupts: kernel/smp.c's call-single queues.
 *
 * Each (source, target) pair of CPUs owns one request (csd). A sender locks it, fills it and pushes it on the target's
 * queue; the target takes the whole queue in its interrupt, runs the functions in order, and releases each request:
 * after the function when the sender waits for it, before it when nobody does.
 *
 * Source: kernel/smp.c (v6.12). Left out: irq-work and wake-up entries of the same queue, and multicast (every target
 * gets its own interrupt), neither of which changes who may still be inside an IRQ-off section when a wait returns.
 */
import { assert } from '../../base/assert.js'
import { phys, type PhysAddr } from '../../base/units.js'
import { isZero, type Step } from '../engine/engine.js'
import { load32, peek32, poke32 } from '../image/image.js'
import { hardware } from '../image/guard.js'
import type { Layout } from '../image/layout.js'
import { struct } from '../image/struct.js'
import { CPU_AREA } from './area.js'
import type { Cpu } from './cpu.js'

export const CSD = struct('csd', 64, {
  lock: [0, 4, hardware], // 1 from the sender's claim to the target's release
  func: [4, 4, hardware], // index of the handler
  info: [8, 4, hardware], // its argument: an address or a number
  next: [12, 4, hardware], // next request in the queue
  sync: [16, 4, hardware], // 1: the sender waits
  from: [20, 4, hardware], // CPU number of the sender
})

/** A function that runs in the interrupt, with IRQs off. It must not wait. */
export interface IpiHandler {
  ipi(info: number): Step<void>
}

/** Which of the CPUs in a mask are to be interrupted, smp_cond_func_t; asked by the sender. */
export interface IpiCondition {
  tlbIsNotLazy(target: number): Step<boolean>
}

/** What surrounds every interrupt: RCU must watch a CPU that was idle, and has work for the way out. */
export interface InterruptGuard {
  /** First thing in the interrupt, IRQs off. True when the CPU was idle. */
  irqEnter(): Step<boolean>
  /** After the handlers, IRQs on again: softirq time. `wasIdle` is what irqEnter() said. */
  irqExit(wasIdle: boolean): Step<void>
}

export function placeIpiRegions(layout: Layout, cpuCount: number): PhysAddr {
  return layout.add('csd', CSD, cpuCount * cpuCount)
}

export class Ipi {
  readonly #cpu: Cpu
  readonly #csds: PhysAddr
  readonly #queue: PhysAddr
  readonly #handlers: IpiHandler[] = []
  #guard: InterruptGuard | null = null

  constructor(cpu: Cpu, csdBase: PhysAddr) {
    this.#cpu = cpu
    this.#csds = phys(csdBase + cpu.id * cpu.cpuCount * CSD.size)
    this.#queue = phys(cpu.area + CPU_AREA.at.callQueue)
  }

  /** Registers a handler; every CPU registers the same ones in the same order, so that the number means the same. */
  register(handler: IpiHandler): number {
    return this.#handlers.push(handler) - 1
  }

  /** Sets what surrounds every interrupt of this CPU, at boot. */
  set guard(guard: InterruptGuard) {
    this.#guard = guard
  }

  /** True when a request waits in this CPU's queue. */
  get pending(): boolean {
    return load32(this.#queue) !== 0
  }

  /**
   * Runs handler `func` with `info` on every other CPU whose bit is set in the 64-bit mask at `maskAddr` (0: on all
   * others), and for which `condition` holds, smp_call_function_many_cond(). With `wait`, returns when all of them have
   * run it: everything before the call is visible to them, and everything they did before their interrupt is visible to
   * the caller. Caller: IRQs on when it waits, never from an interrupt.
   */
  *callMany(
    maskAddr: PhysAddr,
    func: number,
    info: number,
    wait: boolean,
    condition: IpiCondition | null = null,
  ): Step<void> {
    const cpu = this.#cpu
    if (wait && !cpu.irqsEnabled) this.#waitWithIrqsOff()
    cpu.preemptDisable()
    let [sentLow, sentHigh, mask] = [0, 0, -1]
    for (let target = 0; target < cpu.cpuCount; target++) {
      if (maskAddr !== 0 && (target & 31) === 0) mask = yield* cpu.readOnce32(phys(maskAddr + (target >>> 5) * 4))
      if (target === cpu.id || !inMask(mask, target)) continue
      if (condition !== null && !(yield* condition.tlbIsNotLazy(target))) continue
      yield* this.#queueRequest(target, func, info, wait)
      if (target < 32) sentLow |= 1 << target
      else sentHigh |= 1 << (target & 31)
    }
    for (let target = 0; wait && target < cpu.cpuCount; target++) {
      if (!inMask(target < 32 ? sentLow : sentHigh, target)) continue
      // ACQUIRE: pairs with the release of the request in handle().
      yield* cpu.waitUntil(this.#lockOf(target), isZero, 0)
    }
    cpu.preemptEnable()
  }

  /**
   * Runs handler `func` on `target` some time, smp_call_function_single_async(): false, and nothing sent, when an
   * earlier request to that CPU is still on its way. Never waits. Caller: not in an interrupt.
   */
  *callAsync(target: number, func: number, info: number): Step<boolean> {
    const cpu = this.#cpu
    cpu.preemptDisable()
    const free = (yield* cpu.loadAcquire32(this.#lockOf(target))) === 0
    if (free) yield* this.#queueRequest(target, func, info, false)
    cpu.preemptEnable()
    return free
  }

  /** Here only. Takes pending requests, if any. Caller: IRQs on. */
  *poll(): Step<void> {
    if (load32(this.#queue) !== 0) yield* this.handle()
  }

  /** The interrupt: runs all queued requests with IRQs off. */
  *handle(): Step<void> {
    const cpu = this.#cpu
    assert(cpu.irqsEnabled, 'an interrupt is taken only with IRQs on')
    this.#enter()
    cpu.engine.interruptPending(cpu.id, false)
    const guard = this.#guard
    const wasIdle = guard !== null && (yield* guard.irqEnter())
    // Full barrier: takes the queue before the requests' fields are read. Pairs with the push in #queueRequest().
    let csd = inOrder(yield* cpu.xchg32(this.#queue, 0))
    while (csd !== 0) {
      const next = peek32(csd + CSD.at.next)
      yield* this.#run(csd)
      csd = next
    }
    yield* this.#leave()
    if (guard !== null) yield* guard.irqExit(wasIdle)
  }

  *#run(csd: number): Step<void> {
    const cpu = this.#cpu
    const handler = this.#handlers[peek32(csd + CSD.at.func)]
    const info = peek32(csd + CSD.at.info)
    const lock = phys(csd + CSD.at.lock)
    assert(handler !== undefined, 'the handler of an IPI is registered on every CPU')
    if (peek32(csd + CSD.at.sync) === 0) {
      yield* cpu.storeRelease32(lock, 0)
      cpu.wakeWaiters(lock)
      yield* handler.ipi(info)
      return
    }
    yield* handler.ipi(info)
    // RELEASE: the function's effects before the sender's wait ends. Pairs with the ACQUIRE in callMany().
    yield* cpu.storeRelease32(lock, 0)
    cpu.wakeWaiters(lock)
  }

  *#queueRequest(target: number, func: number, info: number, wait: boolean): Step<void> {
    const cpu = this.#cpu
    const lock = this.#lockOf(target)
    const csd = lock - CSD.at.lock
    // ACQUIRE: an earlier use of the request is over before it is filled again.
    yield* cpu.waitUntil(lock, isZero, 0)
    yield* cpu.writeOnce32(lock, 1)
    poke32(csd + CSD.at.func, func)
    poke32(csd + CSD.at.info, info)
    poke32(csd + CSD.at.sync, wait ? 1 : 0)
    poke32(csd + CSD.at.from, cpu.id)
    const queue = phys(cpu.areaOf(target) + CPU_AREA.at.callQueue)
    for (;;) {
      const head = yield* cpu.readOnce32(queue)
      poke32(csd + CSD.at.next, head)
      // Full barrier: the request's fields before it can be found. Pairs with the exchange in handle().
      if ((yield* cpu.cmpxchg32(queue, head, csd)) === head) break
    }
    cpu.engine.interruptPending(target, true)
    if (cpu.engine.threads) cpu.ringDoorbell(target)
  }

  #lockOf(target: number): PhysAddr {
    return phys(this.#csds + target * CSD.size + CSD.at.lock)
  }

  #enter(): void {
    this.#cpu.localIrqSave()
    const at = this.#cpu.area + CPU_AREA.at.inIrq
    poke32(at, peek32(at) + 1)
  }

  *#leave(): Step<void> {
    const at = this.#cpu.area + CPU_AREA.at.inIrq
    poke32(at, peek32(at) - 1)
    yield* this.#cpu.localIrqRestore()
  }

  #waitWithIrqsOff(): never {
    const cpu = this.#cpu
    return cpu.report('ipi-wait-irqs-off', `BUG: CPU ${cpu.id} waits for an IPI with IRQs off`, this.#queue, [
      'A CPU that waits for this one in the same way never gets its answer: both are stuck (WARN in smp_call_function_many).',
    ])
  }
}

const inMask = (word: number, target: number): boolean => ((word >>> (target & 31)) & 1) === 1

/** Reverses the queue, which is last in first out, into the order of sending; the requests are ours alone by now. */
function inOrder(newest: number): number {
  let oldest = 0
  for (let csd = newest; csd !== 0;) {
    const next = peek32(csd + CSD.at.next)
    poke32(csd + CSD.at.next, oldest)
    oldest = csd
    csd = next
  }
  return oldest
}
