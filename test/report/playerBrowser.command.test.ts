import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { pageData, playerHtml } from '../../dist/src/report/playerHtml.js'
import { nextSwitch } from '../../dist/src/report/player/turns.js'
import { findChromium } from './chromium.js'
import { byDefault } from './execution.js'

const executablePath = findChromium()
const title =
  executablePath === null
    ? 'the step player in a browser (skipped: no Chromium; install one, or name it in CHROME_PATH)'
    : `the step player in ${executablePath}`

describe.skipIf(executablePath === null)(title, () => {
  const split = byDefault('gup-vs-split', 'pmdp-inval-addr')
  const data = pageData(split)
  const last = data.steps.length
  let folder: string
  let address: string
  let browser: Browser
  let page: Page
  let errors: string[] = []
  let requests: string[] = []

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'racewalk-'))
    address = pathToFileURL(join(folder, 'page.html')).href
    writeFileSync(join(folder, 'page.html'), playerHtml(split))
    browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser.close()
    rmSync(folder, { recursive: true })
  })
  afterEach(async () => {
    expect(errors).toEqual([])
    expect(requests.filter((url) => !url.startsWith('file:'))).toEqual([])
    await page.close()
  })

  async function open(hash = '', width = 1280, height = 800, colorScheme: 'light' | 'dark' = 'light'): Promise<void> {
    page = await browser.newPage({ viewport: { width, height }, colorScheme })
    errors = []
    requests = []
    page.on('pageerror', ({ message }) => errors.push(message))
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    page.on('request', (request) => requests.push(request.url()))
    await page.goto(address + hash)
  }

  const step = async (): Promise<number> =>
    Number(/step (\d+) of/.exec((await page.locator('.position').textContent()) ?? '')?.[1])
  const press = async (...keys: string[]): Promise<number> => {
    for (const key of keys) await page.keyboard.press(key)
    return await step()
  }

  it('opens at the finding, with title, rule and replay command', async () => {
    await open()
    expect(await step()).toBe(last)
    expect(await page.locator('h1').textContent()).toBe(data.finding?.title)
    expect(await page.locator('header').textContent()).toContain('mm/huge_memory.c')
    expect(await page.locator('header code').textContent()).toBe(data.command)
    expect(await page.locator('[role=option]').count()).toBe(last + 1)
    expect(await page.locator('.ending').isVisible()).toBe(true)
  })

  it('goes step by step, from switch to switch, and to both ends with the keyboard', async () => {
    await open('#step=10')
    expect(await step()).toBe(10)
    expect(await press('ArrowRight')).toBe(11)
    expect(await press('ArrowLeft', 'ArrowLeft')).toBe(9)
    expect(await press('PageDown')).toBe(nextSwitch(data.steps, 9))
    expect(await press('PageUp')).toBe(0)
    expect(await press('End')).toBe(last)
    expect(await press('ArrowRight')).toBe(last)
    expect(await press('Home')).toBe(0)
    expect(await press('ArrowLeft')).toBe(0)
    expect(await page.locator('.now h2').textContent()).toBe('Before the first step')
  })

  it('keeps the step in the address, and follows the address', async () => {
    await open('#step=7')
    await press('ArrowRight')
    await page.waitForURL(/#step=8$/)
    await page.evaluate(() => (location.hash = '#step=21'))
    await page.waitForFunction(() => document.querySelector('.position')?.textContent?.startsWith('step 21 '))
    await page.evaluate(() => (location.hash = '#step=999999'))
    await page.waitForFunction((n) => document.querySelector('.position')?.textContent?.startsWith(`step ${n} `), last)
  })

  it('shows words of the data as text, whatever they are', async () => {
    await open()
    const evil = '<img src=x onerror="window.taken = true"></script><script>window.taken = true</script>'
    writeFileSync(join(folder, 'evil.html'), playerHtml({ ...split, scenario: { ...split.scenario, summary: evil } }))
    await page.goto(address.replace('page.html', 'evil.html'))
    expect(await page.locator('.summary').textContent()).toContain(evil)
    expect(await page.evaluate(() => 'taken' in window)).toBe(false)
  })

  it('shows the page tables at each step, and marks what the step changed', async () => {
    const change =
      data.steps.findIndex(({ word, before, after }) => word.startsWith('mm0.pmd[0]') && before !== after) + 1
    await open(`#step=${change - 1}`)
    const entry = page.locator('#panel-tables tr', { hasText: 'pmd[0] of 0x10000' })
    expect(await entry.textContent()).toMatch(/huge 0x\w+ rw dirty$/)
    expect(await entry.getAttribute('class')).toBe('')
    await press('ArrowRight')
    expect(await entry.textContent()).toMatch(/● huge 0x\w+ rw dirty → huge 0x\w+ rw dirty invalidated$/)
    expect(await entry.getAttribute('class')).toBe('changed')
    expect(await page.locator('.became').textContent()).toContain('pmd[0] of 0x10000')
    await press('ArrowRight')
    await entry.locator('button').click()
    expect(await step()).toBe(change)
  })

  it('shows TLBs, frames, locks, RCU and interrupts', async () => {
    const sent = data.steps.findIndex(({ began }) => began.includes('interrupt'))
    await open(`#step=${sent}`)
    expect(await page.locator('#panel-tlbs').textContent()).toMatch(/0x10000 of mm0 \(4 pages\)huge 0x/)
    expect(await page.locator('#panel-frames tr', { hasText: 'anonymous' }).textContent()).toMatch(/2.*exclusive/)
    expect(await page.locator('#panel-locks').textContent()).toMatch(/page\[0x\w+\]\.ptl/)
    expect(await page.locator('#panel-rcu').textContent()).toContain('grace period')
    expect(await page.locator('#panel-ipis').textContent()).toContain('sent, CPU 0 waits for its end')
  })

  it('searches, and goes from hit to hit', async () => {
    await open('#step=0')
    await press('/')
    await page.keyboard.type('pmd[0] xchg64')
    const hits = data.steps.flatMap(({ word, access }, i) =>
      /pmd\[0\]/.test(word) && access === 'xchg64' ? [i + 1] : [],
    )
    expect(hits.length).toBeGreaterThan(1)
    expect(await page.locator('.controls .hits').textContent()).toBe(`${hits.length} hits`)
    expect(await press('Enter')).toBe(hits[0])
    expect(await press('Escape', 'n')).toBe(hits[1])
    expect(await press('N')).toBe(hits[0])
    expect(await page.locator('.row.hit').count()).toBe(hits.length)
    await press('/')
    await page.keyboard.type(' nowhere')
    expect(await page.locator('.controls .hits').textContent()).toBe('no hit')
  })

  it('leaves out steps on private words when asked to', async () => {
    await open('#step=0')
    const shared = data.steps.flatMap(({ isPrivate }, i) => (isPrivate ? [] : [i + 1]))
    expect(shared.length).toBeLessThan(last)
    await press('f')
    expect(await press('ArrowRight')).toBe(shared[0])
    expect(await press('ArrowRight')).toBe(shared[1])
    expect(await page.locator('.row.private:visible').count()).toBe(0)
  })

  it('seeks with a click on a step and on the schedule', async () => {
    await open('#step=0')
    await page.locator('#s5').click()
    expect(await step()).toBe(5)
    const box = await page.locator('.strip').boundingBox()
    if (box === null) throw new Error('no schedule')
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2)
    expect(Math.abs((await step()) - last / 2)).toBeLessThan(2)
  })

  for (const [width, height] of [
    [1280, 800],
    [420, 800],
  ] as const)
    it(`keeps the current step in sight at ${width}x${height}, and nothing wider than the window`, async () => {
      await open('#step=0', width, height)
      for (const key of ['End', 'PageUp', 'PageUp', 'Home', 'PageDown']) {
        await press(key)
        await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))
        const hidden = await page.evaluate(() => {
          const row = document.querySelector('[aria-selected=true]')?.getBoundingClientRect()
          const list = document.querySelector('.steps')?.getBoundingClientRect()
          return row === undefined || list === undefined || row.top < list.top || row.bottom > list.bottom + 1
        })
        expect(hidden, key).toBe(false)
      }
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true)
    })

  for (const scheme of ['light', 'dark'] as const)
    it(`has a contrast of 4.5 and more, ${scheme}`, async () => {
      await open('#step=32', 1280, 800, scheme)
      const low = await page.evaluate(() => {
        const numbers = (color: string): number[] => (color.match(/[\d.]+/g) ?? []).map(Number)
        const light = ([r = 0, g = 0, b = 0]: number[]): number => {
          const part = (c: number): number =>
            c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4
          return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
        }
        const groundOf = (element: Element | null): number[] => {
          for (let at = element; at !== null; at = at.parentElement) {
            const color = numbers(getComputedStyle(at).backgroundColor)
            if (color[3] !== 0) return color
          }
          return [255, 255, 255]
        }
        const seen = new Map<string, number>()
        for (const element of Array.from(document.querySelectorAll('body *'))) {
          const own = Array.from(element.childNodes).some(
            (node) => node.nodeType === 3 && (node.textContent ?? '').trim() !== '',
          )
          if (!own || element.closest('script, noscript, style, svg, dialog') !== null) continue
          const [a, b] = [light(numbers(getComputedStyle(element).color)), light(groundOf(element))]
          seen.set(`${element.tagName}.${element.className}`, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05))
        }
        return { checked: seen.size, low: [...seen].filter(([, ratio]) => ratio < 4.5) }
      })
      expect(low.checked).toBeGreaterThan(15)
      expect(low.low).toEqual([])
    })

  it('tells assistive technology where it is', async () => {
    await open('#step=12')
    const list = page.getByRole('listbox', { name: 'steps' })
    expect(await list.getAttribute('aria-activedescendant')).toBe('s12')
    const slider = page.getByRole('slider', { name: 'schedule' })
    expect(await slider.getAttribute('aria-valuenow')).toBe('12')
    expect(await slider.getAttribute('aria-valuetext')).toMatch(/^step 12, CPU \d$/)
    expect(await page.getByRole('button', { name: 'next step (Right)' }).count()).toBe(1)
    await press('?')
    expect(await page.getByRole('dialog', { name: 'keys' }).isVisible()).toBe(true)
  })
})
