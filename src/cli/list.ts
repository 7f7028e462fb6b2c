/** `racewalk list`: scenarios, bugs, architectures, designs. */
import type { Command } from 'commander'
import { bugs } from '../bug/index.js'
import { PGALLOC_DESIGNS } from '../mm/pgalloc/index.js'
import { scenarios } from '../scenario/catalog/index.js'
import { jsonOption } from './options.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

export function addList(program: Command, done: (code: ExitCode) => void): void {
  program
    .command('list')
    .description('scenarios, bugs, architectures, designs of page tables')
    .addOption(jsonOption())
    .action((options: { json?: boolean }) => done(list(options.json === true)))
}

const ARCHITECTURES = [
  {
    id: 'x86-64',
    summary: '4 levels; 512 entries per table when stressed, 4 when explored; flush by IPI or by broadcast',
  },
] as const

/** Where PTE tables come from and go to: any scenario runs with any, as SCENARIO@DESIGN. */
const DESIGNS = Object.entries(PGALLOC_DESIGNS).map(([id, { fragments }]) => ({ id, tablesPerPage: fragments }))

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
    bugs: bugs.map(({ id, number, year, upstream, summary, symptom, scenarios: shownBy }) => ({
      id,
      number,
      year,
      upstream,
      summary,
      symptom,
      scenarios: shownBy,
    })),
    architectures: ARCHITECTURES,
    designs: DESIGNS,
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
  for (const { id, summary } of ARCHITECTURES) terminal.print(`  ${id.padEnd(26)} ${summary}`)
  terminal.print(`\n${strong('designs of page tables')} ${dim('(SCENARIO@DESIGN)')}`)
  for (const { id, tablesPerPage } of DESIGNS)
    terminal.print(
      `  ${id.padEnd(26)} ${tablesPerPage === 1 ? 'a table fills a page' : `${tablesPerPage} tables in a page`}`,
    )
  return EXIT.clean
}
