/**
 * One CPU of runThreads() in threads.ts. For each job it boots, waits for the others, runs its program, and keeps
 * taking interrupts until all programs are done.
 */
import { parentPort, workerData } from 'node:worker_threads'

const { form } = workerData
const root = new URL(form === 'free' ? '../../dist/free/src/' : '../../dist/src/', import.meta.url)
const MODULES = [
  'base/units',
  'machine/cpu/area',
  'machine/cpu/cpu',
  'machine/engine/engine',
  'machine/engine/finding',
  'machine/engine/free',
  'machine/engine/perturb',
  'machine/trace/ring',
  'sync/completion',
  'sync/expedited',
  'sync/list',
  'sync/mightSleep',
  'sync/rcuLayout',
  'sync/rcu',
  'sync/rwsem',
  'sync/seqcount',
  'sync/spinlock',
  'sync/waitQueue',
]

const image = await import(new URL('machine/image/image.js', root).href)
const modules = await Promise.all(MODULES.map((name) => import(new URL(`${name}.js`, root).href)))

parentPort.on('message', async (job) => parentPort.postMessage(await run(job)))

async function run({ memory, places, url, seed, bootArgs, cpu: id, task }) {
  image.attach(memory)
  // Only now: exports of the image are those of the memory that is attached.
  const kit = Object.assign({}, image, ...modules)
  const programs = (await import(url)).default(kit, places, bootArgs)

  const { CONTROL, CPU_AREA } = kit
  const control = places.regions.control
  const engine =
    form === 'free' ? new kit.FreeEngine() : new kit.PerturbEngine(seed, id, control + CONTROL.at.phase + 4)
  const ring = new kit.EventRing(places.rings, id, 0, places.regions.cpus + id * CPU_AREA.size)
  const cpu = new kit.Cpu(id, places.cpuCount, places.regions, places.csds, ring, engine)
  const rcu = new (programs.Rcu ?? kit.Rcu)(cpu, places.rcu)
  const own = programs.boot?.(cpu, rcu, bootArgs)
  kit.poke32(cpu.area + CPU_AREA.at.prng, seed * 1000 + id + 1)

  const drive = (step) => (form === 'free' ? step : engine.drive(step))

  function rendezvous(at) {
    kit.add32(control + at, 1)
    cpu.wakeWaiters(control + at)
    drive(cpu.waitUntil(control + at, kit.isEqual, places.cpuCount))
  }

  try {
    rendezvous(CONTROL.at.arrived)
    const result = drive(programs[task[0]](cpu, rcu, task[1], own))
    rendezvous(CONTROL.at.finished)
    return { result }
  } catch (error) {
    if (error instanceof kit.Panic) {
      kit.cmpxchg32(control + CONTROL.at.panic, 0, id + 1)
      return { finding: error.finding }
    }
    if (error instanceof kit.Halted) return {}
    throw error
  }
}
