import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

// A function of the kernel that is modelled bears the name it has there, in camel case, and its comment begins with
// that name and (): whoever knows the one finds the other. A function that upstream does not have says what it is a
// part of. Leading underscores are dropped, unless the function without them is modelled as well, and a method need not
// repeat the name of its class (rcu_segcblist_enqueue(): RcuSegcblist.enqueue).

const KERNEL_ROOMS = ['sync', 'arch', 'mm', 'isa'] as const
const SRC = fileURLToPath(new URL('../../src', import.meta.url))

/** Functions with another name than that of their comment. The list only shrinks. */
const EXCEPTIONS: readonly string[] = [
  // The entry of a handler or a callback has the name that an interface of the simulator gives it.
  'Rcu.ipi',
  'RcuExpedited.ipi',
  'BarrierCallback.rcu',
]

interface KernelFunction {
  /** `Class.method`, or the function's own name. */
  readonly place: string
  readonly name: string
  /** Its comment in one line. */
  readonly comment: string
}

const functions = KERNEL_ROOMS.flatMap((room) => sourcesOf(join(SRC, room))).flatMap(functionsOf)
const claims = functions.flatMap((f) => {
  const upstream = /^(\w+)\(\)/.exec(f.comment)?.[1]
  return upstream === undefined ? [] : [{ ...f, upstream }]
})
const parts = functions.filter((f) => f.comment.startsWith('Part of '))
const claimed = new Set(claims.map((f) => f.upstream))

describe('functions of the kernel', () => {
  it('are found, and most of them are upstream functions or parts of one', () => {
    expect(claims.length).toBeGreaterThan(280)
    expect(parts.length).toBeGreaterThan(120)
  })

  it('bear the name of the function that their comment begins with', () => {
    expect(misnamed().filter((place) => !EXCEPTIONS.includes(place))).toEqual([])
  })

  it('need each exception that is made for them', () => {
    expect(EXCEPTIONS.filter((place) => !misnamed().includes(place))).toEqual([])
  })

  it('say which function they are a part of, and bear the name of no other', () => {
    expect(parts.filter((f) => !/^Part of \w+_\w+\(\)/.test(f.comment)).map((f) => f.place)).toEqual([])
    const taken = new Set(claims.map((f) => f.name))
    expect(parts.filter((f) => taken.has(f.name)).map((f) => f.place)).toEqual([])
  })

  it('can be overridden: none is private', () => {
    expect(functions.filter((f) => f.name.startsWith('#')).map((f) => f.place)).toEqual([])
  })
})

function misnamed(): string[] {
  const named = (f: (typeof claims)[number]): boolean => {
    const owner = f.place.slice(0, -f.name.length - 1)
    const wanted = nameOf(f.upstream)
    return wanted === f.name || wanted === lowerFirst(owner) + upperFirst(f.name)
  }
  return claims.filter((f) => !named(f)).map((f) => f.place)
}

const lowerFirst = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1)
const upperFirst = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1)

/** Camel case for __tlb_remove_table, or tlb_remove_table, or PAGE_ALIGN. */
function nameOf(upstream: string): string {
  const word = upstream === upstream.toUpperCase() ? upstream.toLowerCase() : upstream
  const [, underscores = '', rest = ''] = /^(_*)(.*)$/.exec(word) ?? []
  const camel = rest.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  return claimed.has(rest) ? underscores + camel : camel
}

function sourcesOf(folder: string): string[] {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return paths.filter((path) => path.endsWith('.ts')).map((path) => join(folder, path))
}

function functionsOf(file: string): KernelFunction[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
  const found: KernelFunction[] = []
  const visit = (node: ts.Node, owner: string): void => {
    if (ts.isMethodDeclaration(node) || ts.isAccessor(node) || (ts.isFunctionDeclaration(node) && node.name)) {
      const name = (node.name as ts.Node).getText()
      found.push({ place: owner + name, name, comment: commentOf(node) })
    }
    const inner = ts.isClassLike(node) ? `${node.name?.text ?? 'class'}.` : owner
    ts.forEachChild(node, (child) => visit(child, inner))
  }
  visit(source, '')
  return found
}

function commentOf(node: ts.Node): string {
  const comments = ts.getJSDocCommentsAndTags(node).map((comment) => comment.getText())
  const text = comments.at(-1) ?? ''
  return text
    .replace(/^\/\*\*|\*\/$|^\s*\*/gm, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}
