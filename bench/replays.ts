/** Do recorded findings replay? The number on the command line (1,000 unless given), over the bugs of the corpus. */
import { bugs } from '../src/bug/index.js'
import { explore, replay } from '../src/explore/explore.js'
import { decodeToken } from '../src/explore/schedule/token.js'
import type { Finding } from '../src/machine/engine/finding.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { SMOKE } from './harness.js'

/** A finding without its token, and without the kernel functions of allocations, which only a replay keeps. */
function essence({ oracle, title, cpu, address, details, stack }: Finding): string {
  return JSON.stringify({
    oracle,
    title,
    cpu,
    address,
    stack,
    details: details.filter((line) => !line.startsWith(' ')),
  })
}

const wanted = SMOKE ? 3 : Number(process.argv[2] ?? 1000)
let found = 0
let same = 0
let bytes = 0
for (let seed = 1; found < wanted && seed < 100_000; seed++)
  for (const bug of bugs) {
    if (found >= wanted) break
    const scenario = scenarioById(bug.scenarios[0] as string)
    const { finding } = explore({ scenario, bug, seed, executions: 2000 })
    if (finding === null) continue
    found++
    bytes += finding.token.length
    const again = replay(decodeToken(finding.token), scenario, bug)
    if (again.exact && again.finding !== null && essence(again.finding) === essence(finding)) same++
    else console.log(`${bug.id} seed ${seed}: replayed to ${again.finding?.title ?? 'nothing'} (exact: ${again.exact})`)
  }
console.log(
  `${same} of ${found} findings replay to the same finding; tokens of ${Math.round(bytes / Math.max(1, found))} bytes on average`,
)
if (same !== found) process.exitCode = 1
