/**
 * The configuration of a machine, as plain data: it crosses to worker threads and goes into tokens. Every thread lays
 * the same image out from it.
 */
import { UsageError } from '../base/errors.js'
import type { KernelConfig } from '../mm/kernel.js'
import { exploredFragments, pgallocDesign, type DesignOfArch } from '../isa/designs.js'
import { architectureOf, DEFAULT_ARCH } from '../isa/index.js'

export interface MachineConfig {
  /** Id of the architecture. */
  readonly arch: string
  readonly cpus: number
  /** log2 of the entries of a table above the PTE: 9 on real x86-64, 11 on s390, 2 or 3 for exploration. */
  readonly indexBits: number
  /** log2 of the entries of a PTE table, `indexBits` unless given. */
  readonly pteBits?: number
  /** PTE tables that share a frame, 1 unless given: 1, 2, 4 … as far as they fit. */
  readonly fragments?: number
  /** PMD tables that share a frame, 1 unless given. */
  readonly pmdFragments?: number
  readonly frames: number
  /** Bytes of a frame in the image: those of a page, or as little as a table needs in small geometries. */
  readonly frameBytes: number
  readonly tlbBase: number
  readonly tlbHuge: number
  /** Entries of each paging-structure cache. */
  readonly psc: number
  /** Events that each CPU's ring holds; a power of two, or 0 for none. */
  readonly ringLength: number
  readonly oracles: boolean
  /** 'full': the oracles keep the kernel functions of each allocation and free. Slow; replays do. */
  readonly sites?: 'full'
  readonly kernel: KernelConfig
}

export const CPUS_MAX = 64
/** At 100 nobody would ever run a callback but an idle CPU. */
export const GP_DELAY_MAX = 99
export const FRAMES_MAX = 1 << 19

/** A machine in the real geometry: 2 MiB huge pages, `frames` frames of 4 KiB. */
export function fullMachine(cpus: number, frames = 16_384): MachineConfig {
  return {
    arch: DEFAULT_ARCH.id,
    cpus,
    indexBits: 9,
    frames,
    frameBytes: 4096,
    tlbBase: 64,
    tlbHuge: 8,
    psc: 8,
    ringLength: 64,
    oracles: true,
    kernel: { ...KERNEL, mms: 64, vmas: 131_072, anonVmas: 65_536, files: 64, filePages: 65_536 },
  }
}

/** A machine for exploration: 4-entry tables, huge pages of 4 base pages, 64-byte frames. */
export function smallMachine(cpus: number, frames = 64): MachineConfig {
  return {
    arch: DEFAULT_ARCH.id,
    cpus,
    indexBits: 2,
    frames,
    frameBytes: 64,
    tlbBase: 4,
    tlbHuge: 2,
    psc: 2,
    ringLength: 0,
    oracles: true,
    kernel: { ...KERNEL, mms: 6, vmas: 32, anonVmas: 16, files: 2, filePages: 16 },
  }
}

const KERNEL = {
  flushStyle: 'ipi',
  tableFree: 'rcu',
  thp: 'always',
  failNowait: 0,
  readAhead: 0,
  ptReclaim: false,
  perVmaLock: false,
  maxMapCount: 65_530,
  gpDelay: 0,
  pgalloc: DEFAULT_ARCH.pgalloc,
} as const

/**
 * `machine` with page tables of the design that its kernel has, and the architecture that the design belongs to: as
 * many tables as share a page. In the real geometry pages and tables have the architecture's sizes, in a small one
 * pages are as large as their tables need.
 */
export function withPgalloc(machine: MachineConfig): MachineConfig {
  const design = pgallocDesign(machine.kernel.pgalloc)
  const { id, config } = design.arch
  const kernel = { ...machine.kernel, ...config }
  return {
    ...machine,
    arch: id,
    kernel,
    ...(machine.indexBits < 9 ? smallPages(machine, design) : realPages(machine, design)),
  }
}

