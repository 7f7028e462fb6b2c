/**
 * Markdown of a page as HTML of the site: headings with anchors, links to files of the site, wide things that scroll.
 */
import { Marked, type Token, type Tokens } from 'marked'
import { escaped } from '../escape.js'
import { Anchors } from './anchors.js'

type Inline = (tokens: Token[]) => string

export function markdownHtml(markdown: string): string {
  const anchors = new Anchors()
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        return `<h${depth} id="${anchors.next(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`
      },
      link({ href, tokens }) {
        return `<a href="${escaped(siteAddress(href))}">${this.parser.parseInline(tokens)}</a>`
      },
      code({ text }) {
        return `<pre tabindex="0"><code>${escaped(text)}</code></pre>\n`
      },
      table(token) {
        return `<div class="wide" tabindex="0">${tableHtml(token, (tokens) => this.parser.parseInline(tokens))}</div>\n`
      },
    },
  })
  return marked.parse(markdown, { async: false })
}

/** Links between pages lead to their files of the site. */
const siteAddress = (href: string): string =>
  href.replace(/^README\.md/, 'index.html').replace(/^([\w-]+)\.md(?=#|$)/, '$1.html')

function tableHtml({ header, rows }: Tokens.Table, inline: Inline): string {
  const row = (cells: readonly Tokens.TableCell[], tag: string): string =>
    `<tr>${cells.map(({ tokens }) => `<${tag}>${inline(tokens)}</${tag}>`).join('')}</tr>`
  const body = rows.map((cells) => row(cells, 'td')).join('\n')
  return `<table>\n<thead>${row(header, 'th')}</thead>\n<tbody>\n${body}\n</tbody>\n</table>`
}
