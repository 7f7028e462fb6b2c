import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { guidePages, nameOf } from '../documents.js'
import { document, racewalk } from './command.js'

// The page of the JSON documents against the documents: each field that a command prints is described, and none
// besides.

const page = guidePages.find((candidate) => nameOf(candidate) === 'json')?.text ?? ''

/** The fields that the list of a section begins its items with. */
function fieldsOf(title: string): string[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? ''
  const leads = [...section.matchAll(/^- ([^]*?)(?=:|\n-|\n\n|$(?![^]))/gm)].map(([, lead = '']) => lead)
  return leads.flatMap((lead) => [...lead.matchAll(/`(\w+)`/g)].map(([, field = '']) => field))
}

const COMMON = fieldsOf('Common fields')
/** Fields that need an option which the runs below do not have. */
const OPTIONAL = ['explored', 'curve']

function documented(title: string, printed: object, without: readonly string[] = []): void {
  const fields = [...COMMON, ...fieldsOf(title)].filter((field) => !without.includes(field))
  const known = fields.filter((field) => field in printed || !OPTIONAL.includes(field))
  expect(Object.keys(printed).sort()).toEqual([...new Set(known)].sort())
}

const LS = fileURLToPath(new URL('../fixtures/strace/ls.strace', import.meta.url))

describe('the page of the JSON documents has the fields of', async () => {
  const explored = document(await racewalk('explore', 'gup-fast-miniature', '--curve', '--json'))
  const [finding] = explored['findings'] as { token: string }[]

  it('explore', () => documented('explore', explored))

  it('a finding', () => {
    expect(Object.keys(finding ?? {}).sort()).toEqual(fieldsOf('A finding').sort())
  })

  it('replay', async () => {
    documented('replay', document(await racewalk('replay', finding?.token ?? '', '--json')), ['seconds'])
  })

  it('stress', async () => {
    documented('stress', document(await racewalk('stress', 'gup-vs-split', '--duration', '200ms', '--json')))
  })

  it('run', async () => documented('run', document(await racewalk('run', LS, '--json'))))

  it('list', async () => {
    expect(Object.keys(document(await racewalk('list', '--json'))).sort()).toEqual(fieldsOf('list').sort())
  })
})
