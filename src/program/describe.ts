/** Operations in words: `munmap 0x10000 len 0x4000`, `gup 0x10000 pages 1 pin`. */
import type { Op, Pick } from './op.js'

/** Fields that are addresses or lengths in bytes, or bits. */
const HEX = new Set(['addr', 'len', 'oldLen', 'newLen', 'newAddr', 'flags', 'offset'])

export function describeOp(op: Op): string {
  const fields = Object.entries(op).filter(([name, value]) => name !== 'op' && name !== 'expect' && isShown(value))
  return [op.op, ...fields.map(([name, value]) => describeField(name, value as string | boolean | Pick))].join(' ')
}

const isShown = (value: unknown): boolean => value !== undefined && value !== false && !Array.isArray(value)

function describeField(name: string, value: string | boolean | Pick): string {
  if (value === true || typeof value === 'string') return value === true ? name : value
  if (typeof value === 'object' && 'reg' in value) return `${name === 'addr' ? '' : `${name} `}${registerText(value)}`
  if (typeof value === 'object') return `${name === 'addr' ? '' : `${name} `}${number(name, value.from)}…`
  return `${name === 'addr' ? '' : `${name} `}${number(name, Number(value))}`
}

const registerText = ({ reg, plus = 0 }: { readonly reg: number; readonly plus?: number }): string =>
  `r${reg}${plus === 0 ? '' : `+0x${plus.toString(16)}`}`

const number = (name: string, value: number): string => (HEX.has(name) ? `0x${value.toString(16)}` : String(value))
