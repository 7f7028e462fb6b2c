/** Shared memory: system calls about which part of it is mapped where. */
import { whole } from '../fields.js'
import { operation } from '../operation.js'
import { addr, expect, file, len } from './arguments.js'

export const SHARED = {
  remapFilePages: operation({
    summary: 'remap_file_pages(): another part of the file at an address of a shared mapping.',
    fields: {
      addr,
      len,
      prot: whole('0', 0),
      page: whole('Page of the file', 0),
      flags: whole('MAP_ bits', 0),
      expect,
    },
    sizes: ['len'],
    *run(task, op) {
      const from = task.pick(op.addr)
      return yield* task.k.remapFilePages.sysRemapFilePages(task.mm, from, op.len, op.prot, op.page, op.flags)
    },
  }),
  shmat: operation({
    summary: 'shmat(): attaches a segment of SysV shared memory.',
    fields: {
      addr: whole('Address in bytes; 0: of the kernel’s choice', 0),
      file,
      flags: whole('SHM_ bits', 0),
      expect,
    },
    *run(task, op) {
      return yield* task.k.shm.doShmat(task.mm, task.file(op.file), op.addr, op.flags)
    },
  }),
  shmdt: operation({
    summary: 'shmdt(): detaches the segment that was attached at `addr`.',
    fields: { addr, expect },
    *run(task, op) {
      return yield* task.k.shm.ksysShmdt(task.mm, task.pick(op.addr))
    },
  }),
}
