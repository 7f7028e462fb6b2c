import { it } from 'vitest'
import { Machine, runThreads } from './machine.js'
it('dl', async () => {
  const m = await Machine.boot(4, 'rcu', {})
  let n = 0
  for (let seed = 1; seed < 3000 && n < 3; seed++) {
    const o = m.run(seed, [
      ['barrier', { rounds: 2 }],
      ['queuer', { count: 3, then: 'work' }],
      ['queuer', { count: 2, then: 'sleep' }],
      ['barrier', { rounds: 1 }],
    ])
    if (o.kind === 'done') continue
    n++
    console.log(
      seed,
      o.kind,
      o.kind === 'deadlock'
        ? o.waiting.map((w) => [w.cpu, w.addr - m.places.rcu, w.addr - m.places.words, w.addr - m.places.csds])
        : '',
    )
    const { peek32 } = await import('../../dist/src/machine/image/image.js')
    const b = m.places.rcu
    console.log(
      'gpSeq',
      peek32(b + 64),
      'needed',
      peek32(b + 8),
      'mask',
      peek32(b + 72),
      'busy',
      peek32(b + 128),
      'count',
      peek32(b + 136),
      'flag',
      m.peek(2),
      'queued',
      m.peek(4),
      'ran',
      m.peek(1),
    )
    for (let c = 0; c < 4; c++) {
      const a = b + 256 + c * 192
      console.log(
        c,
        'watching',
        peek32(a),
        'wakeAt',
        peek32(a + 12),
        'cbs',
        peek32(a + 16),
        'segs',
        [64, 72, 80, 84, 92, 96].map((o) => peek32(a + o)),
        'core',
        peek32(a + 104),
        'ask',
        peek32(a + 108),
      )
    }
  }
})
it('perturb', async () => {
  try {
    await runThreads(
      'perturb',
      'rcu',
      [
        ['recycler', 10],
        ['reader', { kinds: ['rcu'], rounds: 5 }],
      ],
      { bootArgs: {} },
    )
  } catch (e) {
    console.log(e, (e as Error).stack)
  }
})
