/**
 * A finding: what an oracle saw, as data. report/ turns it into words. It is thrown as a Panic from the place where it
 * was seen, and ends the run it was found in.
 */
export interface Finding {
  /** Which rule was broken: the oracle's name, stable for scripts. */
  readonly oracle: string
  /** One line in the kernel's manner: `BUG: KASAN: use-after-free in GupFast.gupFastPteRange`. */
  readonly title: string
  /** CPU that saw it; -1 when it was seen after all CPUs had stopped. */
  readonly cpu: number
  /** Byte offset in the image that it is about; null when there is none. */
  readonly address: number | null
  /** Further lines: expected, found, who allocated, who freed. */
  readonly details: readonly string[]
  /** Kernel functions on the CPU that saw it, innermost first. */
  readonly stack: readonly string[]
}

/** The same rule broken in the same way: which frames it was about may differ, and titles name them in hexadecimal. */
export const isSameFailure = (a: Finding, b: Finding): boolean =>
  a.oracle === b.oracle && withoutFrames(a.title) === withoutFrames(b.title)

const withoutFrames = (title: string): string => title.replace(/0x[0-9a-f]+/g, '0x…')

/** Carries a finding out of the kernel. Kernel code has no handlers of its own, so nothing catches it on the way. */
export class Panic extends Error {
  override name = 'Panic'
  readonly finding: Finding
  constructor(finding: Finding) {
    super(finding.title)
    this.finding = finding
  }
}

/**
 * What an error that ended `cpu`'s code has to say about the kernel: a panic's finding, or that of an access outside of
 * memory or across a word, which the kernel would call an Oops. Null for errors that are racewalk's own.
 */
export function findingOf(error: unknown, cpu: number): Finding | null {
  if (error instanceof Panic) return error.finding
  if (!(error instanceof WebAssembly.RuntimeError)) return null
  const stack = kernelStack(error.stack ?? '')
  const title = `BUG: unable to handle page fault in ${stack[0] ?? 'the kernel'}`
  const details = [
    `an access to no memory: ${error.message}`,
    'A word that holds an address was written over or freed.',
  ]
  return { oracle: 'oops', title, cpu, address: null, details, stack }
}

/** This CPU was told to halt because another one panicked. */
export class Halted extends Error {
  override name = 'Halted'
}

/** What the name of a script begins with that was made of a user's own file (boot/module/). */
export const USER_SCHEME = 'user:'

/** Files of all rooms but those of hardware and laboratory; a subsystem of the kernel may have a room of its own. */
const KERNEL =
  /\/dist\/(?:free\/)?src\/(?!(?:base|input|machine|check|subsystem|boot|scenario|explore|report|cli)\/)[\w-]+\//

/**
 * The kernel functions in a stack trace, innermost first: `GupFast.gupFastPteRange`. Frames of hardware, engine,
 * oracles and laboratory are left out, since a reader asks for the kernel's place.
 */
export function kernelStack(trace: string): string[] {
  const names: string[] = []
  for (const line of trace.split('\n')) {
    const frame = /^\s+at (?:async )?([\w.$#<>]+)(?: \[as [^\]]+\])? \((.*)\)$/.exec(line)
    if (frame === null) continue
    const [, name = '', file = ''] = frame
    if (!KERNEL.test(file) && !file.startsWith(USER_SCHEME)) continue
    const clean = name.replace(/\.next$/, '').replace(/^_?class\d*\./, '')
    if (clean !== 'next' && names.at(-1) !== clean) names.push(clean)
  }
  return names
}
