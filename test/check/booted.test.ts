/**
 * Correct code on one CPU, in both forms of the kernel and in both geometries: no oracle says a word, and everything
 * adds up at the end. Races are elsewhere; here each step that the oracles hear of is taken at least once.
 */
import { describe, expect, it } from 'vitest'
import type { BootedCpu, Machine } from '../../dist/src/boot/machine.js'
import { MAP, MREMAP, PROT, type Op, type Program } from '../../dist/src/program/op.js'
import { pgallocDesigns } from '../../dist/src/isa/designs.js'
import { Prng } from '../../dist/src/base/prng.js'
import { executions } from '../budget.js'

const RANDOM_OPS = executions(3000)
const FORMS = { controlled: '../../dist', free: '../../dist/free' } as const
type Form = keyof typeof FORMS
type Size = 'small' | 'full'

async function boot(
  form: Form,
  size: Size,
  pgalloc: string = 'one-page',
): Promise<{ machine: Machine; cpu: BootedCpu; run: (program: Program) => void }> {
  const from = FORMS[form]
  const machines = (await import(
    /* @vite-ignore */ `${from}/src/boot/machine.js`
  )) as typeof import('../../dist/src/boot/machine.js')
  const configs = (await import(
    /* @vite-ignore */ `${from}/src/boot/config.js`
  )) as typeof import('../../dist/src/boot/config.js')
  const solos = (await import(
    /* @vite-ignore */ `${from}/src/machine/engine/solo.js`
  )) as typeof import('../../dist/src/machine/engine/solo.js')
  const engines = (await import(
    /* @vite-ignore */ `${from}/src/machine/engine/engine.js`
  )) as typeof import('../../dist/src/machine/engine/engine.js')
  const config = size === 'small' ? configs.smallMachine(1, 128) : configs.fullMachine(1)
  const machine = new machines.Machine(configs.withPgalloc({ ...config, kernel: { ...config.kernel, pgalloc } }))
  machine.boot([], null, [4])
  machine.seedChoices(1)
  const cpu = machine.makeCpu(0, new solos.SoloEngine(), null)
  return { machine, cpu, run: (program) => engines.drive(cpu.interpreter.runOnce(program)) }
}

const anonymous = (addr: number, len: number): Op => ({
  op: 'mmap',
  addr,
  len,
  prot: PROT.read | PROT.write,
  flags: MAP.private | MAP.anonymous | MAP.fixed,
})
/** Those that are right with one CPU, which is all of them but the ones with two users of one list node or rcu_head. */
const DESIGNS = pgallocDesigns()
  .map(({ id }) => id)
  .filter((id) => id !== 's390-shared-head' && id !== 's390-list-node')

/** Steps in the order in which a reader can follow what becomes of the pages; `huge` and `page` in bytes. */
function everyStep(huge: number, page: number): Program {
  const at = 4 * huge
  const [next, file] = [at + huge, 3 * huge]
  return [
    anonymous(at, 2 * huge),
    { op: 'store', addr: at },
    { op: 'gup', addr: at + page, pages: 2, pin: true, write: true, hold: true },
    { op: 'splitPmd', addr: at },
    { op: 'splitFolio', addr: at },
    { op: 'unpin' },
    { op: 'splitFolio', addr: at },
    { op: 'migrate', addr: at + page },
    { op: 'collapse', addr: at },
    { op: 'numaHint', addr: at },
    { op: 'load', addr: at + page },
    { op: 'migrate', addr: at },
    { op: 'mprotect', addr: at + page, len: page, prot: PROT.read },
    { op: 'gup', addr: at, pages: 3 },
    { op: 'mprotect', addr: at, len: huge, prot: PROT.read | PROT.write },
    { op: 'load', addr: next },
    { op: 'store', addr: next + page },
    { op: 'fork', slot: 0 },
    { op: 'store', addr: at, pages: 2 },
    { op: 'gupWrite', addr: next, value: 9, pin: true },
    { op: 'reap', slot: 0 },
    { op: 'madvise', addr: at, len: page, advice: 'dontneed' },
    { op: 'madvise', addr: next, len: huge, advice: 'free' },
    { op: 'mremap', addr: at, oldLen: huge, newLen: huge, flags: MREMAP.mayMove | MREMAP.fixed, newAddr: 2 * huge },
    { op: 'mmap', addr: file, len: 2 * page, prot: PROT.read | PROT.write, flags: MAP.private | MAP.fixed, file: 0 },
    { op: 'load', addr: file, pages: 2 },
    { op: 'store', addr: file },
    { op: 'mmap', addr: file + 2 * page, len: 2 * page, prot: 3, flags: MAP.shared | MAP.fixed, file: 0 },
    { op: 'store', addr: file + 2 * page, pages: 2 },
    { op: 'gupWrite', addr: file + 2 * page, value: 5 },
    { op: 'munmap', addr: next, len: huge },
    { op: 'munmap', addr: file, len: huge },
  ]
}

