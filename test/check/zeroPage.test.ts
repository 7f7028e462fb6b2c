import { beforeEach, describe, it } from 'vitest'
import { expectFinding, Lab, PAGE_SIZE, readOnly, writable } from './lab.js'

describe('zero-page', () => {
  let lab: Lab
  let table: number
  beforeEach(() => {
    lab = new Lab()
    table = lab.linkTable(0)
  })

  it('lets the zero pages be read and mapped read-only', () => {
    const { zeroPfn, hugeZeroPfn } = lab.kernel.pages
    lab.observer.kernelAccessed(lab.cpu, hugeZeroPfn, false)
    lab.observer.userAccessed(lab.cpu, lab.mm, 0, zeroPfn, 0, false, 0)
    lab.map(table, 0, zeroPfn, readOnly(zeroPfn))
    lab.gup(zeroPfn, 0)
  })

  it('reports a write to a zero page by a user, by the kernel, and a page that gup returns for it', () => {
    const { zeroPfn, hugeZeroPfn } = lab.kernel.pages
    expectFinding('zero-page', 'write to the zero page', () => lab.observer.kernelAccessed(lab.cpu, hugeZeroPfn, true))
    expectFinding('zero-page', 'write to the zero page', () =>
      lab.observer.userAccessed(lab.cpu, lab.mm, 0, zeroPfn, 0, true, 0),
    )
    expectFinding('zero-page', 'gup returned the zero page', () => lab.gup(zeroPfn, 0, { write: true }))
  })

  it('reports a writable entry of a zero page', () => {
    const { zeroPfn } = lab.kernel.pages
    expectFinding('zero-page', 'mapped writable', () => lab.map(table, 0, zeroPfn, writable(zeroPfn)))
  })

  it('reports a write for a private mapping into a page of a file', () => {
    const page = lab.filePage()
    lab.map(table, 1, page, readOnly(page))
    lab.gup(page, PAGE_SIZE)
    expectFinding('zero-page', 'page cache', () => lab.gup(page, PAGE_SIZE, { write: true }))
    expectFinding('zero-page', 'into the page cache', () =>
      lab.observer.privateWrite(lab.cpu, lab.mm, PAGE_SIZE, page, false, 0),
    )
  })

  it('lets pages of files be written through shared mappings, which map them writable', () => {
    const page = lab.filePage()
    lab.map(table, 1, page)
    lab.map(table, 1, page, readOnly(page))
    lab.gup(page, PAGE_SIZE, { write: true })
    lab.observer.privateWrite(lab.cpu, lab.mm, PAGE_SIZE, page, false, 0)
  })

  it('lets anonymous pages be written', () => {
    const page = lab.anonPage()
    lab.map(table, 1, page, readOnly(page))
    lab.gup(page, PAGE_SIZE, { write: true })
    lab.observer.privateWrite(lab.cpu, lab.mm, PAGE_SIZE, page, false, 0)
  })
})
