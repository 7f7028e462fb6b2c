import { describe, expect, it } from 'vitest'
import { runRecording } from '../../dist/src/boot/recording/runRecording.js'

const log = (name: string): string => new URL(`../fixtures/calls/${name}.strace`, import.meta.url).pathname

// One small program each, recorded on a real kernel: what its calls do to mappings is seen in its last snapshot, and
// every call is replayed.
describe('a recording', () => {
  const CASES: Readonly<Record<string, string>> = {
    'fork-flags': 'a child has the flags of its parent that no snapshot shows',
    'fork-locked': 'a child has nothing locked',
    'mlock-part': 'mlock cuts memory out of its neighbours',
    mlockall: 'mlockall(MCL_FUTURE) locks what is mapped from then on',
    mergeable: 'MADV_MERGEABLE cuts memory out of its neighbours',
    'mprotect-hole': 'mprotect that stops at a hole has changed what was before it',
    'mremap-multi': 'several mappings move at once, and touches are made up nowhere that decides what becomes one',
    mseal: 'sealed memory is neither unmapped nor protected',
    'remap-file-pages': 'remap_file_pages shows another part of the memory',
    'shared-512m': 'shared memory is as large as it was',
    shm: 'a SysV segment has the length that the snapshot shows, where the log has no shmget',
    'stack-grow': 'a stack has grown by touches, which the last snapshot tells',
    'untouched-gap': 'neighbours that differ in nothing but touches count as one',
  }

  it.each(Object.entries(CASES))('%s: %s', async (name) => {
    const result = await runRecording({ file: log(name) })
    expect([result.fault, result.finding]).toEqual([null, null])
    expect(result.mismatches).toEqual([])
    expect(result.mapsDifferences).toEqual([])
    expect(result.notReplayed).toEqual([])
  })

  it('of a failed call that the model makes without an error differs, by its line', async () => {
    const { mismatches } = await runRecording({ file: log('failed-call') })
    expect(mismatches).toMatchObject([{ line: 53, expected: -13, found: 0, op: { op: 'mprotect' } }])
  })
})
