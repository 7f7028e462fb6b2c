/**
 * A scenario: who does what to which memory, and what must hold at the end. One scenario serves both engines: explored
 * it runs once in a small machine, stressed its programs repeat in the real geometry.
 */
import { UsageError } from '../base/errors.js'
import { fullMachine, smallMachine, withPgalloc, type MachineConfig } from '../boot/config.js'
import { architectureOf } from '../isa/index.js'
import type { KernelConfig } from '../mm/kernel.js'
import { type Advice, type Op, type Program, MAP, PROT } from '../program/op.js'

/** What a scenario is written in terms of. */
export interface Setting {
  readonly cpus: number
  /** True when programs repeat (stress); false when they run once (explore). */
  readonly repeated: boolean
  /** Address of base page `n` of the scenario's arena, which starts on a huge-page boundary. */
  page(n: number): number
  /** Address of huge page `n` of the arena. */
  huge(n: number): number
  readonly pageSize: number
  readonly hugeSize: number
  /** Bytes that one entry of a table of `level` spans: 2 a PMD entry … 5. */
  spanOf(level: number): number
}

export interface Built {
  /** Runs alone on CPU 0 before the CPUs start. */
  readonly boot: Program
  /** One program for each CPU. */
  readonly programs: readonly Program[]
}

export interface Scenario {
  readonly id: string
  readonly summary: string
  /** Id of the architecture that it is written for, or of the one that is named behind an `@`. */
  readonly arch: string
  /** CPUs when nothing else is asked for. */
  readonly cpus: number
  /** 2 unless given. */
  readonly cpusMin?: number
  /** As many as the engine can have unless given: a litmus test has its CPUs and no more. */
  readonly cpusMax?: number
  /** Only for exploration: its programs say something once, not in a loop. */
  readonly exploreOnly?: boolean
  readonly config?: Partial<KernelConfig>
  /** Files that exist, by their length in pages; operations name them by index. */
  readonly files?: readonly number[]
  readonly build: (setting: Setting) => Built
  /** Names the ending from registers and words of programs, and from nothing else; the endings that are allowed. */
  readonly outcome?: (reg: (cpu: number, reg: number) => number, word: (word: number) => number) => string
  readonly allowed?: readonly string[]
}

export const defineScenario = (scenario: Scenario): Scenario => scenario

export type Mode = 'explore' | 'stress'

/** The machine and programs of `scenario` with `cpus` CPUs. */
export function setUp(
  scenario: Scenario,
  mode: Mode,
  cpus: number,
  override: Partial<KernelConfig> = {},
): Built & { readonly machine: MachineConfig } {
  const base = mode === 'explore' ? smallMachine(cpus) : fullMachine(cpus, Math.max(16_384, 2048 * cpus))
  const machine = withPgalloc({ ...base, kernel: { ...base.kernel, ...scenario.config, ...override } })
  return { ...scenario.build(settingOf(machine, mode === 'stress')), machine }
}

function settingOf(machine: MachineConfig, repeated: boolean): Setting {
  const { pageSize } = architectureOf(machine.arch).geometry
  const hugeSize = pageSize << (machine.pteBits ?? machine.indexBits)
  const arena = hugeSize * 4
  return {
    cpus: machine.cpus,
    repeated,
    pageSize,
    hugeSize,
    page: (n) => arena + n * pageSize,
    huge: (n) => arena + n * hugeSize,
    spanOf: (level) => hugeSize * 2 ** (machine.indexBits * (level - 2)),
  }
}

/** Throws UsageError for a number of CPUs that the scenario, or an engine with `most`, cannot have. */
export function checkCpus(scenario: Scenario, cpus: number, most: number): number {
  const least = scenario.cpusMin ?? 2
  const limit = Math.min(most, scenario.cpusMax ?? most)
  if (Number.isInteger(cpus) && cpus >= least && cpus <= limit) return cpus
  const range = least === limit ? String(least) : `${least} to ${limit}`
  throw new UsageError(
    `--cpus ${cpus}`,
    `${scenario.id} runs on ${range} CPUs`,
    `leave --cpus out for ${scenario.cpus}`,
  )
}

// ---- words that scenarios are written with ------------------------------------------------------------------------

/** A private anonymous mapping at exactly `addr`. */
export const mapAnonymous = (addr: number, len: number, prot: number = PROT.read | PROT.write): Op => ({
  op: 'mmap',
  addr,
  len,
  prot,
  flags: MAP.private | MAP.anonymous | MAP.fixed,
})

export const store = (addr: number, value = 1, pages = 1): Op => ({ op: 'store', addr, value, pages })
export const load = (addr: number, reg?: number): Op =>
  reg === undefined ? { op: 'load', addr } : { op: 'load', addr, reg }
export const gup = (addr: number, pages = 1, more: Partial<Extract<Op, { op: 'gup' }>> = {}): Op => ({
  op: 'gup',
  addr,
  pages,
  ...more,
})
export const madvise = (addr: number, len: number, advice: Advice): Op => ({ op: 'madvise', addr, len, advice })
export const dontneed = (addr: number, len: number): Op => madvise(addr, len, 'dontneed')

/**
 * Makes the huge range at `addr` new, without a page table. What is stored there next is a huge page again:
 * MADV_DONTNEED leaves the table of a page that was split, and with it base pages for ever.
 */
export const renew = (setting: Setting, addr: number): Program => [
  { op: 'munmap', addr, len: setting.hugeSize },
  mapAnonymous(addr, setting.hugeSize),
]

/**
 * Stores to the first `pages` base pages of the huge range at `addr`, which khugepaged and faults may make huge from
 * then on.
 */
export const storeSmall = (setting: Setting, addr: number, pages = 1): Program => [
  madvise(addr, setting.hugeSize, 'nohugepage'),
  store(addr, 1, pages),
  madvise(addr, setting.hugeSize, 'hugepage'),
]

/** `first` on CPU 0, `second` on CPU 1, and on further CPUs `others` in turn (`second` unless given). */
export function roles(
  setting: Setting,
  first: Program,
  second: Program,
  others: readonly Program[] = [second],
): Program[] {
  return Array.from({ length: setting.cpus }, (_, cpu) =>
    cpu === 0 ? first : cpu === 1 ? second : (others[(cpu - 2) % others.length] as Program),
  )
}
