/** The one place that knows where the threads' entry files are. */

/** Entry of a free-running CPU: the stripped form; or of a perturbed one: the generator form. */
export function cpuWorkerUrl(perturbed: boolean): URL {
  return new URL(perturbed ? '../../workers/perturbedCpu.js' : '../../free/workers/cpu.js', import.meta.url)
}
