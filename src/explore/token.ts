/**
 * Tokens: everything that replays one execution, in one printable word. `rw1-` and the base64url form of deflated JSON
 * with run-length encoded picks, and a checksum at the end.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { UsageError } from '../base/errors.js'

export interface Token {
  readonly scenario: string
  readonly bug: string | null
  readonly cpus: number
  /** Actions and choices at every place where there was more than one. */
  readonly picks: readonly number[]
}

const VERSION = 1
const PREFIX = `rw${VERSION}-`

export function encodeToken(token: Token): string {
  const packed = JSON.stringify([token.scenario, token.bug, token.cpus, runs(token.picks)])
  const body = deflateRawSync(packed, { level: 9 }).toString('base64url')
  return `${PREFIX}${body}-${checksum(body)}`
}

/** Throws UsageError that says whether the token is damaged, of another version, or no token. */
export function decodeToken(text: string): Token {
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
  if (match === null || checksum(match[1] as string) !== match[2])
    throw new UsageError(`the token '${shorten(text)}' is damaged`, 'its checksum does not fit', 'copy it again, whole')
  const [scenario, bug, cpus, packed] = JSON.parse(
    inflateRawSync(Buffer.from(match[1] as string, 'base64url')).toString(),
  ) as [string, string | null, number, number[]]
  return { scenario, bug, cpus, picks: unruns(packed) }
}

/** value, length, value, length, … */
function runs(picks: readonly number[]): number[] {
  const packed: number[] = []
  for (let at = 0; at < picks.length;) {
    let end = at
    while (end < picks.length && picks[end] === picks[at]) end++
    packed.push(picks[at] as number, end - at)
    at = end
  }
  return packed
}

function unruns(packed: readonly number[]): number[] {
  const picks: number[] = []
  for (let i = 0; i + 1 < packed.length; i += 2)
    for (let n = 0; n < (packed[i + 1] as number); n++) picks.push(packed[i] as number)
  return picks
}

/** FNV-1a, 32 bits. */
function checksum(text: string): string {
  let hash = 0x811c9dc5
  for (const char of text) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(36)
}

const shorten = (text: string): string => (text.length > 24 ? `${text.slice(0, 24)}…` : text)
