/**
 * The kernel model against a real kernel, call by call: each recording is run on one CPU in the real geometry, and
 * after every step the result, the VMAs with their rights and flags, their counters and the letter of each page must be
 * those of Linux 6.18. At the end the process exits, and the oracles must find nothing left of it.
 */
import { describe, expect, it } from 'vitest'
import { fullMachine } from '../../dist/src/boot/config.js'
import type { Machine } from '../../dist/src/boot/machine.js'
import { parseMmSteps, type MmState, type MmSteps } from '../input/mmSteps.js'
import { IS_QUICK } from '../budget.js'
import { STEP_FILES, stepText } from '../input/recordings.js'
import { Arena } from './arena.js'
import { FORMS, type Form } from './form.js'

/** Of the device that the recordings' file is on, in pages; they show that it is more than 66. */
const READ_AHEAD = 1024

/** A quick look takes a quarter of them. */
const FILES = IS_QUICK ? STEP_FILES.filter((_, at) => at % 4 === 0) : STEP_FILES

describe.each(FORMS)('The recordings of a real kernel, run by %s', (_, form) => {
  it.each(FILES)('%s: every result and every state is the same', (file) => {
    const recording = parseMmSteps(stepText(file), file)
    const { drive } = form
    const machine = bootFor(form, recording)
    const cpu = machine.makeCpu(0, new form.SoloEngine(), null)
    drive(cpu.kernel.rcu.ctKernelEnter())
    const arena = new Arena(form, cpu.kernel, recording.base, recording.pages)

    for (const { call, result } of recording.init) expect(arena.call(call, () => {})).toEqual(result)
    if (recording.initial !== null) expect(shown(arena.state(), recording)).toEqual(shown(recording.initial, recording))
    for (const step of recording.steps) {
      const where = `step ${step.n}, line ${step.line}: ${JSON.stringify(step.call)}`
      let child: MmState | undefined
      expect(
        arena.call(step.call, (state) => (child = state)),
        where,
      ).toEqual(step.result)
      expect(child && shown(child, recording), where).toEqual(step.child && shown(step.child, recording))
      expect(shown(arena.state(), recording), where).toEqual(shown(step.state, recording))
    }

    drive(cpu.kernel.mms.mmput(arena.mm))
    drive(cpu.kernel.rcu.drain())
    expect(machine.finalCheck(cpu)).toBeNull()
  })
})

function bootFor(form: Form, recording: MmSteps): Machine {
  const config = fullMachine(1, 8192)
  const machine = new form.Machine({ ...config, kernel: { ...config.kernel, thp: 'madvise', readAhead: READ_AHEAD } })
  machine.boot([], null, [recording.mode === 'thp' ? 2048 : 48])
  return machine
}

/** A state as lines, in the words of the recording. */
function shown(state: MmState, { mode }: MmSteps): string[] {
  const lines = state.vmas.map(({ start, len, perms, counters, flags }) => {
    const { rss, anon, lazy, thp, lck } = counters
    const names = [...flags].sort().join(' ')
    return `${start.toString(16)}+${len.toString(16)} ${perms} rss=${rss} anon=${anon} lazy=${lazy} thp=${thp} lck=${lck} [${names}]`
  })
  return mode === 'thp' ? lines : [...lines, state.pages ?? '']
}
