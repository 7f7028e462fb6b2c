/**
 * After kernel/rcu/rcutorture.c: readers fetch a shared object, dwell, and look at its age. The writer replaces the
 * object over and over; an object's age is 1 when it was removed and grows by one with each grace period after that;
 * after ten it is used again. A reader that sees an age above 1 was inside while a whole grace period went by.
 *
 * Words: 0 pointer, 1 done, 2 spinlock, 3 grace periods waited for, 8- objects { rcu_head, age, used }.
 */
const OBJECTS = 64
const PIPELINE = 10

export default (k, m, variant) => {
  const word = (index) => k.phys(m.words + index * 64)
  const [POINTER, DONE, LOCK, WAITED] = [0, 1, 2, 3].map(word)
  const object = (index) => word(8 + index)
  const [AGE, USED] = [8, 12]

  /** Ends a grace period when no more than half of the CPUs have still to report. */
  class EarlyRcu extends k.Rcu {
    isOver(low, high) {
      let missing = 0
      for (let cpu = 0; cpu < 32; cpu++) missing += ((low >>> cpu) & 1) + ((high >>> cpu) & 1)
      return missing <= m.cpuCount / 2
    }
    outlived() {}
  }

  class Older {
    constructor(cpu, rcu) {
      this.cpu = cpu
      this.rcuOf = rcu
      this.func = rcu.register(this)
    }
    *rcu(head) {
      const age = yield* this.cpu.readOnce32(k.phys(head + AGE))
      yield* this.cpu.writeOnce32(k.phys(head + AGE), age + 1)
      if (age + 1 < PIPELINE) yield* this.rcuOf.callRcu(head, this.func)
      else yield* this.cpu.storeRelease32(k.phys(head + USED), 0)
    }
  }

  const KINDS = ['rcu', 'nested', 'preempt', 'irqs', 'spinlock']

  function* dwell(cpu) {
    // Mostly short, sometimes long enough for a grace period to pass.
    const looks = cpu.choose(8) === 0 ? variant.long : cpu.choose(4)
    for (let look = 0; look < looks; look++) yield* cpu.readOnce32(POINTER)
    // Threads meet interrupts here.
    yield* cpu.cpuRelax()
  }

  /** One section of a random kind, nested or not; returns the age that it saw at its end, -1 for no object. */
  function* section(cpu, rcu) {
    const kind = KINDS[cpu.choose(KINDS.length)]
    if (kind === 'rcu' || kind === 'nested') rcu.rcuReadLock()
    if (kind === 'preempt') cpu.preemptDisable()
    if (kind === 'irqs') cpu.localIrqSave()
    if (kind === 'spinlock') yield* k.spinLock(cpu, LOCK)
    const at = yield* cpu.loadAcquire32(POINTER)
    if (kind === 'nested') rcu.rcuReadLock()
    yield* dwell(cpu)
    if (kind === 'nested') rcu.rcuReadUnlock()
    const age = at === 0 ? -1 : yield* cpu.readOnce32(k.phys(at + AGE))
    if (kind === 'rcu' || kind === 'nested') rcu.rcuReadUnlock()
    if (kind === 'preempt') cpu.preemptEnable()
    if (kind === 'irqs') yield* cpu.localIrqRestore()
    if (kind === 'spinlock') yield* k.spinUnlock(cpu, LOCK)
    return age
  }

  return {
    Rcu: variant.early ? EarlyRcu : k.Rcu,

    boot: (cpu, rcu) => new Older(cpu, rcu).func,

    /** Returns how many sections saw each age, 0 to PIPELINE. */
    *read(cpu, rcu, rounds) {
      const ages = new Array(PIPELINE + 1).fill(0)
      yield* rcu.ctKernelEnter()
      for (let round = 0; round < rounds && (yield* cpu.readOnce32(DONE)) === 0; round++) {
        const age = yield* section(cpu, rcu)
        if (age >= 0) ages[Math.min(age, PIPELINE)]++
        if (cpu.choose(4) === 0) {
          yield* rcu.ctKernelExit()
          yield* rcu.ctKernelEnter()
        }
        yield* rcu.rcuNoteContextSwitch()
      }
      yield* rcu.drain()
      return ages
    },

    /** Returns how often it replaced the object, and how often none was free (which would hide faults). */
    *write(cpu, rcu, rounds, older) {
      const count = { replaced: 0, exhausted: 0 }
      yield* rcu.ctKernelEnter()
      for (let round = 0; round < rounds; round++) {
        let index = 0
        while (index < OBJECTS && k.peek32(k.phys(object(index) + USED)) !== 0) index++
        if (index === OBJECTS) {
          count.exhausted++
          yield* rcu.synchronizeRcu()
          continue
        }
        const fresh = object(index)
        yield* cpu.plainWrite32(k.phys(fresh + USED), 1)
        yield* cpu.writeOnce32(k.phys(fresh + AGE), 0)
        const old = k.phys(yield* cpu.xchg32(POINTER, fresh))
        count.replaced++
        if (old !== 0) yield* cpu.writeOnce32(k.phys(old + AGE), 1)
        if (old !== 0) yield* rcu.callRcu(old, older)
        yield* dwell(cpu)
        yield* rcu.rcuNoteContextSwitch()
      }
      yield* cpu.writeOnce32(DONE, 1)
      yield* rcu.drain()
      return count
    },

    /** A fake writer: waits for grace periods, in between all others' callbacks. */
    *wait(cpu, rcu, rounds) {
      yield* rcu.ctKernelEnter()
      for (let round = 0; round < rounds && (yield* cpu.readOnce32(DONE)) === 0; round++) {
        if (cpu.choose(4) === 0) yield* rcu.barrier.rcuBarrier()
        else yield* rcu.synchronizeRcu()
        yield* cpu.atomicAdd32(WAITED, 1)
        yield* dwell(cpu)
        yield* rcu.rcuNoteContextSwitch()
      }
      yield* rcu.drain()
    },
  }
}
