/**
 * /proc/PID/maps: one VMA a line, `start-end perms offset dev inode path`.
 *
 * Source: fs/proc/task_mmu.c (show_map_vma) and proc_pid_maps(5). Addresses are signed (base/units.ts): the vsyscall
 * page comes out negative, and exact. The kernel writes a newline in a path as \012; nothing else is escaped.
 */
import type { VirtAddr } from '../base/units.js'
import { hexAddress, hexNumber } from './numeral.js'
import { excerpt, refuse, splitLines, type Place } from './place.js'

/** What a log can say about a VMA. */
export interface MapsVma {
  readonly start: VirtAddr
  readonly end: VirtAddr
  /** Four letters, `rwxp` or `-` each; the last is p for private or s for shared. */
  readonly perms: string
  /** Bytes into the file; 0 for anonymous memory. */
  readonly offset: number
  /** '' for anonymous memory, else a file or a name in brackets; without ` (deleted)`. */
  readonly path: string
  /** Flags that the file does not show, where they are known from elsewhere (vmaList.ts, Vma.hidden). */
  readonly hidden?: readonly string[]
}

export interface MapsEntry extends MapsVma {
  /** MAJOR:MINOR, in hex. */
  readonly dev: string
  readonly inode: number
  /** The file had no name any more. */
  readonly deleted: boolean
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-][ps]) ([0-9a-f]{8,16}) ([0-9a-f]+:[0-9a-f]+) (\d+)(?: +(.*?))?$/
const RULE = 'expected `start-end perms offset dev inode path`, as in /proc/PID/maps'
const REMEDY = 'save it with: cat /proc/PID/maps'

/** Entries in file order, which is address order. Throws UsageError that names the line of `file`. */
export function parseMaps(text: string, file: string): MapsEntry[] {
  const { lines, cut } = splitLines(text)
  if (text === '') refuse({ file, line: 1 }, 'the file is empty', RULE, REMEDY)
  const entries = lines.map((line, index) =>
    parseLine(line, { file, line: index + 1 }, cut && index === lines.length - 1),
  )
  for (let i = 1; i < entries.length; i++) {
    const [before, entry] = [entries[i - 1], entries[i]]
    if (before === undefined || entry === undefined || unsigned(before.end) <= unsigned(entry.start)) continue
    refuse({ file, line: i + 1 }, 'begins below the end of the line before', 'VMAs stand in address order', REMEDY)
  }
  return entries
}

function parseLine(text: string, place: Place, cut: boolean): MapsEntry {
  const [, from = '', to = '', perms = '', offsetText = '', dev = '', inode = '', name = ''] = LINE.exec(text) ?? []
  const [start, end, offset] = [hexAddress(from), hexAddress(to), hexNumber(offsetText)]
  if (start === undefined || end === undefined || offset === undefined || cut) {
    refuse(
      place,
      `${cut ? 'the file ends in the middle of a line' : 'not a maps line'}: ${excerpt(text)}`,
      RULE,
      REMEDY,
    )
  }
  if (unsigned(end) <= unsigned(start)) refuse(place, `${from}-${to} is empty`, 'a VMA ends above its start', REMEDY)
  const deleted = name.endsWith(' (deleted)')
  const path = deleted ? name.slice(0, -' (deleted)'.length) : name
  return { start, end, perms, offset, dev, inode: Number(inode), path, deleted }
}

/** Order of 64-bit addresses, of which the kernel's half is negative here. */
const unsigned = (address: number): number => (address < 0 ? address + 2 ** 64 : address)

/** `start-end perms offset path`, the way /proc/PID/maps writes it. */
export function formatVma(vma: MapsVma): string {
  const range = `${hex(vma.start)}-${hex(vma.end)}`
  return `${range} ${vma.perms} ${vma.offset.toString(16).padStart(8, '0')} ${vma.path}`.trimEnd()
}

const hex = (address: number): string => BigInt.asUintN(64, BigInt(address)).toString(16).padStart(8, '0')
