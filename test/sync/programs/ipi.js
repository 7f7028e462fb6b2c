/**
 * Programs for ipi.test.ts. Words: 0 data, 10+c answers of CPU c, 20+c sections of CPU c, 30 mask, 40+c last info seen.
 */
export default (k, m) => {
  const word = (index) => k.phys(m.words + index * 64)
  const [DATA, MASK, GO] = [0, 30, 31].map(word)
  const answer = (cpu) => word(10 + cpu)
  const section = (cpu) => word(20 + cpu)

  /** Looks at what the sender wrote before the call, and answers with it. */
  class Answer {
    constructor(cpu) {
      this.cpu = cpu
    }
    *ipi(info) {
      const { cpu } = this
      if (cpu.irqsEnabled) cpu.report('ipi', 'an interrupt with IRQs on', DATA)
      const data = yield* cpu.plainRead32(k.phys(info))
      yield* cpu.plainWrite32(answer(cpu.id), data)
    }
  }

  /** Takes numbers of one sender: info is sender * 1000 + number; each comes once, in order. */
  class Sequence {
    constructor(cpu) {
      this.cpu = cpu
    }
    *ipi(info) {
      const { cpu } = this
      const from = Math.floor(info / 1000)
      const last = k.phys(word(40 + cpu.id) + from * 4)
      const seen = yield* cpu.plainRead32(last)
      if (info % 1000 !== seen + 1) cpu.report('ipi', `number ${info} after ${seen}`, last)
      yield* cpu.plainWrite32(last, seen + 1)
    }
  }

  return {
    boot: (cpu) => ({ answer: cpu.ipi.register(new Answer(cpu)), sequence: cpu.ipi.register(new Sequence(cpu)) }),

    /** CPU 0: what it wrote before a waited call, every CPU has seen; what they wrote, it sees. */
    *ask(cpu, _rcu, rounds, own) {
      for (let round = 1; round <= rounds; round++) {
        yield* cpu.plainWrite32(DATA, round)
        yield* cpu.ipi.callMany(k.phys(0), own.answer, DATA, true)
        for (let other = 1; other < cpu.cpuCount; other++) {
          const data = yield* cpu.plainRead32(answer(other))
          if (data !== round) cpu.report('ipi', `CPU ${other} answered ${data} to ${round}`, DATA)
        }
      }
    },

    /** Sections with IRQs off; the count is odd inside one. */
    *sections(cpu, _rcu, rounds) {
      for (let round = 0; round < rounds; round++) {
        cpu.localIrqSave()
        yield* cpu.atomicAdd32(section(cpu.id), 1)
        yield* cpu.touch(DATA)
        yield* cpu.atomicAdd32(section(cpu.id), 1)
        yield* cpu.localIrqRestore()
        yield* cpu.cpuRelax()
      }
    },

    /** A section that was open before the call is over after it. Returns how many were found open. */
    *outwait(cpu, _rcu, rounds, own) {
      let open = 0
      for (let round = 0; round < rounds; round++) {
        const before = yield* cpu.readOnce32(section(0))
        yield* cpu.ipi.callMany(k.phys(0), own.answer, DATA, true)
        if ((before & 1) === 0) continue
        open++
        if ((yield* cpu.readOnce32(section(0))) === before) cpu.report('ipi', 'a section outlived the call', DATA)
      }
      return open
    },

    *allToAll(cpu, _rcu, rounds, own) {
      for (let round = 0; round < rounds; round++) yield* cpu.ipi.callMany(k.phys(0), own.answer, DATA, true)
    },

    /** Unwaited calls one after another, through one request for each target; the last one is waited for. */
    *burst(cpu, _rcu, count, own) {
      for (let number = 1; number <= count; number++)
        yield* cpu.ipi.callMany(k.phys(0), own.sequence, cpu.id * 1000 + number, number === count)
    },

    *masked(cpu, _rcu, mask, own) {
      yield* cpu.plainWrite32(DATA, 5)
      yield* cpu.plainWrite32(MASK, mask)
      yield* cpu.ipi.callMany(MASK, own.answer, DATA, true)
    },

    /** Asks twice without waiting, while the target has IRQs off; then lets it take them. */
    *twice(cpu, _rcu, _args, own) {
      yield* cpu.waitUntil(section(1), k.isNonZero, 0)
      const first = yield* cpu.ipi.callAsync(1, own.answer, DATA)
      const second = yield* cpu.ipi.callAsync(1, own.answer, DATA)
      yield* cpu.writeOnce32(GO, 1)
      cpu.wakeWaiters(GO)
      return [first, second]
    },

    *deaf(cpu) {
      cpu.localIrqSave()
      yield* cpu.writeOnce32(section(cpu.id), 1)
      cpu.wakeWaiters(section(cpu.id))
      yield* cpu.waitUntil(GO, k.isNonZero, 0)
      yield* cpu.localIrqRestore()
    },

    *waitWithIrqsOff(cpu, _rcu, _args, own) {
      cpu.localIrqSave()
      yield* cpu.ipi.callMany(k.phys(0), own.answer, DATA, true)
    },

    *nothing() {},
  }
}
