/** get_user_pages, and writes through what it returned. */
import { phys } from '../../base/units.js'
import { FOLL_FAST_ONLY, FOLL_FORCE, FOLL_GET, FOLL_PIN, FOLL_WRITE } from '../../mm/gupFast.js'
import { PG_DIRTY } from '../../mm/page.js'
import { flag, optional, value, whole } from '../fields.js'
import { operation } from '../operation.js'
import { addr, expect, pages, reg } from './arguments.js'

const EFAULT = 14

const force = flag('FOLL_FORCE')
const pin = flag('FOLL_PIN instead of FOLL_GET')
const hold = flag('The references are kept until unpin')

export const GUP = {
  gup: operation({
    summary: 'get_user_pages_fast(): takes `pages` pages and gives them back, or keeps them until unpin.',
    fields: { addr, pages, write: flag('FOLL_WRITE'), force, pin, fastOnly: flag('FOLL_FAST_ONLY'), hold },
    sizes: ['pages'],
    *run(task, op) {
      const flags =
        (op.pin === true ? FOLL_PIN : FOLL_GET) |
        (op.write === true ? FOLL_WRITE : 0) |
        (op.force === true ? FOLL_FORCE : 0) |
        (op.fastOnly === true ? FOLL_FAST_ONLY : 0)
      const got = yield* task.k.gupFast.getUserPagesFast(task.pick(op.addr), op.pages, flags, task.pages)
      for (let i = 0; i < got; i++) {
        if (op.hold === true && task.hold(task.pages[i] as number, flags)) continue
        yield* task.k.gup.release(task.pages[i] as number, flags)
      }
      return got
    },
  }),
  unpin: operation({
    summary: 'Gives back all pages that this CPU holds.',
    fields: {},
    *run(task) {
      return yield* task.releaseAll()
    },
  }),
  gupWrite: operation({
    summary: 'Writes a word through a page that get_user_pages returned, as a device or ptrace does.',
    fields: { addr, value: value('Written value'), force, pin, hold },
    *run(task, op) {
      const { k, cpu, mm } = task
      const addr = task.pick(op.addr)
      const flags = (op.pin === true ? FOLL_PIN : FOLL_GET) | FOLL_WRITE | (op.force === true ? FOLL_FORCE : 0)
      const page = k.geo.pageAlignDown(addr)
      k.observer.deviceAsks(cpu)
      const got =
        op.force === true
          ? yield* k.gup.getUserPages(mm, page, 1, flags, task.pages, 0)
          : yield* k.gupFast.getUserPagesFast(page, 1, flags, task.pages)
      if (got !== 1) return got
      const pfn = task.pages[0] as number
      const offset = (addr - page) & (k.memmap.frameBytes - 1)
      const value = task.litmus.value(op.value)
      k.observer.deviceWrites(cpu, mm, addr, pfn, op.pin === true)
      yield* cpu.writeOnce32(phys(k.memmap.frame(pfn) + offset), value)
      k.observer.kernelAccessed(cpu, pfn, true)
      k.observer.privateWrite(cpu, mm, addr, pfn, op.pin === true, value)
      // As unpin_user_pages_dirty_lock(): before the reference goes. Reclaim drops what is clean.
      yield* k.folios.setFlag(yield* k.folios.compoundHead(k.memmap.page(pfn)), PG_DIRTY)
      if (op.hold !== true || !task.hold(pfn, flags)) yield* k.gup.release(pfn, flags)
      return 0
    },
  }),
  gupRead: operation({
    summary: 'Reads a word through a page that this CPU holds, as a device does: whatever is mapped by now.',
    fields: {
      held: optional(whole('Which of the held pages, from 0 in the order in which they were taken; 0 unless given', 0)),
      offset: optional(whole('Bytes into the page, a multiple of 4; 0 unless given', 0)),
      reg: optional(reg),
      expect,
    },
    *run(task, op) {
      const { k, cpu } = task
      const pfn = task.heldPage(op.held ?? 0)
      if (pfn < 0) return -EFAULT
      const offset = (op.offset ?? 0) & (k.memmap.frameBytes - 4)
      const found = yield* cpu.readOnce32(phys(k.memmap.frame(pfn) + offset))
      k.observer.kernelAccessed(cpu, pfn, false)
      if (op.reg !== undefined) task.litmus.setRegister(op.reg, found)
      return found
    },
  }),
}
