import { describe, expect, it } from 'vitest'
import { junitXml } from '../../dist/src/report/junit.js'
import { parseXml } from './xml.js'

const ODD = 'a < b && "c" > \'d\' ]]> \u0000\u0007\u001b[31m \ud800 \udfff \ufffe \u{1f600} é'
const TAMED = 'a < b && "c" > \'d\' ]]> \ufffd\ufffd\ufffd[31m \ufffd \ufffd \ufffd \u{1f600} é'

const suite = parseXml(
  junitXml({
    name: 'racewalk explore',
    properties: { cpus: '2', odd: ODD },
    cases: [
      { name: 'passes', seconds: 1.5, output: 'line\nline' },
      {
        name: ODD,
        seconds: 0,
        failure: { type: 'tlb-stale', message: `${ODD}\n\ttabbed\r`, text: `${ODD}\n  second\r\n` },
      },
      { name: 'breaks', seconds: 0.25, error: 'a fault\nat its place' },
    ],
  }),
)
const [of] = suite.children
const [properties, passes, fails, breaks] = of?.children ?? []

describe('a JUnit document', () => {
  it('counts tests, failures and errors, and sums up the time', () => {
    const counts = { tests: '3', failures: '1', errors: '1', time: '1.750' }
    expect(suite).toMatchObject({ tag: 'testsuites', attributes: { name: 'racewalk', ...counts } })
    expect(of).toMatchObject({ tag: 'testsuite', attributes: { name: 'racewalk explore', ...counts, skipped: '0' } })
  })

  it('has a case for each, named by suite and case', () => {
    expect(passes).toMatchObject({
      tag: 'testcase',
      attributes: { classname: 'racewalk.explore', name: 'passes', time: '1.500' },
    })
    expect(passes?.children).toMatchObject([{ tag: 'system-out', text: 'line\nline' }])
    expect(breaks?.children).toMatchObject([
      { tag: 'error', attributes: { type: 'fault', message: 'a fault' }, text: 'a fault\nat its place' },
    ])
  })

  it('keeps every character that XML can hold, and marks the others', () => {
    expect(properties?.children[1]?.attributes).toEqual({ name: 'odd', value: TAMED })
    expect(fails?.attributes['name']).toBe(TAMED)
    expect(fails?.children).toMatchObject([
      {
        tag: 'failure',
        attributes: { type: 'tlb-stale', message: `${TAMED}\n\ttabbed\r` },
        text: `${TAMED}\n  second\r\n`,
      },
    ])
  })
})
