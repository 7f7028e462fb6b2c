import { describe, expect, it } from 'vitest'
import { pmdLeaf, pteDirty, pteNone, pteWrite, pteYoung } from '../../dist/src/isa/x86_64/pte.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { pokeF64 } from '../../dist/src/machine/image/image.js'
import { fileByte } from '../../dist/src/mm/file.js'
import { FOLL_PIN, FOLL_WRITE } from '../../dist/src/mm/gupFast.js'
import * as madv from '../../dist/src/mm/madvise.js'
import { MAP_FIXED, MAP_LOCKED, MAP_POPULATE, MAP_SHARED } from '../../dist/src/mm/mmap.js'
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../../dist/src/mm/mremap.js'
import { EFAULT, EINVAL, ENOMEM, MM } from '../../dist/src/mm/mmStruct.js'
import { GEOMETRIES, Process, RO, RW } from './process.js'

const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED

/** The word that a page of file number `index` (from 0) starts with. */
const fileWord = (index: number, page: number): number => (fileByte(index + 1, page) * 0x0101_0101) & 0x7fff_ffff

describe.each(GEOMETRIES)('mprotect(), %s', (_, config) => {
  it('stops a writer that has a writable translation', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(0, 3)
    p.mprotect(0, 1, RO)
    expect(p.write(0, 4)).toBe('SIGSEGV')
    expect(p.read(0)).toBe(3)
    p.mprotect(0, 1, 0)
    expect(p.read(0)).toBe('SIGSEGV')
  })

  it('makes an exclusive anonymous page writable at once, and no other', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(0)
    p.read(1)
    p.mprotect(0, 2, RO)
    p.mprotect(0, 2, RW)
    expect([pteWrite(p.entry(0)), pteWrite(p.entry(1))]).toEqual([true, false])
  })

  it('does not give a page that a child shares back to be written', () => {
    const p = new Process(config)
    p.mmap(0, 1)
    p.write(0, 5)
    const child = p.fork()
    p.mprotect(0, 1, RO)
    p.mprotect(0, 1, RW)
    expect(pteWrite(p.entry(0))).toBe(false)
    p.write(0, 6)
    p.become(child)
    expect(p.read(0)).toBe(5)
  })

  it('changes what comes before a hole and then says ENOMEM', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.mmap(4, 2)
    expect(p.mprotect(1, 4, RO)).toBe(-ENOMEM)
    expect(p.maps()).toEqual(['0+1 rw-p', '1+1 r--p', '4+2 rw-p'])
    expect(p.mprotect(0.5, 1, RO)).toBe(-EINVAL)
    expect(p.mprotect(2, 1, RO)).toBe(-ENOMEM)
  })

  it('splits a huge page that it covers in part, and keeps one that it covers whole', () => {
    const p = new Process(config, { thp: 'always' })
    const huge = p.k.geo.hpagePmdNr
    p.mmap(0, 2 * huge)
    p.write(0, 1)
    p.write(huge, 2)
    expect([pmdLeaf(p.entry(0)), pmdLeaf(p.entry(huge))]).toEqual([true, true])
    p.mprotect(0, huge + 1, RO)
    expect([pmdLeaf(p.entry(0)), pmdLeaf(p.entry(huge))]).toEqual([true, false])
    expect([p.read(0), p.read(huge), p.write(huge, 9), p.write(huge + 1, 9)]).toEqual([1, 2, 'SIGSEGV', 'ok'])
  })
})

describe.each(GEOMETRIES)('madvise(), %s', (_, config) => {
  it('discards with DONTNEED, up to the end and over holes, which it reports', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.mmap(4, 2)
    for (const page of [1, 4, 5]) p.write(page, 7)
    expect(p.madvise(1, 4, madv.MADV_DONTNEED)).toBe(-ENOMEM)
    expect([p.read(1), p.read(4), p.read(5)]).toEqual([0, 0, 7])
    expect(p.counter('rssAnon')).toBe(1)
  })

  it('refuses to discard locked memory', () => {
    const p = new Process(config)
    p.mmap(0, 2, RW, MAP_FIXED | MAP_LOCKED)
    expect(p.counter('rssAnon')).toBe(2)
    expect(p.madvise(0, 1, madv.MADV_DONTNEED)).toBe(-EINVAL)
    expect(p.madvise(0, 1, madv.MADV_DONTNEED_LOCKED)).toBe(0)
    expect(p.madvise(0, 1, 999)).toBe(-EINVAL)
  })

  it('leaves the data of a freed page, its entry clean and old until the next write', () => {
    const p = new Process(config)
    p.mmap(0, 1)
    p.write(0, 8)
    p.madvise(0, 1, madv.MADV_FREE)
    expect([pteDirty(p.entry(0)), pteYoung(p.entry(0))]).toEqual([false, false])
    expect(p.read(0)).toBe(8)
    p.write(0, 9)
    expect(pteDirty(p.entry(0))).toBe(true)
  })

  it('populates for reading and for writing, where that is allowed', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.mmap(2, 2, RO)
    expect(p.madvise(0, 2, madv.MADV_POPULATE_WRITE)).toBe(0)
    expect(p.madvise(2, 2, madv.MADV_POPULATE_READ)).toBe(0)
    expect([p.counter('rssAnon'), p.frameOf(2)]).toEqual([2, p.k.pages.zeroPfn])
    expect(p.madvise(0, 4, madv.MADV_POPULATE_WRITE)).toBe(-EINVAL)
    expect(p.madvise(3, 4, madv.MADV_POPULATE_READ)).toBe(-ENOMEM)
  })
})

