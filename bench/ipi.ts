/**
 * The round trip of an IPI between two threads: smp_call_function_many() of an empty function to one CPU, and the wait
 * for it. The least that it could cost is a store that the other thread sees and answers with a store of its own.
 */
import { Worker } from 'node:worker_threads'
import { fullMachine } from '../src/boot/config.js'
import { Machine } from '../src/boot/machine.js'
import { drive } from '../src/machine/engine/engine.js'
import { FreeEngine } from '../src/machine/engine/free.js'
import { load32, store32 } from '../src/machine/image/image.js'
import { wordAt } from '../src/program/state.js'
import { phys } from '../src/base/units.js'
import { ask, type Answer } from './harness.js'
import { Mode } from './ipiPeer.js'

const BATCH = 50
const TO_ALL_OTHERS = phys(0)

/** Attaches this thread to a machine of its own. */
export async function ipiRoundTrip(): Promise<Answer> {
  const config = { ...fullMachine(2), oracles: false, ringLength: 0 }
  const machine = new Machine(config)
  machine.boot([], null)
  const word = (index: number): number => wordAt(machine.regions.program, index)
  const [mode, request, answer] = [word(0), word(1), word(2)]
  const { cpu } = machine.makeCpu(0, new FreeEngine(), null)
  const nothing = cpu.ipi.register({ *ipi() {} })
  const worker = new Worker(new URL('./ipiPeer.js', import.meta.url), {
    workerData: { config, memory: machine.memory },
  })
  let ticket = 0
  const result = await ask({
    question: 'an IPI to another thread and the wait for it / a store answered by a store',
    batch: BATCH,
    ways: [
      {
        name: 'callMany, wait',
        run: () => {
          store32(mode, Mode.interrupts)
          for (let i = 0; i < BATCH; i++) drive(cpu.ipi.callMany(TO_ALL_OTHERS, nothing, 0, true))
        },
      },
      {
        name: 'store, answered',
        run: () => {
          store32(mode, Mode.words)
          for (let i = 0; i < BATCH; i++) {
            store32(request, ++ticket)
            while (load32(answer) !== ticket);
          }
        },
      },
    ],
  })
  store32(mode, Mode.end)
  await new Promise((resolve) => worker.once('exit', resolve))
  return result
}
