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
