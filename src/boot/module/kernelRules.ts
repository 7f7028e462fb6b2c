/**
 * Rules of kernel code that the compiler does not know, each with the place where a user's module breaks it. lower.ts
 * sees those of syntax; these take types: whether a call is that of a kernel function.
 */
import type ts from 'typescript'
import { shown } from './places.js'

type TypeScript = typeof ts

/** What is wrong with `source`, a line each. */
export function kernelRules(ts: TypeScript, program: ts.Program, source: ts.SourceFile): string[] {
  const checker = program.getTypeChecker()
  const complaints: string[] = []
  const complain = (node: ts.Node, what: string): void => {
    const { line, character } = source.getLineAndCharacterOfPosition(node.getStart(source))
    complaints.push(`${shown(source.fileName)}:${line + 1}:${character + 1}: ${what}`)
  }
  const visit = (node: ts.Node, inGenerator: boolean): void => {
    if (ts.isTryStatement(node) && inGenerator) complain(node, CATCHES)
    const target = assigned(ts, node)
    if (target !== null && keepsState(ts, checker, target)) complain(target, KEEPS)
    if (ts.isCallExpression(node) && isStep(checker, node) && !isDriven(ts, node))
      complain(node, `${nameOf(ts, node)}() is a kernel function that nobody drives: write yield* before the call`)
    const inner = ts.isFunctionLike(node) ? isGenerator(node) : inGenerator
    ts.forEachChild(node, (child) => visit(child, inner))
  }
  visit(source, false)
  return complaints
}

const CATCHES = 'kernel code has no try: a panic has to get out, and whatever is caught would hide it'

const KEEPS =
  'the state of the kernel is in the image: what is kept here would outlive the execution, and be another on each CPU'

/** What `node` assigns to, if it does. */
function assigned(ts: TypeScript, node: ts.Node): ts.Expression | null {
  if (ts.isBinaryExpression(node)) {
    const { kind } = node.operatorToken
    return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment ? node.left : null
  }
  if (!ts.isPrefixUnaryExpression(node) && !ts.isPostfixUnaryExpression(node)) return null
  const { operator, operand } = node
  return operator === ts.SyntaxKind.PlusPlusToken || operator === ts.SyntaxKind.MinusMinusToken ? operand : null
}

/**
 * A field of a part, or a variable of the module, that a function assigns to. Constructors make what never changes
 * again.
 */
function keepsState(ts: TypeScript, checker: ts.TypeChecker, target: ts.Expression): boolean {
  const within = ts.findAncestor(target, ts.isFunctionLike)
  if (within === undefined || ts.isConstructorDeclaration(within)) return false
  if (ts.isPropertyAccessExpression(target)) return target.expression.kind === ts.SyntaxKind.ThisKeyword
  if (!ts.isIdentifier(target)) return false
  const declared = checker.getSymbolAtLocation(target)?.valueDeclaration
  return declared !== undefined && ts.findAncestor(declared, ts.isFunctionLike) === undefined
}

const isGenerator = (node: ts.Node): boolean => (node as { asteriskToken?: ts.Node }).asteriskToken !== undefined

function isStep(checker: ts.TypeChecker, call: ts.CallExpression): boolean {
  return checker.getTypeAtLocation(call).getSymbol()?.name === 'Generator'
}

/** It is the operand of a yield*, or handed on as it is: returned, or an argument of what drives it. */
function isDriven(ts: TypeScript, node: ts.Expression): boolean {
  const { parent } = node
  if (ts.isYieldExpression(parent)) return parent.asteriskToken !== undefined
  if (ts.isReturnStatement(parent)) return true
  if (ts.isArrowFunction(parent)) return parent.body === node
  if (ts.isCallExpression(parent)) return parent.arguments.includes(node)
  if (ts.isConditionalExpression(parent)) return parent.condition !== node && isDriven(ts, parent)
  const passedOn = ts.isParenthesizedExpression(parent) || ts.isAsExpression(parent) || ts.isNonNullExpression(parent)
  return passedOn && isDriven(ts, parent)
}

function nameOf(ts: TypeScript, { expression }: ts.CallExpression): string {
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : expression.getText()
}
