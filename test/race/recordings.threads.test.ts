import { describe, expect, it } from 'vitest'
import { runRecording } from '../../dist/src/boot/recording/runRecording.js'
import { UsageError } from '../../dist/src/base/errors.js'

const log = (name: string): string => new URL(`../fixtures/strace/${name}.strace`, import.meta.url).pathname

// Real programs, replayed on threads while one CPU pins pages and one collapses huge pages: every call returns what the
// real kernel returned, and the mappings at the end are those of the real kernel's last snapshot.
describe('racewalk run', () => {
  for (const name of ['true', 'ls', 'tar', 'sqlite-like', 'gcc-small', 'python-threads', 'xz-T2'])
    it(`replays ${name} to the real kernel's answers and mappings`, async () => {
      const result = await runRecording({ file: log(name) })
      expect(result.fault).toBeNull()
      expect(result.finding).toBeNull()
      expect(result.mismatches).toEqual([])
      expect(result.mapsDifferences).toEqual([])
      expect(result.processes.length).toBeGreaterThan(0)
    })

  it('names the file and the rule when there is no such log', async () => {
    await expect(runRecording({ file: '/nowhere.strace' })).rejects.toThrow(UsageError)
  })
})
