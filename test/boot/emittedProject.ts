/** A small project in a folder of its own, as tsc leaves it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A kernel module as tsc emits it. */
export const EMITTED = 'export function* f(cpu, p) {\n    return yield* cpu.readOnce32(p);\n}\n'

export class EmittedProject {
  readonly #folder = mkdtempSync(join(tmpdir(), 'racewalk-lower-'))

  at(path: string): string {
    return join(this.#folder, path)
  }

  /** A file with its declaration and its source. */
  emit(stem: string, code: string): void {
    for (const path of [`dist/${stem}.js`, `dist/${stem}.d.ts`, `${stem}.ts`])
      mkdirSync(dirname(this.at(path)), { recursive: true })
    writeFileSync(this.at(`dist/${stem}.js`), code)
    writeFileSync(this.at(`dist/${stem}.d.ts`), '')
    writeFileSync(this.at(`${stem}.ts`), '')
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true })
  }
}
