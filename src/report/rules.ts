/**
 * The rules that the oracles check, in words, and where the kernel (v6.12) has them: what a finding's `oracle` stands
 * for. test/report/rules.test.ts holds the table against the oracles in the source.
 */
import { subsystemOracles } from '../subsystem/index.js'
import type { Finding } from '../machine/engine/finding.js'

export interface Rule {
  /** What holds in a correct kernel: a sentence or two. */
  readonly text: string
  /** Files and functions of the kernel, or its documentation, that keep the rule or check it. */
  readonly source: string
}

/** An oracle with several rules: the first whose title matches, else the last. */
type Rules = Rule | readonly (Rule & { readonly title?: RegExp })[]

const RULES: Readonly<Record<string, Rules>> = {
  'bad-page': {
    text: 'A page that goes back to the allocator is mapped nowhere, is referenced and pinned by nobody, and carries no flag of its use.',
    source: 'mm/page_alloc.c: free_page_is_bad(), bad_page()',
  },
  contents: [
    {
      title: /private mapping/,
      text: 'A private mapping of a file shares pages with the page cache to read them alone: its first store goes to a copy of its own.',
      source: 'mm/memory.c: do_wp_page(), do_cow_fault(), wp_page_copy(); mmap(2), MAP_PRIVATE',
    },
    {
      text: 'What a process has stored is there until it stores again, through fork, COW, huge pages, migration, mremap() and reclaim, and no other process sees it through private memory. The same holds of shared memory and files for all who map them.',
      source: 'mm/memory.c: do_wp_page(), copy_present_page(); mm/gup.c: gup_must_unshare(); fork(2), mmap(2)',
    },
  ],
  deadlock: [
    {
      title: /^the programs/,
      text: 'Programs do not wait for what none of their operations brings about: a lock that is never given back, a word or a slot that nobody fills.',
      source: 'the scenario; kernel/hung_task.c: check_hung_task()',
    },
    {
      text: 'CPUs never wait for each other in a circle: whatever a CPU waits for, somebody who runs brings about.',
      source: 'kernel/hung_task.c: check_hung_task(); the lock order at the head of mm/rmap.c',
    },
  ],
  deposit: {
    text: 'Whoever makes a huge anonymous PMD deposits a PTE table with it, so that a split, which must not fail, can withdraw it.',
    source: 'mm/pgtable-generic.c: pgtable_trans_huge_deposit(), pgtable_trans_huge_withdraw()',
  },
  'dirty-lost': {
    text: 'A page that was stored to is dirty, by an entry that maps it or by its folio, until write-back has taken what was stored. Reclaim drops clean pages.',
    source: 'mm/memory.c: zap_present_folio_ptes(); mm/rmap.c: try_to_unmap_one(); mm/vmscan.c: shrink_folio_list()',
  },
  'discard-kept': {
    text: 'After MADV_DONTNEED a private anonymous page in the range reads as zeroes: nothing of what was there before the call is left.',
    source: 'mm/madvise.c: madvise_dontneed_single_vma(); mm/memory.c: zap_page_range_single(); madvise(2)',
  },
  'entry-legal': {
    text: 'A page-table entry has a form that its level and architecture define, names memory that exists, and changes in one store only to what the hardware and the lockless walkers can follow.',
    source: 'Documentation/mm/arch_pgtable_helpers.rst; mm/memory.c: print_bad_pte()',
  },
  expect: {
    text: 'An operation has the result that the scenario states (`expect`): what a system call returns, what a load reads.',
    source: 'the scenario; tools/testing/selftests/kselftest.h states results in the same way',
  },
  'frame-state': [
    {
      title: /still maps the page|names a frame/,
      text: 'A page is freed only when no entry maps it any more: the reference of a mapping goes after the entry is cleared.',
      source: 'mm/memory.c: zap_pte_range(); mm/page_alloc.c: bad_page()',
    },
    {
      title: /free lists/,
      text: 'The free lists of the buddy allocator hold the frames that nobody uses, each once.',
      source: 'mm/page_alloc.c: __free_one_page(), free_page_is_bad()',
    },
    {
      title: /table/,
      text: 'A page table is linked in one place, is empty and unlinked when it is given back, and its memory is reused only when every walker without a lock has left it: by RCU, or after an interrupt that gup_fast, with IRQs off, does not take.',
      source: 'mm/mmu_gather.c: tlb_remove_table(); mm/pgtable-generic.c: pte_free_defer()',
    },
    {
      title: /double-free|twice/,
      text: 'A page is handed out once, and given back once, by its last owner.',
      source: 'mm/page_alloc.c: __free_pages(); mm/kasan/report.c: kasan_report_invalid_free()',
    },
    {
      text: 'Memory is used only between its allocation and its free: by those who hold a reference, a lock or an RCU reader that keeps it.',
      source: 'mm/kasan/report.c: kasan_report(); mm/swap.c: __folio_put()',
    },
  ],
  'gup-identity': {
    text: 'A page that gup returns was mapped at the address asked for at some moment after its reference was taken. A lockless walk takes the reference first and then looks again, at the PTE and at the PMD above it.',
    source: 'mm/gup.c: gup_fast_pte_range(), gup_fast_pmd_leaf()',
  },
  'ipi-wait-irqs-off': {
    text: 'A CPU that waits until others have handled an interrupt has its own interrupts on: two that wait for each other with interrupts off never go on.',
    source: 'kernel/smp.c: smp_call_function_many_cond()',
  },
  'kernel-bug': {
    text: 'The kernel asserts this itself: the condition in the title is one that its function was promised by everybody who comes before it.',
    source: 'VM_BUG_ON and BUG_ON in the function that the title names',
  },
  'kernel-fetch': {
    text: 'The kernel runs by its own page tables: whatever control register the CPU fetches instructions by, it does not name the tables of a user while kernel code runs.',
    source: 'arch/s390/lib/uaccess.c: enable_sacf_uaccess(); arch/s390/mm/pgalloc.c: __crst_table_upgrade()',
  },
  leak: {
    text: 'When everything has ended, every page in use has a holder that can give it back: an entry, a file, or a caller of gup.',
    source: 'mm/kmemleak.c looks for the same; kernel/fork.c: check_mm() for the counts of an mm',
  },
  'list-corruption': {
    text: 'A node is on one list at a time, its neighbours point back at it, and a list changes only under its lock.',
    source: 'lib/list_debug.c: __list_add_valid_or_report(), __list_del_entry_valid_or_report()',
  },
  livelock: {
    text: 'Every operation ends after a bounded number of its own steps and those that it waits for.',
    source: 'kernel/watchdog.c: watchdog_timer_fn() (soft lockup)',
  },
  'lock-misuse': {
    text: 'A lock is released by the CPU that took it, is not taken again by its holder, and guards only those who hold it.',
    source: 'kernel/locking/spinlock_debug.c; kernel/locking/rwsem.c: DEBUG_RWSEMS_WARN_ON; include/linux/seqlock.h',
  },
  'lock-order': [
    {
      title: /returning to user space/,
      text: 'A system call gives back every lock that it took before it returns to user space.',
      source: 'kernel/locking/lockdep.c: lockdep_sys_exit()',
    },
    {
      text: 'Locks are taken in one order by everybody. Two CPUs that take two locks in opposite orders can each hold what the other waits for.',
      source: 'the lock order at the head of mm/rmap.c and mm/filemap.c; kernel/locking/lockdep.c: check_noncircular()',
    },
  ],
  oops: {
    text: 'The kernel follows only pointers to what is there: each access goes to a field of a structure that exists, with a width of the field, or to a frame that exists.',
    source: 'arch/x86/mm/fault.c: page_fault_oops(); Documentation/mm/memory-model.rst: pfn_valid()',
  },
  outcome: {
    text: 'The program ends in one of the endings that its scenario allows. What the memory accesses of several CPUs may come to is for the kernel memory model to say.',
    source: "the scenario's list of endings; tools/memory-model/Documentation/explanation.txt",
  },
  'pin-exclusive': {
    text: 'A pinned anonymous page belongs to one process alone until it is unpinned: who would share it looks for pins first, and who pins looks at the flag after. Otherwise the owner writes to a copy, and the holder of the pin goes on with the original.',
    source:
      'mm/internal.h: gup_must_unshare(); include/linux/rmap.h: folio_try_share_anon_rmap_pte(); mm/memory.c: copy_page_range() and write_protect_seq',
  },
  'rcu-misuse': {
    text: 'Readers nest and end where they began, an rcu_head is queued once and left alone until its callback runs, and no callback runs and no grace period ends while a reader from before it is still inside.',
    source: 'kernel/rcu/tree.c: call_rcu(); kernel/rcu/rcu.h: debug_rcu_head_queue(); Documentation/RCU/whatisRCU.rst',
  },
  refcount: {
    text: 'A reference is taken only from a count above zero, every reference and every mapping is given back once, and the count of a page is at least the sum of its mappings.',
    source: 'include/linux/page_ref.h: folio_try_get(); include/linux/mm.h: put_page_testzero(); mm/rmap.c',
  },
  'sleep-in-atomic': {
    text: 'A CPU sleeps only with preemption and interrupts on, and outside of RCU readers.',
    source: 'kernel/sched/core.c: __might_resched()',
  },
  stall: {
    text: 'Every CPU finishes its operation at some time: nobody starves, and nobody waits for what never comes.',
    source: 'kernel/watchdog.c: watchdog_timer_fn(); kernel/hung_task.c: check_hung_task()',
  },
  'tlb-stale': [
    {
      title: /multi-hit/,
      text: 'One address is never cached in two sizes: a huge PMD is made invalid and flushed from every TLB before a table takes its place, and a table before a huge page does.',
      source: 'mm/huge_memory.c: __split_huge_pmd_locked() and its comment on pmdp_invalidate(); mm/pgtable-generic.c',
    },
    {
      title: /freed while/,
      text: 'Memory is freed only when no TLB translates to it any more: entries are cleared, TLBs are flushed, then pages and tables are freed.',
      source: 'include/asm-generic/tlb.h; mm/mmu_gather.c: tlb_finish_mmu()',
    },
    {
      title: /replaced/,
      text: 'An entry that is cleared is flushed before its lock is dropped, or at least before another page can be mapped in its place.',
      source: 'mm/pgtable-generic.c: ptep_clear_flush(); mm/memory.c: wp_page_copy()',
    },
    {
      text: 'When munmap, mremap, mprotect or MADV_DONTNEED returns, no TLB has a translation left that the call took away.',
      source: 'mm/mmu_gather.c: tlb_finish_mmu(); mm/mremap.c: move_page_tables(); mm/mprotect.c: change_protection()',
    },
  ],
  'unguarded-access': {
    text: 'A field that CPUs share is read and written only by who holds its lock, owns an object that nobody else can reach, or uses an accessor such as READ_ONCE().',
    source:
      'Documentation/locking/lockdep-design.rst; Documentation/mm/process_addrs.rst; include/linux/mmap_lock.h: mmap_assert_locked()',
  },
  'object-life': {
    text: 'VMAs and nodes of maple trees that others find under RCU are freed after a grace period, and nobody uses one from then on.',
    source: 'lib/maple_tree.c: ma_free_rcu(); kernel/fork.c: vm_area_free(); mm/memory.c: lock_vma_under_rcu()',
  },
  'zero-page': {
    text: 'A write for one process never reaches a page that others see: the zero page is mapped for reading only, and a private mapping of a file is copied before it is written to, by gup with FOLL_FORCE too.',
    source: 'mm/memory.c: do_wp_page(), wp_page_copy(); mm/gup.c: can_follow_write_pte()',
  },
}

/** Names of the oracles that have a rule. */
export const ORACLES: readonly string[] = Object.keys(RULES)

/** The rule that `finding` broke; null for an oracle that is not racewalk's. */
export function ruleOf({ oracle, title }: Pick<Finding, 'oracle' | 'title'>): Rule | null {
  const rules = Object.hasOwn(RULES, oracle) ? RULES[oracle] : subsystemOracles().find(({ id }) => id === oracle)?.rule
  if (rules === undefined) return null
  if (!isList(rules)) return rules
  // Without the function at the end, whose name may hold any word.
  const what = title.replace(/ in [\w.#]+$/, '')
  const rule = rules.find((candidate) => candidate.title === undefined || candidate.title.test(what))
  return rule === undefined ? null : { text: rule.text, source: rule.source }
}

const isList = (rules: Rules): rules is Exclude<Rules, Rule> => Array.isArray(rules)
