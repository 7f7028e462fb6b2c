import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The documents for users: the README and the pages of the guide. */

export const ROOT = fileURLToPath(new URL('..', import.meta.url))
export const GUIDE = join(ROOT, 'src/guide')

export interface Block {
  readonly language: string
  readonly code: string
}

export interface Document {
  /** Path from the root of the repository. */
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
}

function read(path: string): Document {
  const text = readFileSync(join(ROOT, path), 'utf8')
  const blocks = [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language = '', code = '']) => ({
    language,
    code,
  }))
  return { path, text, blocks }
}

const guideFiles = readdirSync(GUIDE).sort()

export const readme = read('README.md')
export const guideIndex = read('src/guide/README.md')
/** The pages without their index. */
export const guidePages = guideFiles.filter((file) => file !== 'README.md').map((file) => read(`src/guide/${file}`))
export const documents = [readme, guideIndex, ...guidePages]

/** A page of the guide by the name that `racewalk guide` knows it by. */
export const nameOf = ({ path }: Document): string => path.replace(/^.*\/|\.md$/g, '')
