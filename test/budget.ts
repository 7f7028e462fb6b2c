/**
 * The budgets of searches in tests. `npm test` gives each search its full budget; `npm run quick` sets
 * RACEWALK_TESTS=quick and gives a part of it, enough to see that the law is not broken outright.
 */
export const IS_QUICK = process.env['RACEWALK_TESTS'] === 'quick'

/** `full` executions; of a search that finds nothing, a tenth of them is enough for a quick look. */
export const executions = (full: number): number => (IS_QUICK ? Math.ceil(full / 10) : full)
