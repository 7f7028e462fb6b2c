/**
 * Structures in the image: named fields at fixed offsets, each with its guard, declared once and used three times: by
 * the code that accesses them, by reports that name an address, and by the check of guards (guard.ts).
 *
 * Fields may overlay each other only inside a declared union: the kernel's `struct page` keeps `lru` and `rcu_head` in
 * the same words, and that overlay is one of the bugs to be found.
 */
import { fail } from '../../base/assert.js'
import type { Guard } from './guard.js'

/** Offset in bytes, width in bytes (4, 8, or more for arrays), its guard, and the union it belongs to, if any. */
export type Field = readonly [offset: number, width: number, guard: Guard, union?: string]

export interface Struct<Name extends string = string> {
  readonly name: string
  /** Size in bytes; the stride in an array of them. */
  readonly size: number
  /** Offsets by field name. */
  readonly at: Readonly<Record<Name, number>>
  readonly fields: ReadonlyMap<string, Field>
}

/** Declares a structure. Throws SimBug when a field is misaligned, outside, or overlaps one that shares no union. */
export function struct<Name extends string>(name: string, size: number, fields: Record<Name, Field>): Struct<Name> {
  const entries = Object.entries(fields) as [Name, Field][]
  for (const [field, [offset, width]] of entries) {
    if (offset % Math.min(width, 8) !== 0) fail(`${name}.${field}: offset ${offset} is not aligned to ${width}`)
    if (offset + width > size) fail(`${name}.${field}: ends at ${offset + width}, beyond ${size}`)
  }
  rejectOverlaps(name, entries)
  const at = Object.fromEntries(entries.map(([field, [offset]]) => [field, offset])) as Record<Name, number>
  return { name, size, at, fields: new Map(entries) }
}

/**
 * `base` with the fields that other rooms have put into words that it leaves free. Throws SimBug where two overlap, or
 * where the structures are not of one size.
 */
export function joined(base: Struct, others: readonly Struct[]): Struct {
  const all = [base, ...others]
  for (const { name, size } of others)
    if (size !== base.size) fail(`${name}: has ${size} bytes, ${base.name} ${base.size}`)
  const fields = all.flatMap((part) => [...part.fields])
  return struct(base.name, base.size, Object.fromEntries(fields) as Record<string, Field>)
}

function rejectOverlaps(name: string, entries: [string, Field][]): void {
  for (const [a, [aAt, aWidth, , aUnion]] of entries)
    for (const [b, [bAt, bWidth, , bUnion]] of entries) {
      const disjoint = aAt + aWidth <= bAt || bAt + bWidth <= aAt
      if (a === b || disjoint || (aUnion !== undefined && aUnion === bUnion)) continue
      fail(`${name}: ${a} and ${b} overlap outside a union`)
    }
}

/** The fields that cover byte `offset`, joined by `|` where a union gives several. */
export function fieldAt(layout: Struct, offset: number): string {
  const covering = [...layout.fields].filter(([, [at, width]]) => offset >= at && offset < at + width)
  if (covering.length === 0) return `+0x${offset.toString(16)}`
  return covering
    .map(([field, [at, width]]) => (width > 8 ? `${field}[${Math.floor((offset - at) / 4)}]` : field))
    .join('|')
}
