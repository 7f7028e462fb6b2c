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

/** The finding with the names in its title and stack put right, and its stack ending where the program called. */
export function named(finding: Finding, names: Names): Finding {
  const program = finding.stack.findIndex((name) => name.startsWith('Interpreter.'))
  const stack = program < 0 ? finding.stack : finding.stack.slice(0, program)
  const title = finding.title.replace(/\b[A-Z]\w*\.\w+/g, names)
  return { ...finding, title, stack: stack.map(names) }
}
