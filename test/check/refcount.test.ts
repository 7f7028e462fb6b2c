import { beforeEach, describe, it } from 'vitest'
import { Level } from '../../dist/src/arch/level.js'
import { expectFinding, Lab } from './lab.js'

describe('refcount', () => {
  let lab: Lab
  beforeEach(() => (lab = new Lab()))

  it('is silent while counts go up from one and down to zero', () => {
    const page = lab.anonPage()
    lab.observer.referenced(lab.cpu, page, 1, 1)
    lab.observer.referenced(lab.cpu, page, 2, -2)
    lab.observer.mapped(lab.cpu, page, -1, 1)
    lab.observer.mapped(lab.cpu, page, 0, -1)
  })

  it('reports a reference that is taken from a count of zero', () => {
    const page = lab.anonPage()
    expectFinding('refcount', 'addition on 0', () => lab.observer.referenced(lab.cpu, page, 0, 1))
  })

  it('reports a count that goes below zero', () => {
    const page = lab.anonPage()
    expectFinding('refcount', 'underflow', () => lab.observer.referenced(lab.cpu, page, 1, -2))
    expectFinding('refcount', 'mapcount underflow', () => lab.observer.mapped(lab.cpu, page, -1, -1))
  })

  it('reports a mapcount of a frame that is no page', () => {
    const table = lab.table(Level.pte)
    expectFinding('refcount', 'not in use', () => lab.observer.mapped(lab.cpu, table, -1, 1))
  })
})
