/**
 * A place in an input file, and the complaint about it. Every parser of this room refuses bad input in one form:
 * file and line first, then what is wrong, the rule, and what to do. A wrong file is the user's mistake: UsageError.
 */
import { UsageError } from '../base/errors.js'

/** `line` counts from 1. */
export interface Place {
  readonly file: string
  readonly line: number
}

/**
 * Throws UsageError: "FILE: line N: what", then `rule` (what is accepted) and `remedy` (what to do) on lines of their
 * own.
 */
export function refuse(place: Place, what: string, rule?: string, remedy?: string): never {
  throw new UsageError(`${place.file}: line ${place.line}: ${what}`, rule, remedy)
}

/** The start of `text`, quoted so that a binary file cannot reach the terminal. */
export function excerpt(text: string): string {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text
  return JSON.stringify(shown)
}

/** The lines of a file, and whether the last one lacks its newline: a program that writes whole lines was cut there. */
export interface FileLines {
  readonly lines: readonly string[]
  readonly cut: boolean
}

export function splitLines(text: string): FileLines {
  const lines = text.split(/\r?\n/)
  const cut = lines[lines.length - 1] !== ''
  if (!cut) lines.pop()
  return { lines, cut }
}
