// Scenarios that give the threads that explore them trouble, and leave the main thread alone.
import { mkdirSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { scenarioById } from '../../../dist/src/index.js'

const calm = scenarioById('message-passing')

/** Message passing, with `trouble()` at the end of the 700th execution of a thread. */
export function troubled(id, trouble) {
  let executions = 0
  const outcome = (reg) => {
    if (!isMainThread && ++executions === 700) trouble()
    return calm.outcome(reg)
  }
  return { ...calm, id, outcome }
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
