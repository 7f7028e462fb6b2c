/** Small demonstrations on bare words: what the accesses mean, and what the explorer does. */
import { defineScenario } from '../scenario.js'

export const messagePassing = defineScenario({
  id: 'message-passing',
  summary: 'MP: data then flag with release, flag with acquire then data: never the flag without the data',
  arch: 'x86-64',
  cpus: 2,
  cpusMax: 2,
  exploreOnly: true,
  build: () => ({
    boot: [],
    programs: [
      [
        { op: 'writeOnce', word: 0, value: 1 },
        { op: 'storeRelease', word: 1, value: 1 },
      ],
      [
        { op: 'loadAcquire', word: 1, reg: 0 },
        { op: 'readOnce', word: 0, reg: 1 },
      ],
    ],
  }),
  outcome: (reg) => `flag=${reg(1, 0)} data=${reg(1, 1)}`,
  allowed: ['flag=0 data=0', 'flag=0 data=1', 'flag=1 data=1'],
})

export const messagePassingBroken = defineScenario({
  id: 'message-passing-reversed',
  summary: 'MP with the writer in the wrong order: the explorer finds the flag without the data',
  arch: 'x86-64',
  cpus: 2,
  cpusMax: 2,
  exploreOnly: true,
  build: () => ({
    boot: [],
    programs: [
      [
        { op: 'storeRelease', word: 1, value: 1 },
        { op: 'writeOnce', word: 0, value: 1 },
      ],
      [
        { op: 'loadAcquire', word: 1, reg: 0 },
        { op: 'readOnce', word: 0, reg: 1 },
      ],
    ],
  }),
  outcome: (reg) => `flag=${reg(1, 0)} data=${reg(1, 1)}`,
  allowed: ['flag=0 data=0', 'flag=0 data=1', 'flag=1 data=1'],
})

export const storeBuffering = defineScenario({
  id: 'store-buffering',
  summary: 'SB with full barriers: never both loads before both stores',
  arch: 'x86-64',
  cpus: 2,
  cpusMax: 2,
  exploreOnly: true,
  build: () => ({
    boot: [],
    programs: [0, 1].map((mine) => [
      { op: 'writeOnce', word: mine, value: 1 } as const,
      { op: 'smpMb' } as const,
      { op: 'readOnce', word: 1 - mine, reg: 0 } as const,
    ]),
  }),
  outcome: (reg) => `${reg(0, 0)}${reg(1, 0)}`,
  allowed: ['01', '10', '11'],
})

/** Words of gup-fast-miniature, and what its page's count holds once the page is freed. */
const POINTER = 0
const COUNT = 1
const PRIVATE = 2
const POISON = 0x6b6b6b6b
const PRIVATE_STEPS = 12

export const gupFastMiniature = defineScenario({
  id: 'gup-fast-miniature',
  summary:
    'read the pointer, take a reference, look again; against clear, put, free without a grace period: use after free',
  arch: 'x86-64',
  cpus: 2,
  cpusMax: 2,
  exploreOnly: true,
  build: () => ({
    boot: [
      { op: 'writeOnce', word: COUNT, value: 1 },
      { op: 'writeOnce', word: POINTER, value: 1 },
    ],
    programs: [
      [
        { op: 'readOnce', word: POINTER, reg: 0 },
        {
          op: 'if',
          reg: 0,
          is: 1,
          then: [
            { op: 'fetchAdd', word: COUNT, value: 1, reg: 1 },
            { op: 'readOnce', word: POINTER, reg: 2 },
            { op: 'if', reg: 2, is: 0, then: [{ op: 'fetchAdd', word: COUNT, value: -1, reg: 3 }] },
          ],
        },
      ],
      [
        ...Array.from({ length: PRIVATE_STEPS }, (_, n) => ({ op: 'writeOnce', word: PRIVATE, value: n }) as const),
        { op: 'writeOnce', word: POINTER, value: 0 },
        { op: 'fetchAdd', word: COUNT, value: -1, reg: 0 },
        // Whoever puts the last reference frees; the other one may have taken a reference in time.
        { op: 'if', reg: 0, is: 1, then: [{ op: 'writeOnce', word: COUNT, value: POISON }] },
      ],
    ],
  }),
  outcome: (reg) =>
    reg(0, 0) === 0 ? 'not mapped' : reg(0, 1) === POISON ? 'freed' : reg(0, 2) === 1 ? 'got' : 'gone',
  allowed: ['not mapped', 'got', 'gone'],
})
