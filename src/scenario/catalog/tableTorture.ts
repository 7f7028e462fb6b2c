/** Page tables that share a page, everything at once, at random, with a seed. */
import { MAP, PROT, type Op, type Program } from '../../program/op.js'
import { defineScenario, dontneed, load, madvise, mapAnonymous, store } from '../scenario.js'

export const tableTorture = defineScenario({
  id: 'table-torture',
  summary: 'tables given back in every way and built anew at random, in a file mapping, huge pages and base pages',
  arch: 's390',
  cpus: 4,
  cpusMin: 2,
  files: [16],
  config: { pgalloc: 's390-active', flushStyle: 'broadcast', failNowait: 20, gpDelay: 20 },
  build: (s) => {
    // Two huge ranges of a file, one of base pages, one that may be a huge page with a deposited table.
    const [file, small, huge] = [s.huge(0), s.huge(2), s.huge(3)]
    const mapFile: Op = {
      op: 'mmap',
      addr: file,
      len: 2 * s.hugeSize,
      prot: PROT.read | PROT.write,
      flags: MAP.shared | MAP.fixed,
      file: 0,
    }
    const mapSmall: Program = [mapAnonymous(small, s.hugeSize), madvise(small, s.hugeSize, 'nohugepage')]
    const anyFile = { from: file, step: s.hugeSize, count: 2 }
    const anyRange = { from: file, step: s.hugeSize, count: 4 }
    const of: Op[][] = [
      [{ op: 'retract', addr: anyFile }],
      [
        { op: 'retract', addr: anyFile },
        { op: 'load', addr: anyFile },
      ],
      [{ op: 'retractFile', file: 0, page: 0 }],
      [{ op: 'fill', addr: anyFile }],
      [{ op: 'reclaim', file: 0, page: 0, pages: 8 }],
      [{ op: 'unmapFile', file: 0, page: 0, pages: 8 }],
      [{ op: 'load', addr: anyRange }],
      [{ op: 'store', addr: anyRange }],
      [{ op: 'gup', addr: anyRange, pages: 2 }],
      [{ op: 'gup', addr: anyRange, pages: 1, write: true, fastOnly: true }],
      [{ op: 'munmap', addr: small, len: s.hugeSize }, ...mapSmall, store(small)],
      [{ op: 'munmap', addr: file, len: s.hugeSize }, mapFile, load(file)],
      [dontneed(huge, s.hugeSize), store(huge)],
      [{ op: 'splitPmd', addr: huge }],
      [{ op: 'collapse', addr: huge }],
      [
        { op: 'mremap', addr: small, oldLen: s.hugeSize, newLen: s.hugeSize, flags: 3, newAddr: s.huge(4) },
        ...mapSmall,
      ],
      [{ op: 'synchronizeRcuExpedited' }],
      [{ op: 'kernelRead', addr: anyRange, pages: 2 }],
      [{ op: 'enterLazyTlb' }, { op: 'speculate', addr: anyRange }, { op: 'leaveLazyTlb' }, load(file)],
    ]
    const fork = (slot: number): Op[] => [
      { op: 'fork', slot },
      { op: 'reap', slot },
    ]
    // Explored, CPUs may end in a kernel thread that has borrowed the address space, and the last one takes it apart.
    const leave: Op = {
      op: 'oneOf',
      of: [
        [],
        [
          { op: 'exit', lazy: true },
          { op: 'speculate', addr: anyRange },
        ],
      ],
    }
    const program = (cpu: number): Program => [
      { op: 'repeat', times: s.repeated ? 1 : 4, body: [{ op: 'oneOf', of: cpu < 8 ? [...of, fork(cpu)] : of }] },
      ...(s.repeated ? [] : [leave]),
    ]
    return {
      boot: [
        mapFile,
        load(file),
        load(file + s.hugeSize),
        ...mapSmall,
        store(small),
        mapAnonymous(huge, s.hugeSize),
        store(huge),
      ],
      programs: Array.from({ length: s.cpus }, (_, cpu) => program(cpu)),
    }
  },
})

export const tableTortureIpi = defineScenario({
  ...tableTorture,
  id: 'table-torture-ipi',
  summary: 'table-torture where flushes are interrupts, which pass over kernel threads',
  arch: 'x86-64',
  config: { flushStyle: 'ipi', failNowait: 20, gpDelay: 20 },
})