describe.each(GEOMETRIES)('mremap(), %s', (_, config) => {
  it('moves pages without copying them, and leaves nothing behind', () => {
    const p = new Process(config)
    p.mmap(0, 4)
    p.write(1, 7)
    const frame = p.frameOf(1)
    expect(p.mremap(0, 4, 4, MOVE, 9)).toBe(9)
    expect([p.read(10), p.frameOf(10), p.read(1)]).toEqual([7, frame, 'SIGSEGV'])
    expect([p.maps(), p.counter('rssAnon')]).toEqual([['9+4 rw-p'], 1])
  })

  it('moves a table as a whole where both addresses begin one', () => {
    const p = new Process(config)
    const span = p.k.geo.hpagePmdNr
    p.mmap(0, span)
    p.write(1, 7)
    const tables = p.freeFrames()
    expect(p.mremap(0, span, span, MOVE, 3 * span)).toBe(3 * span)
    expect([p.read(3 * span + 1), p.read(1), p.counter('nrPtes')]).toEqual([7, 'SIGSEGV', 1])
    expect(p.freeFrames()).toBe(tables)
  })

  it('moves a huge page as one entry if it is aligned, else page by page', () => {
    const p = new Process(config, { thp: 'always' })
    const span = p.k.geo.hpagePmdNr
    p.mmap(0, span)
    p.write(2, 7)
    const frame = p.frameOf(2)
    p.mremap(0, span, span, MOVE, 2 * span)
    expect([pmdLeaf(p.entry(2 * span)), p.frameOf(2 * span + 2)]).toEqual([true, frame])
    p.mremap(2 * span, span, span, MOVE, 4 * span + 1)
    expect([pmdLeaf(p.entry(4 * span + 1)), p.frameOf(4 * span + 3)]).toEqual([false, frame])
    expect(p.read(4 * span + 3)).toBe(7)
  })

  it('grows in place into free room, and moves when there is none', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(1, 4)
    expect(p.mremap(0, 2, 4, 0)).toBe(0)
    expect(p.maps()).toEqual(['0+4 rw-p'])
    p.mmap(4, 1, RO)
    expect(p.mremap(0, 4, 6, 0)).toBe(-ENOMEM)
    const to = p.mremap(0, 4, 6, MREMAP_MAYMOVE)
    expect(p.read(to + 1)).toBe(4)
    expect(p.maps()).toEqual(['4+1 r--p', `${to}+6 rw-p`])
  })

  it('cuts the end off when it shrinks, moved or not', () => {
    const p = new Process(config)
    p.mmap(0, 8)
    p.write(0, 1)
    p.write(4, 2)
    expect(p.mremap(0, 4, 2, 0)).toBe(0)
    expect(p.maps()).toEqual(['0+2 rw-p', '4+4 rw-p'])
    expect(p.mremap(4, 4, 1, MOVE, 20)).toBe(20)
    expect(p.read(20)).toBe(2)
    expect(p.maps()).toEqual(['0+2 rw-p', '20+1 rw-p'])
  })

  it('leaves empty memory at the old place with DONTUNMAP', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(0, 6)
    expect(p.mremap(0, 2, 2, MOVE | MREMAP_DONTUNMAP, 8)).toBe(8)
    expect([p.read(0), p.read(8)]).toEqual([0, 6])
    expect(p.maps()).toEqual(['0+2 rw-p', '8+2 rw-p'])
  })

  //   AA..BB  →  at the new place AA..BB
  it('moves several mappings and keeps the holes between them', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.mmap(4, 2, RO)
    p.write(1, 3)
    expect(p.mremap(0, 6, 6, MOVE, 12)).toBe(12)
    expect(p.maps()).toEqual(['12+2 rw-p', '16+2 r--p'])
    expect(p.read(13)).toBe(3)
  })

  it('keeps the page offset of memory with pages, so that a move back joins what it left', () => {
    const p = new Process(config)
    p.mmap(0, 6)
    p.write(3, 5)
    p.mremap(2, 2, 2, MOVE, 20)
    expect(p.maps()).toEqual(['0+2 rw-p', '4+2 rw-p', '20+2 rw-p'])
    p.mremap(20, 2, 2, MOVE, 2)
    expect(p.maps()).toEqual(['0+6 rw-p'])
    expect(p.read(3)).toBe(5)
  })

  it('refuses what it cannot do before it touches the target', () => {
    const p = new Process(config)
    p.mmap(0, 4)
    p.mmap(8, 2, RO)
    expect(p.mremap(0, 2, 2, MREMAP_FIXED, 8)).toBe(-EINVAL)
    expect(p.mremap(0, 4, 4, MOVE, 2)).toBe(-EINVAL)
    expect(p.mremap(0, 4, 0, MREMAP_MAYMOVE)).toBe(-EINVAL)
    expect(p.mremap(2, 4, 5, MOVE, 8)).toBe(-EFAULT)
    expect(p.mremap(20, 1, 1, MOVE, 8)).toBe(-EFAULT)
    expect(p.mremap(0, 1, 2, MOVE | MREMAP_DONTUNMAP, 8)).toBe(-EINVAL)
    expect(p.maps()).toEqual(['0+4 rw-p', '8+2 r--p'])
  })
})

