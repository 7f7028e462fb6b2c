/**
 * Circular doubly linked lists, linked through nodes inside the structures that are listed.
 *
 * Source: include/linux/list.h and lib/list_debug.c (v6.12, CONFIG_DEBUG_LIST). A lock of the user's guards a list, so
 * the accesses are plain; the checks are those by which the kernel notices that the lock was missing.
 *
 * Left out: RCU-safe variants. What needs them here is not a list.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Step } from '../machine/engine/engine.js'
import { poke32 } from '../machine/image/guarded.js'

// ---- the words ----------------------------------------------------------------------------------------------------
//
//   node + 0   next   address of the next node; of the node itself in an empty list
//   node + 4   prev   address of the previous node
//
// A node that was taken off holds the poison values, which are inside the guard page: following them is caught.

const PREV = 4

export const LIST_POISON1 = 0x100
export const LIST_POISON2 = 0x122

// ---- init ---------------------------------------------------------------------------------------------------------

/** INIT_LIST_HEAD(): an empty list, or a node on no list. Caller: nobody else can reach it yet. */
export function initListHead(list: PhysAddr): void {
  poke32(list, list)
  poke32(list + PREV, list)
}

// ---- lists --------------------------------------------------------------------------------------------------------

/** list_add(): adds `node` behind the head: first. */
export function* listAdd(cpu: Cpu, node: PhysAddr, head: PhysAddr): Step<void> {
  yield* insert(cpu, node, head, yield* listNext(cpu, head))
}

/** list_add_tail(): adds `node` before the head: last. */
export function* listAddTail(cpu: Cpu, node: PhysAddr, head: PhysAddr): Step<void> {
  yield* insert(cpu, node, yield* listPrev(cpu, head), head)
}

/** list_del(): takes `node` off its list and poisons it. */
export function* listDel(cpu: Cpu, node: PhysAddr): Step<void> {
  yield* unlink(cpu, node)
  yield* cpu.plainWrite32(node, LIST_POISON1)
  yield* cpu.plainWrite32(prevOf(node), LIST_POISON2)
}

/** list_del_init(): takes `node` off its list; afterwards it is a node on no list, and listEmpty() of it is true. */
export function* listDelInit(cpu: Cpu, node: PhysAddr): Step<void> {
  yield* unlink(cpu, node)
  yield* cpu.plainWrite32(node, node)
  yield* cpu.plainWrite32(prevOf(node), node)
}

/** list_empty(): true of a head without nodes, and of a node on no list. */
export function* listEmpty(cpu: Cpu, head: PhysAddr): Step<boolean> {
  return (yield* cpu.plainRead32(head)) === head
}

/** `for (let node = yield* listNext(cpu, head); node !== head; node = yield* listNext(cpu, node))` */
export function* listNext(cpu: Cpu, node: PhysAddr): Step<PhysAddr> {
  return phys(yield* cpu.plainRead32(node))
}

/** As listNext(), the other way. */
export function* listPrev(cpu: Cpu, node: PhysAddr): Step<PhysAddr> {
  return phys(yield* cpu.plainRead32(prevOf(node)))
}

/** Part of list_add() and list_add_tail(): __list_add(), with the checks of __list_add_valid_or_report(). */
function* insert(cpu: Cpu, node: PhysAddr, prev: PhysAddr, next: PhysAddr): Step<void> {
  const back = yield* cpu.plainRead32(prevOf(next))
  if (back !== prev) reportLink(cpu, 'list_add', next, 'next->prev', prev, back)
  const forth = yield* cpu.plainRead32(prev)
  if (forth !== next) reportLink(cpu, 'list_add', prev, 'prev->next', next, forth)
  if (node === prev || node === next) reportDouble(cpu, node)
  yield* cpu.plainWrite32(prevOf(next), node)
  yield* cpu.plainWrite32(node, next)
  yield* cpu.plainWrite32(prevOf(node), prev)
  yield* cpu.plainWrite32(prev, node)
}

/** Part of list_del(): __list_del_entry(), with the checks of __list_del_entry_valid_or_report(). */
function* unlink(cpu: Cpu, node: PhysAddr): Step<void> {
  const next = yield* listNext(cpu, node)
  const prev = yield* listPrev(cpu, node)
  if (next === LIST_POISON1 || prev === LIST_POISON2) reportPoison(cpu, node, next === LIST_POISON1)
  if (next === 0 || prev === 0) reportNull(cpu, node, next === 0)
  const forth = yield* cpu.plainRead32(prev)
  if (forth !== node) reportLink(cpu, 'list_del', prev, 'prev->next', node, forth)
  const back = yield* cpu.plainRead32(prevOf(next))
  if (back !== node) reportLink(cpu, 'list_del', next, 'next->prev', node, back)
  yield* cpu.plainWrite32(prevOf(next), prev)
  yield* cpu.plainWrite32(prev, next)
}

const prevOf = (node: number): PhysAddr => phys(node + PREV)

// ---- assertions ---------------------------------------------------------------------------------------------------

const hex = (address: number): string => `0x${(address >>> 0).toString(16)}`

function reportLink(cpu: Cpu, call: string, at: number, link: string, expected: number, found: number): never {
  const title = `${call} corruption. ${link} should be ${hex(expected)}, but was ${hex(found)}`
  return cpu.report('list-corruption', title, at, ['The list was changed without its lock, or the node reused.'])
}

function reportDouble(cpu: Cpu, node: number): never {
  return cpu.report('list-corruption', `list_add double add: ${hex(node)} is next to where it is added`, node)
}

function reportPoison(cpu: Cpu, node: number, next: boolean): never {
  const link = next ? 'next is LIST_POISON1' : 'prev is LIST_POISON2'
  return cpu.report('list-corruption', `list_del corruption, ${hex(node)}->${link}`, node, [
    'The node was taken off its list before.',
  ])
}

function reportNull(cpu: Cpu, node: number, next: boolean): never {
  const link = next ? 'next' : 'prev'
  return cpu.report('list-corruption', `list_del corruption, ${hex(node)}->${link} is NULL`, node)
}
