/** The free-running engine's benches. V8's inlining budget is raised before the kernel is loaded, as in the workers. */
import { setFlagsFromString } from 'node:v8'
setFlagsFromString('--max-inlined-bytecode-size-cumulative=20000')
setFlagsFromString('--max-inlined-bytecode-size=4000')
const { runFreeBenches } = await import('./freeBenches.js')
await runFreeBenches()
