/** An execution as one page that needs nothing else: a step player that works from a file, without a network. */
import { readFileSync } from 'node:fs'
import { assert } from '../base/assert.js'
import type { Scenario } from '../scenario/scenario.js'
import type { Explanation } from './explain.js'
import { findingDocument } from './json.js'
import type { PageData, PageStep } from './player/data.js'
import { STYLE } from './player/style.js'
import { panels } from './state/cell.js'
import { stateDocument } from './state/document.js'
import type { Row } from './steps.js'
import { sharedWords } from './table.js'
import { smallerText } from './reduced.js'
import { replayCommand } from './text.js'
import { escaped } from './escape.js'

export interface PlayedExecution {
  readonly explanation: Explanation
  readonly scenario: Scenario
  /** The kernel it ran on: `fixed code`, `bug no-recheck, patched by fix.ts`; and what is said of the bug. */
  readonly kernel: string
  readonly about: string
  readonly token: string
}

/** player/main.ts and all that it imports as one script, which the build makes. */
const SCRIPT = new URL('../../page/player.js', import.meta.url)

/** The same execution always gives the same page. */
export function playerHtml(execution: PlayedExecution): string {
  const data = pageData(execution)
  const script = readFileSync(SCRIPT, 'utf8')
  assert(!/<\/script|<script|<!--/i.test(script), 'no script of the page has the end of its own element in it')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escaped(data.finding?.title ?? data.subject)}</title>
<style>${STYLE}</style>
</head>
<body>
<noscript>This page is a program that shows an execution step by step: it needs scripts to be allowed.</noscript>
<script type="application/json" id="data">${inScript(JSON.stringify(data))}</script>
<script>
${script}</script>
</body>
</html>
`
}

/** JSON as the text of a script element: no `<`, so nothing in it can end the element or begin another. */
const inScript = (json: string): string => json.replaceAll('<', '\\u003c')

export function pageData({ explanation, scenario, kernel, about, token }: PlayedExecution): PageData {
  const { finding, machine, rows, history } = explanation
  const { cpus, arch } = machine.config
  const stacks = new Interned()
  const steps = stepsOf(rows, stacks)
  const { items, start, changes } = stateDocument(history)
  return {
    subject: [`${scenario.id}, ${kernel}, ${arch}, ${cpus} CPUs`, smallerText(explanation.reduced, null)]
      .filter(Boolean)
      .join(', '),
    summary: about === '' ? scenario.summary : `${scenario.summary}; ${about}`,
    cpus,
    finding: finding === null ? null : findingDocument(finding, machine, null),
    decisive: explanation.decisive?.step ?? null,
    command: replayCommand(token),
    stacks: stacks.all,
    steps,
    panels: panels(),
    items,
    start,
    changes,
  }
}

function stepsOf(rows: readonly Row[], stacks: Interned): PageStep[] {
  const shared = sharedWords(rows)
  const steps: PageStep[] = []
  let began: string[] = []
  for (const row of rows) {
    if (row.kind !== 'access') {
      began.push(row.text)
      continue
    }
    const { cpu, access, name: word, before, after, interrupt } = row
    const isPrivate = began.length === 0 && !shared.has(row.addr >>> 3)
    steps.push({ cpu, access, word, before, after, stack: stacks.add(row.stack), interrupt, isPrivate, began })
    began = []
  }
  return steps
}

/** Stacks by number: most steps have one that another step has, too. */
class Interned {
  readonly all: (readonly string[])[] = []
  readonly #numbers = new Map<string, number>()

  add(stack: readonly string[]): number {
    const key = stack.join('\n')
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    this.#numbers.set(key, this.all.length)
    return this.all.push(stack) - 1
  }
}
