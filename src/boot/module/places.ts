/** Places in a user's source, found from lines of the compiled code and from stack traces. */
import { SourceMap, type SourceMapPayload } from 'node:module'
import { relative } from 'node:path'
import { USER_SCHEME } from '../../machine/engine/finding.js'

/** The place, as `fix.ts:3:12`, of a line and column (from 1) of what was compiled. */
export type Places = (line: number, column: number) => string

/** The name under which V8 knows what was compiled of the file at `path`. */
export const scriptName = (path: string): string => `${USER_SCHEME}${path}`

/** A path as the user would type it here. */
export function shown(path: string): string {
  const short = relative('', path)
  return short === '' || short.startsWith('../..') ? path : short
}

/** `map`: source map of what was compiled of the file at `path`. */
export function placesOf(path: string, map: string): Places {
  const lines = new SourceMap(JSON.parse(map) as SourceMapPayload)
  return (line, column) => {
    const entry = lines.findEntry(line - 1, column - 1)
    if (!('originalLine' in entry)) return shown(path)
    return `${shown(path)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
  }
}

const known = new Map<string, Places>()

/** Makes traces through what was compiled of `path` readable. */
export function remember(path: string, map: string): void {
  known.set(path, placesOf(path, map))
}

export interface UserFrame {
  /** `Fix.pteUnchanged`, or empty at the top level. */
  readonly name: string
  /** `fix.ts:3:12`. */
  readonly place: string
}

/** The frames of a stack trace that are in a user's modules, innermost first. */
export function userFrames(trace: string): UserFrame[] {
  const frames: UserFrame[] = []
  for (const line of trace.split('\n')) {
    const frame = /^\s+at (?:(.*) \()?user:(.+):(\d+):(\d+)\)?$/.exec(line)
    if (frame === null) continue
    const [, name = '', path = '', at, column] = frame
    const place = known.get(path)?.(Number(at), Number(column)) ?? shown(path)
    frames.push({ name: name.replace(/^(?:async )?(?:Object\.)?/, '').replace(/\.next$/, ''), place })
  }
  return frames.filter(({ name }, i) => name !== '[Generator]' || i === 0)
}
