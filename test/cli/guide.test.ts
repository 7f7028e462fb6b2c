import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { guidePages, nameOf } from '../documents.js'
import { racewalk } from './command.js'

let folder: string
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'racewalk-guide-'))))
afterAll(() => rmSync(folder, { recursive: true }))

describe('racewalk guide', () => {
  it('lists the pages with their questions', async () => {
    const { code, out } = await racewalk('guide')
    expect(code).toBe(0)
    for (const page of guidePages)
      expect(out).toMatch(new RegExp(`^  ${nameOf(page)} +${page.text.slice(2, page.text.indexOf('?'))}\\?$`, 'm'))
  })

  it.each(guidePages.map((page) => [nameOf(page), page] as const))('%s shows the page', async (name, page) => {
    const { code, out } = await racewalk('guide', name)
    expect(code).toBe(0)
    expect(out.split('\n')[0]).toBe(page.text.slice(2, page.text.indexOf('\n')))

    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
  })

  it('names the nearest page where there is none', async () => {
    const { code, out, err } = await racewalk('guide', 'comands')
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/no page 'comands'[^]*did you mean 'commands'\?/)
  })
})

describe('racewalk guide --html', () => {
  const files = (site: string): string[] => readdirSync(site).sort()
  const expected = ['index', ...guidePages.map(nameOf)].map((name) => `${name}.html`).sort()

  it('writes a page each and says so, over an older site, too', async () => {
    const site = join(folder, 'new/site')
    for (let times = 0; times < 2; times++) {
      const { code, out } = await racewalk('guide', '--html', site)
      expect(code).toBe(0)
      for (const file of expected) expect(out).toContain(file)
      expect(files(site)).toEqual(expected)
    }
    expect(readFileSync(join(site, 'report.html'), 'utf8')).toContain('<h1')
  })

  it('leaves a folder with other files as it is', async () => {
    for (const file of ['notes.txt', 'index.html']) {
      const site = join(folder, file)
      mkdirSync(site)
      writeFileSync(join(site, file), 'mine')
      const { code, err } = await racewalk('guide', '--html', site)
      expect(code).toBe(2)
      expect(err).toContain(`holds ${file}`)
      expect(files(site)).toEqual([file])
      expect(readFileSync(join(site, file), 'utf8')).toBe('mine')
    }
  })

  it('refuses a file, and a page beside it', async () => {
    const file = join(folder, 'file')
    writeFileSync(file, 'mine')
    expect(await racewalk('guide', '--html', file)).toMatchObject({
      code: 2,
      err: expect.stringContaining('is a file') as string,
    })
    expect(await racewalk('guide', 'report', '--html', folder)).toMatchObject({ code: 2 })
  })
})
