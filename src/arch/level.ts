/** Levels of page tables, by number and by name. */

/** Level of a page-table entry. 4 is the pgd of a tree of four levels and the p4d of one of five, whose top is 5. */
export const Level = { pte: 1, pmd: 2, pud: 3, pgd: 4, p4d: 4, top: 5 } as const

/** Levels of tables above the PTE. */
export type UpperLevel = 2 | 3 | 4 | 5

/** Names of the levels of a tree of four, from the root down. An entry of level 'pte' maps a base page. */
export const LEVEL_NAMES = ['pgd', 'pud', 'pmd', 'pte'] as const
export type LevelName = (typeof LEVEL_NAMES)[number]
