/** `racewalk list`: scenarios, bugs, architectures, designs, strategies. */
import type { Command } from 'commander'
import { ARCHITECTURES, type ArchId } from '../arch/archId.js'
import { bugs } from '../bug/index.js'
import { STRATEGIES } from '../explore/strategy/strategies.js'
import { PGALLOC_DESIGNS } from '../isa/designs.js'
import { scenarios } from '../scenario/catalog/index.js'
import { jsonOption } from './options.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

export function addList(program: Command, done: (code: ExitCode) => void): void {
  program
    .command('list')
    .description('scenarios, bugs, architectures, designs of page tables, strategies')
    .addOption(jsonOption())
    .action((options: { json?: boolean }) => done(list(options.json === true)))
}

const ARCHITECTURE_SUMMARIES: Readonly<Record<ArchId, string>> = {
  'x86-64': '4 levels; 512 entries per table when stressed, 4 when explored; flush by IPI or by broadcast',
  powerpc:
    'book3s64 radix, 4 levels; pages of 64 KiB with 256 PTE tables or 16 PMD tables, explored with 16; tlbie reaches all CPUs without IPI',
  s390: '3 to 5 levels that fold at run time; 2048 entries, 256 in a PTE table, or 4; IPTE, IDTE and RDP purge without IPI; s390-csp: a machine that has only IPTE and CSP',
}
const SUMMARIES = ARCHITECTURES.map((id) => ({ id, summary: ARCHITECTURE_SUMMARIES[id] }))

/** Designs that have room for two tables in a page and hand out one. */
const WHOLE_PAGES = ['s390-full-page', 's390-pgste']

/** Where PTE tables come from and go to: any scenario runs with any, as SCENARIO@DESIGN. */
const DESIGNS = Object.entries(PGALLOC_DESIGNS).map(([id, { arch, fragments }]) => ({
  id,
  arch,
  tablesPerPage: WHOLE_PAGES.includes(id) ? 1 : fragments,
}))

function list(json: boolean): ExitCode {
  const terminal = new Terminal(json)
  terminal.document({
    scenarios: scenarios.map(({ id, arch, cpus, summary, exploreOnly }) => ({
      id,
      arch,
      cpus,
      summary,
      stress: exploreOnly !== true,
    })),
    bugs: bugs.map(({ id, number, also = [], year, upstream, summary, symptom, scenarios: shownBy }) => ({
      id,
      number,
      also,
      year,
      upstream,
      summary,
      symptom,
      scenarios: shownBy,
    })),
    architectures: SUMMARIES,
    designs: DESIGNS,
    strategies: STRATEGIES,
  })
  const { strong, dim } = terminal.palette
  terminal.print(strong('scenarios'))
  for (const { id, cpus, summary, exploreOnly } of scenarios)
    terminal.print(
      `  ${id.padEnd(26)} ${summary} ${dim(`(${cpus} CPUs${exploreOnly === true ? ', explore only' : ''})`)}`,
    )
  terminal.print(`\n${strong('bugs')}`)
  for (const { id, number, year, summary, scenarios: shownBy } of bugs) {
    terminal.print(`  ${id.padEnd(26)} ${summary} ${dim(year === null ? '(mutant)' : `(${number}, ${year})`)}`)
    terminal.print(
      `  ${''.padEnd(26)} ${dim(shownBy.length === 0 ? 'no scenario shows it yet' : `shown by ${shownBy.join(', ')}`)}`,
    )
  }
  terminal.print(`\n${strong('architectures')}`)
  for (const { id, summary } of SUMMARIES) terminal.print(`  ${id.padEnd(26)} ${summary}`)
  terminal.print(`\n${strong('designs of page tables')} ${dim('(SCENARIO@DESIGN)')}`)
  for (const { id, tablesPerPage } of DESIGNS)
    terminal.print(
      `  ${id.padEnd(26)} ${tablesPerPage === 1 ? 'a table fills a page' : `${tablesPerPage} tables in a page`}`,
    )
  terminal.print(`\n${strong('strategies')} ${dim('(explore --strategy)')}`)
  for (const { id, summary } of STRATEGIES) terminal.print(`  ${id.padEnd(26)} ${summary}`)
  return EXIT.clean
}
