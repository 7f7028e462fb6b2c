/** In a thread: runs what the main thread compiled and kept. It was checked there. */
import { readStored } from './cache.js'
import { evaluate } from './evaluate.js'
import { surfacesOf } from './surfaces.js'

/** The default export of the module that is kept at `path`. */
export async function loadKept<T>(path: string): Promise<T> {
  const module = readStored(path)
  return evaluate(module, await surfacesOf(module)) as T
}
