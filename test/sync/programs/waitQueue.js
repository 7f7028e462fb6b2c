/** Programs for waitQueue.test.ts. Words: 0 and 1 queues, 2 data, 3 let through. */
export default (k, m) => {
  const word = (index) => k.phys(m.words + index * 64)
  const [DATA, THROUGH] = [2, 3].map(word)

  return {
    /** Sleeps on a queue until the data are `data`. */
    *wait(cpu, rcu, { queue, data, careless }) {
      yield* rcu.ctKernelEnter()
      for (;;) {
        if (careless && (yield* cpu.readOnce32(DATA)) === data) break
        yield* k.prepareToWaitEvent(cpu, word(queue))
        if (!careless && (yield* cpu.readOnce32(DATA)) === data) break
        yield* rcu.sleepUntil(k.wokenAt(cpu, cpu.id), k.isNonZero, 0)
      }
      yield* k.finishWait(cpu, word(queue))
      yield* cpu.atomicAdd32(THROUGH, 1)
      yield* rcu.ctKernelExit()
    },

    /** Counts the data up, and wakes a queue each time. */
    *wake(cpu, _rcu, { queue, times }) {
      for (let time = 1; time <= times; time++) {
        yield* cpu.writeOnce32(DATA, time)
        yield* k.wakeUpAll(cpu, word(queue))
      }
    },
  }
}
