/** Small programs on bare words: what the accesses mean, what locks promise, and what the explorer does. */
import type { Op, Program } from '../../program/op.js'
import { defineScenario, type Scenario } from '../scenario.js'

const PAIR = { arch: 'x86-64', cpus: 2, cpusMax: 2, exploreOnly: true } as const

/** Data in word 0, then the flag in word 1. */
const PUBLISH: Program = [
  { op: 'writeOnce', word: 0, value: 1 },
  { op: 'storeRelease', word: 1, value: 1 },
]

export const messagePassing = defineScenario({
  id: 'message-passing',
  summary: 'MP: data then flag with release, flag with acquire then data: never the flag without the data',
  ...PAIR,
  build: () => ({
    boot: [],
    programs: [
      PUBLISH,
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
  ...PAIR,
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
  ...PAIR,
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

export const guardedMessagePassing = defineScenario({
  id: 'message-passing-guarded',
  summary: 'MP whose reader looks at the data only when it has seen the flag',
  ...PAIR,
  build: () => ({
    boot: [],
    programs: [
      PUBLISH,
      [
        { op: 'loadAcquire', word: 1, reg: 0 },
        { op: 'ifEqual', reg: 0, value: 1, body: [{ op: 'readOnce', word: 0, reg: 1 }] },
      ],
    ],
  }),
  outcome: (reg) => `flag=${reg(1, 0)} data=${reg(1, 1)}`,
  allowed: ['flag=0 data=0', 'flag=1 data=1'],
})

export const loadBuffering = defineScenario({
  id: 'load-buffering',
  summary: 'LB: each CPU reads one word and then writes the other: never both reads after both writes',
  ...PAIR,
  build: () => ({
    boot: [],
    programs: [0, 1].map((mine) => [
      { op: 'readOnce', word: mine, reg: 0 } as const,
      { op: 'writeOnce', word: 1 - mine, value: 1 } as const,
    ]),
  }),
  outcome: (reg) => `${reg(0, 0)}${reg(1, 0)}`,
  allowed: ['00', '01', '10'],
})

export const twoPlusTwoWrites = defineScenario({
  id: 'two-plus-two-writes',
  summary: '2+2W: both CPUs write both words, in opposite orders: never the first value in both',
  ...PAIR,
  build: () => ({
    boot: [],
    programs: [0, 1].map((mine) => [
      { op: 'writeOnce', word: mine, value: 1 } as const,
      { op: 'writeOnce', word: 1 - mine, value: 2 } as const,
    ]),
  }),
  outcome: (_reg, word) => `${word(0)}${word(1)}`,
  allowed: ['12', '21', '22'],
})

const read = (word: number, reg: number): Op => ({ op: 'readOnce', word, reg })

export const iriw = defineScenario({
  id: 'iriw',
  summary: 'IRIW: two writers, two readers that look in opposite orders: never two opinions of which write came first',
  arch: 'x86-64',
  cpus: 4,
  cpusMin: 4,
  cpusMax: 4,
  exploreOnly: true,
  build: () => ({
    boot: [],
    programs: [
      [{ op: 'writeOnce', word: 0, value: 1 }],
      [{ op: 'writeOnce', word: 1, value: 1 }],
      [read(0, 0), read(1, 1)],
      [read(1, 0), read(0, 1)],
    ],
  }),
  outcome: (reg) => `${reg(2, 0)}${reg(2, 1)} ${reg(3, 0)}${reg(3, 1)}`,
  // All but 10 10: the readers saw the writes in opposite orders.
  allowed: ['00', '01', '10', '11']
    .flatMap((one) => ['00', '01', '10', '11'].map((other) => `${one} ${other}`))
    .filter((ending) => ending !== '10 10'),
})

/** A lock on word 0 around a section that says in word 1 that somebody is inside, and in word 15 that two were. */
function lockLitmus(id: string, summary: string, around: (cpu: number, section: Program) => Program): Scenario {
  const section: Program = [
    { op: 'xchg', word: 1, value: 1, reg: 0 },
    { op: 'ifEqual', reg: 0, value: 1, body: [{ op: 'writeOnce', word: 15, value: 1 }] },
    { op: 'writeOnce', word: 1, value: 0 },
  ]
  return defineScenario({
    id,
    summary,
    arch: 'x86-64',
    cpus: 2,
    cpusMax: 4,
    exploreOnly: true,
    build: ({ cpus }) => ({ boot: [], programs: Array.from({ length: cpus }, (_, cpu) => around(cpu, section)) }),
    outcome: (_reg, word) => (word(0) !== 0 ? 'left locked' : word(15) !== 0 ? 'two inside' : 'one at a time'),
    allowed: ['one at a time'],
  })
}

export const spinLockLitmus = lockLitmus(
  'spin-lock',
  'a lock taken the moment it is free, around a section: one CPU at a time',
  (_cpu, section) => [
    { op: 'cmpxchgWhen', word: 0, expected: 0, value: 1 },
    ...section,
    { op: 'storeRelease', word: 0, value: 0 },
  ],
)

export const queuedSpinLockLitmus = lockLitmus(
  'queued-spin-lock',
  "the kernel's queued spinlock around a section: one CPU at a time",
  (_cpu, section) => [{ op: 'spinLock', word: 0 }, ...section, { op: 'spinUnlock', word: 0 }],
)

export const mcsLock = lockLitmus('mcs-lock', 'an MCS lock around a section: one CPU at a time', (cpu, section) => [
  { op: 'mcsLock', word: 0, node: 2 + cpu },
  ...section,
  { op: 'mcsUnlock', word: 0, node: 2 + cpu },
])

export const tryLock = defineScenario({
  id: 'try-lock',
  summary: 'each CPU tries a lock once; who gets it, lets it go and counts',
  arch: 'x86-64',
  cpus: 4,
  exploreOnly: true,
  build: ({ cpus }) => ({
    boot: [],
    programs: Array.from({ length: cpus }, () => [
      { op: 'cmpxchg', word: 0, expected: 0, value: 1, reg: 0 } as const,
      {
        op: 'ifEqual',
        reg: 0,
        value: 0,
        body: [
          { op: 'storeRelease', word: 0, value: 0 },
          { op: 'fetchAdd', word: 1, value: 1, reg: 1 },
        ],
      } as const,
    ]),
  }),
  outcome: (_reg, word) => `${word(1)} got it`,
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
  ...PAIR,
  build: () => ({
    boot: [
      { op: 'writeOnce', word: COUNT, value: 1 },
      { op: 'writeOnce', word: POINTER, value: 1 },
    ],
    programs: [
      [
        { op: 'readOnce', word: POINTER, reg: 0 },
        {
          op: 'ifEqual',
          reg: 0,
          value: 1,
          body: [
            { op: 'fetchAdd', word: COUNT, value: 1, reg: 1 },
            { op: 'readOnce', word: POINTER, reg: 2 },
            { op: 'ifEqual', reg: 2, value: 0, body: [{ op: 'fetchAdd', word: COUNT, value: -1, reg: 3 }] },
          ],
        },
      ],
      [
        ...Array.from({ length: PRIVATE_STEPS }, (_, n) => ({ op: 'writeOnce', word: PRIVATE, value: n }) as const),
        { op: 'writeOnce', word: POINTER, value: 0 },
        { op: 'fetchAdd', word: COUNT, value: -1, reg: 0 },
        // Whoever puts the last reference frees; the other one may have taken a reference in time.
        { op: 'ifEqual', reg: 0, value: 1, body: [{ op: 'writeOnce', word: COUNT, value: POISON }] },
      ],
    ],
  }),
  outcome: (reg) =>
    reg(0, 0) === 0 ? 'not mapped' : reg(0, 1) === POISON ? 'freed' : reg(0, 2) === 1 ? 'got' : 'gone',
  allowed: ['not mapped', 'got', 'gone'],
})
