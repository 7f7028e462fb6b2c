/** The one place that knows where the threads' entry files are. */

/** This file is in both trees of the build, dist/ and dist/free/, and finds both from either. */
const here = new URL('../../../', import.meta.url)
const dist = here.pathname.endsWith('/dist/free/') ? new URL('../', here) : here

/** Entry of the thread that times page-table pages; stripped form. */
export const allocFreeWorkerUrl = (): URL => new URL('free/workers/allocFree.js', dist)

/** Entry of a free-running CPU: the stripped form; or of a perturbed one: the generator form. */
export function cpuWorkerUrl(perturbed: boolean): URL {
  return new URL(perturbed ? 'workers/perturbedCpu.js' : 'free/workers/cpu.js', dist)
}

/** Entry of a shard of an exploration; generator form. */
export const explorationWorkerUrl = (): URL => new URL('workers/explore.js', dist)
