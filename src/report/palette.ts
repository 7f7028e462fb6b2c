/** The colours of reports by what they mean; none unless a terminal reads them. */
import pc from 'picocolors'

export interface Palette {
  bad(text: string): string
  good(text: string): string
  strong(text: string): string
  dim(text: string): string
  name(text: string): string
  changed(text: string): string
  command(text: string): string
}

export function paletteFor(colours: boolean): Palette {
  const c = pc.createColors(colours)
  return {
    bad: (text) => c.bold(c.red(text)),
    good: (text) => c.green(text),
    strong: (text) => c.bold(text),
    dim: (text) => c.dim(text),
    name: (text) => c.cyan(text),
    changed: (text) => c.yellow(text),
    command: (text) => c.bold(text),
  }
}
