/**
 * Turns a user's module, TypeScript or JavaScript, into the two forms of the kernel. Types are checked against the
 * kernel's: a patch of a method that is not there, or with other arguments, never runs.
 *
 * What is emitted is CommonJS. Its imports are properties of the modules that the running kernel is made of, looked up
 * at each use, as bindings that change when a machine is booted (arch/entry.ts) have to be.
 */
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import type ts from 'typescript'
import { UsageError } from '../../base/errors.js'
import { lowerForLoad } from '../lower/lower.js'
import type { CompiledModule, Purpose, Unit } from './compiled.js'
import { kernelRules } from './kernelRules.js'
import { placesOf, shown } from './places.js'
import { declarationsOf } from './surfaces.js'

type TypeScript = typeof ts

/** Complaints that are shown; the first is mostly the cause of the others. */
const SHOWN = 10

/**
 * Compiles the module at `file` (absolute) with what it imports of the user's own files. Throws UsageError with file,
 * line and column of everything that does not compile, or that kernel code may not do.
 */
export function compile(file: string, purpose: Purpose): CompiledModule {
  const ts = createRequire(import.meta.url)('typescript') as TypeScript
  const program = ts.createProgram([file], checkOptions(ts), hostIn(ts, dirname(file)))
  const sources = program
    .getSourceFiles()
    .filter((source) => !source.isDeclarationFile && !program.isSourceFileFromExternalLibrary(source))
  // What does not parse has no types: their complaints would only come of it.
  refuse(
    file,
    program.getSyntacticDiagnostics().map((diagnostic) => said(ts, diagnostic)),
  )
  const complaints = ts.getPreEmitDiagnostics(program).map((diagnostic) => said(ts, diagnostic))
  const broken = sources
    .filter(({ text }) => isKernelCode(ts, text, purpose))
    .flatMap((source) => kernelRules(ts, program, source))
  refuse(file, [...complaints, ...broken])
  const paths = new Set(sources.map(({ fileName }) => fileName))
  const units = sources.map((source) => unitOf(ts, source, paths, purpose))
  return { file, hash: hashOf(sources.map(({ text }) => text)), units }
}

/** A scenario is plain data, but for files that define operations, with what racewalk/kernel has for that. */
const isKernelCode = (ts: TypeScript, text: string, purpose: Purpose): boolean =>
  purpose === 'kernel' || ts.preProcessFile(text).importedFiles.some(({ fileName }) => fileName === 'racewalk/kernel')

/** 12 hexadecimal digits that change with any of `texts`. */
function hashOf(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${text.length} ${text}`)
  return hash.digest('hex').slice(0, 12)
}

/** The rules are ours, whatever the project has: a module must mean the same wherever it is loaded. */
function checkOptions(ts: TypeScript): ts.CompilerOptions {
  return {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    paths: declarationsOf(),
    strict: true,
    noImplicitOverride: true,
    isolatedModules: true,
    skipLibCheck: true,
    allowJs: true,
    allowImportingTsExtensions: true,
    noEmit: true,
  }
}

function hostIn(ts: TypeScript, folder: string): ts.CompilerHost {
  const host = ts.createCompilerHost({})
  return {
    ...host,
    getCurrentDirectory: () => folder,
    getSourceFile: (name, ...rest) => {
      const parsed = declarations.get(name) ?? host.getSourceFile(name, ...rest)
      if (parsed?.isDeclarationFile === true) declarations.set(name, parsed)
      return parsed
    },
  }
}

/** Declarations, parsed: those of the language and of the kernel are the same for every module. */
const declarations = new Map<string, ts.SourceFile>()

function said(ts: TypeScript, { file, start = 0, messageText, code }: ts.Diagnostic): string {
  const [first, ...chain] = ts.flattenDiagnosticMessageText(messageText, '\n').split('\n')
  // Of a chain of reasons the last is the one to act on.
  const reason = chain.length === 0 ? '' : `\n    ${chain[chain.length - 1]?.trim()}`
  const message = `${first} (TS${code})${reason}`
  return file === undefined ? message : `${placeIn(file, start)}: ${message}`
}

/** `fix.ts:3:12`, of the character at `offset`. */
function placeIn(source: ts.SourceFile, offset: number): string {
  const { line, character } = source.getLineAndCharacterOfPosition(offset)
  return `${shown(source.fileName)}:${line + 1}:${character + 1}`
}

function refuse(file: string, complaints: readonly string[]): void {
  if (complaints.length === 0) return
  const more = complaints.length - SHOWN
  const lines = complaints.slice(0, SHOWN).concat(more > 0 ? [`… and ${more} more`] : [])
  throw new UsageError(`${shown(file)} does not compile`, lines.join('\n  '))
}

function unitOf(ts: TypeScript, source: ts.SourceFile, own: ReadonlySet<string>, purpose: Purpose): Unit {
  const { fileName: path, text } = source
  const { outputText, sourceMapText: map = '' } = ts.transpileModule(text, {
    // An ending that says ESM would win over the module kind.
    fileName: path.replace(/\.m([jt]s)$/, '.$1'),
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.CommonJS,
      esModuleInterop: true,
      sourceMap: true,
      removeComments: true,
    },
  })
  const code = outputText.replace(/\/\/# sourceMappingURL=.*\s*$/, '')
  const names = ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName)
  const host = ts.createCompilerHost({})
  const target = (name: string): string | undefined =>
    ts.resolveModuleName(name, path, checkOptions(ts), host).resolvedModule?.resolvedFileName
  const imports = names.flatMap((name) => {
    const resolved = target(name)
    return resolved !== undefined && own.has(resolved) ? [[name, resolved] as const] : []
  })
  const packages = names.filter((name) => !imports.some(([imported]) => imported === name))
  const places = placesOf(path, map)
  const lowered = (form: 'controlled' | 'free'): string => lowerForLoad(code, places, form)
  const forms = isKernelCode(ts, text, purpose)
    ? { controlled: lowered('controlled'), free: lowered('free') }
    : { controlled: code, free: code }
  return { path, imports: Object.fromEntries(imports), packages, forms, map }
}
