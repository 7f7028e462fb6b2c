import { defineConfig, type Plugin } from 'vitest/config'

// Kernel functions that tests write themselves go through the same transform as the kernel (dist/ is built by then).
const lowered: Plugin = {
  name: 'racewalk-lowered',
  enforce: 'post',
  async transform(code, id) {
    if (!/\/test\/.*\.ts$/.test(id) || !code.includes('yield*')) return undefined
    const { lowerControlled } = (await import('./dist/src/boot/lower/lower.js')) as {
      lowerControlled: (code: string, file: string) => string
    }
    return { code: lowerControlled(code, id), map: null }
  },
}

// The suites run the built files in dist/ (npm test builds first), so what is tested is what ships.
// Two workers: the machine has two cores, and the free-running suites start threads of their own.
export default defineConfig({
  plugins: [lowered],
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
