/**
 * A token replays one execution. It is one printable word: `rw2-`, the base64url form of the bytes below (deflated
 * where that is shorter), and a checksum.
 *
 *   byte     0: as they are, 1: deflated
 *   strings  scenario · bug, empty for none · patch, empty for none     each a length and UTF-8
 *   numbers  CPUs · deviations · for each: CPU, operation, what, occurrence, action
 *            of a reduced program, for each CPU: operations · for each: its path, how much, which address
 *
 * The last number of a path is index · 8 + 4 if "how much" follows + 2 if "which address" follows, those before it
 * index · 8 + 1.
 *
 * Numbers are little-endian groups of 7 bits, the high bit set on all but the last.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { UsageError } from '../../base/errors.js'
import { fnv1a } from '../../base/hash.js'
import type { Kept, Reduction } from '../../program/reduction.js'
import type { Deviation } from './deviations.js'

export interface Token {
  readonly scenario: string
  readonly bug: string | null
  /** Name and content hash of the patch; null without one. */
  readonly patch: string | null
  readonly cpus: number
  /** Where the execution leaves the default schedule. */
  readonly deviations: readonly Deviation[]
  /** The rest of the programs; null for all of them. */
  readonly reduction: Reduction | null
}

const VERSION = 2
const PREFIX = `rw${VERSION}-`

export function encodeToken(token: Token): string {
  const writer = new Writer()
  for (const text of [token.scenario, token.bug ?? '', token.patch ?? '']) writer.text(text)
  writer.number(token.cpus)
  writer.number(token.deviations.length)
  for (const { cpu, operation, what, occurrence, action } of token.deviations)
    for (const value of [cpu, operation, what, occurrence, action]) writer.number(value)
  for (const kept of token.reduction ?? []) {
    writer.number(kept.length)
    for (const one of kept) writeKept(writer, one)
  }
  const plain = Buffer.from(writer.bytes)
  const deflated = deflateRawSync(plain, { level: 9 })
  const isShorter = deflated.length < plain.length
  const body = Buffer.concat([Buffer.from([isShorter ? 1 : 0]), isShorter ? deflated : plain]).toString('base64url')
  return `${PREFIX}${body}-${checksum(body)}`
}

/** Throws UsageError that says whether the token is damaged, of another version, or no token. */
export function decodeToken(text: string): Token {
  const reader = new Reader(bytesOf(bodyOf(text)))
  try {
    const [scenario, bug, patch] = [reader.text(), reader.text(), reader.text()]
    const [cpus, count] = [reader.number(), reader.number()]
    const deviations = Array.from({ length: count }, () => ({
      cpu: reader.number(),
      operation: reader.number(),
      what: reader.number(),
      occurrence: reader.number(),
      action: reader.number(),
    }))
    const reduction = reader.atEnd ? null : Array.from({ length: cpus }, () => keptFrom(reader))
    return { scenario, bug: bug === '' ? null : bug, patch: patch === '' ? null : patch, cpus, deviations, reduction }
  } catch (error) {
    if (error instanceof RangeError) throw damaged(text)
    throw error
  }
}

function writeKept(writer: Writer, { path, size, choice }: Kept): void {
  const last = path.length - 1
  for (const [level, index] of path.entries())
    writer.number(index * 8 + (level < last ? 1 : (size > 0 ? 4 : 0) + (choice > 0 ? 2 : 0)))
  if (size > 0) writer.number(size)
  if (choice > 0) writer.number(choice)
}

function keptFrom(reader: Reader): Kept[] {
  return Array.from({ length: reader.number() }, () => {
    const path: number[] = []
    for (;;) {
      const number = reader.number()
      path.push(Math.floor(number / 8))
      if (number % 2 === 1) continue
      const size = (number & 4) === 0 ? 0 : reader.number()
      return { path, size, choice: (number & 2) === 0 ? 0 : reader.number() }
    }
  })
}

function bodyOf(text: string): string {
  const version = /^rw(\d+)-/.exec(text)?.[1]
  if (version === undefined)
    throw new UsageError(
      `'${shorten(text)}' is no token`,
      `a token begins with ${PREFIX}`,
      'copy the whole word that a finding ends in',
    )
  if (Number(version) !== VERSION)
    throw new UsageError(
      `the token is of version ${version}`,
      `this racewalk reads version ${VERSION}`,
      'find it again with racewalk explore',
    )
  const match = /^rw\d+-([\w-]+)-([0-9a-z]+)$/.exec(text)
  if (match === null || checksum(match[1] as string) !== match[2]) throw damaged(text)
  return match[1] as string
}

function bytesOf(body: string): Buffer {
  const bytes = Buffer.from(body, 'base64url')
  return bytes[0] === 1 ? inflateRawSync(bytes.subarray(1)) : bytes.subarray(1)
}

const damaged = (text: string): UsageError =>
  new UsageError(`the token '${shorten(text)}' is damaged`, 'its checksum does not fit', 'copy it again, whole')

// ---- bytes ----------------------------------------------------------------------------------------------------------

class Writer {
  readonly bytes: number[] = []

  number(value: number): void {
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.bytes.push((rest & 0x7f) | 0x80)
    this.bytes.push(rest)
  }

  text(text: string): void {
    const bytes = Buffer.from(text)
    this.number(bytes.length)
    this.bytes.push(...bytes)
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Throws RangeError at the end of the bytes. */
  number(): number {
    for (let [value, scale] = [0, 1]; ; scale *= 0x80) {
      const byte = this.#bytes.readUInt8(this.#at++)
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }

  text(): string {
    const length = this.number()
    return this.#bytes.toString('utf8', this.#at, (this.#at += length))
  }
}

const checksum = (text: string): string => (fnv1a(text) >>> 0).toString(36)

const shorten = (text: string): string => (text.length > 24 ? `${text.slice(0, 24)}…` : text)
