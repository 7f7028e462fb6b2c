/**
 * The schedule as a strip: a lane for each CPU, time from left to right, and where the reader is. A slider to seek
 * with.
 */
import type { PageData } from './data.js'
import { make, makeSvg } from './dom.js'
import { stretches } from './turns.js'

const LANE = 14
const GAP = 4

export class Timeline {
  readonly element: HTMLElement
  readonly #steps: number
  readonly #svg: SVGElement
  readonly #cursor: SVGElement
  readonly #hits: SVGElement

  constructor(data: PageData, seek: (step: number) => void) {
    this.#steps = data.steps.length
    const height = data.cpus * (LANE + GAP) + GAP
    this.#svg = makeSvg('svg', {
      viewBox: `0 0 ${this.#steps + 1} ${height}`,
      preserveAspectRatio: 'none',
      height,
      'aria-hidden': 'true',
    })
    const place = (cpu: number): number => GAP + cpu * (LANE + GAP)
    for (let cpu = 0; cpu < data.cpus; cpu++)
      this.#svg.append(makeSvg('rect', { class: 'lane', x: 0, y: place(cpu), width: this.#steps + 1, height: LANE }))
    for (const { cpu, from, to, interrupt } of stretches(data.steps))
      this.#svg.append(
        makeSvg('rect', {
          class: `turn cpu${cpu % 8}${interrupt ? ' interrupt' : ''}`,
          x: from - 0.5,
          y: place(cpu) + (interrupt ? LANE / 4 : 0),
          width: to - from + 1,
          height: interrupt ? LANE / 2 : LANE,
        }),
      )
    if (data.decisive !== null)
      this.#svg.append(
        makeSvg('rect', { class: 'decisive', x: data.decisive - 0.5, y: 0, width: 1, height: height - GAP / 2 }),
      )
    this.#hits = makeSvg('g', { class: 'hits' })
    this.#cursor = makeSvg('line', { class: 'cursor', y1: 0, y2: height, 'vector-effect': 'non-scaling-stroke' })
    this.#svg.append(this.#hits, this.#cursor)
    const lanes = Array.from({ length: data.cpus }, (_, cpu) => make('span', {}, `CPU ${cpu}`))
    const strip = make('div', {
      class: 'strip',
      role: 'slider',
      tabindex: 0,
      'aria-label': 'schedule',
      'aria-valuemin': 0,
      'aria-valuemax': this.#steps,
      onpointerdown: (event) => this.#drag(event as PointerEvent, seek),
      onpointermove: (event) => (event as PointerEvent).buttons === 1 && this.#drag(event as PointerEvent, seek),
    })
    strip.append(this.#svg)
    this.element = make(
      'div',
      { class: 'timeline' },
      make('div', { class: 'lanes', 'aria-hidden': 'true' }, ...lanes),
      strip,
    )
  }

  #drag(event: PointerEvent, seek: (step: number) => void): void {
    const box = this.#svg.getBoundingClientRect()
    const step = Math.round(((event.clientX - box.left) / box.width) * (this.#steps + 1))
    seek(Math.min(Math.max(step, 0), this.#steps))
  }

  show(step: number, words: string): void {
    for (const end of ['x1', 'x2']) this.#cursor.setAttribute(end, String(step))
    const strip = this.element.querySelector('.strip')
    strip?.setAttribute('aria-valuenow', String(step))
    strip?.setAttribute('aria-valuetext', words)
  }

  /** Marks the steps that a search found. */
  mark(found: readonly number[]): void {
    this.#hits.replaceChildren(
      ...found.map((step) => makeSvg('rect', { x: step - 0.5, y: 0, width: 1, height: GAP - 1 })),
    )
  }
}
