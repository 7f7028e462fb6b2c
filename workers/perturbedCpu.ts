/** A CPU that runs the generator form with random pauses at its schedule points. */
import { serveCpu } from '../src/boot/cpuMain.js'
import type { CpuTask } from '../src/boot/protocol.js'

export default (task: CpuTask): Promise<void> => serveCpu(task, true)
