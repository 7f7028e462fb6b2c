import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { ROOT } from './documents.js'

// An export has an importer: another file of src/, workers/ or bench/, a test, or a user through the public files. A
// function or method is called by name in src/, workers/ or bench/. Two kinds of functions need no caller there: what
// overrides a method of its base class, and what `racewalk/kernel` exports under an upstream name, for patches and for
// the next subsystem; of these a test calls each, so that they work when they are needed.

const PUBLIC = ['src/index.ts', 'src/kernel.ts', 'src/vitest.ts']

/** Functions without a caller in src/, workers/ or bench/. The list only shrinks. */
const WITHOUT_CALLER: Readonly<Record<string, string>> = {
  'PageAllocator.freeCount': 'tests count the free frames of a machine at rest',
  pteWord: 'tests write entries as numbers',
  'Task.ownWord': "for operations of users' own",
}

interface Source {
  readonly path: string
  readonly node: ts.SourceFile
}

interface Declared {
  readonly place: string
  readonly name: string
  readonly path: string
  readonly overrides: boolean
  /** Its comment begins with the name of an upstream function. */
  readonly upstream: boolean
}

const sources = ['src', 'workers', 'bench', 'test'].flatMap(sourcesOf)
const byPath = new Map(sources.map((source) => [source.path, source]))
const isTest = ({ path }: Source): boolean => path.startsWith('test/')
const code = sources.filter((source) => !isTest(source))

/** `file#name` for each import of a name, and `file#*` where a module is imported as a whole. */
const imported = new Set(sources.flatMap(importsOf))
/** What the public files export by name. */
const published = new Set(sources.filter(({ path }) => PUBLIC.includes(path)).flatMap(importsOf))
/** Files of which others export everything, by the file that is exported. */
const starred = new Map<string, string[]>()
for (const { path, node } of code)
  for (const target of starsOf(path, node)) starred.set(target, [...(starred.get(target) ?? []), path])

describe('an export of src/, workers/ and bench/', () => {
  const exported = code
    .filter(({ path }) => !PUBLIC.includes(path))
    .flatMap((source) => exportsOf(source).map((name) => ({ source, name })))

  it('is found at all', () => {
    expect(exported.length).toBeGreaterThan(1500)
  })

  it('is imported by another file, or named by the type of an export beside it', () => {
    const needless = exported.filter(({ source, name }) => !isImported(source.path, name) && !isNamed(source, name))
    expect(needless.map(({ source, name }) => `${source.path}: ${name}`)).toEqual([])
  })
})

describe('a function of src/, workers/ and bench/', () => {
  const used = new Set(code.flatMap(usesOf))
  const usedInTests = new Set(sources.filter(isTest).flatMap(usesOf))
  const declared = code.flatMap(functionsOf)
  const isForPatches = ({ path, name, upstream }: Declared): boolean =>
    upstream && isPublic(path) && usedInTests.has(name)
  const callable = (f: Declared): boolean =>
    used.has(f.name) || f.overrides || published.has(`${f.path}#${f.name}`) || isForPatches(f)
  const uncalled = declared.filter((f) => !callable(f)).map(({ place }) => place)

  it('is found at all', () => {
    expect(declared.length).toBeGreaterThan(2500)
  })

  it('has a caller', () => {
    expect(uncalled.filter((place) => !(place in WITHOUT_CALLER))).toEqual([])
  })

  it('needs the exception that is made for it', () => {
    expect(Object.keys(WITHOUT_CALLER).filter((place) => !uncalled.includes(place))).toEqual([])
  })
})

// ---- files ---------------------------------------------------------------------------------------------------------

function sourcesOf(folder: string): Source[] {
  const paths = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
  const wanted = paths.filter((path) => /\.(ts|js|mjs)$/.test(path) && !/^(fixtures|cli\/template)\//.test(path))
  return wanted.map((file) => {
    const path = join(folder, file)
    const text = readFileSync(join(ROOT, path), 'utf8')
    return { path, node: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) }
  })
}

/** The file that `specifier` means in the file at `path`; tests import what was built of it. */
function targetOf(path: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null
  const target = join(dirname(path), specifier).replace(/^dist\/(free\/)?/, '')
  return byPath.has(target) ? target : target.replace(/\.js$/, '.ts')
}

// ---- exports and imports -------------------------------------------------------------------------------------------

function exportsOf({ node }: Source): string[] {
  return node.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) return specifiersOf(statement).map(({ name }) => name.text)
    return isExported(statement) ? namesOf(statement) : []
  })
}

const isExported = (node: ts.Node): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)

/** Names that a statement declares; a default export has none for others. */
function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap(({ name }) => bound(name))
  const { name, modifiers } = statement as ts.FunctionDeclaration
  const isDefault = modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) ?? false
  return name === undefined || isDefault ? [] : [name.text]
}

const bound = (name: ts.BindingName): string[] =>
  ts.isIdentifier(name) ? [name.text] : name.elements.flatMap((e) => (ts.isBindingElement(e) ? bound(e.name) : []))

function specifiersOf({ exportClause }: ts.ExportDeclaration): readonly ts.ExportSpecifier[] {
  return exportClause !== undefined && ts.isNamedExports(exportClause) ? exportClause.elements : []
}

function moduleOf({ moduleSpecifier }: ts.ImportDeclaration | ts.ExportDeclaration): string {
  return moduleSpecifier !== undefined && ts.isStringLiteral(moduleSpecifier) ? moduleSpecifier.text : ''
}

