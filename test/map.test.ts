import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT } from './documents.js'

// src/README.md against the folders that it maps.

const SRC = join(ROOT, 'src')
const text = readFileSync(join(SRC, 'README.md'), 'utf8')
const tree = /^```\n([^]*?)^```$/m.exec(text)?.[1] ?? ''

/** Folders of the map, those of the second level with their parents. */
function mapped(): string[] {
  const folders: string[] = []
  let parent = ''
  for (const line of tree.trimEnd().split('\n')) {
    const [, indent = '', name = ''] = /^( *)([\w-]+)\/ {2,}\S/.exec(line) ?? []
    expect(name, line).not.toBe('')
    if (indent === '') parent = name
    folders.push(indent === '' ? name : `${parent}/${name}`)
  }
  return folders
}

/** What modules of users import, and the file that each architecture's folder has. */
const NOT_FILES = ['racewalk/kernel', 'arch.ts']
const isThere = (path: string): boolean => existsSync(join(SRC, path)) || existsSync(join(ROOT, path))

const foldersOf = (folder: string): string[] =>
  readdirSync(join(SRC, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)

describe('the map of src/', () => {
  it('has each folder down to two levels, and no other', () => {
    const rooms = foldersOf('.')
    const all = rooms.flatMap((room) => [room, ...foldersOf(room).map((name) => `${room}/${name}`)])
    expect(mapped().sort()).toEqual(all.sort())
  })

  it('has its rooms in the order of the import test', () => {
    const code = readFileSync(join(ROOT, 'test/imports.test.ts'), 'utf8')
    const rows = /^const ROOMS = \[([^]*?)\n\] as const/m.exec(code)?.[1] ?? ''
    const rooms = [...rows.matchAll(/'(\w+)'/g)].map(([, room]) => room)
    expect(rooms.length).toBeGreaterThan(10)
    expect(mapped().filter((folder) => rooms.includes(folder))).toEqual(rooms)
  })

  it('names files that exist', () => {
    const named = [...text.matchAll(/`([\w.-]+(?:\/[\w.-]+)+\/?|\w+\.ts)`/g)].map(([, path = '']) => path)
    expect(named.length).toBeGreaterThan(40)
    const missing = named.filter((path) => !isThere(path) && !NOT_FILES.includes(path))
    expect(missing).toEqual([])
  })
})
