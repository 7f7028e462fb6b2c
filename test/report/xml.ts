/**
 * A strict reader of the XML that the tests expect: elements, attributes, text, entities. Throws at whatever else there
 * is.
 */

export interface XmlElement {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly XmlElement[]
  /** Its own text, put together. */
  readonly text: string
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
/** What a document may have in it at all (XML 1.0, Char). */
const CHARACTERS = /^[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u
const TOKEN = /<(\/?)([A-Za-z][\w-]*)((?:\s+[\w-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y

export function parseXml(document: string): XmlElement {
  if (!CHARACTERS.test(document)) throw new Error('a character that XML does not have')
  const body = document.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, '')
  if (body === document) throw new Error('no XML declaration')
  const top = { tag: '', attributes: {}, children: [] as XmlElement[], text: '' }
  const open = [top]
  let at = 0
  while (at < body.length) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(body)
    if (match === null) throw new Error(`not XML: ${body.slice(at, at + 40)}`)
    at = TOKEN.lastIndex
    const [, closes, tag = '', attributes = '', single, text] = match
    const current = open.at(-1) as typeof top
    if (text !== undefined) current.text += unescaped(text)
    else if (closes === '/') {
      if (current.tag !== tag || attributes !== '') throw new Error(`</${tag}> ends <${current.tag}>`)
      open.pop()
    } else {
      const element = { tag, attributes: attributesOf(attributes), children: [], text: '' }
      current.children.push(element)
      if (single !== '/') open.push(element)
    }
  }
  if (open.length !== 1 || top.children.length !== 1 || top.text.trim() !== '') throw new Error('not one whole element')
  return top.children[0] as XmlElement
}

function attributesOf(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(
    ([, name, value]) => [name, unescaped(value ?? '')] as const,
  )
  if (new Set(pairs.map(([name]) => name)).size !== pairs.length) throw new Error(`an attribute twice in${text}`)
  return Object.fromEntries(pairs) as Record<string, string>
}

function unescaped(text: string): string {
  if (/&(?!(?:amp|lt|gt|quot|apos|#\d+);)/.test(text)) throw new Error(`a bare & in ${text}`)
  return text.replace(/&(?:#(\d+)|(\w+));/g, (_, number?: string, name?: string) =>
    number === undefined ? (NAMED[name as string] as string) : String.fromCodePoint(Number(number)),
  )
}
