/** The pages of the guide: Markdown files of one folder, each of which answers the question in its first line. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

export interface GuidePage {
  /** The name that a command takes: `first-race`. */
  readonly id: string
  /** The first line, without its mark. */
  readonly question: string
  readonly markdown: string
}

export interface Guide {
  /** The list of the pages, in words. */
  readonly index: GuidePage
  /** In the order in which the index names them. */
  readonly pages: readonly GuidePage[]
}

const INDEX = 'README.md'

export function readGuide(folder: string): Guide {
  const index = readPage(folder, INDEX)
  const place = (id: string): number => index.markdown.indexOf(`(${id}.md)`)
  const pages = readdirSync(folder)
    .filter((file) => file.endsWith('.md') && file !== INDEX)
    .map((file) => readPage(folder, file))
    .sort((a, b) => place(a.id) - place(b.id))
  return { index, pages }
}

function readPage(folder: string, file: string): GuidePage {
  const markdown = readFileSync(join(folder, file), 'utf8')
  const question = markdown.slice(0, markdown.indexOf('\n')).replace(/^# /, '')
  return { id: file.replace(/\.md$/, ''), question, markdown }
}
