/**
 * Times one design of page-table pages, in a thread of its own so that V8 has seen no other. Free-running form only.
 */
import { setFlagsFromString } from 'node:v8'

setFlagsFromString('--max-inlined-bytecode-size-cumulative=20000')
setFlagsFromString('--max-inlined-bytecode-size=4000')

export default async function allocFree(pgalloc: string): Promise<number> {
  const { allocFreeNs } = await import('../src/explore/compare/churn.js')
  return allocFreeNs(pgalloc)
}
