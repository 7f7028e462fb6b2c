/**
 * BUG-64. 99baac21e458 "mm: fix MADV_[FREE|DONTNEED] TLB flush miss problem".
 *
 * The second of two MADV_DONTNEED of one range finds the entries gone, has nothing to flush, and returns to user space
 * while the first has not flushed yet.
 */
import type { Step } from '../machine/engine/engine.js'
import { MmuGather } from '../mm/mmuGather.js'
import { defineBug } from './bug.js'

class IgnoresOtherGathers extends MmuGather {
  protected override *mmTlbFlushNested(): Step<boolean> {
    return false
  }
}

export const zapZapTlb = defineBug({
  id: 'zap-zap-tlb',
  number: 'BUG-64',
  also: ['K34'],
  year: 2017,
  upstream: { fixed: '99baac21e458' },
  summary: 'a gather that found nothing does not flush for another one that is still in flight',
  symptom: 'MADV_DONTNEED returns, and another thread still reads the old data through its TLB',
  scenarios: ['dontneed-vs-dontneed'],
  parts: { MmuGather: IgnoresOtherGathers },
})
