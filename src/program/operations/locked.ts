/** Locked, sealed and labelled memory: system calls that change what a mapping is, not which pages it has. */
import type { VirtAddr } from '../../base/units.js'
import { flag, whole } from '../fields.js'
import { operation } from '../operation.js'
import { addr, expect, len } from './arguments.js'

export const LOCKED = {
  mlock: operation({
    summary: 'mlock(): locks pages in memory and faults them in; with `onFault` (mlock2) when they are touched.',
    fields: { addr, len, onFault: flag('MLOCK_ONFAULT'), expect },
    sizes: ['len'],
    *run(task, op) {
      return yield* task.k.mmap.mlock.doMlock(task.mm, task.pick(op.addr), op.len, op.onFault === true)
    },
  }),
  munlock: operation({
    summary: 'munlock().',
    fields: { addr, len, expect },
    sizes: ['len'],
    *run(task, op) {
      return yield* task.k.mmap.mlock.doMunlock(task.mm, task.pick(op.addr), op.len)
    },
  }),
  mlockall: operation({
    summary: 'mlockall(): locks the whole address space, or what is mapped from now on.',
    fields: { flags: whole('MCL_ bits: 1 current, 2 future, 4 on fault', 0), expect },
    *run(task, op) {
      return yield* task.k.mmap.mlock.sysMlockall(task.mm, op.flags)
    },
  }),
  munlockall: operation({
    summary: 'munlockall().',
    fields: { expect },
    *run(task) {
      return yield* task.k.mmap.mlock.sysMunlockall(task.mm)
    },
  }),
  mseal: operation({
    summary: 'mseal(): from now on nothing changes or removes these mappings.',
    fields: { addr, len, flags: whole('None are defined', 0), expect },
    sizes: ['len'],
    *run(task, op) {
      return yield* task.k.mseal.doMseal(task.mm, task.pick(op.addr), op.len, op.flags)
    },
  }),
  setLabel: operation({
    summary:
      'Gives mappings a label, which keeps them apart from neighbours that have another one: what a memory policy ' +
      '(mbind), a name (PR_SET_VMA) or a protection key does.',
    fields: { addr, len, label: whole('The label; 0: none', 0), expect },
    sizes: ['len'],
    *run(task, op) {
      return yield* task.k.madvise.setLabel(task.mm, task.pick(op.addr), op.len, op.label)
    },
  }),
  insertVma: operation({
    summary: 'insert_vm_struct(): a mapping that execve or fork made, with its VM_ flags; it merges with none.',
    fields: {
      addr: whole('Address in bytes'),
      len,
      vmFlags: whole('VM_ bits'),
      label: whole('As setLabel', 0),
      file: whole('Index of a file of the scenario, -1: anonymous memory', -1),
      offset: whole('Bytes into the file', 0),
    },
    sizes: ['len'],
    *run(task, op) {
      const file = task.file(op.file < 0 ? undefined : op.file)
      const pgoff = (op.file < 0 ? op.addr : op.offset) / task.k.geo.pageSize
      const flags = { flags: op.vmFlags, label: op.label }
      return yield* task.k.mmap.insertVmStruct(task.mm, op.addr as VirtAddr, op.len, flags, file, pgoff)
    },
  }),
}
