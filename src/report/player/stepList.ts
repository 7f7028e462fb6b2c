/** Every step, a column for each CPU; the current one is marked and kept in sight. */
import type { PageData, PageStep } from './data.js'
import { make } from './dom.js'

/** Longer lists lay out only the rows in sight. */
const ROWS_RENDERED = 2000

export class StepList {
  readonly element: HTMLElement
  readonly #list: HTMLElement
  /** By step; 0 is the state before the first. */
  readonly #rows: HTMLElement[]
  #current = -1

  constructor(data: PageData, seek: (step: number) => void) {
    this.#rows = [this.#row(data, 0, [make('span', { class: 'start' }, 'before the first step')], seek)]
    data.steps.forEach((step, i) =>
      this.#rows.push(this.#row(data, i + 1, columns(data, step, i + 1 === data.decisive), seek)),
    )
    const size = data.steps.length > ROWS_RENDERED ? ' long' : ''
    this.#list = make(
      'div',
      { class: `list${size}`, role: 'listbox', tabindex: 0, 'aria-label': 'steps' },
      ...this.#rows,
    )
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
    this.#reveal()
  }

  /** Brings the current row into sight; again when rows that were only estimated have got their heights. */
  #reveal(): void {
    const scroll = (): void =>
      reveal(this.element, this.#target(), this.#rows[this.#current]?.querySelector('.own') ?? null)
    scroll()
    requestAnimationFrame(scroll)
  }

  /** With the last step goes what it ended in. */
  #target(): HTMLElement | null {
    if (this.#current === this.#rows.length - 1) return this.#list.lastElementChild as HTMLElement
    return this.#rows[this.#current] ?? null
  }

  /** Marks the steps that a search found. */
  mark(found: readonly number[]): void {
    this.#list.querySelectorAll('.hit').forEach((row) => row.classList.remove('hit'))
    for (const step of found) this.#rows[step]?.classList.add('hit')
  }

  /** With `only`, steps on words that no other CPU changes are left out of sight. */
  filter(only: boolean): void {
    this.#list.classList.toggle('only', only)
    this.#reveal()
  }
}

/** A cell for each CPU, all but that of the step's own empty. */
function columns({ cpus, stacks }: PageData, step: PageStep, isDecisive: boolean): HTMLElement[] {
  return Array.from({ length: cpus }, (_, cpu) => {
    const cell = make('span', { class: `cell cpu${cpu % 8}` })
    if (cpu !== step.cpu) return cell
    if (isDecisive) cell.append(make('b', { class: 'began bad' }, '◆ decisive switch'))
    for (const text of step.began) cell.append(make('b', { class: 'began' }, `▸ ${text}`))
    const place = (stacks[step.stack] ?? []).slice(0, 2).join(' < ')
    const from = step.interrupt ? `interrupt${place === '' ? '' : `: ${place}`}` : place
    cell.append(accessLine(step), make('small', {}, from))
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

/** Scrolls `box`, and nothing around it, as far as `row` and in it `cell` need it. */
function reveal(box: HTMLElement, row: HTMLElement | null, cell: Element | null): void {
  if (row === null) return
  const head = (box.firstElementChild as HTMLElement).offsetHeight
  const { offsetTop: top, offsetHeight: height } = row
  if (top < box.scrollTop + head) box.scrollTop = top - head
  else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight
  if (!(cell instanceof HTMLElement)) return
  const { offsetLeft: left, offsetWidth: width } = cell
  if (left < box.scrollLeft) box.scrollLeft = left
  else if (left + width > box.scrollLeft + box.clientWidth) box.scrollLeft = left + width - box.clientWidth
}
