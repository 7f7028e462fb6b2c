/** `racewalk guide`: the pages for users, in a terminal or as a site of files. */
import { Option, type Command } from 'commander'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../base/errors.js'
import { nearest } from '../base/names.js'
import { writeWhole } from '../base/wholeFile.js'
import { readGuide, type Guide } from '../report/guide/pages.js'
import { GENERATOR, guideSite } from '../report/guide/site.js'
import { terminalText } from '../report/guide/terminalText.js'
import type { Invocation } from './io.js'
import { PACKAGE_ROOT } from './packageRoot.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

export function addGuide(program: Command, { io, done }: Invocation): void {
  program
    .command('guide')
    .description('the pages of the guide, each of which answers a question')
    .argument('[PAGE]', 'the page to show; all are listed without it')
    .addOption(new Option('--html <DIR>', 'write all pages as a site of files that needs no network'))
    .action((page: string | undefined, options: { html?: string }) =>
      done(guide(page, options.html, new Terminal(false, io))),
    )
}

function guide(page: string | undefined, folder: string | undefined, terminal: Terminal): ExitCode {
  const all = readGuide(join(PACKAGE_ROOT, 'src/guide'))
  if (folder !== undefined) {
    if (page !== undefined)
      throw new UsageError(`${page} with --html ${folder}`, '--html writes all pages', 'leave one of the two out')
    return writeSite(all, folder, terminal)
  }
  if (page === undefined) list(all, terminal)
  else showPage(all, page, terminal)
  return EXIT.clean
}

function list({ pages }: Guide, terminal: Terminal): void {
  const { strong, dim, command } = terminal.palette
  terminal.print(strong('pages of the guide'))
  for (const { id, question } of pages) terminal.print(`  ${command(id.padEnd(14))} ${question}`)
  terminal.print(
    `\n${dim('racewalk guide PAGE shows one; racewalk guide --html DIR writes all as a site that works offline')}`,
  )
}

function showPage({ pages }: Guide, id: string, terminal: Terminal): void {
  const { markdown } = nearest('page', id, pages)
  terminal.print(terminalText(markdown, { width: terminal.width, palette: terminal.palette }))
}

function writeSite(all: Guide, folder: string, terminal: Terminal): ExitCode {
  const site = guideSite(all)
  checkFolder(
    folder,
    site.map(({ name }) => name),
  )
  let at = folder
  try {
    mkdirSync(folder, { recursive: true })
    for (const { name, html } of site) {
      at = join(folder, name)
      writeWhole(at, html)
    }
  } catch (error) {
    throw new UsageError(`${at} cannot be written: ${(error as Error).message}`, 'the site is not complete')
  }
  const { good, command } = terminal.palette
  terminal.print(`${good(folder)} has ${site.map(({ name }) => name).join(', ')}`)
  terminal.print(`begin with ${command(join(folder, 'index.html'))}`)
  return EXIT.clean
}

/** A site replaces an older one of its own, and nothing else. */
function checkFolder(folder: string, names: readonly string[]): void {
  if (!existsSync(folder)) return
  if (!statSync(folder).isDirectory()) throw new UsageError(`${folder} is a file`, 'a site is written into a folder')
  const other = readdirSync(folder).find((file) => !names.includes(file) || !isOwn(join(folder, file)))
  if (other !== undefined)
    throw new UsageError(
      `${folder} holds ${other}`,
      'a site is written into a new or empty folder, or over an older one of the guide',
      'choose another folder',
    )
}

const isOwn = (file: string): boolean => statSync(file).isFile() && readFileSync(file, 'utf8').includes(GENERATOR)
