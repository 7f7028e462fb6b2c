/**
 * The memory instructions of the simulated machine, as a WebAssembly module assembled here: one a function, but for
 * the compare-exchange loop of addUnless32.
 *
 * `Atomics.*` calls are not inlined by V8 (16-20 ns each); a call of a one-instruction wasm function on the same shared
 * memory costs about 5 ns and works on 64-bit words without tearing.
 * Wasm atomics and JS Atomics are one memory model (sequentially consistent), which test/machine/atomics.test.ts holds
 * against each other, operation by operation.
 */

const I32 = 0x7f
const I64 = 0x7e

interface Instruction {
  readonly name: string
  readonly params: readonly number[]
  readonly result: number | null
  readonly body: readonly number[]
  /** Locals after the parameters, all I32. */
  readonly locals?: number
}

const get = (local: number): number[] => [0x20, local]

/**
 * The bytes from address 0 in which nothing lives. Each access has its address lowered by them and gets them back as
 * its static offset, which does not wrap: an address below ends beyond 4 GiB, where every access traps.
 */
export const GUARD_BYTES = 4096

/** The address in local 0, lowered by the guard. */
const ADDRESS = [...get(0), 0x41, 0x80, 0x20, 0x6b]
/** The operands of a memory instruction on words of 2^`align` bytes: the alignment, and the guard as the offset. */
const memarg = (align: number): number[] => [align, 0x80, 0x20]

/** An atomic instruction on one aligned word: address first, operands after it. */
function atomic(name: string, width: 32 | 64, opcode: number, operands: number, returns: boolean): Instruction {
  const type = width === 32 ? I32 : I64
  const values = [...Array(operands).keys()].flatMap((operand) => get(operand + 1))
  return {
    name: `${name}${width}`,
    params: [I32, ...Array<number>(operands).fill(type)],
    result: returns ? type : null,
    body: [...ADDRESS, ...values, 0xfe, opcode, ...memarg(width === 32 ? 2 : 3)],
  }
}

/** Both widths of an instruction; the 64-bit opcode follows the 32-bit one in the threads proposal. */
function pair(name: string, opcode: number, operands: number, returns = true): Instruction[] {
  return [atomic(name, 32, opcode, operands, returns), atomic(name, 64, opcode + 1, operands, returns)]
}

/** Blocks of two kinds, for structured code: `loop` and `if … else`, each with an I32 result, and their end. */
const [LOOP, IF, ELSE, END] = [[0x03, I32], [0x04, I32], [0x05], [0x0b]] as const

/**
 * addUnless32(addr, delta, unless): a compare-exchange loop, in one call because every call from JS costs as much as
 * the instruction in it. 1 when it added.
 */
const ADD_UNLESS: Instruction = {
  name: 'addUnless32',
  params: [I32, I32, I32],
  result: I32,
  locals: 1,
  body: [
    ...LOOP,
    ...[...ADDRESS, 0xfe, 0x10, ...memarg(2), 0x22, 3], //  seen = load(addr)
    ...[...get(2), 0x46, ...IF, 0x41, 0, ...ELSE], // seen === unless ? 0 :
    ...[...ADDRESS, ...get(3), ...get(3), ...get(1), 0x6a, 0xfe, 0x48, ...memarg(2)], // cmpxchg(…, seen, seen + delta)
    ...[...get(3), 0x46, ...IF, 0x41, 1, ...ELSE, 0x0c, 2, ...END], // === seen ? 1 : again
    ...[...END, ...END],
  ],
}

const INSTRUCTIONS: readonly Instruction[] = [
  ...pair('load', 0x10, 0),
  ...pair('store', 0x17, 1, false),
  atomic('add', 32, 0x1e, 1, true),
  ...pair('and', 0x2c, 1),
  ...pair('or', 0x33, 1),
  atomic('xor', 32, 0x3a, 1, true),
  ...pair('xchg', 0x41, 1),
  ...pair('cmpxchg', 0x48, 2),
  ADD_UNLESS,
  { name: 'fence', params: [], result: null, body: [0xfe, 0x03, 0] },
  { name: 'fill', params: [I32, I32, I32], result: null, body: [...get(0), ...get(1), ...get(2), 0xfc, 0x0b, 0] },
  { name: 'copy', params: [I32, I32, I32], result: null, body: [...get(0), ...get(1), ...get(2), 0xfc, 0x0a, 0, 0] },
]

/** What an instance exports. Addresses are byte offsets, aligned to the width; 64-bit results are signed bigints. */
export interface MemoryInstructions {
  load32(addr: number): number
  load64(addr: number): bigint
  store32(addr: number, value: number): void
  store64(addr: number, value: bigint): void
  add32(addr: number, value: number): number
  and32(addr: number, value: number): number
  or32(addr: number, value: number): number
  xor32(addr: number, value: number): number
  xchg32(addr: number, value: number): number
  cmpxchg32(addr: number, expected: number, value: number): number
  /** Adds `delta` unless the word is `unless`; 1 when it added. */
  addUnless32(addr: number, delta: number, unless: number): number
  and64(addr: number, value: bigint): bigint
  or64(addr: number, value: bigint): bigint
  xchg64(addr: number, value: bigint): bigint
  cmpxchg64(addr: number, expected: bigint, value: bigint): bigint
  fence(): void
  /** Sets `bytes` bytes from `addr` to `value`; not atomic. */
  fill(addr: number, value: number, bytes: number): void
  /** Copies `bytes` bytes to `to` from `from`; not atomic. */
  copy(to: number, from: number, bytes: number): void
}

/** Instantiates the instructions over `memory`, which must be shared. Takes well under a millisecond. */
export function instantiate(memory: WebAssembly.Memory): MemoryInstructions {
  compiled ??= new WebAssembly.Module(assemble())
  const instance = new WebAssembly.Instance(compiled, { image: { memory } })
  return instance.exports as unknown as MemoryInstructions
}

let compiled: WebAssembly.Module | null = null

/** A 64 KiB page is WebAssembly's unit of memory; 65,536 of them are the 4 GiB that 32-bit addresses reach. */
export const WASM_PAGE_BYTES = 65_536
export const WASM_PAGES_MAX = 65_536

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]
}

const vector = (items: readonly number[][]): number[] => [...leb(items.length), ...items.flat()]
const section = (id: number, body: number[]): number[] => [id, ...leb(body.length), ...body]
const text = (value: string): number[] => [...leb(value.length), ...Buffer.from(value, 'ascii')]

/** The module's binary form: one type, function, export and body for each instruction. */
function assemble(): Uint8Array<ArrayBuffer> {
  const types = INSTRUCTIONS.map((i) => [
    0x60,
    ...vector(i.params.map((p) => [p])),
    ...vector(i.result === null ? [] : [[i.result]]),
  ])
  const sharedMemory = [0x02, 0x03, ...leb(0), ...leb(WASM_PAGES_MAX)]
  const bodies = INSTRUCTIONS.map((i) => {
    const code = [...(i.locals === undefined ? [0] : [1, i.locals, I32]), ...i.body, ...END]
    return [...leb(code.length), ...code]
  })
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)),
    ...section(2, vector([[...text('image'), ...text('memory'), ...sharedMemory]])),
    ...section(3, vector(INSTRUCTIONS.map((_, index) => leb(index)))),
    ...section(7, vector(INSTRUCTIONS.map((i, index) => [...text(i.name), 0x00, ...leb(index)]))),
    ...section(10, vector(bodies)),
  ])
}
