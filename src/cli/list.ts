/** `racewalk list`: scenarios, operations of their programs, bugs, architectures, designs, strategies. */
import type { Command } from 'commander'
import { bugs } from '../bug/index.js'
import { STRATEGIES } from '../explore/searches.js'
import { pgallocDesigns } from '../isa/designs.js'
import { ARCHITECTURES } from '../isa/index.js'
import { programSchema } from '../program/checkProgram.js'
import { OPERATIONS } from '../program/operations/table.js'
import { scenarios } from '../scenario/catalog/index.js'
import type { Invocation } from './io.js'
import { jsonOption } from './options.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

export function addList(program: Command, { io, done }: Invocation): void {
  program
    .command('list')
    .description('scenarios, bugs, architectures, designs of page tables, strategies, operations of programs')
    .addOption(jsonOption())
    .action((options: { json?: boolean }) => done(list(new Terminal(options.json === true, io))))
}

const SUMMARIES = ARCHITECTURES.map(({ id, summary }) => ({ id, summary }))

/** Where PTE tables come from and go to: any scenario runs with any, as SCENARIO@DESIGN. */
const DESIGNS = pgallocDesigns().map(({ id, arch, fragments, wholePages }) => ({
  id,
  arch: arch.id,
  tablesPerPage: wholePages === true ? 1 : fragments,
}))

function list(terminal: Terminal): ExitCode {
  const operations = [...OPERATIONS.values()]
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
    strategies: STRATEGIES.map(({ id, summary }) => ({ id, summary })),
    operations: operations.map(({ name, summary }) => ({ id: name, summary })),
    programSchema: programSchema(),
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
  terminal.print(`\n${strong('operations')} ${dim('(of programs; list --json has their fields as a JSON schema)')}`)
  for (const { name, summary } of operations) terminal.print(`  ${name.padEnd(26)} ${summary}`)
  return EXIT.clean
}
