/** `racewalk init`: a project to begin with, of a scenario, a patch and a race test. */
import type { Command } from 'commander'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { UsageError } from '../base/errors.js'
import type { Invocation } from './io.js'
import { jsonOption } from './options.js'
import { PACKAGE_ROOT } from './packageRoot.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

export function addInit(program: Command, { io, done }: Invocation): void {
  program
    .command('init')
    .description('a project to begin with: a scenario, a patch, and a race test that passes')
    .argument('<NAME>', 'the folder to make; its last part is the name of the project')
    .addOption(jsonOption())
    .action((name: string, options: { json?: boolean }) => done(init(name, new Terminal(options.json === true, io))))
}

const TEMPLATE = join(PACKAGE_ROOT, 'src/cli/template')

function init(name: string, terminal: Terminal): ExitCode {
  const folder = resolve(name)
  checkName(name, basename(folder))
  checkFolder(name, folder)
  const files = projectFiles(basename(folder))
  writeAll(name, folder, files)
  terminal.document({ command: 'init', folder, files: files.map(([file]) => file) })
  const { good, command } = terminal.palette
  terminal.print(`${good(name)} has ${files.map(([file]) => file).join(', ')}\n`)
  for (const line of [`cd ${name}`, 'npm install', 'npm test', 'npm run bug', 'npm run patched'])
    terminal.print(`  ${command(line)}`)
  return EXIT.clean
}

/** What npm takes as the name of a package, without a scope. */
function checkName(name: string, base: string): void {
  if (/^[a-z0-9][a-z0-9._-]{0,213}$/.test(base) && base !== 'node_modules') return
  throw new UsageError(
    `'${name}' is no name for a project`,
    'npm takes small letters, digits, and . _ - after the first character',
    'racewalk init my-race',
  )
}

function checkFolder(name: string, folder: string): void {
  if (!existsSync(folder)) return
  if (!statSync(folder).isDirectory()) throw new UsageError(`${name} is a file`, 'a project is made in a new folder')
  if (readdirSync(folder).length > 0)
    throw new UsageError(`${name} is not empty`, 'a project is made in a new or empty folder', 'choose another name')
}

/** Names and contents. */
function projectFiles(name: string): [string, string][] {
  return readdirSync(TEMPLATE)
    .sort()
    .map((file) => {
      const text = readFileSync(join(TEMPLATE, file), 'utf8').replaceAll('NAME', name)
      // npm leaves files of the name .gitignore out of packages.
      if (file === 'gitignore') return ['.gitignore', text]
      return [file, file === 'package.json' ? withDependencies(text) : text]
    })
}

interface Manifest {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

/** With the versions that this racewalk was tested with. A clone is used as it stands. */
function withDependencies(text: string): string {
  const own = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as Manifest
  const racewalk = PACKAGE_ROOT.includes('node_modules')
    ? `^${own.version}`
    : `file:${PACKAGE_ROOT.replace(/[\\/]$/, '')}`
  const devDependencies = {
    racewalk,
    typescript: own.dependencies['typescript'],
    vitest: own.devDependencies['vitest'],
  }
  return `${JSON.stringify({ ...(JSON.parse(text) as object), devDependencies }, null, 2)}\n`
}

function writeAll(name: string, folder: string, files: readonly (readonly [string, string])[]): void {
  let at = folder
  try {
    mkdirSync(folder, { recursive: true })
    for (const [file, text] of files) {
      at = join(folder, file)
      writeFileSync(at, text, { flag: 'wx' })
    }
  } catch (error) {
    throw new UsageError(
      `${at} cannot be written: ${(error as Error).message}`,
      `${name} is not complete`,
      'make room or choose another folder; what is there may be deleted',
    )
  }
}
