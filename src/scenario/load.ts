/** A scenario of the user's own, from a file. */
import { UsageError } from '../base/errors.js'
import { blame } from '../boot/module/blame.js'
import type { CompiledModule } from '../boot/module/compiled.js'
import { loadFrom } from '../boot/module/load.js'
import { shown } from '../boot/module/places.js'
import { ARCHITECTURES } from '../isa/index.js'
import { checkProgram } from '../program/checkProgram.js'
import { setUp, type Scenario } from './scenario.js'

/**
 * The scenario that the module in `file` exports as its default. Throws UsageError that names file and line of what
 * does not compile, and what is missing from it.
 */
export const loadScenario = (file: string | URL): Promise<Scenario> => loadFrom(file, 'scenario', checkScenario)

/** `value` if it is a scenario whose programs can run. Throws UsageError otherwise. */
export function checkScenario(value: unknown, { file }: CompiledModule): Scenario {
  const scenario = (typeof value === 'object' && value !== null ? value : {}) as Partial<
    Record<keyof Scenario, unknown>
  >
  const { id, summary, arch, cpus, build } = scenario
  const missing = (what: string): UsageError =>
    new UsageError(
      `${shown(file)} exports no scenario: ${what}`,
      'a scenario has id, summary, arch, cpus and build',
      'export default defineScenario({ … })',
    )
  if (typeof id !== 'string' || !/^[\w-]+$/.test(id)) throw missing('its id is a name of letters, digits and -')
  if (typeof summary !== 'string') throw missing('its summary is a line of text')
  if (!ARCHITECTURES.some(({ id }) => id === arch))
    throw missing(`its arch is one of ${ARCHITECTURES.map(({ id }) => id).join(', ')}`)
  if (!Number.isInteger(cpus) || (cpus as number) < 1) throw missing('its cpus are a whole number')
  if (typeof build !== 'function') throw missing('its build is a function')
  checkPrograms(value as Scenario, file)
  return value as Scenario
}

function checkPrograms(scenario: Scenario, file: string): void {
  const { boot, programs } = blame(() => setUp(scenario, 'explore', scenario.cpus))
  if (!Array.isArray(boot) || !Array.isArray(programs) || programs.length !== scenario.cpus)
    throw new UsageError(
      `${shown(file)}: build() of ${scenario.id} made ${Array.isArray(programs) ? programs.length : 'no'} programs for ${scenario.cpus} CPUs`,
      'it returns { boot, programs }, with one program for each CPU of the setting',
      'roles() makes them',
    )
  for (const program of [boot, ...programs]) checkProgram(program, shown(file))
}
