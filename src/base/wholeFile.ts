/** Files that others see as a whole or not at all: written under another name beside their own, then renamed. */
import { renameSync, rmSync, writeFileSync, type WriteFileOptions } from 'node:fs'

/** The other name: of this process, and beginning with the file's own. */
export const draftOf = (path: string): string => `${path}.${process.pid}.tmp`

/** Throws what the file system says; what was at `path` before is still there then, and no draft. */
export function writeWhole(path: string, text: string, options?: WriteFileOptions): void {
  const draft = draftOf(path)
  try {
    writeFileSync(draft, text, options)
    renameSync(draft, path)
  } catch (error) {
    removeIfThere(draft)
    throw error
  }
}

function removeIfThere(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // It is in the way of nobody.
  }
}
