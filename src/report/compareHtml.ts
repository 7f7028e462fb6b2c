/** A comparison of designs as one page that needs nothing else: no script, no network. */
import type { Variant } from '../explore/compare/compareTables.js'
import { escaped } from './escape.js'

const STYLE = `
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
  h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { border: 1px solid #d0d7de; padding: .35rem .6rem; text-align: left; }
  td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
  td.survives { background: #dafbe1; } td.fails { background: #ffebe9; }
  code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
  p.legend { color: #57606a; }
  @media (prefers-color-scheme: dark) {
    body { background: #0d1117; color: #e6edf3; } th, td { border-color: #30363d; }
    td.survives { background: #12261e; } td.fails { background: #3c1618; } p.legend { color: #8d96a0; }
  }`

export interface ComparePage {
  readonly seed: number
  readonly executions: number
  readonly variants: readonly Variant[]
}

export function compareHtml({ seed, executions, variants }: ComparePage): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>racewalk: designs of page-table freeing</title>
<style>${STYLE}
</style>
</head>
<body>
<h1>Designs of page-table freeing</h1>
<p>Each design through each scenario, ${executions.toLocaleString('en-US')} explored executions (a tenth for a torture), seed ${seed}.</p>
<h2>What survives</h2>
${verdicts(variants)}
<h2>What it costs</h2>
${costs(variants)}
<p class="legend">Pages for each table in use, parts of pages that no table uses, and for how many operations they stay so: on average
over a churn of up to 40 tables on one CPU. Calls of call_rcu and stores to list links: for each table made. Time: one
allocation and its immediate free, free-running, median. A dash: the design fails even alone.</p>
<h2>How it fails</h2>
${failures(variants)}
</body>
</html>
`
}

function verdicts(variants: readonly Variant[]): string {
  const names = variants[0]?.scenarios.map(({ scenario }) => scenario.split('@')[0] ?? '') ?? []
  const head = ['design', ...names].map((name) => `<th>${escaped(name)}</th>`).join('')
  const rows = variants.map(({ id, scenarios }) => {
    const cells = scenarios.map(({ verdict, executions, title }) => {
      const text = verdict === 'fails' ? `fails in execution ${executions.toLocaleString('en-US')}` : 'survives'
      return `<td class="${verdict}" title="${escaped(title ?? '')}">${text}</td>`
    })
    return `<tr><th>${escaped(id)}</th>${cells.join('')}</tr>`
  })
  return `<table>\n<tr>${head}</tr>\n${rows.join('\n')}\n</table>`
}

const COSTS = [
  'tables a page',
  'pages a table',
  'idle parts',
  'idle for (operations)',
  'call_rcu a table',
  'list stores a table',
  'ns',
]

function costs(variants: readonly Variant[]): string {
  const head = ['design', ...COSTS].map((name, i) => `<th${i === 0 ? '' : ' class="number"'}>${name}</th>`).join('')
  const rows = variants.map(({ id, fragments, churn, allocFreeNs }) => {
    const { pagesPerTable, idleParts, idleFor, callRcu, listWrites, tables } = churn ?? NOTHING
    const counted = [pagesPerTable, idleParts, idleFor, callRcu / tables, listWrites / tables]
    const cells = [String(fragments), ...counted.map(fixed), allocFreeNs.toFixed(0)]
    return `<tr><th>${escaped(id)}</th>${cells.map((cell) => `<td class="number">${cell}</td>`).join('')}</tr>`
  })
  return `<table>\n<tr>${head}</tr>\n${rows.join('\n')}\n</table>`
}

const NOTHING = { pagesPerTable: NaN, idleParts: NaN, idleFor: NaN, callRcu: NaN, listWrites: NaN, tables: NaN }
const fixed = (value: number): string => (Number.isNaN(value) ? '–' : value.toFixed(2))

function failures(variants: readonly Variant[]): string {
  const items = variants.flatMap(({ scenarios }) =>
    scenarios
      .filter(({ verdict }) => verdict === 'fails')
      .map(
        ({ scenario, title, token }) =>
          `<li><b>${escaped(scenario)}</b>: ${escaped(title ?? '')}<br><code>npx racewalk replay ${escaped(token ?? '')}</code></li>`,
      ),
  )
  return items.length === 0 ? '<p>Nothing failed.</p>' : `<ul>\n${items.join('\n')}\n</ul>`
}
