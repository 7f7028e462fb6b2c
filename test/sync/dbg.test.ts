import { it } from 'vitest'
import { Machine, runThreads, type Task } from './machine.js'
const tasks = (cpus: number, rounds: number): Task[] =>
  Array.from({ length: cpus }, (_, cpu) => [cpu === 0 ? 'write' : cpu === 1 ? 'wait' : 'read', rounds])
it.each([['free', 6, 3000, 10000],['free', 6, 3000, 30000],['free', 8, 3000, 30000],['perturb', 6, 600, 100],['perturb', 6, 600, 300]] as const)('x', async (form, cpus, rounds, long) => {
  for (let i = 0; i < 6; i++) {
    const t = performance.now()
    const { results } = await runThreads(form, 'rcutorture', tasks(cpus, rounds), { seed: i, bootArgs: { early: true, long } })
    const ages = new Array(11).fill(0)
    for (const r of results) if (Array.isArray(r)) r.forEach((n, i) => (ages[i] += n))
    console.log(form, cpus, long, ages.join(' '), JSON.stringify(results[0]), Math.round(performance.now() - t))
  }
})
it('c', async () => {
  for (const long of [60, 150, 300]) {
  const machine = await Machine.boot(4, 'rcutorture', { early: true, long })
    const t = performance.now()
    const ages = new Array(11).fill(0)
    let runs=0
    for (let seed = 1; seed < 600; seed++) { const o = machine.run(seed, tasks(4, 12)); if (o.kind !== 'done') {console.log(o.kind); continue}
      if (o.results.some(r => Array.isArray(r) && r.slice(2).some(x=>x>0))) runs++
    for (const r of o.results) if (Array.isArray(r)) r.forEach((n, i) => (ages[i] += n)) }
    console.log('controlled', long, ages.join(' '), runs, Math.round(performance.now() - t))
  }
})