describe.each(GEOMETRIES)('fork, %s', (_, config) => {
  it('shows the child what the parent had, and neither what the other writes', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(0, 3)
    const [parent, child] = [p.mm, p.fork()]
    p.write(0, 4)
    p.become(child)
    expect(p.read(0)).toBe(3)
    p.write(0, 5)
    p.become(parent)
    expect(p.read(0)).toBe(4)
  })

  it('gives the page back to the parent when the child has gone', () => {
    const p = new Process(config)
    p.mmap(0, 1)
    p.write(0, 3)
    const frame = p.frameOf(0)
    const child = p.fork()
    expect(pteWrite(p.entry(0))).toBe(false)
    p.exit(child)
    p.write(0, 4)
    expect(p.frameOf(0)).toBe(frame)
  })

  it('shares huge pages, and each writer gets its own', () => {
    const p = new Process(config, { thp: 'always' })
    p.mmap(0, p.k.geo.hpagePmdNr)
    p.write(1, 3)
    const [parent, child] = [p.mm, p.fork()]
    expect([p.frameOf(1, child), pmdLeaf(p.entry(1, child))]).toEqual([p.frameOf(1), true])
    p.write(1, 4)
    p.become(child)
    expect([p.read(1), p.read(2)]).toEqual([3, 0])
    p.become(parent)
    expect(p.read(1)).toBe(4)
  })

  it.each([
    ['base', 'never'],
    ['huge', 'always'],
  ] as const)('leaves a pinned %s page to the parent and copies it for the child', (_kind, thp) => {
    const p = new Process(config, { thp })
    p.mmap(0, p.k.geo.hpagePmdNr)
    p.write(1, 3)
    const pages = new Int32Array(1)
    expect(drive(p.k.gupFast.getUserPagesFast(p.at(1), 1, FOLL_PIN | FOLL_WRITE, pages))).toBe(1)
    const frame = p.frameOf(1)
    const child = p.fork()
    expect([p.frameOf(1), p.frameOf(1, child) !== frame]).toEqual([frame, true])
    p.write(1, 4)
    expect(p.frameOf(1)).toBe(frame)
    p.become(child)
    expect(p.read(1)).toBe(3)
    drive(p.k.gup.release(frame, FOLL_PIN))
  })

  it('does not copy what DONTFORK names, and wipes what WIPEONFORK names', () => {
    const p = new Process(config)
    p.mmap(0, 3)
    for (const page of [0, 1, 2]) p.write(page, 7)
    p.madvise(0, 1, madv.MADV_DONTFORK)
    p.madvise(1, 1, madv.MADV_WIPEONFORK)
    const child = p.fork()
    expect(p.maps(child)).toEqual(['1+1 rw-p', '2+1 rw-p'])
    p.become(child)
    expect([p.read(0), p.read(1), p.read(2)]).toEqual(['SIGSEGV', 0, 7])
  })

  it('gives everything back when both have exited', () => {
    const p = new Process(config, { thp: 'always' })
    const frames = p.freeFrames()
    p.mmap(0, 3 * p.k.geo.hpagePmdNr + 1)
    for (const page of [0, p.k.geo.hpagePmdNr, 3 * p.k.geo.hpagePmdNr]) p.write(page)
    p.munmap(1, 1)
    const child = p.fork()
    p.write(0, 2)
    p.exit(child)
    p.munmap(0, 3 * p.k.geo.hpagePmdNr + 1)
    expect(p.freeFrames()).toBe(frames)
    expect([p.vmasInUse(), p.anonVmasInUse()]).toEqual([0, 0])
  })
})

