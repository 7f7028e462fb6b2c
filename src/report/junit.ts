/**
 * Results as JUnit XML, the form that CI systems show. A finding is a failure, a fault of racewalk itself an error.
 *
 * Format: the dialect that Jenkins, GitLab and others read: testsuites, testsuite, testcase, failure, error.
 */

export interface JunitCase {
  readonly name: string
  /** Seconds. */
  readonly seconds: number
  /** What was found: the first line names it, the report is the text. */
  readonly failure?: { readonly type: string; readonly message: string; readonly text: string }
  /** What went wrong in racewalk. */
  readonly error?: string
  /** What a reader may want to see of a case that passed. */
  readonly output?: string
}

export interface JunitSuite {
  /** `racewalk explore`. */
  readonly name: string
  readonly properties: Readonly<Record<string, string>>
  readonly cases: readonly JunitCase[]
}

export function junitXml({ name, properties, cases }: JunitSuite): string {
  const counts = {
    tests: cases.length,
    failures: cases.filter(({ failure }) => failure !== undefined).length,
    errors: cases.filter(({ error }) => error !== undefined).length,
    skipped: 0,
    time: timeOf(cases.reduce((sum, { seconds }) => sum + seconds, 0)),
  }
  const values = Object.entries(properties).map(([key, value]) => element('property', { name: key, value }))
  const suite = element('testsuite', { name, ...counts }, [
    element('properties', {}, values),
    ...cases.map((one) => caseElement(name, one)),
  ])
  const { skipped: _skipped, ...totals } = counts
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('testsuites', { name: 'racewalk', ...totals }, [suite])}\n`
}

function caseElement(suite: string, { name, seconds, failure, error, output }: JunitCase): string {
  const children: string[] = []
  if (failure !== undefined)
    children.push(element('failure', { type: failure.type, message: failure.message }, [escaped(failure.text)]))
  if (error !== undefined)
    children.push(element('error', { type: 'fault', message: error.split('\n')[0] ?? '' }, [escaped(error)]))
  if (output !== undefined) children.push(element('system-out', {}, [escaped(output)]))
  return element('testcase', { classname: suite.replaceAll(' ', '.'), name, time: timeOf(seconds) }, children)
}

const timeOf = (seconds: number): string => seconds.toFixed(3)

function element(
  tag: string,
  attributes: Readonly<Record<string, string | number>>,
  children: readonly string[] = [],
): string {
  const list = Object.entries(attributes).map(([name, value]) => ` ${name}="${quoted(String(value))}"`)
  const start = `<${tag}${list.join('')}`
  return children.length === 0 ? `${start}/>` : `${start}>${children.join('')}</${tag}>`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
}

/** As text. What XML 1.0 cannot hold at all, control characters and halves of pairs, becomes U+FFFD. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"\r]/g, (char) => ENTITIES[char] as string)
}

/** As the value of an attribute, where a reader would take tabs and line breaks for spaces. */
const quoted = (text: string): string => escaped(text).replaceAll('\t', '&#9;').replaceAll('\n', '&#10;')
