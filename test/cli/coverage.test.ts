import { describe, expect, it } from 'vitest'
import { document, racewalk } from './command.js'

describe('racewalk explore', () => {
  it('says what was covered and why nothing found proves nothing', async () => {
    const { code, out } = await racewalk('explore', 'gup-vs-munmap', '--executions', '100')
    expect(code).toBe(0)
    expect(out).toMatch(/covered:\n {2}executions {2}\d+ differ in more than the order of independent accesses/)
    expect(out).toMatch(/operations {2}\d+ of \d+ pairs overlapped/)
    expect(out).toMatch(/nothing found proves nothing\. What a bug could hide behind:(\n {2}- .*)+\nto look further:/)
    expect(out).toMatch(/--gp-delay 50 .*late/)
  })

  it('proves it where every schedule was run', async () => {
    const { out } = await racewalk('explore', 'store-buffering', '--strategy', 'bounded')
    expect(out).toContain('every schedule of this scenario was run')
    expect(out).not.toContain('proves nothing')
  })

  it('lists with --insight what was not seen, also where something was found', async () => {
    const { code, out } = await racewalk('explore', 'gup-fast-miniature', '--strategy', 'bounded', '--insight')
    expect(code).toBe(1)
    expect(out).toMatch(/accesses that met in one order only \(\d+\); not seen:\n {2}CPU \d: .*, then CPU \d: /)
  })

  it('has the counts in its document, and with --insight the lists', async () => {
    const run = async (...more: string[]): Promise<unknown> =>
      document(await racewalk('explore', 'message-passing', '--executions', '50', '--json', ...more))['coverage']
    expect(await run()).toEqual({
      executions: 50,
      recorded: 50,
      distinct: 3,
      newChance: expect.any(Number),
      operations: { pairs: 0, bothOrders: 0, oneOrder: 0, never: 0 },
      accesses: { pairs: 2, bothOrders: 2, oneOrder: 0, never: 0 },
      pctDepth: expect.any(Number),
    })
    expect(await run('--insight')).toMatchObject({ accesses: { unseen: [] } })
  })
})
