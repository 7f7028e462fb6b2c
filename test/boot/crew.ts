/** Threads for all runs of one describe(): they stay for the next run, as long as each ends without a finding. */
import { afterAll, beforeAll } from 'vitest'
import { CpuThreads } from '../../dist/src/boot/threads/cpuThreads.js'
import { cpuWorkerUrl } from '../../dist/src/boot/threads/spawn.js'

export function crewOf(cpus: number, perturb = false): { readonly cpus: number; readonly threads: CpuThreads } {
  let threads: CpuThreads
  beforeAll(() => void (threads = new CpuThreads(cpus, cpuWorkerUrl(perturb))))
  afterAll(() => threads.destroy())
  return {
    cpus,
    get threads() {
      return threads
    },
  }
}
