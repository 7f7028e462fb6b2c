/** The guide as a site of files: a page each, which needs no script, no network and no server. */
import { escaped } from '../escape.js'
import { markdownHtml } from './markdownHtml.js'
import type { Guide, GuidePage } from './pages.js'
import { STYLE } from './style.js'

/** A mark of the pages that racewalk wrote. */
export const GENERATOR = '<meta name="generator" content="racewalk guide">'

export interface SiteFile {
  readonly name: string
  readonly html: string
}

export function guideSite({ index, pages }: Guide): SiteFile[] {
  const all = [{ ...index, id: 'index' }, ...pages]
  return all.map((page, i) => ({
    name: fileOf(page),
    html: pageHtml(page, all, { before: all[i - 1], after: all[i + 1] }),
  }))
}

const fileOf = ({ id }: GuidePage): string => `${id}.html`

interface Neighbours {
  readonly before: GuidePage | undefined
  readonly after: GuidePage | undefined
}

function pageHtml(page: GuidePage, all: readonly GuidePage[], neighbours: Neighbours): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
${GENERATOR}
<title>${escaped(page.question)} – racewalk</title>
<style>${STYLE}</style>
</head>
<body>
<header><a href="index.html">racewalk</a> <a class="jump" href="#pages">all pages</a></header>
<main>
${markdownHtml(page.markdown)}
${neighboursHtml(neighbours)}
</main>
<nav id="pages" aria-label="pages">
<ul>
${all.map((other) => itemHtml(other, other.id === page.id)).join('\n')}
</ul>
</nav>
</body>
</html>
`
}

function itemHtml(page: GuidePage, isCurrent: boolean): string {
  const current = isCurrent ? ' aria-current="page"' : ''
  return `<li><a href="${fileOf(page)}"${current}>${escaped(page.question)}</a></li>`
}

function neighboursHtml({ before, after }: Neighbours): string {
  const link = (rel: string, arrow: string, page: GuidePage | undefined): string =>
    page === undefined ? '' : `<a rel="${rel}" href="${fileOf(page)}">${arrow} ${escaped(page.question)}</a>`
  return `<footer>${link('prev', '←', before)} ${link('next', '→', after)}</footer>`
}
