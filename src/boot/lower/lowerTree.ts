/**
 * Makes two trees of what tsc emitted; a step of the build (lowerDist.ts).
 *
 *   dist/{src,workers,bench}/x.js        lowered in place to the controlled form, with LOWERED_MARK as its last line
 *   dist/free/{src,workers,bench}/x.js   the free form, at the same path, so that relative imports work unchanged
 *
 * In both, the constants that a module takes from others are written out first (foldConstants.ts).
 *
 * tsc writes every file anew and without the mark. A marked file is one that tsc has not written since: its free form
 * stands already and could not be made from it any more, so both are left alone. A file that cannot be lowered gets no
 * free form; the others do, all complaints are printed, and the step fails.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { UsageError } from '../../base/errors.js'
import { ConstantFolder } from './foldConstants.js'
import { LOWERED_MARK, isLowered, lowerControlled, lowerFree } from './lower.js'

const ROOTS = ['src', 'workers', 'bench']

/** Lowers all modules under `dist`; returns what was wrong with those that could not be. */
export function lowerTree(dist: string): string[] {
  removeOrphans(dist)
  const modules = modulesOf(dist)
  removeStale(join(dist, 'free'), new Set(modules))
  const complaints: string[] = []
  const folder = new ConstantFolder(
    (path) => (existsSync(path) ? readFileSync(path, 'utf8') : null),
    (from, specifier) => (specifier.startsWith('.') ? join(dirname(from), specifier) : null),
  )
  for (const module of modules) {
    const complaint = lowerModule(dist, module, folder)
    if (complaint !== null) complaints.push(complaint)
  }
  return complaints
}

/** The free form is written first: a mark promises that it is there. */
function lowerModule(dist: string, module: string, folder: ConstantFolder): string | null {
  const path = join(dist, module)
  const free = join(dist, 'free', module)
  const code = readFileSync(path, 'utf8')
  if (isLowered(code)) return existsSync(free) ? null : `${path}: its free form is gone; compile again`
  try {
    const folded = folder.fold(code, path)
    const forms = { free: lowerFree(folded, path), controlled: lowerControlled(folded, path) }
    mkdirSync(dirname(free), { recursive: true })
    writeFileSync(free, forms.free)
    writeFileSync(path, marked(forms.controlled))
    return null
  } catch (error) {
    rmSync(free, { force: true })
    if (error instanceof UsageError) return error.message
    throw error
  }
}

const marked = (code: string): string => `${code}${code === '' || code.endsWith('\n') ? '' : '\n'}${LOWERED_MARK}\n`

/** What tsc emitted (it left a declaration file too) from a source that is gone since. tsc itself never deletes. */
function removeOrphans(dist: string): void {
  const project = dirname(dist)
  for (const module of modulesOf(dist)) {
    const stem = module.slice(0, -'.js'.length)
    const emitted = existsSync(join(dist, `${stem}.d.ts`)) && existsSync(join(project, 'src'))
    if (!emitted || existsSync(join(project, `${stem}.ts`))) continue
    for (const ending of ['.js', '.d.ts']) rmSync(join(dist, stem + ending))
  }
}

function removeStale(free: string, modules: ReadonlySet<string>): void {
  for (const module of modulesOf(free)) if (!modules.has(module)) rmSync(join(free, module))
}

/** Paths of all .js files below the roots of `tree`, relative to it, in a fixed order. */
function modulesOf(tree: string): string[] {
  return ROOTS.filter((root) => existsSync(join(tree, root))).flatMap((root) =>
    readdirSync(join(tree, root), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.js'))
      .map((path) => join(root, path))
      .sort(),
  )
}
