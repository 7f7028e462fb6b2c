/** Operations of programs in words: `munmap 0x10000 len 0x4000`, `gup 0x10000 pages 1 pin`. */
import type { Machine } from '../boot/machine.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import { peek32 } from '../machine/image/image.js'
import { describeOp } from '../program/describe.js'
import { bodiesOf, isBare, OPS, type Op, type OpName, type Program } from '../program/op.js'

/** The operation at hand of `cpu`, which runs `program`; with its arguments where the program tells which one it is. */
export function describeCurrentOp(machine: Machine, program: Program, cpu: number): string {
  if (program.length > 0 && isBare(program)) return program.map(describeOp).join(', ')
  const area = machine.regions.cpus.cpus + cpu * CPU_AREA.size
  const name = OPS[peek32(area + CPU_AREA.at.opKind)] ?? 'start'
  const found = candidates(program, name, peek32(area + CPU_AREA.at.opIndex))
  const texts = new Set(found.map(describeOp))
  return texts.size === 1 ? ([...texts][0] as string) : name
}

/** Operations `name` at `index` of the program, or of a body in it: the image does not tell which body it is in. */
function candidates(program: Program, name: OpName | 'start', index: number): Op[] {
  const own = program[index]
  const bodies = program.flatMap(bodiesOf)
  const below = bodies.flatMap((body) => candidates(body, name, index))
  return own !== undefined && own.op === name ? [own, ...below] : below
}
