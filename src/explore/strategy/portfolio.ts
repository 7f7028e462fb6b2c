/**
 * The default strategy: the four sampled strategies, mixed.
 */
import { PCT } from './pct.js'
import { POS } from './pos.js'
import { RANDOM } from './random.js'
import type { SampledStrategy } from './strategy.js'
import { URW } from './urw.js'

/**
 * The portfolio's executions in turn: seven of sixteen POS, seven PCT, one URW, one of the random walk.
 *
 * Measured over the corpus, ten seeds or more, 6,000 executions at most: each strategy's rate of finding each bug gives
 * the mean executions of any mix. PCT is the best at windows that are left once or twice (gup-head-recheck 34
 * executions, POS 35,000; gup-collapse-uaf 46, POS 2,500) and finds others almost never (ppc-frag-refcount 11,000, POS
 * 224; s390-attach-window 48,000, POS 3,000). URW and the random walk are the best at 3 of the 24 bugs that are not
 * easy for all, and cost the others an eighth; they stay for what is not in the corpus. The rarest (s390-attach-window)
 * takes equal parts of the four 10,400 by these rates; this mix took it 5,000 over forty seeds, and ptmm-lock-uaf
 * 2,400, which eight parts POS and six PCT took 4,700.
 */
const MIX: readonly SampledStrategy[] = [
  ...[POS, PCT, POS, PCT, POS, PCT, POS, URW],
  ...[PCT, POS, PCT, POS, PCT, POS, PCT, RANDOM],
]

export const PORTFOLIO = {
  kind: 'sampled',
  id: 'portfolio',
  summary: 'the next four, mixed by what finds the bugs of the corpus',
  options: {},
  make: (context) => (MIX[context.index % MIX.length] as SampledStrategy).make(context),
} as const satisfies SampledStrategy
