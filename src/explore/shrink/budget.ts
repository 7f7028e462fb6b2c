/**
 * The budget of shrinking, in accesses: an access takes about the same time everywhere, an execution does not.
 */
export class Budget {
  executions = 0
  readonly #limit: number
  readonly #of: Budget | null
  #steps = 0

  /** `steps`: accesses, as far as `of` has as many left, which pays for them. */
  constructor(steps: number, of: Budget | null = null) {
    this.#limit = steps
    this.#of = of
  }

  /** The rest of the first `share` (0 to 1) of all. */
  until(share: number): Budget {
    return new Budget(this.#limit * share - this.#steps, this)
  }

  /** An execution of `steps` accesses was made. */
  spend(steps: number): void {
    this.executions++
    this.#steps += steps
    this.#of?.spend(steps)
  }

  get isSpent(): boolean {
    return this.#steps >= this.#limit || this.#of?.isSpent === true
  }
}
