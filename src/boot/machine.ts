/**
 * Builds a machine from its configuration: the image's layout, the CPUs of this thread, the kernel on each.
 *
 * The thread that creates the memory boots it, on CPU 0 alone; other threads attach to it. Layout and registration
 * order depend on nothing but the configuration, so that all threads agree on every address and number.
 */
import { CPU_STATE } from '../arch/cpuState.js'
import { isUsed, useArch } from '../arch/entry.js'
import { type Geometry, smallGeometry } from '../arch/geometry.js'
import { assert } from '../base/assert.js'
import { UsageError } from '../base/errors.js'
import { cpuId, phys, type PhysAddr } from '../base/units.js'
import type { KernelChange } from '../bug/patch.js'
import { finalCheck, settle } from '../check/finalCheck.js'
import { Guards, Owners } from '../check/guards.js'
import { HeldLocks } from '../check/heldLocks.js'
import { Observers } from '../check/observers.js'
import { Words } from '../check/oops.js'
import { Oracles } from '../check/oracles.js'
import { placeShadow, Shadow } from '../check/shadow.js'
import { Sites } from '../check/sites.js'
import { placeCpuRegions, CPU_AREA, type CpuRegions } from '../machine/cpu/area.js'
import { Cpu } from '../machine/cpu/cpu.js'
import { placeIpiRegions } from '../machine/cpu/ipi.js'
import { placeTlbs, Tlb } from '../machine/cpu/tlb.js'
import { drive, type Engine } from '../machine/engine/engine.js'
import type { Finding } from '../machine/engine/finding.js'
import { SoloEngine } from '../machine/engine/solo.js'
import { checkAccesses } from '../machine/image/guarded.js'
import { attach, createMemory, poke32 } from '../machine/image/image.js'
import { Layout } from '../machine/image/layout.js'
import { Observer } from '../arch/observer.js'
import { EventRing, placeRings } from '../machine/trace/ring.js'
import { Kernel, type KernelRegions } from '../mm/kernel.js'
import { CheckedMemmap } from '../mm/checkedMemmap.js'
import { Memmap } from '../mm/page.js'
import { describeOp } from '../program/describe.js'
import { Interpreter, type Mismatch } from '../program/interpret.js'
import { placeProgramRegions, type ProgramRegions } from '../program/state.js'
import { OPS, type Program } from '../program/op.js'
import {
  addedParts,
  finalCheckOfSubsystems,
  formatSubsystems,
  observersOf,
  placeSubsystems,
} from '../subsystem/index.js'
import { SYNC_CPU_STATE } from '../sync/cpuState.js'
import { placeRcu, Rcu } from '../sync/rcu.js'
import type { Architecture } from '../isa/architecture.js'
import { architectureOf } from '../isa/index.js'
import { checkConfig, type MachineConfig } from './config.js'
import { composeParts } from './parts.js'

export interface MachineRegions {
  readonly cpus: CpuRegions
  readonly csd: PhysAddr
  readonly rings: PhysAddr
  readonly rcu: PhysAddr
  readonly kernel: KernelRegions
  readonly shadow: PhysAddr
  readonly program: ProgramRegions
}

/** A file of so many pages, or a segment of SysV shared memory. */
export type FileSpec = number | { readonly segment: number }

/** One CPU as this thread sees it. */
export interface BootedCpu {
  readonly cpu: Cpu
  readonly kernel: Kernel
  readonly interpreter: Interpreter
}

export class Machine {
  readonly config: MachineConfig
  readonly arch: Architecture
  readonly geo: Geometry
  readonly layout = new Layout()
  readonly regions: MachineRegions
  readonly memory: WebAssembly.Memory
  readonly memmap: Memmap
  readonly #guards: Guards | null
  readonly #words: Words | null
  /** For reports: names of operations by number. */
  readonly opNames = OPS

  /** Lays out the image and attaches this thread to `memory`, or to a new one. */
  constructor(config: MachineConfig, memory?: WebAssembly.Memory) {
    checkConfig(config)
    this.config = config
    this.arch = architectureOf(config.arch)
    this.geo = geometryOf(config, this.arch.geometry)
    this.regions = place(this.layout, config, this.arch)
    this.memmap = new (config.oracles ? CheckedMemmap : Memmap)(
      this.regions.kernel.memmap,
      phys(this.layout.frameBase),
      config.frameBytes,
      config.frames,
      config.fragments,
      8 << config.indexBits,
      config.pmdFragments,
    )
    this.memory = memory ?? createMemory(this.layout.size)
    attach(this.memory)
    useArch(this.arch.entry)
    this.#guards = config.oracles ? this.#makeGuards() : null
    this.#words = config.oracles ? new Words(this.layout) : null
    checkAccesses(this.#guards)
  }

  #makeGuards(): Guards {
    const shadow = new Shadow(this)
    return new Guards(this, shadow, new Sites(this, shadow), new HeldLocks(shadow), new Owners(this, shadow))
  }

