/**
 * peek and poke for kernel code: accesses that are no schedule points, because the guard of the field (guard.ts) keeps
 * every other CPU away from it meanwhile.
 *
 * The bindings are the raw functions of image.ts. In a machine with oracles they are checked twins: each tells the
 * checker of the access first, which ends the run if the guard is not there. The bindings are switched when a machine
 * is built, as those of image.ts are; V8 inlines calls through them.
 */
import * as raw from './image.js'

/** Judges the accesses of the CPU that runs; check/guards.ts is the one there is. */
export interface AccessChecker {
  reads(addr: number): void
  writes(addr: number): void
  /** `bytes` bytes from `addr` are about to be overwritten. */
  fills(addr: number, bytes: number): void
}

export let peek32: typeof raw.peek32 = raw.peek32
export let peek64: typeof raw.peek64 = raw.peek64
export let peekF64: typeof raw.peekF64 = raw.peekF64
export let poke32: typeof raw.poke32 = raw.poke32
export let poke64: typeof raw.poke64 = raw.poke64
export let pokeF64: typeof raw.pokeF64 = raw.pokeF64
export let fillBytes: typeof raw.fillBytes = raw.fillBytes
export let copyBytes: typeof raw.copyBytes = raw.copyBytes

/** From now on `checker` judges the accesses of this thread's kernel code; null: nobody does. */
export function checkAccesses(checker: AccessChecker | null): void {
  if (checker === null) useRaw()
  else useChecked(checker)
}

function useRaw(): void {
  ;({ peek32, peek64, peekF64, poke32, poke64, pokeF64, fillBytes, copyBytes } = raw)
}

function useChecked(newChecker: AccessChecker): void {
  checker = newChecker
  ;({ peek32, peek64, peekF64, poke32, poke64, pokeF64, fillBytes, copyBytes } = CHECKED)
}

let checker: AccessChecker

/** The twins are the same functions for every machine, so that a call site meets two at most. */
const CHECKED: Pick<
  typeof raw,
  'peek32' | 'peek64' | 'peekF64' | 'poke32' | 'poke64' | 'pokeF64' | 'fillBytes' | 'copyBytes'
> = {
  peek32: (addr) => {
    checker.reads(addr)
    return raw.peek32(addr)
  },
  peek64: (addr) => {
    checker.reads(addr)
    return raw.peek64(addr)
  },
  peekF64: (addr) => {
    checker.reads(addr)
    return raw.peekF64(addr)
  },
  poke32: (addr, value) => {
    checker.writes(addr)
    raw.poke32(addr, value)
  },
  poke64: (addr, value) => {
    checker.writes(addr)
    raw.poke64(addr, value)
  },
  pokeF64: (addr, value) => {
    checker.writes(addr)
    raw.pokeF64(addr, value)
  },
  fillBytes: (addr, value, bytes) => {
    checker.fills(addr, bytes)
    raw.fillBytes(addr, value, bytes)
  },
  copyBytes: (to, from, bytes) => {
    checker.fills(to, bytes)
    raw.copyBytes(to, from, bytes)
  },
}
