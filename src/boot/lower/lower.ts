/**
 * The lowering turns kernel code, written once as generators, into the two forms that run. Text in, text out; it reads
 * the syntax only (expressions.ts) and adds or removes no line, so that a stack trace names the line that tsc emitted.
 *
 *   free        plain functions: no `function*`, `yield*`, points or wrote() calls; the hardware decides the order
 *   controlled  generators, with the point of each leaf access (machine/cpu/access.ts) asked at the call site:
 *
 *                 yield* cpu.readOnce64(ptep)  →  (cpu.at(2, ptep) && (yield), cpu.readOnce64(ptep))
 *
 *               so that a step which does not switch costs no generator of its own
 *
 * Every place where two forms could come to mean different things is refused with file and line. What syntax cannot
 * see: a generator that is called and not driven with `yield*` at once (the free form runs it where it is called), and
 * an access whose method name is computed.
 */
import {
  getLineInfo,
  parse,
  tokTypes,
  type AnyNode,
  type Class,
  type ExpressionStatement,
  type Function as Fn,
  type Program,
  type Token,
} from 'acorn'
import { assert, fail } from '../../base/assert.js'
import { UsageError } from '../../base/errors.js'
import { ACCESSES } from '../../machine/cpu/access.js'
import {
  accessOf,
  assignedNames,
  isAccessName,
  isCallOnThis,
  isChain,
  isPoint,
  isSimple,
  lastName,
  print,
  resultsOf,
  type Access,
} from './expressions.js'
import { applyEdits, childrenOf, lineBreaks, type Edit } from './syntax.js'

export { ACCESSES }

export type Form = 'free' | 'controlled'

/**
 * The name of the file that is lowered, or what gives the place in its source of a line and column (from 1) of the
 * code.
 */
export type Where = string | ((line: number, column: number) => string)

/** Last line of a controlled file in dist/: its free form exists, and cannot be made from this text any more. */
export const LOWERED_MARK = '//# lowered'

export const isLowered = (code: string): boolean => code.trimEnd().endsWith(LOWERED_MARK)

/** Number of an access in at() and in traces, from 1. */
export function accessKind(name: string): number {
  const index = (ACCESSES as readonly string[]).indexOf(name)
  assert(index >= 0, 'accessKind: no access has this name')
  return index + 1
}

/** Plain functions, for CPUs that are threads. */
export function lowerFree(code: string, where: Where): string {
  return new Lowering(code, where, 'free').run()
}

/** Generators with inlined accesses, for CPUs that are coroutines. Lowering it again changes nothing. */
export function lowerControlled(code: string, where: Where): string {
  return new Lowering(code, where, 'controlled').run()
}

/** The form of a user's module that is about to be loaded. */
export function lowerForLoad(code: string, where: Where, form: Form): string {
  if (!isLowered(code)) return form === 'free' ? lowerFree(code, where) : lowerControlled(code, where)
  if (form === 'controlled') return code
  throw new UsageError(
    `${typeof where === 'string' ? where : where(1, 1)}: already lowered for the controlled engine`,
    '',
    'name the module it was built from',
  )
}

/** Where a node stands. `temps` counts the temporaries that are live while it is evaluated. */
interface Place {
  readonly parent: AnyNode | null
  readonly up: Place | null
  readonly scope: Scope | null
  readonly cls: Class | null
  readonly temps: number
}

/** A function around a node. `kernel`: a generator that is lowered. `access`: a leaf access, which becomes plain. */
interface Scope {
  readonly fn: Fn
  readonly kernel: boolean
  readonly access: boolean
  temps: number
}

type Yield = Extract<AnyNode, { type: 'YieldExpression' }>
type Method = Extract<AnyNode, { type: 'MethodDefinition' | 'Property' }>

const START = { line: 1, column: 0 }

/** A place in what the user wrote: file and line, and the column where `where` can tell. */
const placeAt = (where: Where, line: number, column: number): string =>
  typeof where === 'string' ? `${where}:${line}` : where(line, column)

const OUTSIDE: Place = { parent: null, up: null, scope: null, cls: null, temps: 0 }

