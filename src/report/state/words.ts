/** The results of programs: litmus words, registers, pages that gup returned and that are still held. */
import type { Machine } from '../../boot/machine.js'
import { peek32, peekF64 } from '../../machine/image/image.js'
import type { Op, Program } from '../../program/op.js'
import { LITMUS_WORDS, PROGRAM_CPU, programCpu, REGISTERS, wordAt } from '../../program/state.js'
import { hex } from '../entry.js'
import { NO_FRAMES, type Put } from './cell.js'

export function readWords({ config, regions }: Machine, programs: readonly Program[], put: Put): void {
  const used = programs.map((program) => namesIn(program))
  for (let word = 0; word < LITMUS_WORDS; word++) {
    const addr = wordAt(regions.program, word)
    const value = peek32(addr)
    if (value === 0 && !used.some(({ words }) => words.has(word))) continue
    const [name, text] = [`word ${word}`, String(value)]
    put({ panel: 'words', group: 'words', name, text, order: [-1, word], addr, frames: NO_FRAMES })
  }
  for (let cpu = 0; cpu < config.cpus; cpu++) {
    const own = programCpu(regions.program, cpu)
    const group = `CPU ${cpu}`
    for (let reg = 0; reg < REGISTERS; reg++) {
      const value = peekF64(own + PROGRAM_CPU.at.regs + reg * 8)
      if (value === 0 && used[cpu]?.regs.has(reg) !== true) continue
      put({
        panel: 'words',
        group,
        name: `r${reg}`,
        text: String(value),
        order: [cpu, reg],
        addr: 0,
        frames: NO_FRAMES,
      })
    }
    const held = heldPages(own)
    if (held.length === 0) continue
    const text = held.map(({ pfn, pinned }) => `${hex(pfn)}${pinned ? ' pinned' : ''}`).join(', ')
    const frames = held.map(({ pfn }) => pfn)
    put({ panel: 'words', group, name: 'pages held', text, order: [cpu, REGISTERS], addr: 0, frames })
  }
}

/** Words and registers that a program names: they are shown while they are 0, too. */
function namesIn(program: Program): { words: Set<number>; regs: Set<number> } {
  const [words, regs] = [new Set<number>(), new Set<number>()]
  const visit = (op: Op): void => {
    if (op.op === 'repeat') op.body.forEach(visit)
    if (op.op === 'oneOf') op.of.flat().forEach(visit)
    if ('word' in op && typeof op.word === 'number') words.add(op.word)
    if ('reg' in op && typeof op.reg === 'number') regs.add(op.reg)
  }
  program.forEach(visit)
  return { words, regs }
}

function heldPages(own: number): { pfn: number; pinned: boolean }[] {
  return Array.from({ length: peek32(own + PROGRAM_CPU.at.held) }, (_, i) => {
    const word = peek32(own + PROGRAM_CPU.at.heldPages + i * 4)
    return { pfn: word >>> 1, pinned: (word & 1) === 1 }
  })
}
