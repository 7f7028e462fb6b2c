import { describe, expect, it } from 'vitest'
import { LOCK_ORDER, nestsInside } from '../../dist/src/sync/lockOrder.js'

describe('the lock order', () => {
  it('lets a lock be taken inside those further up, and never the other way round', () => {
    LOCK_ORDER.forEach((outer, at) => {
      for (const inner of LOCK_ORDER.slice(at + 1)) {
        expect(nestsInside(outer.name, inner.name)).toBe(true)
        expect(nestsInside(inner.name, outer.name)).toBe(false)
      }
    })
  })

  it('lets two locks of a class be held at once only where an order between them is told', () => {
    const nesting = LOCK_ORDER.filter(({ name }) => nestsInside(name, name))
    expect(nesting.map(({ name }) => name)).toEqual(['mmapLock', 'pmdLock', 'pteLock'])
    expect(nesting.every((row) => row.nesting !== null)).toBe(true)
  })

  it('has no sleeping lock inside a spinlock', () => {
    const kinds = LOCK_ORDER.map(({ kind }) => kind !== 'sleeping')
    expect(kinds.indexOf(true)).toBe(kinds.lastIndexOf(false) + 1)
  })
})