function starsOf(path: string, node: ts.SourceFile): string[] {
  const stars = node.statements.filter(ts.isExportDeclaration).filter(({ exportClause }) => exportClause === undefined)
  return stars.flatMap((star) => targetOf(path, moduleOf(star)) ?? [])
}

function importsOf({ path, node }: Source): string[] {
  const found: string[] = []
  const add = (specifier: string, names: readonly string[]): void => {
    const target = targetOf(path, specifier)
    if (target !== null) found.push(...names.map((name) => `${target}#${name}`))
  }
  const visit = (child: ts.Node): void => {
    if (ts.isImportDeclaration(child)) add(moduleOf(child), importedNames(child, node))
    else if (ts.isExportDeclaration(child)) add(moduleOf(child), specifiersOf(child).map(importedName))
    else if (ts.isCallExpression(child) && child.expression.kind === ts.SyntaxKind.ImportKeyword)
      for (const argument of child.arguments)
        if (ts.isStringLiteralLike(argument)) add(argument.text, node.text.match(/\w+/g) ?? [])
    ts.forEachChild(child, visit)
  }
  visit(node)
  return found
}

function importedName({ propertyName, name }: ts.ImportOrExportSpecifier): string {
  return (propertyName ?? name).text
}

function importedNames({ importClause }: ts.ImportDeclaration, node: ts.SourceFile): string[] {
  const bindings = importClause?.namedBindings
  if (bindings === undefined) return []
  if (ts.isNamedImports(bindings)) return bindings.elements.map(importedName)
  if (PUBLIC.includes(node.fileName)) return []
  // `space.name` is an import of that name; any other mention takes the module as a whole.
  const space = bindings.name.text
  const members = [...node.text.matchAll(new RegExp(`\\b${space}\\.(\\w+)`, 'g'))].map(([, name]) => name ?? '')
  const mentions = node.text.match(new RegExp(`\\b${space}\\b`, 'g')) ?? []
  return mentions.length - 1 > members.length ? [...members, '*'] : members
}

function isImported(path: string, name: string): boolean {
  if (PUBLIC.includes(path) || imported.has(`${path}#${name}`) || imported.has(`${path}#*`)) return true
  return (starred.get(path) ?? []).some((file) => isImported(file, name))
}

/** True when the public files export everything of the file at `path`. */
const isPublic = (path: string): boolean =>
  PUBLIC.includes(path) || (starred.get(path) ?? []).some((file) => isPublic(file))

/** True for a type in the declaration of another export of its file: who imports that one may have to name it. */
function isNamed({ node }: Source, name: string): boolean {
  const types = node.statements.filter((s) => ts.isInterfaceDeclaration(s) || ts.isTypeAliasDeclaration(s))
  if (!types.some((type) => type.name.text === name)) return false
  const others = node.statements.filter((s) => isExported(s) && !namesOf(s).includes(name))
  return others.some((statement) => new RegExp(`\\b${name}\\b`).test(statement.getText()))
}

// ---- functions and their uses --------------------------------------------------------------------------------------

function functionsOf({ path, node }: Source): Declared[] {
  const found: Declared[] = []
  const visit = (child: ts.Node, owner: string): void => {
    const name = functionName(child)
    if (name !== null) {
      const modifiers = ts.canHaveModifiers(child) ? (ts.getModifiers(child) ?? []) : []
      const has = (kind: ts.SyntaxKind): boolean => modifiers.some((modifier) => modifier.kind === kind)
      const comment = ts.getJSDocCommentsAndTags(child).at(-1)?.getText() ?? ''
      const upstream = /^\/\*\*[\s*]*\w+\(\)/.test(comment)
      const overrides = has(ts.SyntaxKind.OverrideKeyword)
      if (!has(ts.SyntaxKind.DefaultKeyword)) found.push({ place: owner + name, name, path, overrides, upstream })
    }
    const inner = ts.isClassLike(child) ? `${child.name?.text ?? 'class'}.` : owner
    ts.forEachChild(child, (below) => visit(below, inner))
  }
  visit(node, '')
  return found
}

function functionName(node: ts.Node): string | null {
  if (ts.isMethodDeclaration(node) || ts.isAccessor(node)) return node.name.getText()
  if (ts.isFunctionDeclaration(node)) return node.name?.text ?? null
  if (!ts.isVariableDeclaration(node) || !ts.isIdentifier(node.name)) return null
  return node.initializer !== undefined && ts.isArrowFunction(node.initializer) ? node.name.text : null
}

/** Names that a file mentions anywhere but where it imports or exports them, or declares what is no interface's. */
function usesOf({ node }: Source): string[] {
  const found: string[] = []
  const visit = (child: ts.Node): void => {
    if ((ts.isIdentifier(child) || ts.isPrivateIdentifier(child)) && isUse(child)) found.push(child.text)
    ts.forEachChild(child, visit)
  }
  visit(node)
  return found
}

function isUse(name: ts.Node): boolean {
  const { parent } = name
  if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)) return false
  if (ts.isMethodSignature(parent) || ts.isShorthandPropertyAssignment(parent)) return true
  if (ts.isPropertySignature(parent)) return parent.type !== undefined && ts.isFunctionTypeNode(parent.type)
  return ts.isPropertyAccessExpression(parent) || !('name' in parent && parent.name === name)
}
