/**
 * The other side of bench/ipi.ts, CPU 1 in a thread of its own: takes interrupts like a CPU in a kernel loop, or
 * answers stores to one word with stores to another, as the mode word says.
 */
import { workerData } from 'node:worker_threads'
import { Machine } from '../src/boot/machine.js'
import type { MachineConfig } from '../src/boot/config.js'
import { drive } from '../src/machine/engine/engine.js'
import { FreeEngine } from '../src/machine/engine/free.js'
import { load32, store32 } from '../src/machine/image/image.js'
import { wordAt } from '../src/program/state.js'

export const Mode = { interrupts: 0, words: 1, end: 2 } as const

interface PeerData {
  readonly config: MachineConfig
  readonly memory: WebAssembly.Memory
}

if (workerData !== null) serve(workerData as PeerData)

function serve({ config, memory }: PeerData): void {
  const machine = new Machine(config, memory)
  const word = (index: number): number => wordAt(machine.regions.program, index)
  const [mode, request, answer] = [word(0), word(1), word(2)]
  const { cpu } = machine.makeCpu(1, new FreeEngine(), null)
  cpu.ipi.register({ *ipi() {} })
  for (let now = load32(mode); now !== Mode.end; now = load32(mode)) {
    if (now === Mode.interrupts) drive(cpu.cpuRelax())
    else store32(answer, load32(request))
  }
}
