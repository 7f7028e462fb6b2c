/** The setup of the projects `model` and `explore`: a test that starts a thread or a process is refused. */
import childProcess from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'
import workerThreads from 'node:worker_threads'

const refused = (what: string, name: string) =>
  function refuse(): never {
    throw new Error(`this test starts ${what}: name its file ${name}, so that npm run quick does without it`)
  }

const thread = refused('a thread', '*.threads.test.ts')
const process = refused('a process', '*.command.test.ts')
Object.assign(workerThreads, { Worker: thread })
Object.assign(
  childProcess,
  Object.fromEntries(
    ['spawn', 'spawnSync', 'execFile', 'execFileSync', 'exec', 'execSync', 'fork'].map((name) => [name, process]),
  ),
)
syncBuiltinESMExports()
