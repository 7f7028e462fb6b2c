/**
 * Whether what a module exports is a patch or a bug, and one that changes something: said with file and line if not.
 */
import { readFileSync } from 'node:fs'
import { closest } from 'fastest-levenshtein'
import { UsageError } from '../../base/errors.js'
import type { Bug } from '../../bug/bug.js'
import { patchParts, type Patch } from '../../bug/patch.js'
import type { PartClasses } from '../../mm/kernel.js'
import { MAINLINE } from '../../subsystem/index.js'
import { blame } from './blame.js'
import type { CompiledModule } from './compiled.js'
import { shown } from './places.js'
import { FORM } from './surfaces.js'

type Class = { readonly prototype: object }
type Parts = Readonly<Record<string, unknown>>

/** `value` if it is a patch. Throws UsageError otherwise. */
export function checkPatch(value: unknown, module: CompiledModule): Patch {
  const parts = partsOf(value, module, 'a patch', 'export default definePatch({ parts: { … } })')
  for (const [name, derive] of Object.entries(parts))
    if (typeof derive !== 'function' || isClass(derive))
      throw new UsageError(
        `${placeOf(module, name)}: ${name} is no function of its base class`,
        "a patch goes on top of what is there, mainline's part or a bug's",
        `${name}: (Base) => class extends Base { … }`,
      )
  const patch = value as Patch
  const changed = blame(() => patchParts(MAINLINE, patch))
  for (const name of Object.keys(parts) as (keyof PartClasses)[]) checkPart(module, name, changed[name])
  return patch
}

/** `value` if it is a bug. Throws UsageError otherwise. */
export function checkBug(value: unknown, module: CompiledModule): Bug {
  const parts = partsOf(value, module, 'a bug', 'export default defineBug({ id, …, parts: { … } })')
  if (typeof (value as Partial<Bug>).id !== 'string' || !/^[\w-]+$/.test((value as Bug).id))
    throw new UsageError(`${shown(module.file)}: the bug has no id`, 'its id is a name of letters, digits and -')
  for (const name of Object.keys(parts) as (keyof PartClasses)[]) checkPart(module, name, parts[name])
  return value as Bug
}

function partsOf(value: unknown, module: CompiledModule, what: string, remedy: string): Parts {
  const parts = typeof value === 'object' && value !== null ? (value as { parts?: unknown }).parts : undefined
  if (typeof parts !== 'object' || parts === null)
    throw new UsageError(`${shown(module.file)} exports no parts`, `${what} names the parts that it replaces`, remedy)
  const names = Object.keys(MAINLINE)
  for (const name of Object.keys(parts))
    if (!names.includes(name))
      throw new UsageError(
        `${placeOf(module, name)}: the kernel has no part '${name}'`,
        `there are: ${names.join(', ')}`,
        `did you mean '${closest(name, names)}'?`,
      )
  return parts as Parts
}

/** A part is derived from the kernel's, and each of the methods that the user gives it overrides one or is called. */
function checkPart(module: CompiledModule, name: keyof PartClasses, part: unknown): void {
  const own: object[] = []
  let type: object = isClass(part) ? part.prototype : Object.prototype
  for (; isOwn(module, type); type = Object.getPrototypeOf(type) as object) own.push(type)
  if (type === Object.prototype)
    throw new UsageError(
      `${placeOf(module, name)}: ${name} is no subclass of the kernel's`,
      'whoever calls it expects its methods',
      `class extends ${MAINLINE[name].name} { … }`,
    )
  for (const overriding of own) for (const method of methodsIn(overriding)) checkKind(module, overriding, type, method)
  const known = methodsOf(type)
  for (const method of own.flatMap(methodsIn))
    if (!known.includes(method) && !isUsed(module, method))
      throw new UsageError(
        `${placeOf(module, method)}: ${method}() overrides nothing in ${name}, and nothing calls it`,
        `${name} has: ${[...known].sort().join(', ')}`,
        `did you mean '${closest(method, known)}'?`,
      )
}

type Methods = Readonly<Record<string, unknown>>

/** A kernel function is overridden by one, and another function by another: who calls it drives it or does not. */
function checkKind(module: CompiledModule, overriding: object, base: object, method: string): void {
  const [own, theirs] = [overriding, base].map((type) => (type as Methods)[method])
  if (typeof own !== 'function' || typeof theirs !== 'function') return
  if (isGenerator(own) === isGenerator(theirs) || handsOn(own) || handsOn(theirs)) return
  const [is, remedy] = isGenerator(theirs)
    ? ['is none', `write *${method}()`]
    : ['is one', `leave the * of ${method}() out`]
  throw new UsageError(
    `${placeOf(module, method)}: ${method}() overrides ${isGenerator(theirs) ? 'a kernel function' : 'what is no kernel function'}, and ${is}`,
    'kernel functions are generators, and their callers write yield* before the call',
    remedy,
  )
}

const isGenerator = (value: object): boolean => Object.prototype.toString.call(value) === '[object GeneratorFunction]'

/** A plain function may return what a kernel function gave it. */
const handsOn = (value: object): boolean =>
  !isGenerator(value) && /\breturn\s+(this|super)\b[^;]*\(/.test(String(value))

const isClass = (value: unknown): value is Class =>
  typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value))

/** Whether the class with the prototype `type` is written in the module. */
const isOwn = ({ units }: CompiledModule, type: object): boolean =>
  units.some(({ forms }) => forms[FORM]?.includes(String(type.constructor)))

const methodsIn = (type: object): string[] => Object.getOwnPropertyNames(type).filter((name) => name !== 'constructor')

function methodsOf(type: object): string[] {
  const above = Object.getPrototypeOf(type) as object | null
  return above === null ? [] : [...methodsIn(type), ...methodsOf(above)]
}

/** Whether anything in the module names `.method`. */
const isUsed = ({ units }: CompiledModule, method: string): boolean =>
  units.some(({ forms }) => new RegExp(`\\.${escaped(method)}\\b`).test(forms.controlled ?? ''))

const escaped = (name: string): string => name.replace(/[$]/g, '\\$&')

/** Where in the user's sources `name` is given to something: a property or a method. */
function placeOf({ units, file }: CompiledModule, name: string): string {
  const given = new RegExp(`(?<![\\w$.])${escaped(name)}\\b(?=\\s*[:(<])`)
  for (const { path } of units) {
    const lines = readFileSync(path, 'utf8').split('\n')
    const line = lines.findIndex((text) => given.test(text))
    if (line >= 0) return `${shown(path)}:${line + 1}:${(given.exec(lines[line] as string)?.index ?? 0) + 1}`
  }
  return shown(file)
}
