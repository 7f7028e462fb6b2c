/**
 * Expressions of kernel code as syntax: accesses and points, the expressions that can be written twice, and the
 * variables that change.
 */
import type { AnyNode, CallExpression, Program } from 'acorn'
import { fail } from '../../base/assert.js'
import { ACCESSES } from '../../machine/cpu/access.js'
import { childrenOf, lineBreaks } from './syntax.js'

/** A call of an access of a CPU. */
export interface Access {
  readonly call: CallExpression
  readonly receiver: AnyNode
  readonly name: string
}

/** Whether the method of a CPU with this name is an access. */
export const isAccessName = (name: string): boolean => (ACCESSES as readonly string[]).includes(name)

/** `receiver.readOnce64(…)` and its like. */
export function accessOf(node: AnyNode): Access | null {
  if (node.type !== 'CallExpression' || node.callee.type !== 'MemberExpression') return null
  const { object, property, computed } = node.callee
  if (computed || property.type !== 'Identifier' || !isAccessName(property.name)) return null
  return { call: node, receiver: object, name: property.name }
}

/** The expressions whose value can be the value of `node`. */
export function resultsOf(node: AnyNode): AnyNode[] {
  if (node.type === 'ConditionalExpression') return [node.consequent, node.alternate].flatMap(resultsOf)
  if (node.type === 'LogicalExpression') return [node.left, node.right].flatMap(resultsOf)
  if (node.type === 'SequenceExpression') return node.expressions.slice(-1).flatMap(resultsOf)
  if (node.type === 'ChainExpression') return [node.expression]
  return [node]
}

/** `this.name(…)`. */
export function isCallOnThis(node: AnyNode, name: string): boolean {
  if (node.type !== 'CallExpression' || node.optional || node.callee.type !== 'MemberExpression') return false
  const { object, property, computed } = node.callee
  return object.type === 'ThisExpression' && !computed && property.type === 'Identifier' && property.name === name
}

/** The statement `yield* this.point(…)`. */
export function isPoint(node: AnyNode): boolean {
  if (node.type !== 'ExpressionStatement' || node.expression.type !== 'YieldExpression') return false
  const { delegate, argument } = node.expression
  return delegate && !!argument && isCallOnThis(argument, 'point')
}

/** The name at the end of a chain of members; empty for other expressions. */
export function lastName(receiver: AnyNode): string {
  if (receiver.type === 'MemberExpression') return lastName(receiver.property)
  return receiver.type === 'Identifier' || receiver.type === 'PrivateIdentifier' ? receiver.name : ''
}

/** `this`, a name, or a chain of named members of one. */
export function isChain(node: AnyNode): boolean {
  if (node.type === 'MemberExpression') return !node.computed && !node.optional && isChain(node.object)
  return node.type === 'Identifier' || node.type === 'ThisExpression'
}

/** Free of effects and cheap: evaluating it twice costs less than a temporary. */
export function isSimple(node: AnyNode): boolean {
  if (node.type === 'Literal') return !node.regex && lineBreaks(node.raw ?? '') === ''
  if (node.type === 'UnaryExpression') return /^([-+!~]|typeof|void)$/.test(node.operator) && isSimple(node.argument)
  if (node.type !== 'BinaryExpression') return isChain(node)
  return !/^in/.test(node.operator) && isSimple(node.left) && isSimple(node.right)
}

/** A simple expression as text on one line, without its comments. */
export function print(node: AnyNode): string {
  switch (node.type) {
    case 'Identifier':
      return node.name
    case 'PrivateIdentifier':
      return `#${node.name}`
    case 'ThisExpression':
      return 'this'
    case 'Literal':
      return node.raw ?? fail('lower: a literal without text')
    case 'MemberExpression':
      return `${print(node.object)}.${print(node.property)}`
    case 'UnaryExpression':
      return `(${node.operator} ${print(node.argument)})`
    case 'BinaryExpression':
      return `(${print(node.left)} ${node.operator} ${print(node.right)})`
    default:
      return fail(`lower: ${node.type} is not simple`)
  }
}

/** Names that are assigned to anywhere, other than where they are declared. */
export function assignedNames(program: Program): ReadonlySet<string> {
  const names = new Set<string>()
  const collect = (node: AnyNode): void => {
    if (node.type === 'Identifier') names.add(node.name)
    childrenOf(node).forEach(collect)
  }
  const visit = (node: AnyNode): void => {
    if (node.type === 'AssignmentExpression' || node.type === 'ForInStatement' || node.type === 'ForOfStatement')
      collect(node.left)
    if (node.type === 'UpdateExpression') collect(node.argument)
    childrenOf(node).forEach(visit)
  }
  visit(program)
  return names
}
