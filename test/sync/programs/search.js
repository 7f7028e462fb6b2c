/** Small programs with interrupts and choices, for dpor.test.ts. Words: 0 and 1 shared, 10+c of CPU c. */
export default (k, m) => {
  const word = (index) => k.phys(m.words + index * 64)

  /** In the interrupt: a look at word 0, an answer in the CPU's own word. */
  class Look {
    constructor(cpu) {
      this.cpu = cpu
    }
    *ipi() {
      yield* this.cpu.writeOnce32(word(10 + this.cpu.id), 1 + (yield* this.cpu.readOnce32(word(0))))
    }
  }

  return {
    boot: (cpu) => ({ look: cpu.ipi.register(new Look(cpu)) }),

    /** Interrupts every other CPU, waiting for it or not. */
    *call(cpu, _rcu, wait, own) {
      yield* cpu.writeOnce32(word(0), 1)
      yield* cpu.ipi.callMany(k.phys(0), own.look, 0, wait)
    },

    /** Interrupts CPU `target` and nobody else. */
    *poke(cpu, _rcu, target, own) {
      yield* cpu.ipi.callAsync(target, own.look, 0)
    },

    *store(cpu) {
      yield* cpu.writeOnce32(word(0), 1)
    },

    *work(cpu) {
      yield* cpu.readOnce32(word(10 + cpu.id))
      cpu.localIrqSave()
      yield* cpu.writeOnce32(word(1), cpu.id)
      yield* cpu.localIrqRestore()
      yield* cpu.readOnce32(word(0))
    },

    *waitForAnswer(cpu) {
      yield* cpu.waitUntil(word(10 + cpu.id), k.isNonZero, 0)
      yield* cpu.writeOnce32(word(0), 2)
    },

    *choose(cpu) {
      const which = cpu.choose(2)
      yield* cpu.writeOnce32(word(which), 1 + cpu.id)
      yield* cpu.readOnce32(word(cpu.choose(2)))
    },
  }
}
