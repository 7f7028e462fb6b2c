/**
 * The two forms that the build makes of the kernel, each with the modules that hold its state: generators that the
 * controlled engine drives, and plain functions for CPUs that are threads.
 */
import type * as engine from '../../dist/src/machine/engine/engine.js'
import type * as image from '../../dist/src/machine/image/image.js'
import type * as mapleLook from '../../dist/src/mm/maple/mapleLook.js'
import type * as machine from '../../dist/src/boot/machine.js'
import type * as solo from '../../dist/src/machine/engine/solo.js'

export interface Form {
  readonly Machine: typeof machine.Machine
  readonly SoloEngine: typeof solo.SoloEngine
  readonly drive: typeof engine.drive
  readonly peek32: typeof image.peek32
  readonly peek64: typeof image.peek64
  readonly peekF64: typeof image.peekF64
  readonly vmasOf: typeof mapleLook.vmasOf
}

async function load(tree: string): Promise<Form> {
  const from = async <Module>(file: string): Promise<Module> =>
    (await import(new URL(`../../${tree}/${file}`, import.meta.url).href)) as Module
  const { Machine } = await from<typeof machine>('boot/machine.js')
  const { SoloEngine } = await from<typeof solo>('machine/engine/solo.js')
  const { drive } = await from<typeof engine>('machine/engine/engine.js')
  const { peek32, peek64, peekF64 } = await from<typeof image>('machine/image/image.js')
  const { vmasOf } = await from<typeof mapleLook>('mm/maple/mapleLook.js')
  return { Machine, SoloEngine, drive, peek32, peek64, peekF64, vmasOf }
}

export const FORMS: readonly (readonly [string, Form])[] = [
  ['generators', await load('dist/src')],
  ['plain functions', await load('dist/free/src')],
]
