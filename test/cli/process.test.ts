import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { main } from '../../dist/src/cli/command.js'
import { MAIN, racewalk, racewalkProcess } from './command.js'

const folder = mkdtempSync(join(tmpdir(), 'racewalk-process-'))
afterAll(() => rmSync(folder, { recursive: true }))

// Most tests call the command in their own process. Here each runs once as users run it; compare does in its own tests.
describe('the command as a process', () => {
  const found = racewalkProcess('explore', 'message-passing-reversed', '--json')
  const [finding] = (JSON.parse(found.out) as { findings: { token: string }[] }).findings

  it.each([
    ['list', [], 0],
    ['explore', ['message-passing', '--executions', '50'], 0],
    ['replay', [finding?.token ?? ''], 1],
    ['stress', ['gup-vs-split', '--duration', '200ms'], 0],
    ['run', ['test/fixtures/strace/true.strace'], 0],
    ['init', [join(folder, 'mine')], 0],
    ['guide', [], 0],
    ['explore', ['nothing'], 2],
  ] as const)('%s %j ends with %i', (command, args, code) => {
    const ended = racewalkProcess(command, ...args)
    expect({ code: ended.code, hasErrors: ended.err !== '' }, ended.err).toEqual({ code, hasErrors: code === 2 })
    expect(ended.out !== '').toBe(code !== 2)
  })
})

describe('the command as a function', () => {
  it('leaves the process as it was', async () => {
    const state = () => [
      Error.stackTraceLimit,
      ...['SIGINT', 'SIGTERM', 'exit'].map((name) => process.listenerCount(name)),
    ]
    const before = [...state(), process.exitCode]
    await racewalk('explore', 'message-passing', '--executions', '50')
    await racewalk('explore', 'nothing')
    expect([...state(), process.exitCode]).toEqual(before)
  })

  it('shows colours and progress on a terminal, stops when it is asked to, and then lets go of the question', async () => {
    const written = { out: '', err: '' }
    const outputTo = (name: 'out' | 'err') => ({
      write: (text: string) => void (written[name] += text),
      isTerminal: true,
      columns: 60,
    })
    let asking = 0
    const onStop = (stop: () => void) => {
      asking++
      setImmediate(stop)
      return () => void asking--
    }
    const io = { out: outputTo('out'), err: outputTo('err'), hasColours: true, onStop }
    expect(await main([process.execPath, MAIN, 'explore', 'message-passing', '--time', '60s'], io)).toBe(0)
    expect(written.out).toMatch(/interrupted/)
    expect(written.out).toContain('\u001b[')
    expect(written.err).toMatch(/message-passing: [\d,]+ executions/)
    expect(asking).toBe(0)
  })
})
