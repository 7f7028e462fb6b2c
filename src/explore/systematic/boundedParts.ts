/**
 * The parts of a search by bounds (bounded.ts). A part is all schedules that begin with the same ways at the same
 * branches.
 */
import { BoundedSearch, type BoundedBranch, type BoundedDone, type BoundedPart } from './bounded.js'
import type { NamedPart, SearchParts } from '../strategy/search.js'

export class BoundedParts extends BoundedSearch implements SearchParts {
  turn(): NamedPart | null {
    return this.advance() ? this.#part(this.path) : null
  }

  later(_doneOf: unknown, goesOn: (part: NamedPart) => boolean): void {
    for (let at = this.path.length - 1; at >= 0; at--) {
      const branch = this.path[at] as BoundedBranch
      for (let taken = branch.taken + 1; taken < branch.ways; taken++)
        if (!goesOn(this.#part([...this.path.slice(0, at), { ...branch, taken }]))) return
    }
  }

  #part(path: readonly BoundedBranch[]): NamedPart {
    const { bound } = this
    const make = (): BoundedPart => ({ bound, way: path.map(({ taken }) => taken), rest: null })
    return { name: `${bound}: ${path.map(({ taken }) => taken).join()}`, make }
  }

  goingOn({ bound, way }: BoundedPart, { rest }: BoundedDone): BoundedPart {
    return { bound, way, rest }
  }

  joined({ counts: a }: BoundedDone, { counts: b, rest }: BoundedDone): BoundedDone {
    const counts = {
      executions: a.executions + b.executions,
      atBound: a.atBound + b.atBound,
      beyond: a.beyond + b.beyond,
      cut: a.cut || b.cut,
    }
    return { counts, rest }
  }

  isDone({ rest }: BoundedDone): boolean {
    return rest.every(({ taken, ways }) => taken + 1 >= ways)
  }

  isOff(): boolean {
    return false
  }

  goWrong(): void {}
}