describe.each(GEOMETRIES)('Files and shared memory, %s', (_, config) => {
  it('shows a private mapping the file until it writes', () => {
    const p = new Process(config, { files: [4] })
    p.mmap(0, 2, RW, MAP_FIXED, 0, 1)
    p.mmap(8, 4, RO, MAP_FIXED | MAP_SHARED, 0)
    expect([p.read(0), p.read(9)]).toEqual([fileWord(0, 1), fileWord(0, 1)])
    expect(p.frameOf(0)).toBe(p.frameOf(9))
    p.write(0, 5)
    expect([p.read(0), p.read(9), p.counter('rssAnon')]).toEqual([5, fileWord(0, 1), 1])
  })

  it('shows a shared mapping what everybody writes, a child too', () => {
    const p = new Process(config, { files: [4] })
    p.mmap(0, 4, RW, MAP_FIXED | MAP_SHARED, 0)
    p.mmap(8, 2, RW, MAP_FIXED | MAP_SHARED)
    const child = p.fork()
    p.write(2, 6)
    p.write(8, 7)
    p.become(child)
    expect([p.read(2), p.read(8), p.read(9)]).toEqual([6, 7, 0])
  })

  it('raises SIGBUS behind the end of the file', () => {
    const p = new Process(config, { files: [2] })
    p.mmap(0, 4, RW, MAP_FIXED | MAP_SHARED, 0)
    expect([p.write(1), p.write(2), p.read(3)]).toEqual(['ok', 'SIGBUS', 'SIGBUS'])
  })

  it('frees shared memory with its last mapping', () => {
    const p = new Process(config)
    const frames = p.freeFrames()
    for (let round = 0; round < 40; round++) {
      p.mmap(0, 3, RW, MAP_FIXED | MAP_SHARED | MAP_POPULATE)
      p.munmap(1, 1)
      p.munmap(0, 3)
    }
    expect(p.freeFrames()).toBe(frames)
  })
})

describe.each(GEOMETRIES)('brk(), %s', (_, config) => {
  const start = (p: Process): void => {
    for (const field of [MM.at.brkStart, MM.at.brk]) pokeF64(p.mm + field, p.at(0))
  }
  const brk = (p: Process, page: number): number =>
    (drive(p.k.brk.sysBrk(p.mm, p.at(page))) - p.base) / p.k.geo.pageSize

  it('grows and shrinks the heap and says where it ends', () => {
    const p = new Process(config)
    start(p)
    expect([brk(p, -1), brk(p, 2.5), brk(p, 4)]).toEqual([0, 2.5, 4])
    p.write(3, 9)
    expect(p.maps()).toEqual(['0+4 rw-p'])
    expect([brk(p, 1), brk(p, 5), p.read(3)]).toEqual([1, 5, 0])
  })

  it('does not grow into another mapping or the page before it', () => {
    const p = new Process(config)
    start(p)
    p.mmap(6, 1, RO)
    expect([brk(p, 5), brk(p, 6), brk(p, 7)]).toEqual([5, 5, 5])
  })
})

describe.each(GEOMETRIES)('Locked memory, %s', (_, config) => {
  it('is there before it is touched, also when it grows or becomes writable', () => {
    const p = new Process(config)
    p.mmap(0, 4)
    expect(drive(p.k.mmap.mlock.doMlock(p.mm, p.at(1), 2 * p.k.geo.pageSize, false))).toBe(0)
    expect([p.counter('rssAnon'), p.maps()]).toEqual([2, ['0+1 rw-p', '1+2 rw-p', '3+1 rw-p']])
    p.mmap(8, 2, RO, MAP_FIXED | MAP_LOCKED)
    expect([p.counter('rssAnon'), p.frameOf(8)]).toEqual([2, p.k.pages.zeroPfn])
    p.mprotect(8, 2, RW)
    p.mremap(8, 2, 3, 0)
    expect([p.counter('rssAnon'), pteNone(p.entry(10))]).toEqual([5, false])
    expect(drive(p.k.mmap.mlock.doMunlock(p.mm, p.at(0), 4 * p.k.geo.pageSize))).toBe(0)
    expect(p.maps()).toEqual(['0+4 rw-p', '8+3 rw-p'])
  })

  it('stops at a hole, and populates nothing then', () => {
    const p = new Process(config)
    p.mmap(0, 1)
    expect(drive(p.k.mmap.mlock.doMlock(p.mm, p.at(0), 2 * p.k.geo.pageSize, false))).toBe(-ENOMEM)
    expect(p.counter('rssAnon')).toBe(0)
  })
})
