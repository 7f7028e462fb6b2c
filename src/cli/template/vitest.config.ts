import { defineConfig } from 'vitest/config'

export default defineConfig({
  // A race is explored for as long as its executions take.
  test: { testTimeout: 60_000 },
})
