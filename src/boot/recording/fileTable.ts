/** The files of a recording: names by the indices that operations have for them, and how long each is. */
import type { Segment } from '../../input/startList.js'
import type { FileSpec } from '../machine.js'

const PAGE = 4096

export class FileTable {
  readonly #names: string[] = []
  readonly #pages: number[] = []
  readonly #indices = new Map<string, number>()

  /** The file `name`, which reaches to `bytes` at least. */
  index(name: string, bytes: number): number {
    const known = this.#indices.get(name)
    const index = known ?? this.#names.push(name) - 1
    this.#indices.set(name, index)
    this.#pages[index] = Math.max(this.#pages[index] ?? 1, Math.ceil(bytes / PAGE))
    return index
  }

  /** The SysV segment with this id. */
  segment(id: number, { length, path }: Segment): number {
    return this.index(`${path}#${id}`, length)
  }

  nameOf(index: number): string | undefined {
    return this.#names[index]?.replace(/^(\/dev\/zero|\/SYSV[0-9a-f]+)#.*/, '$1')
  }

  get count(): number {
    return this.#names.length
  }

  get pages(): number {
    return this.#pages.reduce((sum, pages) => sum + pages, 0)
  }

  /** As the machine opens them. */
  specs(): FileSpec[] {
    return this.#pages.map((pages, index) => (this.#names[index]?.startsWith('/SYSV') ? { segment: pages } : pages))
  }
}