class Lowering {
  readonly #code: string
  readonly #where: Where
  readonly #form: Form
  readonly #stars: number[] = []
  readonly #edits: Edit[] = []
  #assigned: ReadonlySet<string> = new Set()
  #tempPrefix = '$'

  constructor(code: string, where: Where, form: Form) {
    this.#code = code
    this.#where = where
    this.#form = form
  }

  run(): string {
    // No star, no generator. Stars in comments and products pass too; they only cost a parse that finds nothing.
    if (!this.#code.includes('*') && !this.#code.includes('.wrote')) return this.#code
    const program = this.#parse()
    this.#assigned = assignedNames(program)
    while (new RegExp(`(?<![\\w$])${'\\$'.repeat(this.#tempPrefix.length)}\\d`).test(this.#code))
      this.#tempPrefix += '$'
    this.#walk(program, OUTSIDE)
    const lowered = applyEdits(this.#code, this.#edits)
    this.#verify(lowered)
    return lowered
  }

  #parse(): Program {
    const onToken = (token: Token): void => {
      if (token.type === tokTypes.star) this.#stars.push(token.start)
    }
    try {
      return parse(this.#code, { ecmaVersion: 'latest', sourceType: 'module', onToken })
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      const { line, column } = (error as SyntaxError & { loc?: { line: number; column: number } }).loc ?? START
      throw new UsageError(
        `${placeAt(this.#where, line, column + 1)}: ${error.message}`,
        'a module is JavaScript (compile TypeScript first)',
      )
    }
  }

  /** A text that no longer parses is our fault, and best found before it is loaded. */
  #verify(lowered: string): void {
    if (this.#edits.length === 0) return
    try {
      parse(lowered, { ecmaVersion: 'latest', sourceType: 'module' })
    } catch (error) {
      fail(`lower: the ${this.#form} form of ${placeAt(this.#where, 1, 1)} does not parse: ${String(error)}`)
    }
  }

  #walk(node: AnyNode, place: Place): void {
    const inner = this.#enter(node, place)
    if (inner === null) return
    for (const child of childrenOf(node)) this.#walk(child, inner)
    if (inner.scope !== place.scope && inner.scope !== null) this.#declareTemps(inner.scope)
  }

  /** Lowers `node` itself. Returns the place of its children, null where they are gone. */
  #enter(node: AnyNode, place: Place): Place | null {
    const inner: Place = { ...place, parent: node, up: place }
    switch (node.type) {
      case 'ClassDeclaration':
      case 'ClassExpression':
        return { ...inner, cls: node }
      case 'FunctionDeclaration':
      case 'FunctionExpression':
      case 'ArrowFunctionExpression':
        if (node.type === 'ArrowFunctionExpression' && node.expression) this.#refuseReturned(node.body)
        return { ...inner, scope: this.#function(node, place), temps: 0 }
      case 'ReturnStatement':
        if (node.argument) this.#refuseReturned(node.argument)
        return inner
      case 'ExpressionStatement':
        if (!this.#dropped(node, place)) return inner
        this.#replace(node.start, node.end, ';')
        return null
      case 'YieldExpression':
        return this.#yield(node, place, inner)
      default:
        return inner
    }
  }

  // ---- functions --------------------------------------------------------------------------------------------------

  #function(fn: Fn, place: Place): Scope {
    const kernel = fn.generator && !fn.async
    const method = kernel ? methodOf(fn, place) : null
    if (method !== null && isIterator(method))
      this.#refuse(method, 'an iterator cannot be lowered', 'generators are kernel code here; return an array')
    const access = method !== null && this.#isAccessMethod(fn, method, place)
    if (kernel && (access || this.#form === 'free')) this.#dropStar((method ?? fn).start)
    return { fn, kernel, access, temps: 0 }
  }

  #isAccessMethod(fn: Fn, method: Method, place: Place): boolean {
    const { key } = method
    if (method.computed || key.type !== 'Identifier' || !isAccessName(key.name)) return false
    const { cls } = place
    const pointed = fn.body.type === 'BlockStatement' && fn.body.body[0] !== undefined && isPoint(fn.body.body[0])
    if (method.type === 'MethodDefinition' && cls?.superClass && cls.id?.name !== 'Cpu')
      this.#refuse(method, `${key.name}() overrides an access of Cpu`, 'accesses are inlined where they are called')
    if (method.type !== 'MethodDefinition' || !pointed)
      this.#refuse(
        method,
        `${key.name}() has the name of an access of Cpu`,
        'rename it, or let it begin with its point',
      )
    return true
  }

  #dropStar(from: number): void {
    const star = this.#starFrom(from)
    const joins = /[\w$]$/.test(this.#code.slice(0, star)) && /^[\w$]/.test(this.#code.slice(star + 1))
    this.#replace(star, star + 1, joins ? ' ' : '')
  }

  #declareTemps(scope: Scope): void {
    if (scope.temps === 0) return
    const names = Array.from({ length: scope.temps }, (_, index) => this.#tempName(index + 1))
    this.#replace(scope.fn.body.start + 1, scope.fn.body.start + 1, ` let ${names.join(', ')};`)
  }

  /**
   * Statements without a counterpart in the form: points that are asked elsewhere or not at all, and notes of a store.
   */
  #dropped(statement: ExpressionStatement, place: Place): boolean {
    if (isPoint(statement)) return place.scope?.access ? isFirst(statement, place) : this.#form === 'free'
    return this.#form === 'free' && isCallOnThis(statement.expression, 'wrote')
  }

  // ---- yields -----------------------------------------------------------------------------------------------------

  #yield(node: Yield, place: Place, inner: Place): Place {
    const { scope } = place
    if (scope === null || !scope.kernel) return inner // an async generator's own
    if (scope.access) this.#refuse(node, 'an access may yield at its point only', 'make it a method of another name')
    if (node.delegate && node.argument) return this.#delegate(node, node.argument, place, inner)
    if (node.argument)
      this.#refuse(node, 'a schedule point carries no value', 'yield* for a call, a bare yield to suspend')
    if (this.#form === 'free') this.#replace(node.start, node.end, endsBare(place, this.#code) ? 'void 0;' : 'void 0')
    return inner
  }

  #delegate(node: Yield, argument: AnyNode, place: Place, inner: Place): Place {
    const access = accessOf(argument)
    if (access === null && resultsOf(argument).some((result) => accessOf(result) !== null))
      this.#refuse(node, 'an access is hidden behind this yield*', 'write yield* directly before each access')
    if (access?.receiver.type === 'Super')
      this.#refuse(node, `super.${access.name}() cannot be inlined`, 'accesses are not overridden')
    if (this.#form === 'free') this.#strip(node, argument, place)
    else if (access !== null) return { ...inner, temps: this.#inline(node, access, place) }
    return inner
  }

  /**
   * A returned access is a Step here and would be a value in the controlled form, where `yield*` of it then fails.
   * Only receivers named cpu are told apart from other things with methods of these names.
   */
  #refuseReturned(returned: AnyNode): void {
    for (const result of resultsOf(returned)) {
      const access = accessOf(result)
      if (access !== null && /cpu$/i.test(lastName(access.receiver)))
        this.#refuse(result, `${access.name}() is returned and not driven`, 'return yield* in a generator')
    }
  }

  /** `yield* f(x)` → `f(x)`. Parenthesised unless it is a postfix chain on the same line. */
  #strip(node: Yield, argument: AnyNode, place: Place): void {
    const star = this.#starFrom(node.start)
    const rest = this.#code.slice(star + 1, node.end)
    const gap = /^[ \t]*/.exec(rest)?.[0].length ?? 0
    const plain = /^(CallExpression|MemberExpression|Identifier|ThisExpression)$/.test(argument.type)
    const risky =
      /^(function|class|async|let)\b|^[{]/.test(rest.slice(gap)) ||
      lineBreaks(this.#code.slice(star, argument.start)) !== ''
    const wrap = !plain || risky
    this.#replace(node.start, star + 1 + gap, this.#breakBefore(node, place) + (wrap ? '(' : ''))
    if (wrap) this.#replace(node.end, node.end, ')')
  }

  /**
   * Inlines the point of an access; returns how many temporaries are live below.
   *
   * What may have effects, or may see those of a later argument, is evaluated in place, once and in order, before the
   * point, into a temporary; the rest is so simple that it is written out again behind the point.
   */
  #inline(node: Yield, { call, receiver, name }: Access, place: Place): number {
    const spread = call.arguments.find((argument) => argument.type === 'SpreadElement')
    if (spread) this.#refuse(spread, `${name}() takes no spread arguments`, 'name them, so that the address is known')
    const last = call.arguments.findLastIndex((argument) => !isSimple(argument))
    const kept = (part: AnyNode, index: number): boolean =>
      index < 0 ? isChain(part) : isSimple(part) && (index > last || this.#isSettled(part))
    let temps = place.temps
    let from = node.start
    let open = `${this.#breakBefore(node, place)}(`
    const [target = '', ...args] = [receiver, ...call.arguments].map((part, index) => {
      if (kept(part, index - 1)) return print(part)
      const temp = this.#tempName(++temps)
      this.#replace(from, part.start, `${open}${temp} = (`)
      from = part.end
      open = '), '
      return temp
    })
    const point = `${target}.at(${accessKind(name)}, ${args[0] ?? '0'}) && (yield)`
    this.#replace(from, node.end, `${open}${point}, ${target}.${name}(${args.join(', ')}))`)
    if (place.scope !== null) place.scope.temps = Math.max(place.scope.temps, temps)
    return temps
  }

  /** No argument that is evaluated later can change what this simple expression yields. */
  #isSettled(node: AnyNode): boolean {
    if (node.type === 'MemberExpression') return false
    if (node.type === 'Identifier') return !this.#assigned.has(node.name)
    return childrenOf(node).every((child) => this.#isSettled(child))
  }

  // ---- text -------------------------------------------------------------------------------------------------------

  #tempName(number: number): string {
    return `${this.#tempPrefix}${number}`
  }

  #starFrom(position: number): number {
    return this.#stars.find((star) => star >= position) ?? fail(`lower: no star after offset ${position}`)
  }

  /** Code without semicolons: a statement that began with `yield` must not continue the line above. */
  #breakBefore(node: AnyNode, place: Place): string {
    const { parent } = place
    if (parent?.type !== 'ExpressionStatement' || parent.start !== node.start) return ''
    const list = statementsOf(place.up?.parent ?? null)
    const before = list[list.indexOf(parent) - 1]
    return before === undefined || this.#code[before.end - 1] === ';' ? '' : ';'
  }

