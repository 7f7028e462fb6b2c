/** Several observers as one: each event goes to all of them, in their order. */
import { Observer } from '../arch/observer.js'

type Hears = (...event: unknown[]) => unknown

export class Observers extends Observer {
  readonly all: readonly Observer[]

  /** The answers to events that have one (callBegins, gupStamp) are the first one's. */
  constructor(all: readonly Observer[]) {
    super()
    this.all = all
  }
}

for (const event of eventsOf(Observer.prototype)) {
  const hears: Hears = function (this: Observers, ...args) {
    const [answer] = this.all.map((observer) => (observer as unknown as Record<string, Hears>)[event]?.(...args))
    return answer
  }
  Object.defineProperty(Observers.prototype, event, { value: hears, writable: true, configurable: true })
}

/** Events that an observer hears of, its bases' too. */
function eventsOf(type: object): string[] {
  const above = Object.getPrototypeOf(type) as object | null
  const own = Object.getOwnPropertyNames(type).filter((name) => name !== 'constructor')
  return above === null || above === Object.prototype ? own : [...own, ...eventsOf(above)]
}
