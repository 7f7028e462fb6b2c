/**
 * The modules that users' modules import from racewalk: its two public files, as they are loaded in this thread. They
 * stand above all rooms, so they are found by address, and only when a module asks.
 */
import { fileURLToPath } from 'node:url'
import type { CompiledModule } from './compiled.js'

const FILES = { racewalk: 'index', 'racewalk/kernel': 'kernel' } as const

export type SurfaceName = keyof typeof FILES
/** Modules by the name under which they are imported. */
export type Surfaces = Readonly<Partial<Record<SurfaceName, object>>>

/** This file is in both trees of the build; each has public files of its form. */
const here = new URL('../../', import.meta.url)
const isFree = here.pathname.endsWith('/dist/free/src/')

/** The form of the kernel that this thread runs. */
export const FORM = isFree ? 'free' : 'controlled'

/** What `module` imports of racewalk. */
export async function surfacesOf({ units }: CompiledModule): Promise<Surfaces> {
  const names = new Set(units.flatMap(({ packages }) => packages))
  const wanted = [...names].filter((name): name is SurfaceName => name in FILES)
  const found = wanted.map(async (name) => [name, (await import(urlOf(name).href)) as object] as const)
  return Object.fromEntries(await Promise.all(found))
}

const urlOf = (name: SurfaceName): URL => new URL(`${FILES[name]}.js`, here)

/** Where a compiler finds the types of each; they are in the tree of the controlled form only. */
export function declarationsOf(): Record<string, string[]> {
  const tree = isFree ? new URL('../../src/', here) : here
  const names = [...Object.entries(FILES), ['racewalk/vitest', 'vitest'] as const]
  return Object.fromEntries(names.map(([name, file]) => [name, [fileURLToPath(new URL(`${file}.d.ts`, tree))]]))
}
