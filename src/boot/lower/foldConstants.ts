/**
 * Writes constants of other modules into the code that uses them: `PAGE.at.refcount` becomes `4`, `FOLL_GET` becomes
 * `4`.
 *
 * V8 treats an import as a variable: it loads the binding, checks that it is initialised, and for a field of a
 * structure loads and checks two objects more, at every use and again after every call. On the hot paths of the kernel
 * that is a tenth of the time. Text in, text out, and no line more or less, as in lower.ts.
 *
 * A constant is a top-level `const` of a module whose value the syntax tells: a whole number, an object of whole
 * numbers, or a struct() (its `at`). What a module declares again under the same name, in any scope, is left alone
 * there.
 */
import { parse, type AnyNode, type Expression, type Program } from 'acorn'
import { applyEdits, childrenOf, lineBreaks, type Edit } from './syntax.js'

/** A number, or named constants. */
type Constant = number | ReadonlyMap<string, Constant>
type Constants = ReadonlyMap<string, Constant>

const NONE: Constants = new Map()

export class ConstantFolder {
  readonly #readModule: (path: string) => string | null
  readonly #resolve: (from: string, specifier: string) => string | null
  readonly #known = new Map<string, Constants>()

  /**
   * `readModule`: code of the module at `path`, null if there is none. `resolve`: path of what `from` imports as
   * `specifier`, null for a package.
   */
  constructor(
    readModule: (path: string) => string | null,
    resolve: (from: string, specifier: string) => string | null,
  ) {
    this.#readModule = readModule
    this.#resolve = resolve
  }

  /** `code`, the module at `path`, with the constants that it uses written out. */
  fold(code: string, path: string): string {
    const program = parse(code, { ecmaVersion: 'latest', sourceType: 'module' })
    const visible = this.#visible(program, path)
    for (const name of redeclared(program)) visible.delete(name)
    if (visible.size === 0) return code
    const edits: Edit[] = []
    replaceUses(program, null, visible, code, edits)
    return applyEdits(code, edits)
  }

  /** Constants that the module at `path` exports or keeps to itself; none while it is being looked at (a cycle). */
  #constantsOf(path: string): Constants {
    const known = this.#known.get(path)
    if (known !== undefined) return known
    this.#known.set(path, NONE)
    const code = this.#readModule(path)
    if (code === null) return NONE
    const constants = this.#visible(parse(code, { ecmaVersion: 'latest', sourceType: 'module' }), path)
    this.#known.set(path, constants)
    return constants
  }

  /** Every constant that the top level of a module can name. */
  #visible(program: Program, path: string): Map<string, Constant> {
    const visible = new Map<string, Constant>()
    for (const statement of program.body) {
      if (statement.type === 'ImportDeclaration') {
        const from = this.#resolve(path, String(statement.source.value))
        if (from === null) continue
        const theirs = this.#constantsOf(from)
        for (const specifier of statement.specifiers) {
          if (specifier.type !== 'ImportSpecifier' || specifier.imported.type !== 'Identifier') continue
          const constant = theirs.get(specifier.imported.name)
          if (constant !== undefined) visible.set(specifier.local.name, constant)
        }
      }
      const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
      if (declaration?.type !== 'VariableDeclaration' || declaration.kind !== 'const') continue
      for (const { id, init } of declaration.declarations) {
        const constant = id.type === 'Identifier' && init ? valueOf(init, visible) : null
        if (id.type === 'Identifier' && constant !== null) visible.set(id.name, constant)
      }
    }
    return visible
  }
}

/** What an initialiser stands for; null if that takes more than syntax to tell. */
function valueOf(node: Expression, visible: Constants): Constant | null {
  if (node.type === 'ObjectExpression') return objectOf(node, (value) => numberOf(value, visible))
  if (node.type !== 'CallExpression') return numberOf(node, visible)
  const [, , fields] = node.arguments
  if (node.callee.type !== 'Identifier' || node.callee.name !== 'struct' || fields?.type !== 'ObjectExpression')
    return null
  const at = objectOf(fields, (field) => {
    const offset = field.type === 'ArrayExpression' ? field.elements[0] : null
    return offset && offset.type !== 'SpreadElement' ? numberOf(offset, visible) : null
  })
  return at === null ? null : new Map([['at', at]])
}

type ObjectNode = Extract<AnyNode, { type: 'ObjectExpression' }>

