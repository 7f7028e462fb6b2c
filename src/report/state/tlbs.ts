/** The caches of each CPU: translations, and addresses of PTE tables. */
import type { Machine } from '../../boot/machine.js'
import { peek32, peekF64 } from '../../machine/image/image.js'
import { PSC_ENTRY, TLB_DIRTY, TLB_ENTRY, TLB_WRITE } from '../../machine/cpu/tlb.js'
import { MM } from '../../mm/mmStruct.js'
import { hex } from '../entry.js'
import type { Put } from './cell.js'

export function readTlbs(machine: Machine, put: Put): void {
  const { config, regions } = machine
  const entries = config.tlbBase + config.tlbHuge
  const first = regions.kernel.tlbs
  const firstPsc = first + config.cpus * entries * TLB_ENTRY.size
  for (let cpu = 0; cpu < config.cpus; cpu++) {
    for (let slot = 0; slot < entries; slot++)
      readEntry(machine, cpu, first + (cpu * entries + slot) * TLB_ENTRY.size, put)
    for (let slot = 0; slot < config.psc; slot++)
      readTable(machine, cpu, firstPsc + (cpu * config.psc + slot) * PSC_ENTRY.size, put)
  }
}

function readEntry(machine: Machine, cpu: number, at: number, put: Put): void {
  const pages = peek32(at + TLB_ENTRY.at.pages)
  if (pages === 0) return
  const addr = peekF64(at + TLB_ENTRY.at.vpn) * machine.geo.pageSize
  const mm = peek32(at + TLB_ENTRY.at.mm)
  const pfn = peek32(at + TLB_ENTRY.at.pfn)
  const flags = peek32(at + TLB_ENTRY.at.flags)
  const rights = `${(flags & TLB_WRITE) !== 0 ? 'rw' : 'ro'}${(flags & TLB_DIRTY) !== 0 ? ' dirty' : ''}`
  put({
    panel: 'tlbs',
    group: `CPU ${cpu}`,
    name: `${hex(addr)} of ${mmName(machine, mm)}${pages === 1 ? '' : ` (${pages} pages)`}`,
    text: `${pages === 1 ? 'page' : 'huge'} ${hex(pfn)} ${rights}`,
    order: [cpu, addr],
    addr: at,
    frames: Array.from({ length: pages }, (_, i) => pfn + i),
  })
}

function readTable(machine: Machine, cpu: number, at: number, put: Put): void {
  const table = peek32(at + PSC_ENTRY.at.table)
  if (table === 0) return
  const { geo, memmap } = machine
  const addr = peekF64(at + PSC_ENTRY.at.prefix) * geo.pmdSize
  const mm = mmName(machine, peek32(at + PSC_ENTRY.at.mm))
  put({
    panel: 'tlbs',
    group: `CPU ${cpu}`,
    name: `where the PTE table of ${hex(addr)} of ${mm} is`,
    text: `table ${hex(memmap.tableAt(table))}`,
    order: [cpu, addr + 0.5],
    addr: at,
    frames: [memmap.pfnAt(table)],
  })
}

/** `mm0`: address spaces by their slot. */
export const mmName = ({ regions }: Machine, mm: number): string => `mm${(mm - regions.kernel.mms) / MM.size}`
