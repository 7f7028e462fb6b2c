import { describe, expect, it } from 'vitest'
import {
  ACTION_KINDS,
  ActionKind,
  actionName,
  actionOf,
  Actions,
  actionsIn,
  cpuOf,
  everyAction,
  isGoOn,
  isInterrupt,
  kindOf,
  masksWithout,
  placeOf,
} from '../../dist/src/machine/engine/actions.js'
import { RoundRobin } from '../../dist/src/explore/strategy/fair.js'
import { RandomStrategy } from '../../dist/src/explore/strategy/random.js'
import { defaultAction } from '../../dist/src/explore/schedule/replay.js'
import { BoundedSearch } from '../../dist/src/explore/systematic/bounded.js'
import { actionsOf, membersOf, pointAt } from './points.js'

/** A kind behind those that there are, which nothing offers. */
const TOY = ACTION_KINDS.length
const [goOn, irq, toy] = [ActionKind.goOn, ActionKind.interrupt, TOY].map(
  (kind) => (cpu: number) => actionOf(kind, cpu),
) as [(cpu: number) => number, (cpu: number) => number, (cpu: number) => number]

describe('an action', () => {
  it('is the number that recorded schedules have', () => {
    expect([goOn(0), goOn(3), irq(0), irq(3)]).toEqual([0, 3, 64, 67])
  })

  it('is taken apart again, of whatever kind', () => {
    for (const kind of [0, 1, TOY, TOY + 1])
      for (const cpu of [0, 1, 29])
        expect([kindOf(actionOf(kind, cpu)), cpuOf(actionOf(kind, cpu))]).toEqual([kind, cpu])
    expect([goOn(2), irq(2), toy(2)].map(isGoOn)).toEqual([true, false, false])
    expect([goOn(2), irq(2), toy(2)].map(isInterrupt)).toEqual([false, true, false])
  })

  it('has a place among all that a machine can have, kind after kind', () => {
    expect([goOn(0), goOn(2), irq(0), irq(2), toy(1)].map((action) => placeOf(action, 3))).toEqual([0, 2, 3, 5, 7])
    expect(everyAction([ActionKind.goOn, TOY], 2)).toEqual([goOn(0), goOn(1), toy(0), toy(1)])
  })

  it('has a name', () => {
    expect([goOn(2), irq(2)].map(actionName)).toEqual(['2', 'interrupt 2'])
  })
})

describe('a set of actions of three kinds', () => {
  const masks = [0b1011, 0b0010, 0b1100]
  const members = [goOn(0), goOn(1), goOn(3), irq(1), toy(2), toy(3)]
  const actions = actionsOf(masks)

  it('has masks by kind, and counts its members', () => {
    expect(actions.toMasks()).toEqual(masks)
    expect(actions.count).toBe(members.length)
    expect(actions.runnable).toBe(0b1011)
  })

  it('has its members and nothing else, numbers that are no action among them', () => {
    const some = [...members, goOn(2), irq(0), toy(0), actionOf(TOY + 1, 0), 63, 40, 1e6, -1]
    expect(some.filter((action) => actions.has(action))).toEqual(members)
  })

  it('is walked in the order of numbers', () => {
    expect(membersOf(actions)).toEqual(members)
    expect(actionsIn(masks)).toEqual(members)
    expect(actions.from(irq(0))).toBe(irq(1))
    expect(actions.from(irq(2))).toBe(toy(2))
    expect(actions.from(toy(3) + 1)).toBe(-1)
  })

  it('numbers its members, with any one of them left out', () => {
    expect(members.map((_, n) => actions.nth(n))).toEqual(members)
    for (const but of [-1, ...members]) {
      const others = members.filter((action) => action !== but)
      expect(others.map((_, n) => actions.nthBut(but, n))).toEqual(others)
    }
    expect(actions.nth(members.length)).toBe(-1)
  })

  it('keeps count of what comes and goes, and knows its only member', () => {
    const set = new Actions(TOY + 1)
    expect(set.only()).toBe(-1)
    for (const action of [toy(1), toy(1), goOn(1)]) set.add(action)
    expect([set.count, set.only()]).toEqual([2, -1])
    for (const action of [goOn(1), goOn(1), irq(1)]) set.delete(action)
    expect([set.count, set.only()]).toEqual([1, toy(1)])
    set.clear()
    expect([set.count, ...set.masks]).toEqual([0, 0, 0, 0])
  })

  it('loses one action as plain data, whatever its kind', () => {
    for (const action of members)
      expect(actionsIn(masksWithout(masks, action))).toEqual(members.filter((other) => other !== action))
  })
})

describe('with an action of a third kind', () => {
  it('the default schedule takes it last', () => {
    expect(defaultAction(pointAt(-1, [0, 0b1, 0b1]))).toBe(irq(0))
    expect(defaultAction(pointAt(-1, [0, 0, 0b1]))).toBe(toy(0))
  })

  it('taking turns lets it happen', () => {
    const turns = new RoundRobin()
    expect(turns.pick(pointAt(0, [0b11, 0, 0b10]))).toBe(toy(1))
    expect(turns.pick(pointAt(0, [0b11, 0, 0b10]))).toBe(0)
  })

  it('a random walk comes to all', () => {
    const point = pointAt(-1, [0b11, 0b10, 0b11])
    const walk = new RandomStrategy(1, 0, null)
    const seen = new Set(Array.from({ length: 200 }, () => walk.pick(point)))
    expect([...seen].sort((a, b) => a - b)).toEqual([goOn(0), goOn(1), irq(1), toy(0), toy(1)])
  })

  it('a systematic search branches over all', () => {
    const search = new BoundedSearch()
    const seen: number[] = []
    for (let strategy = search.next(); strategy !== null; strategy = search.next()) {
      seen.push(strategy.pick(pointAt(0, [0b11, 0b10, 0b01])))
      search.ended()
    }
    // The bound without a preemption has the first one alone, the next bound has all.
    expect(seen).toEqual([goOn(0), goOn(0), goOn(1), irq(1), toy(0)])
  })
})
