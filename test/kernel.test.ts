import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

// A user writes a bug from `racewalk/kernel` alone, so all that racewalk's own bugs are written with has to be there.
// Types are read from the declarations that are shipped.

const BUGS = fileURLToPath(new URL('../src/bug', import.meta.url))
const KERNEL = fileURLToPath(new URL('../dist/src/kernel.d.ts', import.meta.url))
/** Files of bug/ that say what a bug or a patch is, and list them. */
const NOT_BUGS = ['bug.ts', 'index.ts', 'patch.ts']

describe('racewalk/kernel', () => {
  it('exports all that the bugs of racewalk import', () => {
    const available = exportsOf(KERNEL)
    const files = readdirSync(BUGS, { recursive: true, encoding: 'utf8' })
    const bugs = files.filter((file) => file.endsWith('.ts') && !NOT_BUGS.includes(file))
    const needed = bugs.flatMap((file) => importsOf(join(BUGS, file)).map((name) => ({ file, name })))
    expect(needed.length).toBeGreaterThan(100)
    expect(needed.filter(({ name }) => !available.has(name))).toEqual([])
  })
})

function exportsOf(declarations: string): Set<string> {
  const module = ts.ModuleKind.NodeNext
  const program = ts.createProgram([declarations], { module, noLib: true, types: [] })
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(declarations) as ts.SourceFile
  const symbol = checker.getSymbolAtLocation(source) as ts.Symbol
  return new Set(checker.getExportsOfModule(symbol).map((one) => one.name))
}

/** Names that `file` imports from other rooms and files, as they are called there. */
function importsOf(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest)
  return source.statements.filter(ts.isImportDeclaration).flatMap(({ importClause }) => {
    const bindings = importClause?.namedBindings
    if (bindings === undefined || !ts.isNamedImports(bindings)) return []
    return bindings.elements.map((element) => (element.propertyName ?? element.name).text)
  })
}
