/** A page of the guide as text for a terminal or a pipe. */
import { lexer, type MarkedToken, type Token, type Tokens } from 'marked'
import type { Palette } from '../palette.js'
import { longestWord, plainText, widthOf, wrap, type Run } from './wrap.js'

export interface TextOptions {
  /** Columns of the terminal. */
  readonly width: number
  readonly palette: Palette
}

/** Headings begin in the first column, everything else further right. */
const MARGIN = '  '
/** A narrower terminal breaks the lines itself. */
const WIDTH_MIN = 16

export function terminalText(markdown: string, options: TextOptions): string {
  const width = Math.max(WIDTH_MIN, options.width - MARGIN.length)
  const page = new TerminalPage({ ...options, width })
  return page.blocks(lexer(markdown)).join('\n')
}

const indented = (lines: readonly string[], by: string): string[] =>
  lines.map((line) => (line === '' ? '' : `${by}${line}`))

class TerminalPage {
  readonly #width: number
  readonly #palette: Palette

  constructor({ width, palette }: TextOptions) {
    this.#width = width
    this.#palette = palette
  }

  /** The lines of the page, with an empty one after each block. */
  blocks(tokens: readonly Token[]): string[] {
    return tokens.flatMap((token) => {
      const lines = this.#block(token as MarkedToken, this.#width)
      if (lines.length === 0) return []
      const isHeading = token.type === 'heading' && (token as Tokens.Heading).depth < 3
      return [...(isHeading ? lines : indented(lines, MARGIN)), '']
    })
  }

  #block(token: MarkedToken, width: number): string[] {
    switch (token.type) {
      case 'heading':
        return shownLines(this.#runs(token.tokens, this.#palette.strong), width)
      case 'code':
        return indented(token.text.split('\n'), MARGIN)
      case 'list':
        return this.#list(token, width)
      case 'table':
        return this.#table(token, width)
      case 'paragraph':
      case 'text':
        return shownLines(this.#runs(token.tokens ?? [token], plain), width)
      default:
        return []
    }
  }

  #list({ items, ordered, start }: Tokens.List, width: number): string[] {
    return items.flatMap(({ tokens }, i) => {
      const bullet = ordered ? `${Number(start) + i}. ` : '- '
      const lines = tokens.flatMap((token) => this.#block(token as MarkedToken, width - bullet.length))
      return indented(lines, ' '.repeat(bullet.length)).map((line, at) =>
        at === 0 ? bullet + line.slice(bullet.length) : line,
      )
    })
  }

  #table({ header, rows }: Tokens.Table, width: number): string[] {
    const { strong, dim } = this.#palette
    const head = header.map(({ tokens }) => this.#runs(tokens, strong))
    const body = rows.map((row) => row.map(({ tokens }) => this.#runs(tokens, plain)))
    const columns = columnWidths([head, ...body], width)
    if (columns === null) return body.flatMap((row) => recordLines(head, row, width))
    const rule = dim(columns.map((column) => '─'.repeat(column)).join('  '))
    return [...rowLines(head, columns), rule, ...body.flatMap((row) => rowLines(row, columns))]
  }

  #runs(tokens: readonly Token[], style: Run['style']): Run[] {
    return tokens.flatMap((token) => this.#inline(token as MarkedToken, style))
  }

  #inline(token: MarkedToken, style: Run['style']): Run[] {
    switch (token.type) {
      case 'strong':
      case 'em':
        return this.#runs(token.tokens, this.#palette.strong)
      case 'codespan':
        return [{ text: `\`${token.text}\``, style: this.#palette.name }]
      case 'link':
        return [...this.#runs(token.tokens, style), ...this.#target(token)]
      case 'text':
        return token.tokens === undefined ? [{ text: token.text, style }] : this.#runs(token.tokens, style)
      default:
        return [{ text: token.raw, style }]
    }
  }

  /** Where a link leads: the command that shows the page, or an address that its text does not say. */
  #target({ href, text }: Tokens.Link): Run[] {
    const page = /^([\w-]+)\.md(#.*)?$/.exec(href)?.[1]
    if (href.startsWith('#') || page === text || href.replace(/^https?:\/\//, '') === text) return []
    return [{ text: ` (${page === undefined ? href : `racewalk guide ${page}`})`, style: this.#palette.dim }]
  }
}

const plain = (text: string): string => text

const shownLines = (runs: readonly Run[], width: number): string[] => wrap(runs, width).map(({ shown }) => shown)

// ---- tables --------------------------------------------------------------------------------------------------------

type Row = readonly (readonly Run[])[]
const GAP = '  '

/** As wide as the cells if that fits, else the widest columns give way; null where words would have to be cut. */
function columnWidths(rows: readonly Row[], width: number): number[] | null {
  const most = (measure: (cell: readonly Run[]) => number): number[] =>
    (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => measure(row[i] ?? []))))
  const columns = most((cell) => widthOf(plainText(cell)))
  const least = most(longestWord)
  const room = width - GAP.length * (columns.length - 1)
  const sum = (): number => columns.reduce((total, column) => total + column, 0)
  while (sum() > room) {
    const spare = columns.map((column, i) => (column > (least[i] ?? 0) ? column : 0))
    const widest = spare.indexOf(Math.max(...spare))
    if (spare[widest] === 0) return null
    columns[widest] = (columns[widest] ?? 0) - 1
  }
  return columns
}

function rowLines(row: Row, columns: readonly number[]): string[] {
  const cells = columns.map((column, i) => wrap(row[i] ?? [], column))
  const height = Math.max(...cells.map(({ length }) => length))
  return Array.from({ length: height }, (_, line) =>
    columns
      .map((column, i) => {
        const { shown, width } = cells[i]?.[line] ?? { shown: '', width: 0 }
        return shown + ' '.repeat(column - width)
      })
      .join(GAP)
      .trimEnd(),
  )
}

/** A row of a table that is too wide: its first cell, and below it the others with the heads of their columns. */
function recordLines(head: Row, row: Row, width: number): string[] {
  const [first = [], ...rest] = row
  const fields = rest.flatMap((cell, i) => {
    const runs = [...(head[i + 1] ?? []), { text: ': ', style: plain }, ...cell]
    return indented(shownLines(runs, width - GAP.length), GAP)
  })
  return [...shownLines(first, width), ...fields]
}
