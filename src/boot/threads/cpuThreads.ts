/**
 * The threads of a machine's CPUs: a Piscina pool that runs one long task for each CPU, and a Comlink channel to each.
 * A thread that dies, however it dies, ends every call at once: nobody waits for an answer that cannot come.
 */
import * as Comlink from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { CpuControl, CpuTask } from './protocol.js'

export class CpuThreads {
  readonly #pool: Piscina<CpuTask, void>
  readonly #ports: MessagePort[] = []
  readonly #cpus: Comlink.Remote<CpuControl>[] = []
  readonly #died: Promise<never>
  #closing = false

  /** Starts `count` threads from `entry` (boot/threads/spawn.ts). */
  constructor(count: number, entry: URL) {
    this.#pool = new Piscina({ filename: entry.href, minThreads: count, maxThreads: count, atomics: 'disabled' })
    this.#died = Promise.race(Array.from({ length: count }, (_, cpu) => this.#start(cpu)))
    // Nobody may be listening when a thread dies; whoever calls next hears it.
    this.#died.catch(() => {})
  }

  /** Makes a call on the first `count` CPUs at the same time. Rejects when a thread dies before all have answered. */
  all<T>(count: number, call: (cpu: Comlink.Remote<CpuControl>, id: number) => Promise<T>): Promise<T[]> {
    return Promise.race([Promise.all(this.#cpus.slice(0, count).map(call)), this.#died])
  }

  /** Ends all threads, whatever they are doing. */
  async destroy(): Promise<void> {
    this.#closing = true
    for (const port of this.#ports) port.close()
    await this.#pool.destroy()
  }

  /** Never resolves; rejects when the thread of `cpu` ends before destroy(). */
  async #start(cpu: number): Promise<never> {
    const { port1, port2 } = new MessageChannel()
    this.#ports.push(port1)
    this.#cpus.push(Comlink.wrap<CpuControl>(nodeEndpoint(port1)))
    let cause = 'it ended on its own'
    try {
      await this.#pool.run({ port: port2 }, { transferList: [port2] })
    } catch (error) {
      cause = error instanceof Error ? (error.stack ?? error.message) : String(error)
    }
    if (this.#closing) return new Promise(() => {})
    throw new Error(`the thread of CPU ${cpu} is gone: ${cause}`)
  }
}
