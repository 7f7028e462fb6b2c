import { describe, expect, it } from 'vitest'
import { peek32, peekF64 } from '../../dist/src/machine/image/image.js'
import { MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE } from '../../dist/src/mm/mmap.js'
import { MADV_DONTFORK, MADV_DOFORK } from '../../dist/src/mm/madvise.js'
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '../../dist/src/mm/mremap.js'
import { ANON_VMA, EEXIST, EINVAL, ENOMEM, VMA } from '../../dist/src/mm/mmStruct.js'
import { GEOMETRIES, Process, RO, RW } from './process.js'

const anonVma = (vma: number): number => peek32(vma + VMA.at.anonVma)

describe.each(GEOMETRIES)('mmap() and munmap(), %s', (_, config) => {
  it('maps where it is told and refuses what is misaligned, empty or taken', () => {
    const p = new Process(config)
    expect(p.mmap(0, 4)).toBe(0)
    expect(p.mmap(0.5, 1)).toBe(-EINVAL)
    expect(p.mmap(8, 0)).toBe(-EINVAL)
    expect(p.mmap(3, 2, RW, MAP_FIXED_NOREPLACE)).toBe(-EEXIST)
    expect(p.mmap(4, 2, RO, MAP_FIXED_NOREPLACE)).toBe(4)
    expect(p.mmap(2 ** 40, 1)).toBe(-ENOMEM)
    expect(p.maps()).toEqual(['0+4 rw-p', '4+2 r--p'])
  })

  it('finds room below mmapBase, highest first, and takes a hint that is free', () => {
    const p = new Process(config)
    const nowhere = -p.base / p.k.geo.pageSize
    const top = (p.k.geo.taskSize - p.base) / p.k.geo.pageSize
    expect(p.mmap(nowhere, 3, RW, 0)).toBe(top - 3)
    expect(p.mmap(nowhere, 3, RO, 0)).toBe(top - 6)
    expect(p.mmap(1, 2, RW, 0)).toBe(1)
    expect(p.mmap(2, 2, RO, 0)).toBe(top - 8)
    p.munmap(top - 5, 4)
    expect(p.mmap(nowhere, 2, RO, 0)).toBe(top - 3)
  })

  //   0    2         6    8          0    2    3    5    6    8
  //   AAAAABBBBBBBBBBCCCCC     →     AAAAABBBBB.....BBBBBCCCCC
  it('cuts the VMA that a hole is in', () => {
    const p = new Process(config)
    p.mmap(0, 2, RO)
    p.mmap(2, 4)
    p.mmap(6, 2, RO)
    expect(p.munmap(3, 2)).toBe(0)
    expect(p.maps()).toEqual(['0+2 r--p', '2+1 rw-p', '5+1 rw-p', '6+2 r--p'])
    expect(p.munmap(0, 8)).toBe(0)
    expect(p.maps()).toEqual([])
    expect(p.munmap(0, 8)).toBe(0)
    expect(p.munmap(0, 0)).toBe(-EINVAL)
  })

  it('takes the pages away, and their translations', () => {
    const p = new Process(config)
    p.mmap(0, 4)
    p.write(1, 7)
    expect(p.read(1)).toBe(7)
    p.munmap(1, 1)
    expect(p.read(1)).toBe('SIGSEGV')
    expect(p.read(0)).toBe(0)
  })

  it('gives back every frame and every slot, tables included', () => {
    const p = new Process(config)
    const [frames, vmas] = [p.freeFrames(), p.vmasInUse()]
    p.mmap(0, 20)
    for (let page = 0; page < 20; page++) p.write(page)
    p.munmap(3, 4)
    p.mmap(1, 8, RO)
    expect(p.freeFrames()).toBeLessThan(frames)
    p.munmap(0, 20)
    expect(p.freeFrames()).toBe(frames)
    expect([p.vmasInUse(), p.anonVmasInUse(), p.counter('nrPtes'), p.counter('rssAnon')]).toEqual([vmas, 0, 0, 0])
  })

  it('keeps a table that a neighbour still needs', () => {
    const p = new Process(config)
    p.mmap(0, 1)
    p.mmap(2, 1, RO)
    p.write(0, 5)
    p.read(2)
    p.munmap(2, 1)
    expect(p.counter('nrPtes')).toBe(1)
    expect(p.read(0)).toBe(5)
  })
})

