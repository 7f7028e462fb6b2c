import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { racewalk } from './command.js'

/** strace is there, and may trace: some containers forbid it. */
const MAY_TRACE = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0

describe('racewalk record', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'racewalk-record-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.skipIf(!MAY_TRACE)(
    'makes a recording of a program and its children, which run replays from execve to exit',
    async () => {
      const name = join(folder, 'small')
      const recorded = await racewalk('record', '-o', name, '--', 'sh', '-c', '(exit 3)')
      expect(recorded.code).toBe(0)
      expect(recorded.out).toContain(`racewalk run ${name}.strace`)
      // Of the shell from execve on, and of the forked one, which has no first snapshot.
      expect(readdirSync(`${name}.maps`).map((file) => file.split('.')[1])).toEqual(expect.arrayContaining(['0', '1']))
      const { code, out } = await racewalk('run', `${name}.strace`)
      expect(out).toContain('every call returned what the real kernel returned')
      expect(code).toBe(0)
    },
  )

  it('says what is missing where there is no strace, and leaves no files', async () => {
    const { PATH } = process.env
    process.env['PATH'] = folder
    try {
      const { code, err } = await racewalk('record', '-o', join(folder, 'none'), '--', 'true')
      expect([code, err]).toEqual([2, expect.stringContaining('there is no strace')])
    } finally {
      process.env['PATH'] = PATH
    }
    expect(existsSync(join(folder, 'none.strace'))).toBe(false)
  })
})