  /** CPU `id` with the kernel that `change` makes of mainline, run by `engine`. */
  makeCpu(id: number, engine: Engine, change: KernelChange | null): BootedCpu {
    const { config, regions } = this
    assert(isUsed(this.arch.entry), 'entries are of the architecture of this machine')
    const area = phys(regions.cpus.cpus + id * CPU_AREA.size)
    const ring = new EventRing(regions.rings, id, config.ringLength, area)
    const cpu = new Cpu(cpuId(id), config.cpus, regions.cpus, regions.csd, ring, engine)
    const rcu = new Rcu(cpu, regions.rcu)
    const kernelConfig = { ...config.kernel, ...change?.config }
    rcu.gpDelay = kernelConfig.gpDelay
    const oracles = this.#words === null ? null : new Oracles(this, this.#words)
    const observer = oracles === null ? new Observer() : withSubsystems(oracles, this)
    const sizes = { base: config.tlbBase, huge: config.tlbHuge, psc: config.psc }
    const tlbs = Array.from(
      { length: config.cpus },
      (_, c) => new Tlb(regions.kernel.tlbs, c, config.cpus, sizes, observer),
    )
    const { memmap, geo } = this
    const hardware = { cpu, rcu, tlbs, memmap, geo, observer, config: kernelConfig, regions: regions.kernel }
    const kernel = new Kernel(hardware, composeParts(change, kernelConfig.pgalloc), addedParts())
    oracles?.bind(kernel)
    cpu.locks = observer
    cpu.accesses = oracles
    this.#guards?.watch(cpu)
    return { cpu, kernel, interpreter: new Interpreter(kernel, regions.program) }
  }

  /**
   * Boots a new image: formats memory, makes the first process, runs `program` in it on CPU 0, and leaves every CPU
   * idle in that process. The kernel that boots is the one that runs, bug and all. Throws UsageError for an operation
   * whose result is not the expected one.
   */
  boot(program: Program, change: KernelChange | null, files: readonly FileSpec[] = []): void {
    const solo = Array.from({ length: this.config.cpus }, (_, id) => this.makeCpu(id, new SoloEngine(), change))
    const first = solo[0]
    assert(first !== undefined, 'a machine has a CPU')
    const { kernel } = first
    formatSubsystems(kernel)
    drive(kernel.rcu.ctKernelEnter())
    for (const file of files)
      drive(typeof file === 'number' ? kernel.files.openFile(file) : kernel.files.newSegment(file.segment))
    const mm = drive(kernel.mms.mmAlloc())
    assert(mm !== 0, 'the first process has memory')
    drive(kernel.tlbFlush.switchMmIrqsOff(mm))
    drive(kernel.rcu.ctKernelExit())
    first.interpreter.expectations = 'collected'
    drive(first.interpreter.runOnce(program))
    const [mismatch] = first.interpreter.mismatches
    if (mismatch !== undefined) throw unexpected(mismatch)
    for (const other of solo.slice(1)) {
      drive(kernel.mms.mmget(mm))
      drive(other.kernel.tlbFlush.switchMmIrqsOff(mm))
    }
    if (this.config.oracles) settle(this)
  }

  /** Seeds the CPUs' own choices, for runs in threads. */
  seedChoices(seed: number): void {
    for (let id = 0; id < this.config.cpus; id++)
      poke32(
        this.regions.cpus.cpus + id * CPU_AREA.size + CPU_AREA.at.prng,
        (Math.imul(seed + 1, 0x9e3779b9) ^ Math.imul(id + 1, 0x85ebca6b)) | 1,
      )
  }

  /** What the oracles find when all CPUs have stopped; null when all is well. Uses `cpu` to look. */
  finalCheck(_cpu: BootedCpu): Finding | null {
    return this.config.oracles ? (finalCheck(this) ?? finalCheckOfSubsystems(this)) : null
  }

  /** Name of the word at `addr`, frames by what they are used for. */
  nameOf(addr: number): string {
    return this.layout.nameOf(addr)
  }
}

function unexpected({ index, op, expected, found }: Mismatch): UsageError {
  return new UsageError(
    `operation ${index} of the boot program, ${describeOp(op)}, returned ${found}, expected ${expected}`,
    'the boot program runs alone, before the CPUs start',
  )
}

/** The oracles of check/, and after them the observers that subsystems in rooms of their own have. */
function withSubsystems(oracles: Oracles, machine: Machine): Observer {
  const others = observersOf(machine)
  return others.length === 0 ? oracles : new Observers([oracles, ...others])
}

/** The real tree, or one with smaller tables. */
function geometryOf({ indexBits, pteBits = indexBits }: MachineConfig, real: Geometry): Geometry {
  if (indexBits === real.indexBits && pteBits === real.pteBits) return real
  return smallGeometry(indexBits, pteBits, real.levels, real.pageShift)
}

function place(layout: Layout, config: MachineConfig, { cpuState }: Architecture): MachineRegions {
  const { cpus } = config
  const cpuRegions = placeCpuRegions(layout, cpus, [
    SYNC_CPU_STATE,
    CPU_STATE,
    ...(cpuState === undefined ? [] : [cpuState]),
  ])
  const csd = placeIpiRegions(layout, cpus)
  const tlbs = placeTlbs(layout, cpus, { base: config.tlbBase, huge: config.tlbHuge, psc: config.psc })
  const rings = placeRings(layout, cpus, config.ringLength)
  const rcu = placeRcu(layout, cpus)
  const kernel = placeSubsystems(layout, config)
  const program = placeProgramRegions(layout, cpus)
  const shadow = placeShadow(layout, config.frames, config.fragments ?? 1)
  layout.placeFrames(config.frames, config.frameBytes)
  return { cpus: cpuRegions, csd, rings, rcu, shadow, program, kernel: { ...kernel, tlbs } }
}
