/** Words that may carry colours, broken into lines of a width. */

/** Text of one style; lines may break at its white space, but not at a no-break space. */
export interface Run {
  readonly text: string
  readonly style: (text: string) => string
}

/**
 * A word or a line as it is shown. A word is of runs without white space between them, such as a name and its comma.
 */
interface Piece {
  /** Columns; colours take none. */
  width: number
  shown: string
}

export const widthOf = (text: string): number => [...text].length

/** Lines of at most `width` columns; a longer word has a line of its own. Each word is styled for itself. */
export function wrap(runs: readonly Run[], width: number): Piece[] {
  const lines: Piece[] = []
  for (const word of wordsOf(runs)) {
    const line = lines.at(-1)
    if (line === undefined || line.width + 1 + word.width > width) lines.push({ ...word })
    else {
      line.width += 1 + word.width
      line.shown += ` ${word.shown}`
    }
  }
  return lines
}

function wordsOf(runs: readonly Run[]): Piece[] {
  const words: Piece[] = []
  let glued = false
  for (const { text, style } of runs)
    for (const piece of text.split(/([ \n]+)/).filter((part) => part !== '')) {
      if (/^[ \n]/.test(piece)) {
        glued = false
        continue
      }
      const word = glued ? words.at(-1) : undefined
      if (word === undefined) words.push({ width: widthOf(piece), shown: style(piece) })
      else {
        word.width += widthOf(piece)
        word.shown += style(piece)
      }
      glued = true
    }
  return words
}

export const plainText = (runs: readonly Run[]): string => runs.map(({ text }) => text).join('')

/** Columns of the longest word. */
export const longestWord = (runs: readonly Run[]): number => Math.max(0, ...wordsOf(runs).map(({ width }) => width))
