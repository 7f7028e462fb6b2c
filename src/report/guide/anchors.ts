/** Names of headings in addresses, as GitHub makes them. */

/** Small letters, digits, `-` and `_`; a space becomes a `-`. */
export const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/ /g, '-')

/** The anchors of the headings of a page in their order: one that comes again gets a number. */
export class Anchors {
  readonly #seen = new Map<string, number>()

  next(heading: string): string {
    const anchor = anchorOf(heading)
    const times = this.#seen.get(anchor) ?? 0
    this.#seen.set(anchor, times + 1)
    return times === 0 ? anchor : `${anchor}-${times}`
  }
}
