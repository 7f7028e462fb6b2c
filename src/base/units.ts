/**
 * Units as branded numbers: mixing a frame number with an address is a type error, at no cost at run time.
 *
 * Addresses are JS numbers. A physical address is a byte offset into the image. A virtual address is the *signed* value
 * of the 64-bit address, so that every page-aligned address is exact in a double; take indices by division, not shifts.
 */
declare const unit: unique symbol
type Unit<Name extends string, Base> = Base & { readonly [unit]: Name }

/** Page frame number, 0 … frames-1. */
export type Pfn = Unit<'Pfn', number>
/**
 * Number of a page table: frame × tables in a frame + place in it. Where every table fills a frame, it is the frame's
 * number. Entries point to tables by it.
 */
export type Table = Unit<'Table', number>
/** Byte offset into the memory image. */
export type PhysAddr = Unit<'PhysAddr', number>
/** Signed value of a 64-bit virtual address. */
export type VirtAddr = Unit<'VirtAddr', number>
/** CPU number, 0 … cpus-1. */
export type CpuId = Unit<'CpuId', number>
/** One 64-bit word of a page table, unsigned. */
export type PteWord = Unit<'PteWord', bigint>

export const pfn = (value: number): Pfn => value as Pfn
export const tableNr = (value: number): Table => value as Table
export const phys = (value: number): PhysAddr => value as PhysAddr
export const virt = (value: number): VirtAddr => value as VirtAddr
export const cpuId = (value: number): CpuId => value as CpuId
export const pteWord = (value: bigint): PteWord => value as PteWord