function smallPages({ frameBytes, indexBits }: MachineConfig, design: DesignOfArch): Partial<MachineConfig> {
  const fragments = exploredFragments(design.id)
  return sharedPages(design, fragments, Math.max(frameBytes, fragments * (8 << indexBits)))
}

function realPages({ frames }: MachineConfig, design: DesignOfArch): Partial<MachineConfig> {
  const { geometry, pagesPerFrame = 1 } = design.arch
  const { indexBits, pteBits, pageSize } = geometry
  const tables = pteBits === indexBits ? { indexBits } : { indexBits, pteBits }
  return { ...sharedPages(design, design.fragments, pageSize), frames: frames / pagesPerFrame, ...tables }
}

function sharedPages({ pmdFragments }: DesignOfArch, fragments: number, frameBytes: number): Partial<MachineConfig> {
  if (fragments === 1) return { frameBytes }
  return pmdFragments === undefined ? { fragments, frameBytes } : { fragments, frameBytes, pmdFragments }
}

/** Throws UsageError for a machine that cannot be built. */
export function checkConfig(config: MachineConfig): void {
  if (!Number.isInteger(config.cpus) || config.cpus < 1 || config.cpus > CPUS_MAX)
    throw new UsageError(`${config.cpus} CPUs`, `a machine has 1 to ${CPUS_MAX} CPUs`, 'choose --cpus in that range')
  const { fragments = 1, pmdFragments = 1, pteBits = config.indexBits } = config
  const least = Math.min(4 * (1 << pteBits), 4096)
  if (!Number.isInteger(config.frames) || config.frames < least || config.frames > FRAMES_MAX)
    throw new UsageError(`${config.frames} frames`, `memory has ${least} to ${FRAMES_MAX} frames in this geometry`)
  const { upperSpansFrames, facilities = [] } = architectureOf(config.arch)
  const largest = upperSpansFrames === true ? 8 << pteBits : 8 << config.indexBits
  if (config.frameBytes < largest || config.frameBytes < 64)
    throw new UsageError(`frames of ${config.frameBytes} bytes`, 'a frame holds a page table and at least 64 bytes')
  if (!Number.isInteger(Math.log2(fragments)) || fragments < 1 || (8 << pteBits) * fragments > config.frameBytes)
    throw new UsageError(
      `${fragments} PTE tables in a frame of ${config.frameBytes} bytes`,
      `a power of two of tables of ${8 << pteBits} bytes that fit`,
    )
  const { flushStyle, tableFree, pgalloc, gpDelay } = config.kernel
  if (!(gpDelay >= 0 && gpDelay <= GP_DELAY_MAX))
    throw new UsageError(`gp-delay ${gpDelay}`, `it is a percentage from 0 to ${GP_DELAY_MAX}`)
  const design = pgallocDesign(pgalloc)
  const expected = config.indexBits < 9 ? exploredFragments(pgalloc) : design.fragments
  if (expected !== fragments || (design.pmdFragments ?? 1) !== pmdFragments)
    throw new UsageError(
      `${fragments} PTE tables and ${pmdFragments} PMD tables in a page, freed as ${pgalloc}`,
      `that design has ${expected} and ${design.pmdFragments ?? 1} in a page`,
      'take the machine from withPgalloc()',
    )
  if (flushStyle === 'broadcast' && tableFree === 'ipi')
    throw new UsageError(
      'tables freed after flush IPIs, with a flush that sends none',
      'broadcast invalidation protects no software walker',
      'use tableFree rcu with flushStyle broadcast',
    )
  const unknown = config.kernel.facilities?.find((name) => !facilities.includes(name))
  if (unknown !== undefined)
    throw new UsageError(
      `the facility '${unknown}'`,
      facilities.length === 0 ? `${config.arch} has none` : `${config.arch} has: ${facilities.join(', ')}`,
    )
}
