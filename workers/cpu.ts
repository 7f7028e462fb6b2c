/**
 * A free-running CPU. V8's inlining budget is raised before the kernel is loaded: an accessor that is not inlined has
 * its bigint allocated.
 */
import { setFlagsFromString } from 'node:v8'
import type { CpuTask } from '../src/boot/threads/protocol.js'

setFlagsFromString('--max-inlined-bytecode-size-cumulative=20000')
setFlagsFromString('--max-inlined-bytecode-size=4000')

export default async function cpu(task: CpuTask): Promise<void> {
  const { serveCpu } = await import('../src/boot/threads/cpuMain.js')
  await serveCpu(task, false)
}
