/**
 * Programs for rcu.test.ts. A pointer (word 0) leads to one of many objects; an object is { rcu_head, value }, and its
 * value is DEAD once the grace period after its removal is said to be over. A reader that finds DEAD has been outlived.
 *
 * Words: 0 pointer, 1 callbacks run, 2 flag, 3 spinlock, 4 callbacks queued, 8- objects.
 */
export default (k, m, variant) => {
  const word = (index) => k.phys(m.words + index * 64)
  const [POINTER, RAN, FLAG, LOCK, QUEUED] = [0, 1, 2, 3, 4].map(word)
  const object = (index) => word(8 + index)
  const VALUE = 8
  const [LIVE, DEAD] = [1, 0xdead]

  // ---- grace periods with a fault; `quiet` also silences RCU's own watchdog -------------------------------------

  const mutants = {
    /** Ends when all but one CPU have reported. */
    early: class extends k.Rcu {
      isOver(low, high) {
        return ((low & (low - 1)) | high) === 0
      }
    },
    /** Takes an interrupt for a quiescent state, reader or not. */
    interrupt: class extends k.Rcu {
      foundQuiescent() {
        return true
      }
    },
    /** Is content with the end of the grace period that runs already. */
    running: class extends k.Rcu {
      snapshot(seq) {
        return k.rcuGpInProgress(seq) ? k.rcuSeqEndval(seq) : k.rcuSeqSnap(seq)
      }
    },
    /** Does not notice interrupts of idle CPUs. */
    idle: class extends k.Rcu {
      *irqEnter() {
        return false
      }
    },
  }
  const Base = variant?.mutant === undefined ? k.Rcu : mutants[variant.mutant]
  class Rcu extends Base {
    outlived(reader, seq) {
      if (!variant?.quiet) super.outlived(reader, seq)
    }
  }

  class Expedited extends k.RcuExpedited {
    outlived(reader) {
      if (!variant?.quiet) super.outlived(reader)
    }
  }

  // ---- parts ------------------------------------------------------------------------------------------------------

  class Kill {
    constructor(cpu) {
      this.cpu = cpu
    }
    *rcu(head) {
      yield* this.cpu.writeOnce32(k.phys(head + VALUE), DEAD)
      yield* this.cpu.atomicAdd32(RAN, 1)
    }
  }

  /** Runs three times for one head. */
  class Again {
    constructor(cpu, rcu) {
      this.cpu = cpu
      this.rcuOf = rcu
      this.func = rcu.register(this)
    }
    *rcu(head) {
      const times = yield* this.cpu.atomicAddReturn32(k.phys(head + VALUE), 1)
      yield* this.cpu.atomicAdd32(RAN, 1)
      if (times < 3) yield* this.rcuOf.callRcu(head, this.func)
    }
  }

  function* look(cpu) {
    const at = yield* cpu.loadAcquire32(POINTER)
    if (at === 0) return
    for (let dwell = 0; dwell < 8; dwell++) yield* cpu.touch(FLAG)
    const value = yield* cpu.readOnce32(k.phys(at + VALUE))
    if (value !== LIVE) cpu.report('freed', `a reader finds ${value.toString(16)}`, at)
  }

  class Peeks {
    constructor(cpu) {
      this.cpu = cpu
    }
    *ipi() {
      yield* look(this.cpu)
    }
  }

  function* enter(cpu, rcu, kind) {
    if (kind === 'rcu' || kind === 'nested') rcu.rcuReadLock()
    if (kind === 'nested') rcu.rcuReadLock()
    if (kind === 'nested') rcu.rcuReadUnlock()
    if (kind === 'preempt') cpu.preemptDisable()
    if (kind === 'irqs') cpu.localIrqSave()
    if (kind === 'spinlock') yield* k.spinLock(cpu, LOCK)
  }

  function* leave(cpu, rcu, kind) {
    if (kind === 'rcu' || kind === 'nested') rcu.rcuReadUnlock()
    if (kind === 'preempt') cpu.preemptEnable()
    if (kind === 'irqs') yield* cpu.localIrqRestore()
    if (kind === 'spinlock') yield* k.spinUnlock(cpu, LOCK)
  }

  /** A fresh object takes the place of the old one; returns the old one, 0 for none. */
  function* replace(cpu, index) {
    const fresh = object(index)
    yield* cpu.writeOnce32(k.phys(fresh + VALUE), LIVE)
    return k.phys(yield* cpu.xchg32(POINTER, fresh))
  }

  const own = (cpu, round) => cpu.id * 40 + (round % 40)

  return {
    Rcu,

    boot(cpu, rcu) {
      rcu.preemptible = variant?.preemptible === true
      return {
        expedited: new Expedited(rcu),
        kill: rcu.register(new Kill(cpu)),
        again: new Again(cpu, rcu).func,
        peek: cpu.ipi.register(new Peeks(cpu)),
      }
    },

    *reader(cpu, rcu, { kinds, rounds }) {
      yield* rcu.ctKernelEnter()
      for (let round = 0; round < rounds; round++) {
        const kind = kinds[round % kinds.length]
        yield* enter(cpu, rcu, kind)
        yield* look(cpu)
        yield* leave(cpu, rcu, kind)
        if (round % 3 === 1) yield* rcu.ctKernelExit()
        if (round % 3 === 1) yield* rcu.ctKernelEnter()
        yield* rcu.rcuNoteContextSwitch()
      }
      yield* rcu.drain()
    },

    /** Replaces the object and kills the old one, by callback or after waiting. At most 40 rounds. */
    *updater(cpu, rcu, { rounds, how }, { kill, expedited }) {
      yield* rcu.ctKernelEnter()
      for (let round = 0; round < rounds; round++) {
        const old = yield* replace(cpu, own(cpu, round))
        if (old !== 0 && how === 'call') yield* rcu.callRcu(old, kill)
        if (old !== 0 && how === 'wait') yield* rcu.synchronizeRcu()
        if (old !== 0 && how === 'expedite') yield* expedited.synchronizeRcuExpedited()
        if (old !== 0 && how !== 'call') yield* cpu.writeOnce32(k.phys(old + VALUE), DEAD)
        yield* rcu.rcuNoteContextSwitch()
      }
      yield* rcu.drain()
    },

    /** Like updater, for ever: an object is used again when its callback has run. */
    *recycler(cpu, rcu, rounds, { kill }) {
      yield* rcu.ctKernelEnter()
      let queued = 0
      for (let round = 0; round < rounds; round++) {
        const index = own(cpu, round)
        const fresh = k.peek32(k.phys(object(index) + VALUE)) !== LIVE
        const old = fresh ? yield* replace(cpu, index) : 0
        if (old !== 0) yield* rcu.callRcu(old, kill)
        if (old !== 0) queued++
        yield* rcu.rcuNoteContextSwitch()
        yield* cpu.cpuRelax()
      }
      yield* rcu.drain()
      return queued
    },

    /** Uses an object in the operation that removed it, when it has given it away. */
    *careless(cpu, rcu, _args, { kill }) {
      yield* rcu.ctKernelEnter()
      const old = yield* replace(cpu, own(cpu, 0))
      if (old !== 0) yield* rcu.callRcu(old, kill)
      for (let look = 0; look < 20; look++) yield* cpu.touch(FLAG)
      if (old !== 0 && (yield* cpu.readOnce32(k.phys(old + VALUE))) !== LIVE) cpu.report('freed', 'own callback', old)
      yield* rcu.rcuNoteContextSwitch()
      yield* rcu.drain()
    },

    /** Keeps a pointer over the end of its section, inside one operation. */
    *keeper(cpu, rcu) {
      yield* rcu.ctKernelEnter()
      rcu.rcuReadLock()
      const at = yield* cpu.loadAcquire32(POINTER)
      rcu.rcuReadUnlock()
      for (let look = 0; look < 20; look++) yield* cpu.touch(FLAG)
      const value = at === 0 ? LIVE : yield* cpu.readOnce32(k.phys(at + VALUE))
      if (value !== LIVE) cpu.report('freed', 'a pointer kept over the end of its section', at)
      yield* rcu.rcuNoteContextSwitch()
      yield* rcu.drain()
    },

    /** Runs nothing, and reads in the interrupts that others send it. */
    *nothing() {},

    *prodder(cpu, rcu, rounds, { peek }) {
      yield* rcu.ctKernelEnter()
      for (let round = 0; round < rounds; round++) {
        yield* cpu.ipi.callMany(k.phys(0), peek, 0, false)
        yield* rcu.rcuNoteContextSwitch()
      }
      yield* rcu.drain()
    },

    // ---- barriers -------------------------------------------------------------------------------------------------

    /** Queues callbacks, counting them as queued before it says so; works on, or sleeps, or is done. */
    *queuer(cpu, rcu, { count, then }, { kill, again }) {
      yield* rcu.ctKernelEnter()
      for (let index = 0; index < count; index++) {
        yield* rcu.callRcu(object(own(cpu, index)), kill)
        yield* cpu.atomicAddReturn32(QUEUED, 1)
      }
      if (then === 'again') yield* rcu.callRcu(object(own(cpu, count)), again)
      for (let look = 0; then === 'work' && look < 10; look++) {
        yield* cpu.touch(FLAG)
        yield* rcu.rcuNoteContextSwitch()
      }
      if (then === 'sleep') yield* rcu.sleepUntil(FLAG, k.isNonZero, 0)
      yield* rcu.drain()
    },

    /** All callbacks that were queued before the barrier have run after it. `lazy`: it only waits for readers. */
    *barrier(cpu, rcu, { rounds, lazy }) {
      yield* rcu.ctKernelEnter()
      for (let round = 0; round < rounds; round++) {
        const queued = yield* cpu.readOnce32(QUEUED)
        if (lazy) yield* rcu.synchronizeRcu()
        else yield* rcu.barrier.rcuBarrier()
        const ran = yield* cpu.readOnce32(RAN)
        if (ran < queued) cpu.report('barrier', `${ran} of ${queued} callbacks have run`, RAN)
      }
      yield* cpu.writeOnce32(FLAG, 1)
      cpu.wakeWaiters(FLAG)
      yield* rcu.drain()
    },

    // ---- misuse ---------------------------------------------------------------------------------------------------

    *queueSame(cpu, rcu, times, { kill }) {
      yield* rcu.ctKernelEnter()
      for (let time = 0; time < times; time++) yield* rcu.callRcu(object(0), kill)
      yield* rcu.drain()
    },

    *overwrite(cpu, rcu, offset, { kill }) {
      yield* rcu.ctKernelEnter()
      for (let index = 0; index < 3; index++) yield* rcu.callRcu(object(index), kill)
      yield* cpu.plainWrite32(k.phys(object(1) + offset), offset === 0 ? 0 : 0x1000)
      yield* rcu.drain()
    },

    *misuse(cpu, rcu, { kind, call }, { expedited }) {
      yield* rcu.ctKernelEnter()
      yield* enter(cpu, rcu, kind)
      if (call === 'synchronizeRcu') yield* rcu.synchronizeRcu()
      if (call === 'synchronizeRcuExpedited') yield* expedited.synchronizeRcuExpedited()
      if (call === 'rcuBarrier') yield* rcu.barrier.rcuBarrier()
      if (call === 'rcuNoteContextSwitch') yield* rcu.rcuNoteContextSwitch()
      if (call === 'ctKernelExit') yield* rcu.ctKernelExit()
      if (call === 'rcuReadUnlock') rcu.rcuReadUnlock()
    },

    *unwatched(_cpu, rcu) {
      rcu.rcuReadLock()
    },
  }
}
