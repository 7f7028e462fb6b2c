import { beforeEach, describe, expect, it } from 'vitest'
import { phys } from '../../dist/src/base/units.js'
import { Access } from '../../dist/src/machine/cpu/access.js'
import { findingOf as findingOfError } from '../../dist/src/machine/engine/finding.js'
import { load32, load64, peek64, store32 } from '../../dist/src/machine/image/image.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import { PAGE } from '../../dist/src/mm/page.js'
import { expectFinding, Lab } from './lab.js'

describe('oops', () => {
  let lab: Lab
  beforeEach(() => (lab = new Lab()))

  const at = (kind: number, addr: number): boolean => lab.cpu.at(kind, addr)
  const peeks = (addr: number): void => lab.cpu.accesses?.peeks(lab.cpu, addr)

  it('is silent at fields of structures and in frames', () => {
    at(Access.readOnce32, lab.page(1) + PAGE.at.refcount)
    at(Access.readOnce64, lab.mm + MM.at.cpumask)
    at(Access.readOnce64, lab.frame(3) + 8)
    at(Access.readOnce32, lab.frame(3) + 4)
    at(Access.touch, lab.page(1))
    peeks(lab.mm + MM.at.mapCount)
    at(Access.smpMb, 0)
  })

  const WILD: Readonly<Record<string, () => number>> = {
    null: () => 0,
    'a field of null': () => PAGE.at.mapping,
    'a negative address': () => -4096,
    'no number': () => NaN,
    'an address behind the image': () => lab.machine.layout.size,
    'an address that wraps to a struct page': () => 2 ** 32 + lab.page(1) + PAGE.at.refcount,
    'the struct page of a frame that does not exist': () => lab.page(2 ** 26 + 1) + PAGE.at.refcount,
    'the struct page of no frame': () => lab.page(-1) + PAGE.at.refcount,
    'a frame that does not exist': () => lab.frame(2 ** 20),
    'room between two fields': () => lab.page(1) + 20,
    'the records of the oracles': () => lab.shadow.of(1),
    'the middle of a word': () => lab.page(1) + 2,
  }
  for (const [what, address] of Object.entries(WILD))
    it(`reports an access to ${what}`, () => {
      expectFinding('oops', 'unable to handle page fault', () => at(Access.readOnce32, address()))
      expectFinding('oops', 'unable to handle page fault', () => peeks(address()))
    })

  it('reports an access that is wider than the field', () => {
    expectFinding('oops', 'page fault', () => at(Access.readOnce64, lab.page(1) + PAGE.at.flags))
  })

  it('names the word that the pointer was read from, and for null the words that were read as 0', () => {
    store32(lab.page(1) + PAGE.at.mapping, 0x7000_0000)
    at(Access.readOnce32, lab.page(1) + PAGE.at.mapping)
    const wild = expectFinding('oops', 'page fault', () => at(Access.readOnce32, 0x7000_0010))
    expect(wild.details).toContain('the address comes from page[0x1].mapping, which was 0x70000000')
    peeks(lab.mm + MM.at.mapCount)
    const zero = expectFinding('oops', 'page fault', () => at(Access.readOnce32, 8))
    expect(zero.details[0]).toBe('an access of 4 bytes to 0x8: a null pointer')
    expect(zero.details[1]).toMatch(/^read as 0 before, last first: mm\[0x0\]\.mapCount/)
  })

  it('is a trap of the memory itself without oracles, which findingOf() makes the same finding of', () => {
    const nowhere = [
      phys(0),
      phys(4092),
      phys(-64),
      phys(NaN),
      lab.machine.memmap.page(2 ** 26),
      lab.machine.memmap.table(2 ** 20 + 5),
    ]
    for (const addr of nowhere)
      for (const access of [() => load32(addr), () => store32(addr, 1), () => load64(addr)]) {
        let error: unknown = null
        try {
          access()
        } catch (thrown) {
          error = thrown
        }
        expect(findingOfError(error, 0), String(addr)).toMatchObject({ oracle: 'oops' })
      }
    expect(() => peek64(2 ** 31)).toThrow(WebAssembly.RuntimeError)
  })
})