/** An object whose every property is a constant; null for any other. */
function objectOf(node: ObjectNode, value: (property: Expression) => number | null): Constant | null {
  const constants = new Map<string, Constant>()
  for (const property of node.properties) {
    if (property.type !== 'Property' || property.computed || property.key.type !== 'Identifier') return null
    const constant = value(property.value)
    if (constant === null) return null
    constants.set(property.key.name, constant)
  }
  return constants
}

const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '**': (a, b) => a ** b,
  '|': (a, b) => a | b,
  '&': (a, b) => a & b,
  '<<': (a, b) => a << b,
}

function numberOf(node: Expression, visible: Constants): number | null {
  const value = compute(node, visible)
  return Number.isSafeInteger(value) ? value : null
}

function compute(node: AnyNode, visible: Constants): number | null {
  if (node.type === 'Literal') return typeof node.value === 'number' ? node.value : null
  if (node.type === 'UnaryExpression' && node.operator === '-') {
    const value = compute(node.argument, visible)
    return value === null ? null : -value
  }
  if (node.type === 'BinaryExpression') {
    const [a, b] = [compute(node.left, visible), compute(node.right, visible)]
    const operator = OPERATORS[node.operator]
    return a === null || b === null || operator === undefined ? null : operator(a, b)
  }
  const named = lookUp(node, visible)
  return typeof named === 'number' ? named : null
}

/** The constant that a name or a chain of members names. */
function lookUp(node: AnyNode, visible: Constants): Constant | null {
  if (node.type === 'Identifier') return visible.get(node.name) ?? null
  if (node.type !== 'MemberExpression' || node.computed || node.optional) return null
  const object = lookUp(node.object, visible)
  if (object === null || typeof object === 'number' || node.property.type !== 'Identifier') return null
  return object.get(node.property.name) ?? null
}

/** Names that some scope below the top level declares too. */
function redeclared(program: Program): Set<string> {
  const names = new Set<string>()
  const bind = (pattern: AnyNode | null): void => {
    if (pattern === null) return
    if (pattern.type === 'Identifier') names.add(pattern.name)
    else if (pattern.type === 'Property') bind(pattern.value)
    else if (pattern.type === 'AssignmentPattern') bind(pattern.left)
    else childrenOf(pattern).forEach(bind)
  }
  const visit = (node: AnyNode, depth: number): void => {
    if ('params' in node) node.params.forEach(bind)
    if (node.type === 'CatchClause') bind(node.param ?? null)
    if (node.type === 'VariableDeclarator' && depth > 0) bind(node.id)
    if ((node.type === 'FunctionDeclaration' || node.type === 'ClassDeclaration') && node.id) names.add(node.id.name)
    if ((node.type === 'FunctionExpression' || node.type === 'ClassExpression') && node.id) names.add(node.id.name)
    const inner = 'params' in node || node.type === 'BlockStatement' || /^(For|Switch|Class)/.test(node.type)
    for (const child of childrenOf(node)) visit(child, inner ? depth + 1 : depth)
  }
  visit(program, 0)
  return names
}

/** Where an identifier is not a use of what it names: a key, the name of a member, a specifier. */
function isName(node: AnyNode, parent: AnyNode | null): boolean {
  switch (parent?.type) {
    case 'MemberExpression':
      return parent.property === node && !parent.computed
    case 'Property':
      return parent.shorthand || (parent.key === node && !parent.computed)
    case 'MethodDefinition':
    case 'PropertyDefinition':
      return parent.key === node && !parent.computed
    case 'VariableDeclarator':
      return parent.id === node
    default:
      return parent !== null && /Specifier$|^(Labeled|Break|Continue)Statement$/.test(parent.type)
  }
}

function replaceUses(node: AnyNode, parent: AnyNode | null, visible: Constants, code: string, edits: Edit[]): void {
  if ((node.type === 'Identifier' || node.type === 'MemberExpression') && !isName(node, parent)) {
    const constant = lookUp(node, visible)
    if (typeof constant === 'number') {
      const text = constant < 0 || Object.is(constant, -0) ? `(${constant})` : String(constant)
      edits.push({ start: node.start, end: node.end, text: text + lineBreaks(code.slice(node.start, node.end)) })
      return
    }
  }
  for (const child of childrenOf(node)) replaceUses(child, node, visible, code, edits)
}
