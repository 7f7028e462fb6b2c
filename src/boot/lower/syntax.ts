/**
 * Tools that the build's passes over JavaScript share: a look at syntax trees, and edits that add or remove no line.
 */
import type { AnyNode } from 'acorn'
import { assert } from '../../base/assert.js'

/** A span of the code and what stands there instead. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

export function childrenOf(node: AnyNode): AnyNode[] {
  const isNode = (value: unknown): value is AnyNode =>
    typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
  return Object.values(node).flat().filter(isNode)
}

/** The line breaks in `text`, all that an edit has to keep of what it replaces. */
export const lineBreaks = (text: string): string => text.replace(/[^\r\n\u2028\u2029]/g, '')

export function applyEdits(code: string, edits: readonly Edit[]): string {
  let edited = ''
  let position = 0
  for (const { start, end, text } of [...edits].sort((a, b) => a.start - b.start || a.end - b.end)) {
    assert(start >= position, 'edits overlap')
    edited += code.slice(position, start) + text
    position = end
  }
  return edited + code.slice(position)
}
