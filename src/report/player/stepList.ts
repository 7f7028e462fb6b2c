/** Every step, a column for each CPU; the current one is marked and kept in sight. */
import type { PageData, PageStep } from './data.js'
import { make } from './dom.js'

export class StepList {
  readonly element: HTMLElement
  readonly #list: HTMLElement
  /** By step; 0 is the state before the first. */
  readonly #rows: HTMLElement[]
  #current = -1

  constructor(data: PageData, seek: (step: number) => void) {
    this.#rows = [this.#row(data, 0, [make('span', { class: 'start' }, 'before the first step')], seek)]
    data.steps.forEach((step, i) => this.#rows.push(this.#row(data, i + 1, columns(data, step), seek)))
    this.#list = make('div', { class: 'list', role: 'listbox', tabindex: 0, 'aria-label': 'steps' }, ...this.#rows)
    if (data.finding !== null) this.#list.append(ending(data))
    const heads = Array.from({ length: data.cpus }, (_, cpu) =>
      make('span', { class: `head cpu${cpu % 8}` }, `CPU ${cpu}`),
    )
    const head = make('div', { class: 'row heads', 'aria-hidden': 'true' }, make('span', {}, 'step'), ...heads)
    this.element = make('section', { class: 'steps', 'aria-label': 'Steps' }, head, this.#list)
    this.element.style.setProperty('--cpus', String(data.cpus))
  }

  #row(data: PageData, step: number, cells: readonly Node[], seek: (step: number) => void): HTMLElement {
    const isPrivate = data.steps[step - 1]?.isPrivate === true
    const number = make('span', { class: 'number' }, String(step))
    const attributes = {
      class: `row${isPrivate ? ' private' : ''}`,
      role: 'option',
      id: `s${step}`,
      'aria-selected': 'false',
    }
    return make('div', { ...attributes, onclick: () => seek(step) }, number, ...cells)
  }

  show(step: number): void {
    this.#rows[this.#current]?.setAttribute('aria-selected', 'false')
    this.#current = step
    const row = this.#rows[step]
    if (row === undefined) return
    row.setAttribute('aria-selected', 'true')
    this.#list.setAttribute('aria-activedescendant', row.id)
    row.scrollIntoView({ block: 'nearest' })
  }

  /** Marks the steps that a search found. */
  mark(found: readonly number[]): void {
    this.#list.querySelectorAll('.hit').forEach((row) => row.classList.remove('hit'))
    for (const step of found) this.#rows[step]?.classList.add('hit')
  }

  /** With `only`, steps on words that no other CPU changes are left out of sight. */
  filter(only: boolean): void {
    this.#list.classList.toggle('only', only)
    this.#rows[this.#current]?.scrollIntoView({ block: 'nearest' })
  }
}

/** A cell for each CPU, all but that of the step's own empty. */
function columns({ cpus, stacks }: PageData, step: PageStep): HTMLElement[] {
  return Array.from({ length: cpus }, (_, cpu) => {
    const cell = make('span', { class: `cell cpu${cpu % 8}` })
    if (cpu !== step.cpu) return cell
    for (const text of step.began) cell.append(make('b', { class: 'began' }, `▸ ${text}`))
    const place = (stacks[step.stack] ?? []).slice(0, 2).join(' < ')
    cell.append(accessLine(step), make('small', {}, `${step.interrupt ? 'interrupt: ' : ''}${place}`))
    cell.classList.add('own')
    return cell
  })
}

export function accessLine({ access, word, before, after }: PageStep): HTMLElement {
  const line = make('span', { class: 'access' }, `${access} `, make('span', { class: 'word' }, word))
  if (before === null) return line
  if (before === after) line.append(` = ${before}`)
  else line.append(`: ${before} → `, make('b', {}, after ?? 'none'))
  return line
}

function ending({ finding, cpus }: PageData): HTMLElement {
  const text = make('span', { class: 'bad' }, `✗ ${finding?.title ?? ''}`)
  if (finding === null || finding.cpu < 0)
    return make('div', { class: 'row ending' }, make('span', {}), make('span', { class: 'start' }, text))
  const cells = Array.from({ length: cpus }, (_, cpu) =>
    make('span', { class: 'cell' }, ...(cpu === finding.cpu ? [text] : [])),
  )
  return make('div', { class: 'row ending', 'aria-hidden': 'true' }, make('span', {}), ...cells)
}
