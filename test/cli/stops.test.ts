/**
 * How explorations end that are not left alone: interrupted, killed, with nobody to read what they say or no room for
 * it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { document, MAIN, racewalk, type Ended } from './command.js'

const scratch = mkdtempSync(join(tmpdir(), 'racewalk-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** A moment in the life of a command. */
type Moment = (child: ChildProcess) => Promise<unknown>

/** Makes a command tell its parent of each thread that it starts. */
const TELL_OF_THREADS = `data:text/javascript,${encodeURIComponent('process.on("worker", () => process.send?.(1))')}`

/** Runs the command until `moment`, sends it `signal`, and says how it ended and how long that took. */
async function ended(args: string[], signal: NodeJS.Signals, moment: Moment): Promise<Ended & { ms: number }> {
  const child = spawn(process.execPath, ['--import', TELL_OF_THREADS, MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let [out, err] = ['', '']
  child.stdout?.on('data', (data) => (out += String(data)))
  child.stderr?.on('data', (data) => (err += String(data)))
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve))
  await Promise.race([moment(child), closed])
  const sent = performance.now()
  child.kill(signal)
  return { code: await closed, out, err, ms: performance.now() - sent }
}

/** When the exploration that is kept in `directory` has kept executions, which it does once a second. */
const keeps =
  (directory: string): Moment =>
  async (child) => {
    const file = join(directory, 'exploration.json')
    const hasKept = (): boolean => existsSync(file) && /"executions":[1-9]/.test(readFileSync(file, 'utf8'))
    while (child.exitCode === null && !hasKept()) await sleep(20)
  }

const startsThread: Moment = (child) => once(child, 'message')

/** Through a shell, which can do with standard output what a test cannot. */
async function shell(command: string): Promise<Ended> {
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', (data) => (out += String(data)))
  child.stderr.on('data', (data) => (err += String(data)))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, out, err }
}

const explore = `'${process.execPath}' '${MAIN}' explore`

describe('Ctrl-C', () => {
  it.each([
    ['in one thread', []],
    ['with shards', ['--shards', '2']],
    ['with --check', ['--check']],
  ])('%s prints what was found so far', async (name, more) => {
    const kept = join(scratch, name)
    const args = ['explore', 'message-passing', '--time', '60s', '--json', '--resume', kept, ...more]
    const { code, out, err, ms } = await ended(args, 'SIGINT', keeps(kept))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const result = document({ code, out, err })
    expect(result).toMatchObject({ interrupted: true, findings: [] })
    expect(result['executions']).toBeGreaterThan(0)
    expect(ms).toBeLessThan(5000)

    const executions = result['executions'] as number
    const resumed = await racewalk(...args, '--executions', String(executions + 1000))
    expect(document(resumed)).toMatchObject({ executions: executions + 1000, resumed: { executions } })
  })
})

describe('SIGTERM', () => {
  it('does what Ctrl-C does', async () => {
    const kept = join(scratch, 'terminated')
    const args = ['explore', 'message-passing', '--shards', '2', '--time', '60s', '--resume', kept]
    const { code, out } = await ended(args, 'SIGTERM', keeps(kept))
    expect(code).toBe(0)
    expect(out).toMatch(/message-passing, fixed code: .* accesses, interrupted/)
  })
})

describe('Ctrl-C under stress', () => {
  it('prints what was done so far', async () => {
    const { code, out, err } = await ended(
      ['stress', 'gup-vs-dontneed', '--duration', '60s', '--json'],
      'SIGINT',
      startsThread,
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(document({ code, out, err })).toMatchObject({ stopped: 'interrupted', findings: [] })
  })
})

describe('a killed exploration', () => {
  it('goes on from where it was a second before', async () => {
    const kept = join(scratch, 'killed')
    const args = ['explore', 'message-passing', '--resume', kept, '--shards', '2', '--json']
    const { code, out } = await ended(args, 'SIGKILL', keeps(kept))
    expect({ code, out }).toEqual({ code: null, out: '' })
    const resumed = document(await racewalk(...args, '--time', '300ms'))
    expect((resumed['resumed'] as { executions: number }).executions).toBeGreaterThan(0)
  })
})

describe('a closed pipe', () => {
  it('ends the command without a word', async () => {
    const command = `${explore} message-passing-reversed --full | head -n 1`
    const { code, out, err } = await shell(command)
    expect({ code: code === 0 || code === 1, lines: out.trim().split('\n').length, err }).toEqual({
      code: true,
      lines: 1,
      err: '',
    })
  })

  it('that was closed from the beginning does too', async () => {
    const { err } = await shell(`${explore} message-passing --executions 5000 --shards 2 --json | true`)
    expect(err).toBe('')
  })
})

describe('a full disk', () => {
  it('under standard output gives a message, what was found, and an exit code', async () => {
    const { code, out, err } = await shell(`${explore} message-passing-reversed > /dev/full`)
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toContain('racewalk: cannot write to standard output: ENOSPC: no space left on device')
    expect(err).toMatch(/found in execution \d+[^]*npx racewalk replay rw/)
  })

  it('does the same with --json', async () => {
    const { code, err } = await shell(`${explore} message-passing --executions 100 --json > /dev/full`)
    expect(code).toBe(3)
    expect(JSON.parse(err.slice(err.indexOf('{')))).toMatchObject({ executions: 100 })
  })
})
