/**
 * One CPU of runThreads() in machine.ts: boots, waits for the others, runs its program, and keeps taking interrupts until
 * all programs are done.
 */
import { parentPort, workerData } from 'node:worker_threads'

const { form, memory, places, url, seed, bootArgs, cpu: id, task } = workerData
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
image.attach(memory)
const modules = await Promise.all(MODULES.map((name) => import(new URL(`${name}.js`, root).href)))
const kit = Object.assign({}, image, ...modules)
const programs = (await import(url)).default(kit, places, bootArgs)

const { CONTROL, CPU_AREA } = kit
const control = places.regions.control
const engine = form === 'free' ? new kit.FreeEngine() : new kit.PerturbEngine(seed, id, control + CONTROL.at.phase + 4)
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
  parentPort.postMessage({ result })
} catch (error) {
  if (error instanceof kit.Panic) {
    kit.cmpxchg32(control + CONTROL.at.panic, 0, id + 1)
    parentPort.postMessage({ finding: error.finding })
  } else if (error instanceof kit.Halted) {
    parentPort.postMessage({})
  } else throw error
}
