/** Programs for rwsem.test.ts. Words: 0 sem, 1 readers inside, 2 writers inside, 3 and 4 data, 5 places, 6 spinlock. */
export default (k, m) => {
  const word = (index) => k.phys(m.words + index * 64)
  const [SEM, READERS, WRITERS, LEFT, RIGHT, PLACE, SPIN] = [0, 1, 2, 3, 4, 5, 6].map(word)

  function* readSection(cpu) {
    yield* cpu.atomicAdd32(READERS, 1)
    if ((yield* cpu.readOnce32(WRITERS)) !== 0) cpu.report('exclusion', 'a reader beside a writer', SEM)
    const left = yield* cpu.plainRead32(LEFT)
    const right = yield* cpu.plainRead32(RIGHT)
    if (left !== right) cpu.report('exclusion', 'a reader sees half of a write', SEM)
    yield* cpu.atomicAdd32(READERS, -1)
    return left
  }

  function* writeSection(cpu) {
    if ((yield* cpu.atomicAddReturn32(WRITERS, 1)) !== 1) cpu.report('exclusion', 'two writers', SEM)
    if ((yield* cpu.readOnce32(READERS)) !== 0) cpu.report('exclusion', 'a writer beside a reader', SEM)
    const left = yield* cpu.plainRead32(LEFT)
    yield* cpu.plainWrite32(LEFT, left + 1)
    yield* cpu.plainWrite32(RIGHT, left + 1)
    yield* cpu.atomicAdd32(WRITERS, -1)
    return left + 1
  }

  function* takePlace(cpu) {
    return yield* cpu.atomicFetchAdd32(PLACE, 1)
  }

  const hasWaiters = (seen, operand) => (seen & 2) !== 0 && seen >= operand

  return {
    *mix(cpu, rcu, rounds) {
      yield* rcu.ctKernelEnter()
      for (let round = 0; round < rounds; round++) {
        yield* rcu.rcuNoteContextSwitch()
        const kind = (cpu.id + round) % 5
        if (kind === 0) {
          yield* k.downWrite(cpu, rcu, SEM)
          if (k.rwsemOwner(SEM) !== cpu.id) cpu.report('exclusion', 'the rwsem names another writer', SEM)
          yield* writeSection(cpu)
          yield* k.upWrite(cpu, SEM)
        } else if (kind === 1) {
          yield* k.downWrite(cpu, rcu, SEM)
          const wrote = yield* writeSection(cpu)
          yield* k.downgradeWrite(cpu, SEM)
          if (!k.isReadLocked(SEM)) cpu.report('exclusion', 'the rwsem knows of no reader', SEM)
          if ((yield* readSection(cpu)) !== wrote) cpu.report('exclusion', 'a writer came in at the downgrade', SEM)
          yield* k.upRead(cpu, SEM)
        } else if (kind === 2) {
          if (!(yield* k.downReadTrylock(cpu, SEM))) yield* k.downRead(cpu, rcu, SEM)
          yield* readSection(cpu)
          yield* k.upRead(cpu, SEM)
        } else if (kind === 3) {
          if (!(yield* k.downWriteTrylock(cpu, SEM))) yield* k.downWrite(cpu, rcu, SEM)
          yield* writeSection(cpu)
          yield* k.upWrite(cpu, SEM)
        } else {
          yield* k.downRead(cpu, rcu, SEM)
          if (!k.isReadLocked(SEM)) cpu.report('exclusion', 'the rwsem knows of no reader', SEM)
          yield* readSection(cpu)
          yield* k.upRead(cpu, SEM)
        }
      }
      yield* rcu.drain()
    },

    /** Three readers overlap, so that one is always inside; the writer of CPU 0 must get through all the same. */
    *relay(cpu, rcu, rounds) {
      yield* rcu.ctKernelEnter()
      if (cpu.id === 0) {
        yield* k.downWrite(cpu, rcu, SEM)
        yield* writeSection(cpu)
        yield* k.upWrite(cpu, SEM)
      } else {
        for (let round = 0; round < rounds; round++) {
          yield* k.downRead(cpu, rcu, SEM)
          yield* readSection(cpu)
          yield* k.upRead(cpu, SEM)
        }
      }
      yield* rcu.ctKernelExit()
    },

    /** CPU 0 reads; CPU 1 comes to write; CPU 2 comes to read after that. Returns the place at which each came in. */
    *order(cpu, rcu) {
      yield* rcu.ctKernelEnter()
      if (cpu.id === 2) yield* rcu.sleepUntil(SEM, hasWaiters, 0x100)
      if (cpu.id === 1) yield* rcu.sleepUntil(SEM, k.isNonZero, 0)
      if (cpu.id === 1) yield* k.downWrite(cpu, rcu, SEM)
      else yield* k.downRead(cpu, rcu, SEM)
      const place = yield* takePlace(cpu)
      // Lets CPU 2 meet a held lock with a writer in the queue.
      if (cpu.id === 0) yield* rcu.sleepUntil(word(7), k.isNonZero, 0)
      if (cpu.id === 1) yield* k.upWrite(cpu, SEM)
      else yield* k.upRead(cpu, SEM)
      yield* rcu.ctKernelExit()
      return place
    },

    /** Opens the way of CPU 0 in order() when both others are asleep in the queue. */
    *opener(cpu) {
      const behindCpu1 = cpu.lockNodes + k.LOCK_NODES.size + k.LOCK_NODES.at.sleepNext
      while (k.peek32(behindCpu1) === 0) yield* cpu.touch(SEM)
      yield* cpu.writeOnce32(word(7), 1)
      cpu.wakeWaiters(word(7))
    },

    /** CPU 0 waits for a grace period with the lock held, CPU 1 for the lock. */
    *graceInside(cpu, rcu) {
      yield* rcu.ctKernelEnter()
      yield* k.downWrite(cpu, rcu, SEM)
      yield* rcu.synchronizeRcu()
      yield* k.upWrite(cpu, SEM)
      yield* rcu.drain()
    },

    *tryBeside(cpu, rcu) {
      yield* rcu.ctKernelEnter()
      yield* k.downRead(cpu, rcu, SEM)
      const beside = [yield* k.downReadTrylock(cpu, SEM), yield* k.downWriteTrylock(cpu, SEM)]
      yield* k.upRead(cpu, SEM)
      yield* k.upRead(cpu, SEM)
      const write = yield* k.downWriteTrylock(cpu, SEM)
      const held = [k.rwsemOwner(SEM), k.isWriteLocked(SEM), k.isReadLocked(SEM)]
      const inside = [yield* k.downReadTrylock(cpu, SEM), yield* k.downWriteTrylock(cpu, SEM)]
      yield* k.upWrite(cpu, SEM)
      return [beside, write, held, inside, k.rwsemOwner(SEM)]
    },

    *misuse(cpu, rcu, [how, call]) {
      yield* rcu.ctKernelEnter()
      if (how === 'spinlock') yield* k.spinLock(cpu, SPIN)
      if (how === 'irqs') cpu.localIrqSave()
      if (how === 'rcu') rcu.rcuReadLock()
      if (how === 'write') yield* k.downWrite(cpu, rcu, SEM)
      if (call === 'downRead') yield* k.downRead(cpu, rcu, SEM)
      if (call === 'downWrite') yield* k.downWrite(cpu, rcu, SEM)
      if (call === 'upRead') yield* k.upRead(cpu, SEM)
      if (call === 'upWrite') yield* k.upWrite(cpu, SEM)
      if (call === 'downgradeWrite') yield* k.downgradeWrite(cpu, SEM)
    },
  }
}
