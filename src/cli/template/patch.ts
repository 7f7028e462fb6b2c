import { definePatch, type PhysAddr, type PteWord, type Step } from 'racewalk/kernel'

/**
 * A patch changes parts of the kernel. It goes on top of what is there, so this one, which gives gup_fast its second
 * look, cures the bug no-recheck, which takes it away. Kernel functions are generators: `yield*` stands before each
 * access.
 */
export default definePatch({
  summary: 'gup_fast looks at the entries again after it has taken its reference',
  parts: {
    GupFast: (Base) =>
      class LooksAgain extends Base {
        protected override *pteUnchanged(pmd: PteWord, pmdp: PhysAddr, pte: PteWord, ptep: PhysAddr): Step<boolean> {
          if ((yield* this.cpu.readOnce64(ptep)) !== pte) return false
          return yield* this.pmdUnchanged(pmd, pmdp)
        }

        protected override *pmdUnchanged(pmd: PteWord, pmdp: PhysAddr): Step<boolean> {
          return (yield* this.cpu.readOnce64(pmdp)) === pmd
        }
      },
  },
})
