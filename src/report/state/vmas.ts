/** Address spaces: their mappings and counters. */
import type { Machine } from '../../boot/machine.js'
import { peek32, peekF64 } from '../../machine/image/image.js'
import { vmasOf } from '../../mm/maple/mapleLook.js'
import { MM, VM_EXEC, VM_READ, VM_SHARED, VM_WRITE, VMA } from '../../mm/mmStruct.js'
import { hex } from '../entry.js'
import { NO_FRAMES, type Put } from './cell.js'

const COUNTERS = ['mmUsers', 'mmCount', 'nrPtes', 'rssAnon', 'rssFile', 'tlbFlushPending', 'hasPinned'] as const
const RIGHTS: readonly (readonly [number, string])[] = [
  [VM_READ, 'r'],
  [VM_WRITE, 'w'],
  [VM_EXEC, 'x'],
]

export function readVmas(machine: Machine, put: Put): void {
  const { config, regions } = machine
  for (let slot = 0; slot < config.kernel.mms; slot++) {
    const mm = regions.kernel.mms + slot * MM.size
    if (peek32(mm + MM.at.inUse) === 0) continue
    const cell = (within: number, name: string, text: string, addr: number): void =>
      put({ panel: 'vmas', group: `mm${slot}`, name, text, order: [slot, within], addr, frames: NO_FRAMES })
    COUNTERS.forEach((field, i) => {
      const count = peek32(mm + MM.at[field])
      if (count !== 0) cell(i - COUNTERS.length, field, String(count), mm + MM.at[field])
    })
    for (const vma of vmasOf(mm)) {
      const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
      cell(start, `${hex(start)}-${hex(end)}`, describeVma(vma), vma)
    }
  }
}

function describeVma(vma: number): string {
  const flags = peek32(vma + VMA.at.flags)
  const rights = RIGHTS.map(([bit, letter]) => ((flags & bit) !== 0 ? letter : '-')).join('')
  const shared = (flags & VM_SHARED) !== 0 ? 'shared' : 'private'
  return `${rights} ${shared} ${peek32(vma + VMA.at.file) === 0 ? 'anonymous' : 'file'}`
}
