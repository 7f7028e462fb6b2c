/**
 * The memory image: one WebAssembly.Memory shared by all CPUs, and the raw access to it.
 *
 * A thread has one image attached at a time; the functions below are module-level bindings, because a call through them
 * is what V8 inlines best. Kernel code does not use them directly: it goes through Cpu (machine/cpu/cpu.ts), whose
 * accesses are schedule points. peek and poke are for words that nobody else can be racing on (private to a CPU, or
 * behind a lock) and for oracles; they are no schedule points.
 *
 * Controlled runs execute thousands of times a second from one snapshot, so every store notes the 32-byte block it hit
 * and restore() copies back only those.
 */
import { assert } from '../../base/assert.js'
import { instantiate, WASM_PAGE_BYTES, WASM_PAGES_MAX, type MemoryInstructions } from '../atomics/module.js'

export let load32: MemoryInstructions['load32']
export let load64: MemoryInstructions['load64']
export let store32: MemoryInstructions['store32']
export let store64: MemoryInstructions['store64']
export let add32: MemoryInstructions['add32']
export let and32: MemoryInstructions['and32']
export let or32: MemoryInstructions['or32']
export let xor32: MemoryInstructions['xor32']
export let xchg32: MemoryInstructions['xchg32']
export let cmpxchg32: MemoryInstructions['cmpxchg32']
export let addUnless32: MemoryInstructions['addUnless32']
export let and64: MemoryInstructions['and64']
export let or64: MemoryInstructions['or64']
export let xchg64: MemoryInstructions['xchg64']
export let cmpxchg64: MemoryInstructions['cmpxchg64']
export let fence: MemoryInstructions['fence']
let fill: MemoryInstructions['fill']
let copy: MemoryInstructions['copy']

/** Views for plain access; `words` also serves Atomics.wait and Atomics.notify. */
export let words: Int32Array
let longs: BigUint64Array
let doubles: Float64Array

let attached: WebAssembly.Memory | null = null

/** A shared memory of at least `bytes` bytes. The OS commits pages only when they are touched. */
export function createMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  assert(pages <= WASM_PAGES_MAX, 'an image is at most 4 GiB')
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
}

/** Makes `memory` the image that this thread's accesses go to. */
export function attach(memory: WebAssembly.Memory): void {
  if (memory === attached) return
  const i = instantiate(memory)
  ;({ load32, load64, store32, store64, add32, and32, or32, xor32, xchg32, cmpxchg32, addUnless32 } = i)
  ;({ and64, or64, xchg64, cmpxchg64, fence, fill, copy } = i)
  words = new Int32Array(memory.buffer)
  longs = new BigUint64Array(memory.buffer)
  doubles = new Float64Array(memory.buffer)
  attached = memory
  tracking = false
}

// ---- plain access, no schedule points ---------------------------------------------------------------------------

export function peek32(addr: number): number {
  return words[addr >>> 2] ?? outside()
}

/** Ends an access beyond the memory as the instructions of the module end it. */
function outside(): never {
  throw new WebAssembly.RuntimeError('memory access out of bounds')
}

export function poke32(addr: number, value: number): void {
  words[addr >>> 2] = value
  if (tracking) note(addr)
}

export function peek64(addr: number): bigint {
  return longs[addr >>> 3] ?? outside()
}

export function poke64(addr: number, value: bigint): void {
  longs[addr >>> 3] = value
  if (tracking) note(addr)
}

/** Virtual addresses and other numbers above 32 bits, in fields that a lock guards, are stored as doubles. */
export function peekF64(addr: number): number {
  return doubles[addr >>> 3] ?? outside()
}

export function pokeF64(addr: number, value: number): void {
  doubles[addr >>> 3] = value
  if (tracking) note(addr)
}

/** Fills `bytes` bytes from `addr`, both multiples of 4, with the byte `value`. */
export function fillBytes(addr: number, value: number, bytes: number): void {
  fill(addr, value, bytes)
  if (tracking) noteRange(addr, bytes)
}

/** Copies `bytes` bytes; the ranges do not overlap. */
export function copyBytes(to: number, from: number, bytes: number): void {
  copy(to, from, bytes)
  if (tracking) noteRange(to, bytes)
}

// ---- snapshot and restore ---------------------------------------------------------------------------------------

const BLOCK_SHIFT = 5
const BLOCK_WORDS = (1 << BLOCK_SHIFT) / 4

let tracking = false
let snapshotWords = new Int32Array(0)
let dirty = new Uint8Array(0)
let dirtyBlocks = new Int32Array(0)
let dirtyCount = 0

/** Remembers the first `bytes` bytes as the state that restore() brings back, and starts to note stores. */
export function snapshot(bytes: number): void {
  snapshotWords = words.slice(0, bytes >>> 2)
  const blocks = (bytes >>> BLOCK_SHIFT) + 1
  dirty = new Uint8Array(blocks)
  dirtyBlocks = new Int32Array(blocks)
  dirtyCount = 0
  tracking = true
}

/** Undoes every store since snapshot() or the last restore(). Costs 8 loads and stores a dirty block. */
export function restore(): void {
  for (let i = 0; i < dirtyCount; i++) {
    const block = dirtyBlocks[i] as number
    dirty[block] = 0
    const first = block * BLOCK_WORDS
    for (let word = first; word < first + BLOCK_WORDS; word++) words[word] = snapshotWords[word] as number
  }
  dirtyCount = 0
}

/** Notes a store of at most 8 aligned bytes at `addr`. */
export function note(addr: number): void {
  const block = addr >>> BLOCK_SHIFT
  if (dirty[block] !== 0) return
  dirty[block] = 1
  dirtyBlocks[dirtyCount++] = block
}

function noteRange(addr: number, bytes: number): void {
  for (let at = addr; at < addr + bytes; at += 1 << BLOCK_SHIFT) note(at)
  if (bytes > 0) note(addr + bytes - 1)
}
