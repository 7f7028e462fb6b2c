/** The recordings in test/fixtures, as text. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { UsageError } from '../../dist/src/base/errors.js'
import { AddressSpaceModel } from '../../dist/src/input/addressSpaceModel.js'
import type { MapsVma } from '../../dist/src/input/maps.js'
import { buildRecording, type Recording } from '../../dist/src/input/recording.js'
import type { Heap } from '../../dist/src/input/startList.js'
import type { LogEvent } from '../../dist/src/input/straceEvent.js'

const fixtures = new URL('../fixtures/', import.meta.url)

export const LOGS = [
  'bash-pipeline',
  'gcc-small',
  'ls',
  'python-threads',
  'sqlite-like',
  'tar',
  'true',
  'xz-T2',
] as const
export type LogName = (typeof LOGS)[number]

export const logText = (name: LogName): string => readFileSync(new URL(`strace/${name}.strace`, fixtures), 'utf8')

/** Snapshot texts by file name, PID.K.maps. */
export function mapsTexts(name: LogName): Map<string, string> {
  const folder = new URL(`strace/${name}.maps/`, fixtures)
  return new Map(readdirSync(folder).map((file) => [file, readFileSync(new URL(file, folder), 'utf8')]))
}

export const recording = (name: LogName): Recording =>
  buildRecording({ file: `${name}.strace`, log: logText(name), maps: mapsTexts(name) })

export const STEP_FILES: readonly string[] = readdirSync(new URL('mm-steps/', fixtures)).sort()
export const stepText = (file: string): string => readFileSync(new URL(`mm-steps/${file}`, fixtures), 'utf8')

/** The message of the UsageError that `parse` throws; fails the test when it throws nothing or something else. */
export function complaint(parse: () => unknown): string {
  try {
    parse()
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return (error as UsageError).message
  }
  expect.fail('nothing was refused')
}

/** Mappings after `events` (in effect order) happened to an address space that began as `start`. */
export function expectedMaps(start: readonly MapsVma[], events: readonly LogEvent[], heap?: Heap): MapsVma[] {
  const model = new AddressSpaceModel(start, { heap })
  for (const event of events) model.apply(event)
  return model.maps()
}
