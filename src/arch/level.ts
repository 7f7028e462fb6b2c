/** Levels of tables above the PTE, as Level in machine/trace/observer.ts numbers them: 2 a PMD … 5 the top of five. */
export type UpperLevel = 2 | 3 | 4 | 5
