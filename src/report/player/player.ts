/** The step player: where the reader is, and everything that follows when that changes. */
import type { PageData } from './data.js'
import { make } from './dom.js'
import { Panels } from './panels.js'
import { hitAfter, hitBefore, search, searchTexts } from './search.js'
import { States } from './states.js'
import { StepList } from './stepList.js'
import { Timeline } from './timeline.js'
import { nextSwitch, previousSwitch } from './turns.js'

const KEYS: readonly (readonly [string, string])[] = [
  ['← →  or  ↑ ↓', 'one step back, one step on'],
  ['PageUp PageDown', 'to the switch of CPUs before, and after'],
  ['Home End', 'before the first step, after the last'],
  ['/', 'search; Enter goes to the next hit, Escape leaves'],
  ['n  N', 'next hit, hit before'],
  ['f', 'only steps on words that several CPUs share'],
  ['?', 'this help'],
]

/** Browsers refuse an address that changes with every repeat of a key. */
const ADDRESS_AFTER_MS = 150

export class Player {
  readonly #data: PageData
  readonly #timeline: Timeline
  readonly #list: StepList
  readonly #panels: Panels
  readonly #position = make('output', { class: 'position' })
  readonly #hits = make('output', { class: 'hits', 'aria-live': 'polite' })
  readonly #query = make('input', {
    type: 'search',
    placeholder: 'search   /',
    'aria-label': 'search steps',
    spellcheck: 'false',
  })
  readonly #only = make('input', { type: 'checkbox' })
  readonly #help = helpDialog()
  /** Made when something is first looked for. */
  #texts: readonly string[] | null = null
  #found: readonly number[] = []
  #step = -1
  #addressTimer = 0

  constructor(data: PageData, root: HTMLElement) {
    this.#data = data
    const seek = (step: number): void => this.go(step)
    this.#timeline = new Timeline(data, seek)
    this.#list = new StepList(data, seek)
    this.#panels = new Panels(data, new States(data), seek)
    const main = make('main', {}, this.#list.element, this.#panels.element)
    root.append(header(data), this.#timeline.element, this.#controls(), main, this.#help)
    document.addEventListener('keydown', (event) => this.#key(event))
    window.addEventListener('hashchange', () => this.go(stepOfHash(data.steps.length)))
    this.go(stepOfHash(data.steps.length))
  }

  /** Shows `step`, or the nearest there is. */
  go(step: number): void {
    const { steps } = this.#data
    const to = Math.min(Math.max(step, 0), steps.length)
    if (to === this.#step) return
    this.#step = to
    const cpu = steps[to - 1]?.cpu
    this.#position.textContent = `step ${to} of ${steps.length}`
    this.#timeline.show(to, cpu === undefined ? 'before the first step' : `step ${to}, CPU ${cpu}`)
    this.#list.show(to)
    this.#panels.show(to)
    this.#showHits()
    window.clearTimeout(this.#addressTimer)
    this.#addressTimer = window.setTimeout(() => keepInAddress(to), ADDRESS_AFTER_MS)
  }

  #controls(): HTMLElement {
    const button = (text: string, label: string, act: () => void): HTMLElement =>
      make('button', { title: label, 'aria-label': label, onclick: act }, text)
    this.#query.addEventListener('input', () => this.#search())
    this.#only.addEventListener('change', () => this.#list.filter(this.#only.checked))
    return make(
      'div',
      { class: 'controls', role: 'toolbar', 'aria-label': 'player' },
      button('|◀', 'first (Home)', () => this.go(0)),
      button('◀◀', 'previous switch (PageUp)', () => this.#move('PageUp')),
      button('◀', 'previous step (Left)', () => this.#move('ArrowLeft')),
      this.#position,
      button('▶', 'next step (Right)', () => this.#move('ArrowRight')),
      button('▶▶', 'next switch (PageDown)', () => this.#move('PageDown')),
      button('▶|', 'last (End)', () => this.go(this.#data.steps.length)),
      this.#query,
      this.#hits,
      make('label', {}, this.#only, 'only shared words'),
      button('?', 'keys (?)', () => this.#help.showModal()),
    )
  }

  // ---- search -----------------------------------------------------------------------------------------------------

  #search(): void {
    this.#texts ??= searchTexts(this.#data)
    this.#found = search(this.#texts, this.#query.value)
    this.#list.mark(this.#found)
    this.#timeline.mark(this.#found)
    this.#showHits()
  }

  #showHits(): void {
    const { length } = this.#found
    const at = this.#found.indexOf(this.#step)
    this.#hits.textContent =
      this.#query.value.trim() === ''
        ? ''
        : length === 0
          ? 'no hit'
          : at < 0
            ? `${length} hits`
            : `${at + 1} of ${length}`
  }

  #nextHit(forward: boolean): void {
    if (this.#found.length === 0) return
    this.go(forward ? hitAfter(this.#found, this.#step) : hitBefore(this.#found, this.#step))
  }

  // ---- keys -------------------------------------------------------------------------------------------------------

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey || this.#help.open) return
    const handled = event.target === this.#query ? this.#keyInSearch(event) : this.#keyOutside(event)
    if (handled) event.preventDefault()
  }

  #keyInSearch({ key, shiftKey }: KeyboardEvent): boolean {
    if (key === 'Enter') this.#nextHit(!shiftKey)
    else if (key === 'Escape') this.#query.blur()
    else return false
    return true
  }

  #keyOutside({ key, target }: KeyboardEvent): boolean {
    // Who is in the panels scrolls them.
    const scrolls = (key === 'ArrowUp' || key === 'ArrowDown') && this.#panels.element.contains(target as Node)
    if (!scrolls && this.#move(key)) return true
    if (key === '/') this.#query.focus()
    else if (key === 'n' || key === 'N') this.#nextHit(key === 'n')
    else if (key === 'f') this.#only.click()
    else if (key === '?') this.#help.showModal()
    else return false
    return true
  }

  /** Where `key` leads, if it leads anywhere. */
  #move(key: string): boolean {
    const { steps } = this.#data
    if (key === 'ArrowLeft' || key === 'ArrowUp') this.go(this.#beside(-1))
    else if (key === 'ArrowRight' || key === 'ArrowDown') this.go(this.#beside(1))
    else if (key === 'Home') this.go(0)
    else if (key === 'End') this.go(steps.length)
    else if (key === 'PageDown') this.go(nextSwitch(steps, this.#step))
    else if (key === 'PageUp') this.go(previousSwitch(steps, this.#step))
    else return false
    return true
  }

  /** The next step in sight in direction `by`. */
  #beside(by: 1 | -1): number {
    const { steps } = this.#data
    let step = this.#step + by
    while (this.#only.checked && step > 0 && step < steps.length && steps[step - 1]?.isPrivate === true) step += by
    return step
  }
}

/** Keeps `step` in the address, so that it can be passed on. A viewer that shows pages in a cage may forbid it. */
function keepInAddress(step: number): void {
  try {
    history.replaceState(null, '', `#step=${step}`)
  } catch {
    // The page works without.
  }
}

/** The step that the address of the page names; without one the last, where the finding is. */
function stepOfHash(last: number): number {
  const named = /^#step=(\d+)$/.exec(location.hash)?.[1]
  return named === undefined ? last : Number(named)
}

function header({ subject, summary, finding, command }: PageData): HTMLElement {
  const head = make('header', {}, make('p', { class: 'subject' }, subject), make('p', { class: 'summary' }, summary))
  head.append(
    make('h1', { class: finding === null ? '' : 'bad' }, finding?.title ?? 'Nothing was found in this execution'),
  )
  if (finding?.rule != null)
    head.append(make('p', {}, finding.rule.text, ' ', make('small', {}, `(${finding.rule.source})`)))
  if (finding !== null) head.append(details(finding))
  head.append(make('p', {}, 'Replay it: ', make('code', {}, command)))
  return head
}

function details({ oracle, cpu, address, details: lines, stack }: NonNullable<PageData['finding']>): HTMLElement {
  const all = [
    `oracle   ${oracle}`,
    `CPU      ${cpu < 0 ? 'none: seen when all CPUs had stopped' : cpu}`,
    ...(address === null ? [] : [`address  ${address}`]),
    ...lines,
    ...(stack.length === 0 ? [] : ['', 'kernel functions, innermost first:', ...stack.map((name) => `  ${name}`)]),
  ]
  return make('details', {}, make('summary', {}, 'Details of the finding'), make('pre', {}, all.join('\n')))
}

function helpDialog(): HTMLDialogElement {
  const rows = KEYS.map(([key, what]) => make('tr', {}, make('th', { scope: 'row' }, key), make('td', {}, what)))
  const close = make('form', { method: 'dialog' }, make('button', {}, 'close'))
  return make(
    'dialog',
    { 'aria-label': 'keys' },
    make('table', {}, make('caption', {}, 'Keys'), make('tbody', {}, ...rows)),
    close,
  )
}