describe.each(GEOMETRIES)('Merging of VMAs, %s', (_, config) => {
  //   AA..CC  +  BB between  →  AAAAAA
  it('joins a new mapping with both neighbours', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.mmap(4, 2)
    p.mmap(2, 2)
    expect(p.maps()).toEqual(['0+6 rw-p'])
    expect([p.counter('mapCount'), p.vmasInUse()]).toEqual([1, 1])
  })

  it('joins with neither when a flag differs, seen or not', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.mmap(2, 2, RW, MAP_FIXED | MAP_NORESERVE)
    p.mmap(4, 2, RO)
    expect(p.maps()).toEqual(['0+2 rw-p', '2+2 rw-p', '4+2 r--p'])
  })

  it('joins again what mprotect and madvise had parted', () => {
    const p = new Process(config)
    p.mmap(0, 6)
    p.write(0)
    p.mprotect(2, 2, RO)
    expect(p.maps()).toEqual(['0+2 rw-p', '2+2 r--p', '4+2 rw-p'])
    p.mprotect(2, 2, RW)
    expect(p.maps()).toEqual(['0+6 rw-p'])
    p.madvise(4, 2, MADV_DONTFORK)
    expect(p.maps()).toEqual(['0+4 rw-p', '4+2 rw-p'])
    p.madvise(4, 2, MADV_DOFORK)
    expect(p.maps()).toEqual(['0+6 rw-p'])
  })

  //   AAAABBBB, the last of A gets B's rights   →   AAABBBBB
  it('moves the boundary when a part takes the rights of its neighbour', () => {
    const p = new Process(config)
    p.mmap(0, 4)
    p.mmap(4, 4, RO)
    p.mprotect(3, 1, RO)
    expect(p.maps()).toEqual(['0+3 rw-p', '3+5 r--p'])
    p.mprotect(3, 2, RW)
    expect(p.maps()).toEqual(['0+5 rw-p', '5+3 r--p'])
    expect(p.vmas().map((vma) => peekF64(vma + VMA.at.pgoff) - p.base / p.k.geo.pageSize)).toEqual([0, 5])
  })

  it('joins memory with pages and memory that never had any, in both orders', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(0)
    p.mmap(2, 2)
    expect(p.maps()).toEqual(['0+4 rw-p'])
    p.mmap(-2, 2)
    expect(p.maps()).toEqual(['-2+6 rw-p'])
    expect(anonVma(p.vmaAt(-2))).not.toBe(0)
  })

  it('does not join pages of two anon_vmas, and a range between them joins with one', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(0)
    p.mmap(4, 2)
    p.write(4)
    expect(anonVma(p.vmaAt(0))).not.toBe(anonVma(p.vmaAt(4)))
    p.mmap(2, 2)
    expect(p.maps()).toEqual(['0+4 rw-p', '4+2 rw-p'])
  })

  it('gives neighbours that differ in rights only one anon_vma, so that they can be joined later', () => {
    const p = new Process(config)
    p.mmap(0, 4)
    p.mprotect(2, 2, RO)
    p.write(0)
    p.mprotect(2, 2, RW | 4)
    p.write(3)
    expect(anonVma(p.vmaAt(0))).toBe(anonVma(p.vmaAt(3)))
    p.mprotect(2, 2, RW)
    expect(p.maps()).toEqual(['0+4 rw-p'])
  })

  it('does not join memory that a child inherited with memory that it maps itself', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.mmap(8, 2)
    p.write(0)
    const parent = p.mm
    p.become(p.fork())
    p.mmap(2, 2)
    p.mmap(10, 2)
    expect(p.maps()).toEqual(['0+2 rw-p', '2+2 rw-p', '8+4 rw-p'])
    p.exit(p.mm)
    p.become(parent)
    p.mmap(2, 2)
    expect(p.maps()).toEqual(['0+4 rw-p', '8+2 rw-p'])
  })
})

describe.each(GEOMETRIES)('anon_vma, %s', (_, config) => {
  it('lists its VMAs by page offset, equal ones in order of arrival', () => {
    const p = new Process(config)
    p.mmap(0, 6)
    p.write(0)
    p.mprotect(4, 2, RO)
    p.mprotect(2, 2, 4)
    const child = p.fork()
    const listed: string[] = []
    const first = peek32(anonVma(p.vmaAt(0)) + ANON_VMA.at.firstVma)
    for (let vma = first; vma !== 0; vma = peek32(vma + VMA.at.anonNext))
      listed.push(
        `${peek32(vma + VMA.at.mm) === p.mm ? 'parent' : 'child'} ${peekF64(vma + VMA.at.pgoff) - p.at(0) / p.k.geo.pageSize}`,
      )
    expect(listed).toEqual(['parent 0', 'child 0', 'parent 2', 'child 2', 'parent 4', 'child 4'])
    expect(peek32(anonVma(p.vmaAt(0)) + ANON_VMA.at.refcount)).toBe(6)
    p.exit(child)
    expect(peek32(anonVma(p.vmaAt(0)) + ANON_VMA.at.refcount)).toBe(3)
  })

  it('goes when its last VMA goes', () => {
    const p = new Process(config)
    p.mmap(0, 2)
    p.write(0)
    const child = p.fork()
    p.munmap(0, 2)
    expect(p.anonVmasInUse()).toBe(1)
    p.exit(child)
    expect(p.anonVmasInUse()).toBe(0)
  })
})

describe.each(GEOMETRIES)('max_map_count, %s', (_, config) => {
  /** A process that may have four mappings, with one of three pages and one of a page. */
  function limited(): Process {
    const p = new Process({ ...config, kernel: { ...config.kernel, maxMapCount: 4 } })
    p.mmap(0, 3)
    p.mmap(10, 1)
    return p
  }

  it('refuses a mapping once there are more, so one above it exists', () => {
    const p = limited()
    expect([p.mmap(20, 1), p.mmap(30, 1), p.mmap(40, 1), p.mmap(50, 1)]).toEqual([20, 30, 40, -ENOMEM])
    p.munmap(10, 1)
    expect(p.mmap(50, 1)).toBe(50)
  })

  it('refuses to cut a mapping into three, by mprotect or munmap', () => {
    const p = limited()
    p.mmap(20, 1)
    p.mmap(30, 1)
    expect([p.mprotect(1, 1, RO), p.munmap(1, 1)]).toEqual([-ENOMEM, -ENOMEM])
    expect(p.maps()).toEqual(['0+3 rw-p', '10+1 rw-p', '20+1 rw-p', '30+1 rw-p'])
  })

  it('lets go of a mapping or of its end', () => {
    const p = limited()
    p.mmap(20, 1)
    p.mmap(30, 1)
    expect([p.munmap(2, 1), p.munmap(20, 1)]).toEqual([0, 0])
    expect(p.maps()).toEqual(['0+2 rw-p', '10+1 rw-p', '30+1 rw-p'])
  })

  it('refuses a move that could cut off more', () => {
    const p = limited()
    expect(p.mremap(0, 1, 1, MREMAP_MAYMOVE | MREMAP_FIXED, 40)).toBe(-ENOMEM)
  })
})
