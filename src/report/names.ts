/**
 * Kernel functions by the names a reader knows. V8 names a method after the class of the object, so with a bug in the
 * kernel mainline's methods would carry the name of the bug's subclass. Here they get their own back, and only the
 * methods that the bug replaces keep the subclass's name: what is wrong stands out.
 */
import type { Bug } from '../bug/bug.js'
import type { Finding } from '../machine/engine/finding.js'

/** Renames one function. */
export type Names = (name: string) => string

export function partNames(bug: Bug | null): Names {
  const parts = Object.entries(bug?.parts ?? {}).map(([part, type]) => ({ part, type }))
  return (name) => {
    const [className, method] = name.split('.') as [string, string | undefined]
    const replaced = parts.find(({ type }) => type.name === className)
    if (replaced === undefined || method === undefined) return name
    return Object.hasOwn(replaced.type.prototype as object, method) ? name : `${replaced.part}.${method}`
  }
}

/** The finding with the names of functions put right, and stacks that end where the program called. */
export function named(finding: Finding, names: Names): Finding {
  const program = finding.stack.findIndex(isProgram)
  const stack = program < 0 ? finding.stack : finding.stack.slice(0, program)
  const title = finding.title.replace(/\b[A-Z]\w*\.\w+/g, names)
  return { ...finding, title, details: namedDetails(finding.details, names), stack: stack.map(names) }
}

const isProgram = (name: string): boolean => name.startsWith('Interpreter.')

/** Details that are deeper indented are stacks: who allocated, who freed. */
function namedDetails(details: readonly string[], names: Names): string[] {
  let skipping = false
  return details.flatMap((line) => {
    const name = /^ {2,}([\w.#]+)$/.exec(line)?.[1]
    skipping = name !== undefined && (skipping || isProgram(name))
    if (name === undefined) return [line]
    return skipping ? [] : [line.replace(name, names(name))]
  })
}
