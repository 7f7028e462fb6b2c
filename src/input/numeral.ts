/**
 * Numbers as strace, /proc/PID/maps and the step files write them, as JS numbers.
 *
 * A 64-bit address becomes its signed value (base/units.ts), so that every page-aligned one is exact. A length stays
 * unsigned. Neither is exact beyond 2^53 when it is not a multiple of 4096; only calls that fail carry such values.
 */
import { virt, type VirtAddr } from '../base/units.js'

/** Signed value of up to 16 hex digits without prefix; undefined for anything else. */
export function hexAddress(digits: string): VirtAddr | undefined {
  if (!/^[0-9a-f]{1,16}$/.test(digits)) return undefined
  return virt(Number(BigInt.asIntN(64, BigInt(`0x${digits}`))))
}

/** Unsigned value of hex digits without prefix; undefined for anything else. */
export function hexNumber(digits: string): number | undefined {
  return /^[0-9a-f]{1,16}$/.test(digits) ? Number(BigInt(`0x${digits}`)) : undefined
}

/** An address the way strace prints it: NULL, hex with 0x, or decimal. */
export function straceAddress(text: string): VirtAddr | undefined {
  if (text === 'NULL') return virt(0)
  if (text.startsWith('0x')) return hexAddress(text.slice(2))
  const value = straceNumber(text)
  return value === undefined ? undefined : virt(value)
}

/** A length, count or offset the way strace prints it: decimal, perhaps negative, or hex with 0x. Unsigned in hex. */
export function straceNumber(text: string): number | undefined {
  if (text.startsWith('0x')) return hexNumber(text.slice(2))
  return /^-?[0-9]{1,20}$/.test(text) ? Number(text) : undefined
}
