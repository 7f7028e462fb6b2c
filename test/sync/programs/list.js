/** Programs for list.test.ts. Words: 0 lock, 1 head, 2 second head, 8- nodes. */
export default (k, m) => {
  const word = (index) => k.phys(m.words + index * 64)
  const [LOCK, HEAD, OTHER] = [0, 1, 2].map(word)
  const node = (index) => word(8 + index)

  function* walk(cpu, head) {
    const nodes = []
    for (let at = yield* k.listNext(cpu, head); at !== head; at = yield* k.listNext(cpu, at))
      nodes.push((at - node(0)) / 64)
    return nodes
  }

  return {
    boot(cpu, _rcu, nodes) {
      if (cpu.id !== 0) return
      k.initListHead(HEAD)
      k.initListHead(OTHER)
      for (let index = 0; index < (nodes ?? 0); index++) k.initListHead(node(index))
    },

    /** Puts own nodes on the list and takes some off again; `locked` or not. */
    *churn(cpu, _rcu, { rounds, locked }) {
      for (let round = 0; round < rounds; round++) {
        const mine = node(cpu.id * 2 + (round & 1))
        if (locked) yield* k.spinLock(cpu, LOCK)
        if (!(yield* k.listEmpty(cpu, mine))) yield* k.listDelInit(cpu, mine)
        else if (round % 3 === 0) yield* k.listAdd(cpu, mine, HEAD)
        else yield* k.listAddTail(cpu, mine, HEAD)
        if (locked) yield* k.spinUnlock(cpu, LOCK)
        yield* cpu.cpuRelax()
      }
    },

    *nodes(cpu) {
      return yield* walk(cpu, HEAD)
    },

    *ordinary(cpu) {
      const empty = yield* k.listEmpty(cpu, HEAD)
      yield* k.listAdd(cpu, node(0), HEAD)
      yield* k.listAdd(cpu, node(1), HEAD)
      yield* k.listAddTail(cpu, node(2), HEAD)
      const all = yield* walk(cpu, HEAD)
      yield* k.listDel(cpu, node(0))
      const poison = [yield* k.listNext(cpu, node(0)), yield* k.listPrev(cpu, node(0))]
      yield* k.listDelInit(cpu, node(2))
      return { empty, all, poison, alone: yield* k.listEmpty(cpu, node(2)), left: yield* walk(cpu, HEAD) }
    },

    *misuse(cpu, _rcu, how) {
      yield* k.listAdd(cpu, node(0), HEAD)
      yield* k.listAdd(cpu, node(1), HEAD)
      if (how === 'deleteTwice') yield* k.listDel(cpu, node(0))
      if (how === 'deleteTwice') yield* k.listDel(cpu, node(0))
      if (how === 'deleteNull') yield* k.listDel(cpu, word(100))
      if (how === 'addTwice') yield* k.listAdd(cpu, node(1), HEAD)
      if (how === 'addElsewhere') {
        yield* k.listAdd(cpu, node(1), OTHER)
        yield* k.listDel(cpu, node(0))
      }
      if (how === 'overwrite') {
        yield* cpu.plainWrite32(k.phys(node(0) + 4), 0x1234 * 4)
        yield* k.listAddTail(cpu, node(2), node(0))
      }
      if (how === 'deleteOverwritten') {
        yield* cpu.plainWrite32(k.phys(node(0) + 4), OTHER)
        yield* k.listDel(cpu, node(0))
      }
    },
  }
}
