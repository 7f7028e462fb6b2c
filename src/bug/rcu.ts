/** Bugs of expedited grace periods. */
import type { Step } from '../machine/engine/engine.js'
import { load32 } from '../machine/image/image.js'
import { RcuExpedited } from '../sync/expedited.js'
import { wakeUpAll } from '../sync/waitQueue.js'
import { defineBug, defineMutant } from './bug.js'

/**
 * rcu_exp_wait_wake() up to v5.5. Since then the sequence is handed along (fd6bc19d7676), and the mutex is taken before
 * the sequence ends (4bc6b745e5cb; hash from memory): either one cures it.
 */
class LooksUpTheQueueLate extends RcuExpedited {
  protected override *endGracePeriod(): Step<void> {
    yield* this.rcuExpGpSeqEnd()
  }

  protected override *wakeStage(): Step<void> {
    yield* this.lockWakeMutex()
    yield* wakeUpAll(this.cpu, this.queueOf(load32(this.expSeq)))
    yield* this.unlockWakeMutex()
  }
}

export const expWrongQueue = defineBug({
  id: 'exp-wrong-queue',
  number: 'K58',
  year: 2019,
  upstream: { fixed: 'fd6bc19d7676' },
  summary:
    'who wakes those that waited for an expedited grace period looks up their queue by the present sequence: the next one may have ended',
  symptom: 'they sleep on, until another four grace periods on there is one that wakes their queue',
  scenarios: ['expedited-vs-expedited'],
  parts: { RcuExpedited: LooksUpTheQueueLate },
})

class ReportsForReaders extends RcuExpedited {
  protected override foundQuiescent(): boolean {
    return true
  }
}

export const expReaderIgnored = defineMutant({
  id: 'exp-reader-ignored',
  summary: 'a CPU that is interrupted for an expedited grace period reports a quiescent state from inside a reader',
  symptom: 'the grace period ends while a reader from before it is still inside',
  scenarios: ['expedited-vs-reader'],
  parts: { RcuExpedited: ReportsForReaders },
})
