import { defineConfig } from 'vitest/config'

// The suites run the built files in dist/ (npm test builds first), so what is tested is what ships.
// Two workers: the machine has two cores, and the free-running suites start threads of their own.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