describe.each(['controlled', 'free'] as const)('the oracles, over correct code in the %s form', (form) => {
  it.each([
    ['small', 'one-page'],
    ['full', 'one-page'],
    ['full', 's390-full-page'],
    ['full', 'powerpc-fragments'],
  ] as const)('say nothing while one CPU takes every step (%s geometry, %s)', async (size, design) => {
    const { machine, cpu, run } = await boot(form, size, design)
    for (const op of everyStep(machine.geo.pmdSize, machine.geo.pageSize)) {
      run([op])
      expect(machine.finalCheck(cpu), op.op).toBeNull()
    }
    run([{ op: 'exec' }])
    expect(machine.finalCheck(cpu)).toBeNull()
    run([{ op: 'exit' }])
    expect(machine.finalCheck(cpu)).toBeNull()
  })

  it.each(DESIGNS)(
    `say nothing about ${RANDOM_OPS} operations at random in a small geometry (page tables: %s)`,
    async (design) => {
      const { machine, cpu, run } = await boot(form, 'small', design)
      const prng = new Prng(7)
      const { pmdSize, pageSize } = machine.geo
      run([anonymous(4 * pmdSize, 2 * pmdSize)])
      for (let i = 0; i < RANDOM_OPS; i++) {
        const op = randomOp(prng, pmdSize, pageSize)
        run([op])
        expect(machine.finalCheck(cpu), `operation ${i}: ${JSON.stringify(op)}`).toBeNull()
      }
    },
  )
})

/** Any operation, on one of two huge ranges: misplaced ones fail, as they may. */
function randomOp(prng: Prng, huge: number, page: number): Op {
  const arena = 4 * huge
  const addr = arena + prng.below(8) * page
  const aligned = arena + prng.below(2) * huge
  const len = (1 + prng.below(5)) * page
  const prot = [0, 1, 3, 3][prng.below(4)] as number
  const to = (2 + prng.below(2)) * huge
  const ops: Op[] = [
    { op: 'load', addr },
    { op: 'store', addr },
    { op: 'store', addr, pages: 3 },
    { op: 'gup', addr, pages: 3, write: prng.below(2) === 0, pin: prng.below(2) === 0, hold: prng.below(4) === 0 },
    { op: 'unpin' },
    { op: 'gupWrite', addr, value: 3, pin: prng.below(2) === 0, force: prng.below(2) === 0 },
    { op: 'splitPmd', addr: aligned },
    { op: 'splitFolio', addr: aligned },
    { op: 'collapse', addr: aligned },
    { op: 'retract', addr: aligned },
    { op: 'mmap', addr: aligned, len: huge, prot: 3, flags: MAP.shared | MAP.fixed, file: 0 },
    { op: 'migrate', addr },
    { op: 'numaHint', addr: aligned },
    { op: 'madvise', addr, len, advice: 'dontneed' },
    { op: 'madvise', addr, len, advice: 'free' },
    { op: 'mprotect', addr, len, prot },
    { op: 'mprotect', addr: arena, len: 2 * huge, prot: 3 },
    { op: 'munmap', addr, len },
    anonymous(aligned, huge),
    { op: 'mmap', addr, len: 2 * page, prot, flags: MAP.private | MAP.fixed, file: 0 },
    { op: 'mmap', addr, len: 2 * page, prot, flags: MAP.shared | MAP.fixed, file: 0 },
    { op: 'mremap', addr: aligned, oldLen: huge, newLen: huge, flags: 3, newAddr: to },
    { op: 'mremap', addr: to, oldLen: huge, newLen: huge, flags: 3, newAddr: aligned },
    { op: 'mremap', addr, oldLen: page, newLen: page, flags: 3, newAddr: to },
    { op: 'fork', slot: prng.below(2) },
    { op: 'reap', slot: prng.below(2) },
  ]
  return ops[prng.below(ops.length)] as Op
}
