/** `racewalk compare`: designs of one thing side by side. */
import { Argument, type Command } from 'commander'
import { compareTables, COMPARE_EXECUTIONS, type Variant } from '../explore/compare/compareTables.js'
import { tableScenarios } from '../scenario/catalog/index.js'
import { compareHtml } from '../report/compareHtml.js'
import type { Invocation } from './io.js'
import { OutputFile } from './outputs.js'
import { executionsOption, jsonOption, seedOption } from './options.js'
import { EXIT, Terminal, thousands, type ExitCode } from './terminal.js'
import { wordTable } from '../report/wordTable.js'

interface Options {
  executions?: number
  seed: number
  json?: boolean
  html?: string
}

export function addCompare(program: Command, { io, done }: Invocation): void {
  program
    .command('compare')
    .description('designs side by side: which survive which scenario, and what each costs')
    .addArgument(new Argument('<WHAT>', 'what is compared').choices(['table-freeing']))
    .addOption(executionsOption().default(COMPARE_EXECUTIONS))
    .addOption(seedOption())
    .option('--html <FILE>', 'write the tables as one self-contained page, too')
    .addOption(jsonOption())
    .action(async (what: string, options: Options) =>
      done(await runCompare(what, options, new Terminal(options.json === true, io))),
    )
}

async function runCompare(what: string, options: Options, terminal: Terminal): Promise<ExitCode> {
  const { seed, executions = COMPARE_EXECUTIONS, html } = options
  const page = html === undefined ? null : new OutputFile('--html', html)
  const [variants, interrupted] = await terminal.untilStopped(async (signal) => {
    const onProgress = (id: string, scenario: string): void => terminal.progress(`${id}: ${scenario} (Ctrl-C stops)`)
    const found = await compareTables({ seed, executions, onProgress, signal })
    terminal.quiet()
    return [found, signal.aborted] as const
  })
  const problem = page === null ? null : page.write(compareHtml({ seed, executions, variants }))
  terminal.document({ command: 'compare', what, seed, executions, interrupted, variants })
  terminal.print(
    `${what}: ${thousands(executions)} executions of each scenario, seed ${seed}${interrupted ? ', interrupted' : ''}\n`,
  )
  terminal.print(verdictTable(variants, terminal))
  terminal.print(costTable(variants))
  terminal.print(LEGEND)
  for (const { id, scenarios } of variants) {
    const failed = scenarios.find(({ verdict }) => verdict === 'fails')
    if (failed !== undefined) terminal.print(`${id}: ${failed.title}\n  npx racewalk replay ${failed.token}`)
  }
  if (problem === null) return EXIT.clean
  terminal.complain(problem)
  return EXIT.usage
}

function verdictTable(variants: readonly Variant[], { palette }: Terminal): string {
  const rows = variants.map(({ id, scenarios }) => [
    id,
    ...scenarios.map(({ verdict, executions }) =>
      verdict === 'fails' ? palette.bad(`fails (${executions})`) : palette.good('survives'),
    ),
  ])
  return wordTable(['design', ...tableScenarios.map(({ id }) => id)], rows)
}

function costTable(variants: readonly Variant[]): string {
  const rows = variants.map(({ id, fragments, churn, allocFreeNs }) => [
    id,
    String(fragments),
    ...(churn === null
      ? ['-', '-', '-', '-', '-']
      : [
          churn.pagesPerTable.toFixed(2),
          churn.idleParts.toFixed(1),
          churn.idleFor.toFixed(1),
          (churn.callRcu / churn.tables).toFixed(2),
          (churn.listWrites / churn.tables).toFixed(1),
        ]),
    allocFreeNs.toFixed(0),
  ])
  const head = ['design', 'tables/page', 'pages/table', 'idle parts', 'idle for', 'call_rcu', 'list stores', 'ns']
  return wordTable(head, rows)
}

const LEGEND = `
pages/table   pages in use for each table in use, under a churn of up to 40 tables (4,000 operations on one CPU)
idle parts    parts of those pages that no table uses, on average; idle for: how many operations they stay so
call_rcu, list stores   for each table made; ns: one allocation and its immediate free, free-running, median
-             the design fails even on one CPU
`
