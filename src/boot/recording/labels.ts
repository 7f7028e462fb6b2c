/**
 * The labels of mappings (VMA.label): a number for each combination of name, memory policy and protection key, which
 * the model of the log has as marks.
 */
import type { AddressSpaceModel } from '../../input/addressSpaceModel.js'
import { within } from '../../input/vmaList.js'

const MARK = /^(pkey|policy:|name:)/

/** What a call gives to mappings; an empty value takes it away. */
interface Given {
  readonly kind: 'pkey' | 'policy' | 'name'
  readonly value: string | number
  readonly at: number
  /** The address space before the call. */
  readonly model: AddressSpaceModel
}

export class Labels {
  /** By their marks; 0 is none. */
  readonly #numbers = new Map<string, number>([['', 0]])
  readonly #names: (string | undefined)[] = [undefined]

  /** The label of mappings with these marks. */
  ofMarks(hidden: readonly string[]): number {
    const key = hidden.filter((flag) => MARK.test(flag)).join(' ')
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const name = hidden.find((flag) => flag.startsWith('name:'))
    const number = this.#names.push(name?.slice('name:'.length)) - 1
    this.#numbers.set(key, number)
    return number
  }

  /** The label of the mapping at an address after a call has given it something. */
  of({ kind, value, at, model }: Given): number {
    const [first] = within(model.list, at, at + 4096)
    const prefix = kind === 'pkey' ? 'pkey' : `${kind}:`
    const others = (first?.hidden ?? []).filter((flag) => !flag.startsWith(prefix))
    const isNone = value === '' || (kind === 'pkey' && value === 0)
    return this.ofMarks(isNone ? others : [...others, `${prefix}${value}`].sort())
  }

  /** The name that maps shows for a label. */
  nameOf(label: number): string | undefined {
    return this.#names[label]
  }
}
