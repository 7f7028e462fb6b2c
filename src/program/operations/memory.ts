/** Memory of the current process: system calls, and accesses of its user. */
import { named, optional, value, whole } from '../fields.js'
import type { VirtAddr } from '../../base/units.js'
import { ADVICE, type Advice } from '../flags.js'
import { operation } from '../operation.js'
import { EINVAL } from '../../mm/mmStruct.js'
import { addr, expect, file, len, pages, pagesOrOne, prot, reg } from './arguments.js'

const at = whole('Address in bytes')

export const MEMORY = {
  mmap: operation({
    summary: 'mmap(): maps anonymous memory, or a file.',
    fields: {
      addr: at,
      len,
      prot,
      flags: whole('MAP_ bits: 1 shared, 2 private, 0x10 fixed, 0x20 anonymous, …', 0),
      file: optional(file),
      offset: optional(whole('Bytes into the file; 0 unless given', 0)),
      reg: optional(reg),
      expect,
    },
    sizes: ['len'],
    *run(task, op) {
      const offset = (op.offset ?? 0) / task.k.geo.pageSize
      if (!Number.isInteger(offset)) return -EINVAL
      const where = op.addr as VirtAddr
      const file = task.file(op.file)
      const mapped = yield* task.k.mmap.vmMmapPgoff(task.mm, where, op.len, op.prot, op.flags, file, offset)
      if (op.reg !== undefined) task.litmus.setRegister(op.reg, mapped)
      return mapped
    },
  }),
  munmap: operation({
    summary: 'munmap().',
    fields: { addr, len, expect },
    sizes: ['len'],
    *run(task, op) {
      return yield* task.k.mmap.vmMunmap(task.mm, task.pick(op.addr), op.len)
    },
  }),
  mprotect: operation({
    summary: 'mprotect().',
    fields: { addr, len, prot, expect },
    sizes: ['len'],
    *run(task, op) {
      return yield* task.k.mprotect.doMprotectPkey(task.mm, task.pick(op.addr), op.len, op.prot)
    },
  }),
  madvise: operation({
    summary: 'madvise().',
    fields: { addr, len, advice: named('MADV_ value by name', Object.keys(ADVICE) as Advice[]), expect },
    sizes: ['len'],
    *run(task, op) {
      return yield* task.k.madvise.doMadvise(task.mm, task.pick(op.addr), op.len, ADVICE[op.advice])
    },
  }),
  mremap: operation({
    summary: 'mremap().',
    fields: {
      addr: at,
      oldLen: whole('Bytes before', 0),
      newLen: whole('Bytes after', 0),
      flags: whole('MREMAP_ bits: 1 may move, 2 fixed, 4 do not unmap', 0),
      newAddr: whole('Address in bytes to move to, if fixed'),
      expect,
    },
    sizes: ['oldLen', 'newLen'],
    *run(task, op) {
      const [from, to] = [op.addr as VirtAddr, op.newAddr as VirtAddr]
      return yield* task.k.mremap.doMremap(task.mm, from, op.oldLen, op.newLen, op.flags, to)
    },
  }),
  brk: operation({
    summary: 'brk(): moves the end of the heap.',
    fields: { addr: at, expect },
    *run(task, op) {
      return yield* task.k.brk.sysBrk(task.mm, op.addr as VirtAddr)
    },
  }),
  load: operation({
    summary: "A user's load of one word at each of `pages` pages; the register gets the last one.",
    fields: { addr, pages: pagesOrOne, reg: optional(reg), expect },
    sizes: ['pages'],
    *run(task, op) {
      const result = yield* task.loadPages(task.pick(op.addr), op.pages ?? 1)
      if (op.reg !== undefined) task.litmus.setRegister(op.reg, result)
      return result
    },
  }),
  store: operation({
    summary: "A user's store of one word at each of `pages` pages.",
    fields: { addr, pages: pagesOrOne, value: optional(value('Stored value; 1 unless given')), expect },
    sizes: ['pages'],
    *run(task, op) {
      const first = task.pick(op.addr)
      const count = op.pages ?? 1
      const value = task.litmus.value(op.value ?? 1)
      for (let i = 0; i < count; i++) {
        const result = yield* task.userStore((first + i * task.k.geo.pageSize) as VirtAddr, value)
        if (result < 0) return result
      }
      return 0
    },
  }),
  kernelRead: operation({
    summary:
      'The kernel reads a word at each of `pages` pages for its user, as strnlen_user(); interrupts come in between.',
    fields: { addr, pages, expect },
    *run(task, op) {
      const first = task.pick(op.addr)
      yield* task.k.mmu.userAccessBegin()
      const result = yield* task.loadPages(first, op.pages)
      yield* task.k.mmu.userAccessEnd()
      return result
    },
  }),
}
