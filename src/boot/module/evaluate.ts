/** Runs a compiled module in this thread, in its form, against the modules of the kernel that runs here. */
import { createRequire } from 'node:module'
import { compileFunction } from 'node:vm'
import { UsageError } from '../../base/errors.js'
import type { CompiledModule, Unit } from './compiled.js'
import { remember, scriptName, shown } from './places.js'
import { FORM, type Surfaces } from './surfaces.js'
import { blame } from './blame.js'

type Exports = Record<string, unknown>

/**
 * The default export of `compiled`; `surfaces` has what it imports from racewalk. Throws UsageError where it has none.
 */
export function evaluate(compiled: CompiledModule, surfaces: Surfaces): unknown {
  const units = new Map(compiled.units.map((unit) => [unit.path, unit]))
  const loaded = new Map<string, Exports>()
  const load = (path: string): Exports => {
    const known = loaded.get(path)
    if (known !== undefined) return known
    const unit = units.get(path) as Unit
    const exports: Exports = {}
    loaded.set(path, exports)
    remember(path, unit.map)
    run(unit, exports, (name) => {
      const target = unit.imports[name]
      return target === undefined ? required(unit, name, surfaces) : load(target)
    })
    return exports
  }
  const { file } = compiled
  const exports = blame(() => load(file))
  if (exports['default'] === undefined)
    throw new UsageError(
      `${shown(file)} has no default export`,
      'what it makes is its default export',
      'write export default before it',
    )
  return exports['default']
}

function run({ path, forms }: Unit, exports: Exports, require: (name: string) => unknown): void {
  let body: Function // eslint-disable-line @typescript-eslint/no-unsafe-function-type
  try {
    body = compileFunction(forms[FORM] ?? '', ['exports', 'require'], { filename: scriptName(path) })
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new UsageError(`${shown(path)}: ${error.message}`, 'await at the top level of a module is not supported')
  }
  body(exports, require)
}

function required(unit: Unit, name: string, surfaces: Surfaces): unknown {
  const surface = surfaces[name as keyof Surfaces]
  if (surface !== undefined) return surface
  try {
    return createRequire(unit.path)(name)
  } catch (error) {
    throw new UsageError(
      `${shown(unit.path)}: '${name}' cannot be imported: ${(error as Error).message.split('\n')[0]}`,
      'modules that are loaded here import racewalk, racewalk/kernel, files of their own, and CommonJS packages',
    )
  }
}
