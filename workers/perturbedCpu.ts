/** A CPU that runs the generator form with random pauses at its schedule points. */
import { serveCpu } from '../src/boot/threads/cpuMain.js'
import type { CpuTask } from '../src/boot/threads/protocol.js'

export default (task: CpuTask): Promise<void> => serveCpu(task, true)
