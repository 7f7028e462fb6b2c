import { describe, expect, it } from 'vitest'
import { UsageError } from '../../dist/src/base/errors.js'
import { nearest } from '../../dist/src/base/names.js'

const animals = [{ id: 'cat' }, { id: 'horse' }, { id: 'house' }]

describe('a name that a user typed', () => {
  it('is the item of exactly that name', () => {
    expect(nearest('animal', 'horse', animals)).toBe(animals[1])
  })

  it('that is none tells what exists and which comes nearest', () => {
    expect(() => nearest('animal', 'hause', animals)).toThrow(UsageError)
    expect(() => nearest('animal', 'hause', animals)).toThrow(/no animal 'hause'.*cat, horse, house.*'house'/s)
  })
})
