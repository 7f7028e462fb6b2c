import { defineConfig, type Plugin } from 'vitest/config'
import { LongestFirst } from './test/longestFirst.js'
import { ProjectSeconds } from './test/projectSeconds.js'

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

// A test file's project is in its name and its folder: threads are *.threads.test.ts; processes, browsers and the
// command are *.command.test.ts and cli/; explorations are in explore/ and race/; the rest is the model.
const ALL = 'test/**/*.test.ts'
const THREADS = 'test/**/*.threads.test.ts'
const COMMAND = ['test/**/*.command.test.ts', 'test/cli/**/*.test.ts']
const EXPLORE = ['test/{explore,race}/**/*.test.ts']
// They add rows to the program's lists, so that their process is not for other files.
const ROWS = 'test/**/toy*.test.ts'
const ALONE = { setupFiles: ['./test/alone.ts'] }

// The suites run the built files in dist/ (npm test builds first), so what is tested is what ships.
// Two workers: the machine has two cores, and the free-running suites start threads of their own.
export default defineConfig({
  plugins: [lowered],
  test: {
    // For what hangs: on a busy machine a test of seconds takes minutes.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    pool: 'forks',
    // The files of a project share a process and the modules of dist/ in it: to load them takes a second each time.
    isolate: false,
    // Node loads dist/ itself: nothing between a test and what ships.
    server: { deps: { external: [/\/dist\//] } },
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new ProjectSeconds()],
    projects: [
      { extends: true, test: { name: 'threads', include: [THREADS] } },
      {
        extends: true,
        test: { name: 'command', include: COMMAND, exclude: [THREADS] },
      },
      { extends: true, test: { name: 'explore', include: EXPLORE, exclude: [THREADS, ...COMMAND], ...ALONE } },
      {
        extends: true,
        test: { name: 'model', include: [ALL], exclude: [THREADS, ...COMMAND, ...EXPLORE, ROWS], ...ALONE },
      },
      { extends: true, test: { name: 'rows', include: [ROWS], isolate: true, ...ALONE } },
    ],
  },
})
