/**
 * Draws the words at which an execution may switch: a strategy leaves a CPU only before an access to one of them. The
 * draw is all words, the words that CPUs share, or a part of these. A race needs a few switches at a few words; the
 * fewer words count, the likelier the switches fall on the right ones. No profile tells which words matter, so each
 * execution draws its own, and how many. Now and then the draw is all words, since the profile may lack one.
 */
import type { Prng } from '../../base/prng.js'
import type { SchedulePoint } from '../../machine/engine/controlled.js'
import type { Profile, SharedWord } from './profile.js'

/**
 * Of eight executions: those that leave a CPU before any access, and those that do before accesses to all shared words.
 *
 * Measured over the 24 bugs of the corpus that take some strategy more than 100 executions, ten seeds: leaving a CPU
 * before any access is worst nearly everywhere (POS at s390-attach-copy 17,995 executions on average, 2,581 with shared
 * words, 1,054 with some; PCT at ppc-frag-refcount more than 60,000, 56,460 and 3,103). Of the other two each is the
 * better one often, by as much as six times (POS at s390-attach-window 1,839 and 11,382, at mremap-tlb 1,895 and 337).
 */
const ANY = 1
const SHARED = 5
/** Shares of the shared words that a part of them is, by equal chances; SOME_LEAST words at least, if there are. */
const SOME = [1 / 2, 1 / 4, 1 / 8]
const SOME_LEAST = 2

/** Words by their addresses divided by 8; null: any. */
export function drawSharedWords(prng: Prng, profile: Profile): ReadonlySet<number> | null {
  const draw = prng.below(8)
  if (draw < ANY) return null
  const all = profile.shared.length
  const share = draw < ANY + SHARED ? 1 : (SOME[prng.below(SOME.length)] as number)
  const count = Math.max(SOME_LEAST, Math.ceil(share * all))
  if (count >= all) return profile.sharedWords
  return new Set([...drawSome(prng, profile.shared, count)].map(({ word }) => word))
}

/** Whether an execution that leaves CPUs only before accesses to `words` may leave the CPU of `point` there. */
export const mayLeave = (words: ReadonlySet<number> | null, { current, addr }: SchedulePoint): boolean =>
  current < 0 || words === null || words.has(addr >>> 3)

/** `count` of the words, each as likely as any other; all, if there are no more. */
export function drawSome(prng: Prng, words: readonly SharedWord[], count: number): ReadonlySet<SharedWord> {
  if (count >= words.length) return new Set(words)
  const some = new Set<SharedWord>()
  while (some.size < count) some.add(words[prng.below(words.length)] as SharedWord)
  return some
}
