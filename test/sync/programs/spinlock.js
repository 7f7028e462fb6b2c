/** Programs for spinlock.test.ts. Words: 0 lock, 1 counter, 2 CPUs inside, 3 second lock, 4 next place, 5- places. */
export default (k, m) => {
  const word = (index) => k.phys(m.words + index * 64)
  const LOCK = word(0)
  const COUNTER = word(1)
  const INSIDE = word(2)
  const OTHER = word(3)
  const PLACE = word(4)

  /** The critical section: breaks visibly when two CPUs are inside. */
  function* section(cpu) {
    if ((yield* cpu.atomicAddReturn32(INSIDE, 1)) !== 1) cpu.report('exclusion', 'two CPUs hold the lock', LOCK)
    const count = yield* cpu.plainRead32(COUNTER)
    yield* cpu.plainWrite32(COUNTER, count + 1)
    yield* cpu.atomicAdd32(INSIDE, -1)
  }

  function* tryUntilTaken(cpu) {
    while (!(yield* k.spinTrylock(cpu, LOCK))) yield* cpu.waitUntil(LOCK, k.isZero, 0)
  }

  class Tick {
    constructor(cpu) {
      this.cpu = cpu
    }
    *ipi() {
      yield* k.spinLockIrqsave(this.cpu, LOCK)
      yield* section(this.cpu)
      yield* k.spinUnlockIrqrestore(this.cpu, LOCK)
    }
  }

  const tailCpu = (seen, operand) => (operand < 0 ? (seen & 0x100) !== 0 : seen >>> 18 === operand + 1)

  return {
    boot: (cpu) => cpu.ipi.register(new Tick(cpu)),

    *exclude(cpu, _rcu, rounds) {
      for (let round = 0; round < rounds; round++) {
        if (round % 3 === 1) {
          yield* k.spinLockIrqsave(cpu, LOCK)
          yield* section(cpu)
          yield* k.spinUnlockIrqrestore(cpu, LOCK)
          continue
        }
        if (round % 3 === 0) yield* k.spinLock(cpu, LOCK)
        else yield* tryUntilTaken(cpu)
        if (k.spinOwner(LOCK) !== cpu.id) cpu.report('exclusion', 'the lock names another holder', LOCK)
        yield* section(cpu)
        yield* k.spinUnlock(cpu, LOCK)
      }
      if (cpu.preemptCount !== 0) cpu.report('preempt', 'preemption is still off', LOCK)
    },

    /** A lock that is none: looks and takes in two steps. */
    *pretend(cpu, _rcu, rounds) {
      for (let round = 0; round < rounds; round++) {
        yield* cpu.waitUntil(LOCK, k.isZero, 0)
        yield* cpu.writeOnce32(LOCK, 1)
        yield* section(cpu)
        yield* cpu.writeOnce32(LOCK, 0)
        cpu.wakeWaiters(LOCK)
      }
    },

    /** CPU 0 holds the lock until the others stand in the queue in the order of their numbers. */
    *lineUp(cpu) {
      const last = cpu.cpuCount - 1
      const before = cpu.id - 1
      if (cpu.id === 0) yield* k.spinLock(cpu, LOCK)
      // The first waiter sets pending, the later ones are the tail in turn.
      if (cpu.id === 0) yield* cpu.waitUntil(LOCK, tailCpu, last === 1 ? -1 : last)
      else if (cpu.id === 1) yield* cpu.waitUntil(LOCK, k.isNonZero, 0)
      else yield* cpu.waitUntil(LOCK, tailCpu, cpu.id === 2 ? -1 : before)
      if (cpu.id !== 0) yield* k.spinLock(cpu, LOCK)
      const place = yield* cpu.plainRead32(PLACE)
      yield* cpu.plainWrite32(PLACE, place + 1)
      yield* k.spinUnlock(cpu, LOCK)
      return place
    },

    /** Queues for one lock with IRQs on, while its interrupts queue for another. */
    *interrupted(cpu, _rcu, rounds, tick) {
      for (let round = 0; round < rounds; round++) {
        yield* cpu.ipi.callMany(k.phys(0), tick, 0, round % 2 === 1)
        yield* k.spinLock(cpu, OTHER)
        const count = yield* cpu.plainRead32(PLACE)
        yield* cpu.plainWrite32(PLACE, count + 1)
        yield* k.spinUnlock(cpu, OTHER)
        yield* cpu.cpuRelax()
      }
    },

    /** Takes the lock that its interrupt takes, and forgets to mask. */
    *unmasked(cpu, _rcu, _args, tick) {
      if (cpu.id === 1) yield* cpu.ipi.callMany(k.phys(0), tick, 0, false)
      if (cpu.id === 1) return
      yield* k.spinLock(cpu, LOCK)
      yield* section(cpu)
      yield* k.spinUnlock(cpu, LOCK)
    },

    *bothLocks(cpu, _rcu, [first, second]) {
      yield* k.spinLock(cpu, word(first))
      yield* k.spinLock(cpu, word(second))
      yield* k.spinUnlock(cpu, word(second))
      yield* k.spinUnlock(cpu, word(first))
    },

    *unlockOnly(cpu) {
      yield* k.spinUnlock(cpu, LOCK)
    },

    *lockTwice(cpu) {
      yield* k.spinLock(cpu, LOCK)
      yield* k.spinLock(cpu, LOCK)
    },
  }
}
