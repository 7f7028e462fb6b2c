/** The identity of this racewalk, to the last byte: an execution depends on all of it. */
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A hash of the built sources, and of the modules at `urls`. Throws what the file system throws. */
export function buildId(urls: readonly string[] = []): string {
  const src = fileURLToPath(new URL('..', import.meta.url))
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.js'))
  const hash = createHash('sha256')
  for (const file of files.sort()) hash.update(file).update(readFileSync(join(src, file)))
  for (const url of urls) hash.update(readFileSync(fileURLToPath(url)))
  return hash.digest('hex').slice(0, 16)
}
