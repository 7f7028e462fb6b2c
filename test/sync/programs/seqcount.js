/** Programs for seqcount.test.ts. Words: 0 count, 1 and 2 data, 3 writers' lock. */
export default (k, m) => {
  const word = (index) => k.phys(m.words + index * 64)
  const [SEQ, LEFT, RIGHT, LOCK] = [0, 1, 2, 3].map(word)

  function* write(cpu) {
    yield* k.spinLock(cpu, LOCK)
    yield* k.writeSeqcountBegin(cpu, SEQ)
    const left = yield* cpu.plainRead32(LEFT)
    yield* cpu.writeOnce32(LEFT, left + 1)
    yield* cpu.writeOnce32(RIGHT, left + 1)
    yield* k.writeSeqcountEnd(cpu, SEQ)
    yield* k.spinUnlock(cpu, LOCK)
  }

  return {
    *writer(cpu, _rcu, rounds) {
      for (let round = 0; round < rounds; round++) {
        yield* write(cpu)
        yield* cpu.cpuRelax()
      }
    },

    /** Returns how often it had to look again. */
    *reader(cpu, _rcu, rounds) {
      let again = 0
      for (let round = 0; round < rounds;) {
        const start = yield* k.readSeqcountBegin(cpu, SEQ)
        const left = yield* cpu.readOnce32(LEFT)
        const right = yield* cpu.readOnce32(RIGHT)
        yield* cpu.cpuRelax()
        if (yield* k.readSeqcountRetry(cpu, SEQ, start)) {
          again++
          continue
        }
        if (left !== right) cpu.report('torn', `${left} and ${right}`, SEQ)
        round++
      }
      return again
    },

    /** Looks without waiting: counts the times a writer was inside. */
    *rawReader(cpu, _rcu, rounds) {
      let writing = 0
      for (let round = 0; round < rounds; round++) {
        const start = yield* k.rawReadSeqcount(cpu, SEQ)
        const left = yield* cpu.readOnce32(LEFT)
        const right = yield* cpu.readOnce32(RIGHT)
        if ((start & 1) !== 0) writing++
        else if (!(yield* k.readSeqcountRetry(cpu, SEQ, start)) && left !== right) cpu.report('torn', '', SEQ)
      }
      return writing
    },

    /** A reader that does not look again. */
    *hasty(cpu) {
      yield* k.readSeqcountBegin(cpu, SEQ)
      const left = yield* cpu.readOnce32(LEFT)
      if (left !== (yield* cpu.readOnce32(RIGHT))) cpu.report('torn', '', SEQ)
    },

    *writeUnlocked(cpu) {
      yield* k.writeSeqcountBegin(cpu, SEQ)
      yield* k.writeSeqcountEnd(cpu, SEQ)
    },

    *endOnly(cpu) {
      yield* k.writeSeqcountEnd(cpu, SEQ)
    },
  }
}
