/** The state of the machine at a step, part by part, with what the step changed marked. */
import type { PageData } from './data.js'
import { make } from './dom.js'
import { itemName } from './itemName.js'
import { accessLine } from './stepList.js'
import type { States } from './states.js'

/** One item of the state as it is now. */
interface Shown {
  readonly item: number
  readonly group: string
  readonly name: string
  readonly text: string | null
  readonly before: string | null
  /** This step changed it. */
  readonly changed: boolean
  readonly changedAt: number
}

/** Changes of a step that are named with it; its panels mark all of them. */
const CHANGES_NAMED = 8

export class Panels {
  readonly element: HTMLElement
  readonly #data: PageData
  readonly #states: States
  readonly #seek: (step: number) => void
  readonly #step: HTMLElement
  readonly #bodies = new Map<string, HTMLDetailsElement>()

  constructor(data: PageData, states: States, seek: (step: number) => void) {
    this.#data = data
    this.#states = states
    this.#seek = seek
    this.#step = make('section', { class: 'panel now', 'aria-label': 'This step', 'aria-live': 'polite' })
    this.element = make(
      'div',
      { class: 'panels', role: 'region', tabindex: 0, 'aria-label': 'state of the machine' },
      this.#step,
    )
    for (const { id, title } of data.panels) {
      if (!data.items.some(({ panel }) => panel === id)) continue
      const body = make('details', { class: 'panel', id: `panel-${id}`, open: true })
      body.append(make('summary', {}, title), make('div', { class: 'body' }))
      this.#bodies.set(id, body)
      this.element.append(body)
    }
  }

  show(step: number): void {
    this.#showStep(step)
    for (const { id, columns } of this.#data.panels) {
      const body = this.#bodies.get(id)
      if (body === undefined) continue
      const shown = this.#shown(id, step)
      const count = shown.filter(({ changed }) => changed).length
      body.classList.toggle('changes', count > 0)
      body.querySelector('summary')?.setAttribute('data-changes', count === 0 ? '' : `${count} changed`)
      body
        .querySelector('.body')
        ?.replaceChildren(...(columns === undefined ? this.#lists(shown) : this.#pivot(columns, shown)))
    }
  }

  #showStep(number: number): void {
    const step = this.#data.steps[number - 1]
    if (step === undefined) {
      this.#step.replaceChildren(
        make('h2', {}, 'Before the first step'),
        make('p', {}, 'The machine as its boot left it.'),
      )
      return
    }
    const where = step.interrupt ? 'in an interrupt handler on' : 'on'
    const functions = (this.#data.stacks[step.stack] ?? []).join(' < ')
    const parts: Node[] = [
      make('h2', {}, `Step ${number} ${where} CPU ${step.cpu}`),
      make('p', {}, ...step.began.map((text) => make('b', { class: 'began' }, `▸ ${text}`)), accessLine(step)),
      make('p', { class: 'stack' }, functions),
      make('ul', { class: 'became', 'aria-label': 'what it changed' }, ...this.#changes(number)),
    ]
    const { finding, steps } = this.#data
    if (finding !== null && number === steps.length) parts.push(make('p', { class: 'bad' }, `✗ ${finding.title}`))
    this.#step.replaceChildren(...parts)
  }

  /** What step `number` changed, in a line each. */
  #changes(number: number): HTMLElement[] {
    const changes = this.#data.changes[number - 1] ?? []
    const lines = changes.slice(0, CHANGES_NAMED).map(({ item, text }) => {
      const what = this.#data.items[item]
      const before = this.#states.before(item, number) ?? 'none'
      return make('li', {}, `${what === undefined ? '' : itemName(what)}: ${before} → `, make('b', {}, text ?? 'none'))
    })
    const more = changes.length - lines.length
    return more > 0 ? [...lines, make('li', {}, `and ${more} more`)] : lines
  }

  /** Items of a panel that are there, or that this step took away. */
  #shown(panel: string, step: number): Shown[] {
    const found: Shown[] = []
    this.#data.items.forEach(({ panel: of, group, name }, item) => {
      if (of !== panel) return
      const text = this.#states.text(item, step)
      const changedAt = this.#states.changedAt(item, step)
      const changed = step > 0 && changedAt === step
      if (text === null && !changed) return
      found.push({ item, group, name, text, changed, changedAt, before: this.#states.before(item, step) })
    })
    return found
  }

  /** A table of names and what they say, for each group. */
  #lists(shown: readonly Shown[]): HTMLElement[] {
    if (shown.length === 0) return [make('p', { class: 'nothing' }, 'nothing')]
    const groups = [...new Set(shown.map(({ group }) => group))]
    return groups.map((group) => {
      const rows = shown
        .filter((one) => one.group === group)
        .map((one) =>
          make('tr', { class: one.changed ? 'changed' : '' }, this.#name(one, one.name), make('td', {}, ...said(one))),
        )
      return make('table', {}, make('caption', {}, group), make('tbody', {}, ...rows))
    })
  }

  /** A row for each group, a column for each name. */
  #pivot(names: readonly string[], shown: readonly Shown[]): HTMLElement[] {
    const head = make('tr', {}, make('td'), ...names.map((name) => make('th', { scope: 'col' }, name)))
    const rows = [...new Set(shown.map(({ group }) => group))].map((group) => {
      const own = shown.filter((one) => one.group === group)
      const last = own.reduce((a, b) => (b.changedAt > a.changedAt ? b : a))
      const cells = names.map((name) => {
        const one = own.find((candidate) => candidate.name === name)
        return make('td', { class: one?.changed === true ? 'changed' : '' }, ...(one === undefined ? [] : said(one)))
      })
      return make(
        'tr',
        { class: own.some(({ changed }) => changed) ? 'changed' : '' },
        this.#name(last, group),
        ...cells,
      )
    })
    return [make('div', { class: 'wide' }, make('table', {}, make('thead', {}, head), make('tbody', {}, ...rows)))]
  }

  /** The name of an item; where something changed it, a way to that step. */
  #name({ changedAt, changed }: Shown, name: string): HTMLElement {
    const head = make('th', { scope: 'row' }, name)
    if (changedAt > 0 && !changed)
      head.append(
        make(
          'button',
          { class: 'when', title: `to the step that changed it`, onclick: () => this.#seek(changedAt) },
          String(changedAt),
        ),
      )
    return head
  }
}

function said({ text, before, changed }: Shown): (Node | string)[] {
  if (!changed) return [text ?? '']
  const after = text === null ? make('s', {}, 'gone') : make('b', {}, text)
  return before === null ? ['● new: ', after] : [`● ${before} → `, after]
}
