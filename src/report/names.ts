/**
 * Kernel functions by the names a reader knows. V8 names a method after the class of the object, so with a bug in the
 * kernel mainline's methods would carry the name of the bug's subclass. Here they get their own back, and only the
 * methods that a bug or a patch replaces keep the subclass's name: what is wrong stands out.
 */
import { patchParts, type KernelChange, type Patch } from '../bug/patch.js'
import type { PartClasses } from '../mm/kernel.js'
import type { Finding } from '../machine/engine/finding.js'
import { MAINLINE } from '../subsystem/index.js'

type PartName = keyof PartClasses
type NamedClass = { readonly name: string; readonly prototype: object }

/** Renames one function. */
export type Names = (name: string) => string

export function partNames(change: KernelChange | null): Names {
  const layers = [patchedParts(change?.patch), change?.parts ?? {}]
  const classOf = (part: PartName, layer: Partial<PartClasses>): NamedClass | undefined => layer[part]
  const parts = [...new Set(layers.flatMap((layer) => Object.keys(layer) as PartName[]))]
  return (name) => {
    const [className, method] = name.split('.') as [string, string | undefined]
    const part = parts.find((changed) => layers.some((layer) => classOf(changed, layer)?.name === className))
    if (part === undefined || method === undefined) return name
    const owner = layers
      .map((layer) => classOf(part, layer))
      .find((type) => type && Object.hasOwn(type.prototype, method))
    return `${owner?.name ?? part}.${method}`
  }
}

/** The classes that `patch` makes of mainline's. */
function patchedParts(patch: Patch | undefined): Partial<PartClasses> {
  const parts = patchParts(MAINLINE, patch)
  return Object.fromEntries(Object.keys(patch?.parts ?? {}).map((name) => [name, parts[name as PartName]]))
}

/** The finding with the names of functions put right, and stacks that end where the program called. */
export function named(finding: Finding, names: Names): Finding {
  const program = finding.stack.findIndex(isProgram)
  const stack = program < 0 ? finding.stack : finding.stack.slice(0, program)
  const title = finding.title.replace(/\b[A-Z]\w*\.\w+/g, names)
  return { ...finding, title, details: namedDetails(finding.details, names), stack: stack.map(names) }
}

/** The program called the kernel in an operation. */
const isProgram = (name: string): boolean => /^(?:Operation|Task|Litmus|Interpreter)\./.test(name)

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