  /** Replaces a span and keeps its line breaks, behind the new text. */
  #replace(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text: text + lineBreaks(this.#code.slice(start, end)) })
  }

  #refuse(node: AnyNode, what: string, remedy: string): never {
    const { line, column } = getLineInfo(this.#code, node.start)
    throw new UsageError(`${placeAt(this.#where, line, column + 1)}: ${what}`, remedy)
  }
}

// ---- statements and methods -----------------------------------------------------------------------------------------

const isFirst = (statement: AnyNode, { parent, scope }: Place): boolean =>
  parent !== null && parent === scope?.fn.body && statementsOf(parent)[0] === statement

function methodOf(fn: Fn, { parent }: Place): Method | null {
  if (parent?.type === 'MethodDefinition') return parent.value === fn ? parent : null
  return parent?.type === 'Property' && parent.method && parent.value === fn ? parent : null
}

/** `*[Symbol.iterator]()`. */
const isIterator = ({ key, computed }: Method): boolean =>
  computed && key.type === 'MemberExpression' && key.object.type === 'Identifier' && key.object.name === 'Symbol'

function statementsOf(node: AnyNode | null): readonly AnyNode[] {
  if (node?.type === 'Program' || node?.type === 'BlockStatement') return node.body
  return node?.type === 'SwitchCase' ? node.consequent : []
}

/** A bare `yield` that is a whole statement, which the end of the line ends. */
const endsBare = ({ parent }: Place, code: string): boolean =>
  parent?.type === 'ExpressionStatement' && code[parent.end - 1] !== ';'
