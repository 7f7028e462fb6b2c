/** Processes: which address space a CPU has, and what a kernel thread or the hardware does with it. */
import { phys } from '../../base/units.js'
import { isNonZero } from '../../machine/engine/engine.js'
import { flag } from '../fields.js'
import { operation } from '../operation.js'
import { addr, slot } from './arguments.js'

const ENOMEM = 12

export const PROCESS = {
  fork: operation({
    summary: "fork(): the child's address space goes to `slot`, where adopt or reap finds it.",
    fields: { slot },
    *run(task, op) {
      const slot = task.slot(op.slot)
      const child = yield* task.k.fork.dupMm(task.mm)
      if (child === 0) return -ENOMEM
      yield* task.cpu.storeRelease32(slot, child)
      task.cpu.wakeWaiters(slot)
      return 0
    },
  }),
  adopt: operation({
    summary: "Waits for the address space in `slot`, makes it this CPU's, and empties the slot.",
    fields: { slot },
    waits: true,
    *run(task, op) {
      const slot = task.slot(op.slot)
      yield* task.sleepUntil(slot, isNonZero, 0)
      const child = phys(yield* task.cpu.xchg32(slot, 0))
      return child === 0 ? 0 : yield* task.enter(child)
    },
  }),
  reap: operation({
    summary: 'Ends the process in `slot`, if there is one.',
    fields: { slot },
    *run(task, op) {
      const child = phys(yield* task.cpu.xchg32(task.slot(op.slot), 0))
      if (child !== 0) yield* task.k.mms.mmput(child)
      return 0
    },
  }),
  exec: operation({
    summary: 'Leaves the current process for an empty one, as exit and execve do.',
    fields: {},
    *run(task) {
      return yield* task.enter(yield* task.k.mms.mmAlloc())
    },
  }),
  exit: operation({
    summary: 'Leaves the process.',
    fields: { lazy: flag('A kernel thread comes next and borrows its address space, alive or dead, as enterLazyTlb') },
    *run(task, op) {
      if (op.lazy !== true) return yield* task.enter(phys(0))
      // exit_mm() borrows before it gives up, so that the loaded tables stay while they are taken apart.
      const previous = task.mm
      yield* task.k.mms.borrowMm()
      if (previous !== 0) yield* task.k.mms.mmput(previous)
      return 0
    },
  }),
  reschedule: operation({
    summary: 'Switches to the idle task, which has no address space and for which RCU does not wait, and back.',
    fields: {},
    *run({ k, mm }) {
      yield* k.mms.contextSwitch(phys(0))
      yield* k.rcu.ctKernelExit()
      yield* k.rcu.ctKernelEnter()
      yield* k.mms.contextSwitch(mm)
      return 0
    },
  }),
  enterLazyTlb: operation({
    summary:
      "A kernel thread takes the CPU over, and the process's tables stay loaded: no user accesses until leaveLazyTlb.",
    fields: {},
    *run({ k }) {
      yield* k.mms.borrowMm()
      return 0
    },
  }),
  leaveLazyTlb: operation({
    summary: 'The process whose tables a kernel thread left loaded is back.',
    fields: {},
    *run({ k }) {
      yield* k.mms.contextSwitch(k.mms.activeMm())
      return 0
    },
  }),
  speculate: operation({
    summary: 'The hardware walks to `addr` by the tables that are loaded, without being asked, whoever runs.',
    fields: { addr },
    *run(task, op) {
      return yield* task.k.mmu.speculate(task.pick(op.addr))
    },
  }),
}
