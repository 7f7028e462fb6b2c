// Scenarios that give the threads that explore them trouble, and leave the main thread alone.
import { mkdirSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { scenarioById } from '../../../dist/src/index.js'

const calm = scenarioById('message-passing')

/** Message passing, with `trouble()` at the beginning of the 700th execution of a thread. */
export function troubled(id, trouble) {
  let executions = 0
  const build = (setting) => {
    const { programs, ...rest } = calm.build(setting)
    const [[store, ...more], ...others] = programs
    const counted = {
      ...store,
      get value() {
        if (!isMainThread && ++executions === 700) trouble()
        return store.value
      },
    }
    return { ...rest, programs: [[counted, ...more], ...others] }
  }
  return { ...calm, id, build }
}

/** True once: for the thread that makes the directory that the test named. */
export function once() {
  try {
    mkdirSync(process.env.RACEWALK_TEST_ONCE)
    return true
  } catch {
    return false
  }
}
