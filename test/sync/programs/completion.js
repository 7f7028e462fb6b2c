/** Programs for completion.test.ts. Words: 0 completion, 1 data, 2 let through, 3 rcu_head. */
export default (k, m) => {
  const word = (index) => k.phys(m.words + index * 64)
  const [DONE, DATA, THROUGH, HEAD] = [0, 1, 2, 3].map(word)

  class Completes {
    constructor(cpu) {
      this.cpu = cpu
    }
    *rcu() {
      yield* k.complete(this.cpu, DONE)
    }
  }

  return {
    boot: (cpu, rcu) => rcu.register(new Completes(cpu)),

    *wait(cpu, rcu, data) {
      yield* rcu.ctKernelEnter()
      yield* k.waitForCompletion(cpu, rcu, DONE)
      if ((yield* cpu.readOnce32(DATA)) !== data) cpu.report('order', 'done before what was to be done', DONE)
      yield* cpu.atomicAdd32(THROUGH, 1)
      yield* rcu.ctKernelExit()
    },

    *finish(cpu, _rcu, { data, times }) {
      yield* cpu.writeOnce32(DATA, data)
      for (let time = 0; time < times; time++) yield* k.complete(cpu, DONE)
    },

    *finishAll(cpu, _rcu, data) {
      yield* cpu.writeOnce32(DATA, data)
      yield* k.completeAll(cpu, DONE)
      yield* k.complete(cpu, DONE)
    },

    /** Sleeps on what only a callback of this very CPU does. */
    *ownCallback(cpu, rcu, _args, func) {
      yield* rcu.ctKernelEnter()
      yield* rcu.callRcu(k.phys(HEAD + cpu.id * 64), func)
      yield* k.waitForCompletion(cpu, rcu, DONE)
      yield* rcu.drain()
    },

    *dwell(_cpu, rcu) {
      yield* rcu.ctKernelEnter()
      rcu.rcuReadLock()
      yield* _cpu.readOnce32(DATA)
      rcu.rcuReadUnlock()
      yield* rcu.drain()
    },

    *waitInReader(cpu, rcu) {
      yield* rcu.ctKernelEnter()
      rcu.rcuReadLock()
      yield* k.waitForCompletion(cpu, rcu, DONE)
    },
  }
}
