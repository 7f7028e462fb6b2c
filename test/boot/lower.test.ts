import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, type AnyNode } from 'acorn'
import ts from 'typescript'
import { beforeAll, describe, expect, it } from 'vitest'
import { IS_QUICK } from '../budget.js'
import { UsageError } from '../../dist/src/base/errors.js'
import { Prng } from '../../dist/src/base/prng.js'
import {
  ACCESSES,
  LOWERED_MARK,
  accessKind,
  lowerControlled,
  lowerForLoad,
  lowerFree,
} from '../../dist/src/boot/lower/lower.js'

const MODULE = { ecmaVersion: 'latest', sourceType: 'module' } as const
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const free = (code: string): string => lowerFree(code, 'k.js')
const controlled = (code: string): string => lowerControlled(code, 'k.js')

/** A kernel function of one statement, lowered; only the statement is returned. */
function statement(form: 'free' | 'controlled', code: string): string {
  const lowered = lowerForLoad(`function* f() {${code}}`, 'k.js', form)
  return lowered.replace(/^function\*? f\(\) \{/, '').replace(/\}$/, '')
}

describe('the list of accesses', () => {
  const source = readFileSync(join(ROOT, 'src/machine/cpu/cpu.ts'), 'utf8')
  const leaf = /^ {2}\*(\w+)\([^)]*\): Step<[^{]*> \{\n(?:\s*\/\/.*\n)*\s*yield\* this\.point\(([\w.]+)/gm
  const leaves = [...source.matchAll(leaf)].map(([, name, kind]) => ({ name, kind }))

  it('names exactly the methods of Cpu that begin with their point', () => {
    expect(leaves.map((l) => l.name).sort()).toEqual([...ACCESSES].sort())
  })

  it('has the kind that each of them passes to its point', () => {
    for (const { name, kind } of leaves) expect(kind).toBe(`Access.${name}`)
  })

  it('numbers accesses from 1 and refuses other names', () => {
    expect(ACCESSES.map(accessKind)).toEqual(ACCESSES.map((_, index) => index + 1))
    expect(() => accessKind('readTwice64')).toThrow('no access has this name')
  })
})

describe('the free form', () => {
  it('makes plain functions of declarations, expressions and methods', () => {
    expect(free('function* f(a) { return a }')).toBe('function f(a) { return a }')
    expect(free('function*f(a) { return a }')).toBe('function f(a) { return a }')
    expect(free('const f = function* () {}')).toBe('const f = function () {}')
    expect(free('class A { *m() {} static *s() {} static*t() {} *#p() {} *"q r"() {} *[k]() {} }')).toBe(
      'class A { m() {} static s() {} static t() {} #p() {} "q r"() {} [k]() {} }',
    )
    expect(free('const o = { *m() {}, n: function* () {} }')).toBe('const o = { m() {}, n: function () {} }')
  })

  it('finds the star behind comments that contain one', () => {
    expect(free('function /* * */ * /* * */ f() {}')).toBe('function /* * */  /* * */ f() {}')
    expect(free('class A { /** doc */ *m(a = 2 * 3) { return a * 2 } }')).toBe(
      'class A { /** doc */ m(a = 2 * 3) { return a * 2 } }',
    )
  })

  it('leaves async functions and async generators alone', () => {
    const code = 'async function* f() { yield 1; yield* g(); for await (const x of h()) await x }'
    expect(free(code)).toBe(code)
    expect(controlled(code)).toBe(code)
  })

  it('removes yield* and keeps the meaning of what stood around it', () => {
    expect(statement('free', 'x = yield* g(a);')).toBe('x = g(a);')
    expect(statement('free', 'x = (yield* g(a)) & mask;')).toBe('x = (g(a)) & mask;')
    expect(statement('free', 'x = yield* a ? g() : h();')).toBe('x = (a ? g() : h());')
    expect(statement('free', 'x = yield* (a, g());')).toBe('x = ((a, g()));')
    expect(statement('free', 'return !(yield* g(yield* h()));')).toBe('return !(g(h()));')
    expect(statement('free', 'yield* yield* g();')).toBe('(g());')
    expect(statement('free', 'yield* function* () {}();')).toBe('(function () {}());')
  })

  it('makes nothing of a bare yield', () => {
    expect(statement('free', 'if (a) yield; else b();')).toBe('if (a) void 0; else b();')
    expect(statement('free', 'x = yield;')).toBe('x = void 0;')
  })

  it('drops points and notes of a store, as statements only', () => {
    expect(statement('free', 'yield* this.point(1, a); this.wrote(a); return 1;')).toBe('; ; return 1;')
    expect(statement('free', 'if (a) this.wrote(a); else b();')).toBe('if (a) ; else b();')
    expect(statement('free', 'x = this.wrote(a); other.wrote(a); yield* cpu.point(1, a);')).toBe(
      'x = this.wrote(a); other.wrote(a); cpu.point(1, a);',
    )
    expect(free('class A { m(a) { this.wrote(a); } }')).toBe('class A { m(a) { ; } }')
  })

  it('keeps statements apart where the source has no semicolons', () => {
    const lines = [
      'a()\nyield* (b, c)()',
      'a()\nyield* this.point(1)\n;[1].map(b)',
      'yield\n;(a || b)()',
      'a = yield\nb()',
      'if (a) yield\nelse b()',
      'return yield* \n g()',
      'switch (a) { case 1:\n yield* (b)()\n yield* (c)() }',
      'if (a)\n yield* (b)()\nelse\n yield* (c)()',
      'do yield* (b)()\nwhile (a)',
      'yield\n`x`',
    ]
    for (const line of lines) {
      const code = `function* f() { ${line}\n}`
      expect(shape(free(code)), line).toEqual(shape(code))
    }
  })
})

describe('the controlled form', () => {
  const inlined = (code: string): string => statement('controlled', code)

  it('asks the point of an access at the call site', () => {
    expect(inlined('x = yield* cpu.readOnce64(p);')).toBe('x = (cpu.at(2, p) && (yield), cpu.readOnce64(p));')
    expect(inlined('yield* this.k.cpu.writeOnce32(p + 8, -1);')).toBe(
      '(this.k.cpu.at(3, (p + 8)) && (yield), this.k.cpu.writeOnce32((p + 8), (- 1)));',
    )
    const smpMb = accessKind('smpMb')
    expect(inlined('yield* cpu.smpMb();')).toBe(`(cpu.at(${smpMb}, 0) && (yield), cpu.smpMb());`)
  })

  it('keeps its value in one place in any expression', () => {
    expect(inlined('x = (yield* cpu.readOnce32(p)) & 1;')).toBe(
      'x = ((cpu.at(1, p) && (yield), cpu.readOnce32(p))) & 1;',
    )
    expect(inlined('return yield* cpu.readOnce32(p);')).toBe('return (cpu.at(1, p) && (yield), cpu.readOnce32(p));')
    expect(inlined('f(...yield* cpu.readOnce32(p), 1);')).toBe('f(...(cpu.at(1, p) && (yield), cpu.readOnce32(p)), 1);')
  })

  it('evaluates what is not simple once, in order, before the point', () => {
    expect(inlined('yield* cpu.writeOnce32(p, f(q));')).toBe(
      ' let $1;($1 = (f(q)), cpu.at(3, p) && (yield), cpu.writeOnce32(p, $1));',
    )
    expect(inlined('yield* cpus[i].writeOnce32(p++, 1);')).toBe(
      ' let $1, $2;($1 = (cpus[i]), $2 = (p++), $1.at(3, $2) && (yield), $1.writeOnce32($2, 1));',
    )
  })

  it('evaluates a simple argument early when a later one could change it', () => {
    expect(inlined('yield* cpu.writeOnce32(this.p, f());')).toMatch(
      /^ let \$1, \$2;\(\$1 = \(this\.p\), \$2 = \(f\(\)\), /,
    )
    expect(inlined('yield* cpu.writeOnce32(p, p += 8);')).toMatch(/^ let \$1, \$2;\(\$1 = \(p\), \$2 = \(p \+= 8\), /)
  })

  it('nests, with temporaries that do not meet', () => {
    expect(inlined('yield* cpu.writeOnce32(a, yield* cpu.readOnce32(f(b)));')).toBe(
      ' let $1, $2;($1 = (($2 = (f(b)), cpu.at(1, $2) && (yield), cpu.readOnce32($2))), ' +
        'cpu.at(3, a) && (yield), cpu.writeOnce32(a, $1));',
    )
  })

  it('gives each generator temporaries of its own, and avoids names in use', () => {
    const code = 'function* f() { yield* c.readOnce32(g()); return function* () { yield* c.readOnce32(h(), i()) } }'
    expect(controlled(code).match(/let [^;]*;/g)).toEqual(['let $1;', 'let $1, $2;'])
    expect(inlined('let $1; yield* cpu.readOnce32(f());')).toMatch(/^ let \$\$1;let \$1; \(\$\$1 = /)
  })

  it('makes plain methods of the accesses and leaves point() and everything else alone', () => {
    const code = `class Cpu {
      *point(kind, addr) { if (this.at(kind, addr)) yield }
      *readOnce32(addr) {
        yield* this.point(1, addr)
        return load(addr)
      }
      *wait(addr) { yield* this.point(9, addr); yield* this.sleep(); yield }
    }`
    expect(controlled(code)).toBe(
      code.replace('*readOnce32', 'readOnce32').replace('yield* this.point(1, addr)\n', ';\n'),
    )
  })

  it('is its own controlled form', () => {
    const code = 'function* f() { yield* c.writeOnce64(g(), yield* c.readOnce64(p)); yield; yield* h() }'
    expect(controlled(controlled(code))).toBe(controlled(code))
  })

  it('keeps statements apart where the source has no semicolons', () => {
    const code = 'function* f() {\n const x = a()\n yield* cpu.smpMb()\n yield* cpu.readOnce32(g())\n}'
    const [, first, second, third] = controlled(code).split('\n')
    expect([first, second?.slice(0, 3), third?.slice(0, 3)]).toEqual([' const x = a()', ' ;(', ' ;('])
  })
})

describe('both forms', () => {
  it('return code without generators unchanged, whatever is in its comments and texts', () => {
    for (const code of ['', 'export const a = 1 * 2', '/* yield* x */ const s = "function* f() {}"', '#!/bin/sh\nf()'])
      for (const form of ['free', 'controlled'] as const) expect(lowerForLoad(code, 'k.js', form)).toBe(code)
  })

  it('keep every line where it is', () => {
    const code = `function* f(
      a,
    ) {
      yield* // why
        g(
          a,
        )
      yield* this.point(
        1,
      )
      const marker = yield* cpu.writeOnce32(
        a + // not last
          1,
        /* two
           lines */ (
          h()
        ), // c
      )
      end()
    }`
    for (const lowered of [free(code), controlled(code), free(code.replaceAll('\n', '\r\n'))]) {
      const lines = lowered.split(/\r?\n/)
      expect(lines.length).toBe(code.split('\n').length)
      expect(lines.findIndex((line) => line.includes('marker'))).toBe(10)
      expect(lines.findIndex((line) => line.includes('h()'))).toBe(15)
      expect(lines.findIndex((line) => line.includes('end()'))).toBe(18)
    }
  })

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['a yield with a value', 'function* f() {\n  yield 1\n}', /^k\.js:2: a schedule point carries no value/],
    ['code that does not parse', 'function* f() {\n  yield* g(\n}', /^k\.js:3: /],
    [
      'super of an access',
      'class A extends B {\n *m() {\n yield* super.readOnce64(p) } }',
      /^k\.js:3: super\.readOnce64/,
    ],
    [
      'an override of an access',
      'class A extends Cpu {\n *readOnce64(p) { yield* this.point(2, p); return 0n } }',
      /^k\.js:2: readOnce64\(\) overrides an access of Cpu/,
    ],
    ['another method with the name of an access', 'class A {\n *touch() {} }', /^k\.js:2: touch\(\) has the name/],
    [
      'an access that yields again',
      'class Cpu {\n *touch(p) {\n yield* this.point(33, p)\n yield* this.point(33, p) } }',
      /^k\.js:4: an access may yield at its point only/,
    ],
    ['an access behind a condition', 'function* f() {\n yield* a ? c.smpMb() : d() }', /^k\.js:2: an access is hidden/],
    ['an access behind ?.', 'function* f() {\n yield* c?.smpMb() }', /^k\.js:2: an access is hidden/],
    [
      'a returned access',
      'const o = {\n read(p) { return this.cpu.readOnce64(p) } }',
      /^k\.js:2: readOnce64\(\) is returned/,
    ],
    ['an iterator', 'class A {\n *[Symbol.iterator]() {} }', /^k\.js:2: an iterator cannot be lowered/],
  ]
  it.each(refused)('refuse %s, with file and line', (_, code, message) => {
    // The comment has the star without which a file is not even looked at.
    for (const lower of [free, controlled]) {
      expect(() => lower(`${code} /* */`)).toThrow(UsageError)
      expect(() => lower(`${code} /* */`)).toThrow(message)
    }
  })

  it('refuse spread arguments of an access, whose address they would hide', () => {
    expect(() => controlled('function* f() {\n yield* c.readOnce64(...a) }')).toThrow(
      /^k\.js:2: readOnce64\(\) takes no spread/,
    )
  })

  it('are told apart when a module that is already lowered is loaded', () => {
    const code = `function* f() { yield }\n${LOWERED_MARK}\n`
    expect(lowerForLoad(code, 'k.js', 'controlled')).toBe(code)
    expect(() => lowerForLoad(code, 'k.js', 'free')).toThrow(/^k\.js: already lowered/)
  })
})

describe('the kernel as it is written here', () => {
  // A quick run looks at every fourth source.
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .sort()
    .filter((_, index) => !IS_QUICK || index % 4 === 0)
  const emitted = sources.map((file) => {
    const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
    const source = readFileSync(join(ROOT, 'src', file), 'utf8')
    return { file, code: ts.transpileModule(source, { compilerOptions }).outputText }
  })

  it('has a free form that is the same program without its yields', () => {
    const kernel = emitted.filter(({ code }) => /\byield\b/.test(code))
    expect(kernel.length).toBeGreaterThan(1)
    for (const { file, code } of kernel) expect(shape(lowerFree(code, file)), file).toBe(shape(code))
  })

  it('has a controlled form that delegates to no access, line for line', () => {
    for (const { file, code } of emitted) {
      const lowered = lowerControlled(code, file)
      expect(lowered.split('\n').length, file).toBe(code.split('\n').length)
      expect(delegatedAccesses(parse(lowered, MODULE)), file).toEqual([])
    }
  })
})

/** Texts of the accesses below `node` that are the operand of a yield*. */
function delegatedAccesses(node: AnyNode): string[] {
  const below = Object.values(node)
    .flat()
    .filter((child): child is AnyNode => typeof child?.type === 'string')
  const found = below.flatMap(delegatedAccesses)
  if (node.type !== 'YieldExpression' || node.argument?.type !== 'CallExpression') return found
  const { callee } = node.argument
  if (callee.type !== 'MemberExpression' || callee.property.type !== 'Identifier') return found
  const { name } = callee.property
  return (ACCESSES as readonly string[]).includes(name) ? [...found, name] : found
}

/**
 * Random kernel functions, run in three ways. The raw generators are the meaning; the controlled form must make the
 * same accesses and points and suspend at the same places, the free form make the same accesses.
 */
describe('a random kernel function', () => {
  const COUNT = IS_QUICK ? 100 : 400
  let outcomes: readonly { code: string; raw: Outcome; controlled: Outcome; free: Outcome }[]
  beforeAll(() => {
    outcomes = Array.from({ length: COUNT }, (_, seed) => {
      const code = KERNEL_HEAD + new Composer(seed).body() + '\n  }\n}\n'
      const run = (text: string): Outcome => runKernel(text, seed)
      return { code, raw: run(code), controlled: run(controlled(code)), free: run(free(code)) }
    })
  })

  it('makes accesses, suspends and ends differently from the next one, or the comparison would mean little', () => {
    expect(new Set(outcomes.map(({ raw }) => raw.log.join())).size).toBeGreaterThan(0.975 * COUNT)
    expect(outcomes.filter(({ raw }) => raw.log.includes('suspended')).length).toBeGreaterThan(0.75 * COUNT)
    expect(outcomes.filter(({ code }) => /\$\d/.test(controlled(code))).length).toBeGreaterThan(0.75 * COUNT)
  })

  it('has the same result, accesses, points and suspensions in the controlled form', () => {
    for (const { code, raw, controlled } of outcomes) expect(controlled, code).toEqual(raw)
  })

  it('has the same result and accesses in the free form', () => {
    const visible = (log: readonly string[]): string[] => log.filter((entry) => !/^(at|suspended|wrote)/.test(entry))
    for (const { code, raw, free } of outcomes)
      expect({ result: free.result, log: free.log }, code).toEqual({ result: raw.result, log: visible(raw.log) })
  })

  it('is the same syntax in the free form', () => {
    for (const { code } of outcomes) expect(shape(free(code)), code).toBe(shape(code))
  })

  it('keeps its lines in both', () => {
    const lines = (code: string): number => code.split('\n').length
    for (const { code } of outcomes)
      expect([lines(free(code)), lines(controlled(code))]).toEqual([lines(code), lines(code)])
  })
})

// ---- the same program, without its yields -------------------------------------------------------------------------

/**
 * Syntax of a module as JSON without positions: yields, points and wrote() statements are taken away by other means.
 */
function shape(code: string): string {
  const strip = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(strip).filter((child) => child !== null)
    if (typeof node === 'bigint' || node instanceof RegExp) return String(node)
    if (typeof node !== 'object' || node === null) return node ?? undefined
    const syntax = node as AnyNode
    if (syntax.type === 'YieldExpression')
      return syntax.argument ? strip(syntax.argument) : strip({ ...VOID, start: 0, end: 0 })
    if (syntax.type === 'EmptyStatement' || isUnwanted(code.slice(syntax.start, syntax.end), syntax)) return null
    const entries = Object.entries(node).filter(([key]) => !['start', 'end', 'generator'].includes(key))
    return Object.fromEntries(entries.map(([key, value]) => [key, strip(value) ?? null]))
  }
  return JSON.stringify(strip(parse(code, MODULE)))
}

const VOID = {
  type: 'UnaryExpression',
  operator: 'void',
  prefix: true,
  argument: { type: 'Literal', value: 0, raw: '0', start: 0, end: 0 },
}

const isUnwanted = (text: string, node: AnyNode): boolean =>
  node.type === 'ExpressionStatement' && /^(yield\*\s*this\.point|this\.wrote)\(/.test(text)

// ---- random kernel functions --------------------------------------------------------------------------------------

const KERNEL_HEAD = `
class Cpu {
  constructor(log, decide) { this.log = log; this.decide = decide; this.words = new Int32Array(16) }
  at(kind, addr) { this.log.push('at ' + kind + ' ' + addr); return this.decide() }
  wrote(addr) { this.log.push('wrote ' + addr) }
  *point(kind, addr) { if (this.at(kind, addr)) yield }
  *readOnce32(addr) {
    yield* this.point(${accessKind('readOnce32')}, addr)
    this.log.push('read ' + addr)
    return this.words[addr & 15]
  }
  *writeOnce32(addr, value) {
    yield* this.point(${accessKind('writeOnce32')}, addr)
    this.log.push('write ' + addr + ' ' + value)
    this.words[addr & 15] = value
    this.wrote(addr)
  }
  *cmpxchg32(addr, old, value) {
    yield* this.point(${accessKind('cmpxchg32')}, addr)
    this.log.push('cmpxchg ' + [addr, old, value])
    const was = this.words[addr & 15]
    if (was === old) this.words[addr & 15] = value
    this.wrote(addr)
    return was
  }
  *smpMb() {
    yield* this.point(${accessKind('smpMb')}, 0)
    this.log.push('mb')
  }
}
class Kernel {
  #cpu
  constructor(cpu) { this.cpu = cpu; this.#cpu = cpu; this.cpus = [cpu, cpu]; this.s = { v: 1 } }
  note(x) { this.cpu.log.push('note ' + x); this.s.v = x + 1 | 0; return x }
  pick(x) { this.note(x); return this.cpu }
  *helper(x, y) {
    if (x > y) yield
    return (yield* this.cpu.readOnce32(x)) + y | 0
  }
  *main(a, b, c) {
    const cpu = this.cpu
    const fixed = 5
`

interface Outcome {
  readonly result: unknown
  readonly log: readonly string[]
}

/** Runs main() of `code` to its end; points suspend where a PRNG seeded with `seed` says so. */
function runKernel(code: string, seed: number): Outcome {
  const { Cpu, Kernel } = new Function(`'use strict';${code}\nreturn { Cpu, Kernel }`)()
  const prng = new Prng(seed)
  const log: string[] = []
  const cpu = new Cpu(log, () => prng.below(2) === 1)
  const step = new Kernel(cpu).main(1, 2, 3)
  if (typeof step?.next !== 'function') return { result: [step, ...cpu.words], log }
  for (;;) {
    const { done, value } = step.next()
    if (done) return { result: [value, ...cpu.words], log }
    log.push('suspended')
  }
}

/** Writes kernel functions in all the ways that are hard on a transformation of their text. */
class Composer {
  readonly #prng: Prng
  readonly #semicolon: string
  constructor(seed: number) {
    this.#prng = new Prng(seed)
    this.#semicolon = seed % 2 === 0 ? ';' : ''
  }

  body(): string {
    return `${this.#statements(3)}\n    return [a, b, c, this.s.v, ${this.#expression(2)}].join()`
  }

  #pick<T>(...options: readonly T[]): T {
    return options[this.#prng.below(options.length)] as T
  }

  #statements(depth: number): string {
    return Array.from({ length: 2 + this.#prng.below(3) }, () => '    ' + this.#statement(depth)).join('\n')
  }

  #statement(depth: number): string {
    const e = (): string => this.#expression(depth)
    const end = this.#semicolon
    const leaf = this.#pick(
      () => `${this.#pick('a', 'b', 'c', 'this.s.v')} = ${e()}${end}`,
      () => this.#delegate(depth) + end,
      () => this.#delegate(depth) + end,
      () => `yield${end}`,
      () => `this.note(${e()})${end}`,
    )
    if (depth === 0) return leaf()
    return this.#pick(
      leaf,
      leaf,
      () => `if (${e()} & 1) ${leaf()}\n    else ${leaf()}`,
      () => `for (let i = 0; i < 3; i++) {\n${this.#statements(depth - 1)}\n    }`,
      () => `switch (${e()} & 1) {\n    case 0:\n${this.#statements(depth - 1)}\n    default: ${leaf()}\n    }`,
    )()
  }

  #delegate(depth: number): string {
    const arg = (): string => this.#gap() + this.#pick(this.#expression(depth - 1), this.#simple()) + this.#gap()
    const cpu = this.#pick('cpu', 'cpu', 'this.cpu', 'this.#cpu', 'this.cpus[b & 1]', `this.pick(${this.#simple()})`)
    const call = this.#pick(
      () => `${cpu}.readOnce32(${arg()})`,
      () => `${cpu}.writeOnce32(${arg()},${arg()})`,
      () => `${cpu}.cmpxchg32(${arg()},${arg()},${arg()})`,
      () => `(${cpu}.readOnce32(${arg()}))`,
      () => `this.helper(${arg()},${arg()})`,
      () => `(a & 1 ? this.helper(${arg()}, 1) : this.helper(1, ${arg()}))`,
      () => `${cpu}.smpMb()`,
    )()
    return `yield*${this.#pick(' ', ' ', ' ', '', '\n')}${call}`
  }

  #expression(depth: number): string {
    if (depth <= 0) return this.#simple()
    const e = (): string => this.#expression(depth - 1)
    return this.#pick(
      () => this.#simple(),
      () => `((${this.#delegate(depth)}) | 0)`,
      () => `(${this.#delegate(depth)})`,
      () => `(${e()} + ${e()} | 0)`,
      () => `(${e()} ? ${e()} : ${e()})`,
      () => `(${e()} || ${e()})`,
      () => `this.note(${e()})`,
      () => `(${this.#pick('a', 'b')} = ${this.#delegate(depth)})`,
    )()
  }

  #simple(): string {
    return this.#pick('a', 'b', 'fixed', '3', '-c', 'this.s.v', 'this.s.v + 1', '(a++)', '(b += 2)', '(c, 4)', '~a & 7')
  }

  #gap(): string {
    return this.#pick('', '', '', '\n      ', ' /* , */ ', ' // )\n')
  }
}
