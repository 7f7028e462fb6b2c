/** A few small modules as one script that needs nothing else, for pages that work from a file. */
import { parse, type ImportDeclaration, type Program } from 'acorn'
import { readFileSync } from 'node:fs'
import { assert } from '../base/assert.js'
import { applyEdits, type Edit } from '../boot/lower/syntax.js'

/**
 * The module at `entry` and all that it imports, the imported ones first, with imports and exports taken away. The
 * modules share one scope then, so their top-level names must differ, and they import each other by those names.
 */
export function bundle(entry: URL): string {
  const parts: string[] = []
  const names = new Set<string>()
  const seen = new Set<string>()
  const add = (url: URL): void => {
    if (seen.has(url.href)) return
    seen.add(url.href)
    const code = readFileSync(url, 'utf8')
    const tree = parse(code, { ecmaVersion: 2023, sourceType: 'module' })
    for (const { source } of importsOf(tree)) add(new URL(String(source.value), url))
    for (const name of namesOf(tree)) {
      assert(!names.has(name), `top-level names of bundled modules differ: ${name}`)
      names.add(name)
    }
    parts.push(withoutModuleSyntax(code, tree))
  }
  add(entry)
  return `(() => {\n'use strict'\n${parts.join('\n')}\n})()\n`
}

function importsOf(tree: Program): ImportDeclaration[] {
  return tree.body.filter((node): node is ImportDeclaration => node.type === 'ImportDeclaration')
}

function namesOf(tree: Program): string[] {
  return tree.body.flatMap((node) => {
    const declared = node.type === 'ExportNamedDeclaration' ? node.declaration : node
    if (declared?.type === 'FunctionDeclaration' || declared?.type === 'ClassDeclaration') return [declared.id.name]
    if (declared?.type !== 'VariableDeclaration') return []
    return declared.declarations.flatMap(({ id }) => (id.type === 'Identifier' ? [id.name] : []))
  })
}

function withoutModuleSyntax(code: string, tree: Program): string {
  const edits = tree.body.flatMap((node): Edit[] => {
    if (node.type === 'ImportDeclaration') {
      const renamed = node.specifiers.some((s) => s.type !== 'ImportSpecifier' || s.local.name !== nameOf(s.imported))
      assert(!renamed, 'bundled modules import each other by their own names')
      return [{ start: node.start, end: node.end, text: '' }]
    }
    if (node.type !== 'ExportNamedDeclaration') return []
    const { declaration } = node
    return [{ start: node.start, end: declaration?.start ?? node.end, text: '' }]
  })
  return applyEdits(code, edits).trim()
}

const nameOf = (node: { type: string; name?: string }): string => node.name ?? ''
