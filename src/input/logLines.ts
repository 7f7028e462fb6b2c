/** The lines of a log, one after the other, so that none but the one at hand has to be in memory. */
import { closeSync, openSync, readSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import { splitLines } from './place.js'

export interface LogLines {
  /** Calls `visit` with each line; `cut`: it is the last, and lacks its newline. */
  forEach(visit: (line: string, cut: boolean) => void): void
}

export const linesOfText = (text: string): LogLines => ({
  forEach: (visit) => {
    const { lines, cut } = splitLines(text)
    lines.forEach((line, index) => visit(line, cut && index === lines.length - 1))
  },
})

const CHUNK = 1 << 20

/** Read a megabyte at a time. Throws what the file system says. */
export const linesOfFile = (path: string): LogLines => ({
  forEach: (visit) => {
    const [file, chunk, decoder] = [openSync(path, 'r'), Buffer.alloc(CHUNK), new StringDecoder('utf8')]
    let rest = ''
    try {
      for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) {
        const lines = (rest + decoder.write(chunk.subarray(0, read))).split(/\r?\n/)
        rest = lines.pop() ?? ''
        for (const line of lines) visit(line, false)
      }
    } finally {
      closeSync(file)
    }
    if (rest !== '') visit(rest, true)
  },
})
