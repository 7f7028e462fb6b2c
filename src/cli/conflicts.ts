/**
 * Options that contradict each other, refused by name: the alternative is that one of them silently counts for nothing.
 */
import { UsageError } from '../base/errors.js'
import type { KernelConfig } from '../mm/kernel.js'
import { pgallocDesign } from '../isa/designs.js'
import { ARCHITECTURES } from '../isa/index.js'
import { isBare } from '../program/op.js'
import { setUp, type Scenario } from '../scenario/scenario.js'
import type { Bug } from '../bug/bug.js'
import type { KernelChange, Patch } from '../bug/patch.js'

type Config = Partial<KernelConfig>

/** Names as they were typed: of the scenario, and of the changes of its kernel. */
interface Asked {
  readonly id: string
  readonly bug?: string | undefined
  readonly patch?: string | undefined
  readonly gpDelay?: number | undefined
}

/** A scenario with the kernel that it runs on: mainline, or one that a bug, a patch or both change. */
export interface Chosen {
  readonly scenario: Scenario
  readonly bug: Bug | null
  readonly patch: Patch | null
  readonly change: KernelChange | null
}

/** Throws UsageError if what was `asked` for does not go together. */
export function checkConflicts(asked: Asked, { scenario, bug, patch, change }: Chosen): void {
  const changes = [
    [`--bug ${asked.bug}`, bug?.config ?? {}],
    [`--patch ${asked.patch}`, patch?.config ?? {}],
  ] as const
  checkGpDelay(asked, changes)
  for (const [option, config] of changes) checkDesign(asked.id, option, config.pgalloc)
  checkBoth(changes[0], changes[1])
  const { boot, programs } = setUp(scenario, 'explore', scenario.cpus)
  if (change !== null && [boot, ...programs].every(isBare))
    throw new UsageError(
      `${[bug && changes[0][0], patch && changes[1][0]].filter(Boolean).join(' ')} with ${asked.id}`,
      'that scenario is of bare loads and stores, and runs no kernel code',
      'choose another scenario: racewalk list',
    )
}

function checkGpDelay({ id, gpDelay }: Asked, changes: readonly (readonly [string, Config])[]): void {
  if (gpDelay === undefined) return
  if (id.includes('+gp-delay='))
    throw new UsageError(
      `--gp-delay ${gpDelay} with ${id}`,
      'the name of the scenario has one already',
      'leave one out',
    )
  for (const [option, config] of changes)
    if (config.gpDelay !== undefined && config.gpDelay !== gpDelay)
      throw new UsageError(`--gp-delay ${gpDelay} with ${option}`, `that sets it to ${config.gpDelay}`, 'leave one out')
}

/** A design or an architecture behind the scenario's name, and another that a change brings with it. */
function checkDesign(id: string, option: string, pgalloc: string | undefined): void {
  const design = /@([\w-]+)(?:\+|$)/.exec(id)?.[1]
  if (design === undefined || pgalloc === undefined) return
  const { arch } = pgallocDesign(pgalloc)
  if (ARCHITECTURES.some(({ id }) => id === design) ? design === arch.id : design === pgalloc) return
  throw new UsageError(
    `${id} with ${option}`,
    `${option} is of ${pgalloc}, a design for ${arch.id}`,
    `leave @${design} out`,
  )
}

function checkBoth([one, ones]: readonly [string, Config], [other, others]: readonly [string, Config]): void {
  for (const [name, value] of Object.entries(others))
    if (name in ones && ones[name as keyof Config] !== value)
      throw new UsageError(
        `${one} with ${other}`,
        `the one sets ${name} to ${ones[name as keyof Config]}, the other to ${value}`,
        `leave ${name} out of the patch`,
      )
}
