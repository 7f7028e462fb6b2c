/**
 * A patch: what a user puts in the place of parts of the kernel, on top of what is there, mainline's or a bug's. Each
 * of its parts is a function of the class that it changes, so that one patch serves every architecture and cures any
 * bug:
 *
 *   definePatch({
 *     parts: {
 *       GupFast: (Base) =>
 *         class extends Base {
 *           protected override *pteUnchanged(…): Step<boolean> { … }
 *         },
 *     },
 *   })
 */
import type { KernelConfig, PartClasses } from '../mm/kernel.js'
import type { Bug } from './bug.js'

/** The subclass to use in the place of `Base`, for each part that changes. */
export type PatchParts = { readonly [Part in keyof PartClasses]?: (Base: PartClasses[Part]) => PartClasses[Part] }

export interface Patch {
  /** What it does, for those who read it. */
  readonly summary?: string
  readonly parts: PatchParts
  /** Settings of the kernel that it goes with, over those of scenario and bug. */
  readonly config?: Partial<KernelConfig>
}

export const definePatch = (patch: Patch): Patch => patch

/** In what a kernel differs from mainline. A bug is one; `patch` goes on top of `parts`. */
export type KernelChange = Pick<Bug, 'parts' | 'config'> & { readonly patch?: Patch | undefined }

/** `patch` on top of `bug`; null for mainline as it is. */
export function patched(bug: Bug | null, patch: Patch | null): KernelChange | null {
  if (patch === null) return bug
  return { parts: bug?.parts ?? {}, config: { ...bug?.config, ...patch.config }, patch }
}

type PartName = keyof PartClasses

/** `parts` with those that `patch` changes. */
export function patchParts(parts: PartClasses, patch: Patch | undefined): PartClasses {
  if (patch === undefined) return parts
  const names = Object.keys(patch.parts) as PartName[]
  return { ...parts, ...Object.fromEntries(names.map((name) => [name, derived(patch, name, parts[name])])) }
}

/** Subclasses by the function that makes them and by their base: each is made once, and all CPUs have the same. */
const made = new WeakMap<object, WeakMap<object, object>>()

/** A part's class; without a name of its own it is `PatchedGupFast`, in stack traces too. */
function derived(patch: Patch, name: PartName, base: PartClasses[PartName]): object {
  const derive = patch.parts[name] as (Base: object) => object
  let byBase = made.get(derive)
  if (byBase === undefined) made.set(derive, (byBase = new WeakMap()))
  let type = byBase.get(base)
  if (type === undefined) byBase.set(base, (type = named(derive(base), `Patched${name}`)))
  return type
}

/** V8 takes the name of an anonymous class from the class below it, or from this tag. */
function named(type: object, name: string): object {
  if (typeof type !== 'function' || type.name !== '') return type
  Object.defineProperty(type, 'name', { value: name })
  Object.defineProperty(type.prototype, Symbol.toStringTag, { value: name })
  return type
}
