/**
 * A recorded address space as programs: what it looked like at the start, and what each of its threads then called.
 *
 * Calls of different threads take turns in the order in which they took effect; between the calls the threads touch
 * memory, while two further CPUs pin pages with gup_fast and collapse huge pages, which is where they race. Which pages
 * the program touched is in no log. Touches are made up where that cannot be told from what the real kernel did; where
 * a call succeeded that needs one mapping (mremap), what it was about is left alone.
 */
import { AddressSpaceModel } from '../../input/addressSpaceModel.js'
import { grownFor } from '../../input/grownStack.js'
import type { RecordedSpace } from '../../input/recording.js'
import { succeeded, type Call, type LogEvent } from '../../input/straceEvent.js'
import type { Vma } from '../../input/vmaList.js'
import type { Op, Program } from '../../program/op.js'
import { tellCall } from './callOps.js'
import { FileTable } from './fileTable.js'
import { Labels } from './labels.js'
import { startOps } from './startOps.js'
import { surveyOf } from './survey.js'
import type { Heap } from '../../input/startList.js'

/** A call of the log that is not replayed. */
export interface Omitted {
  /** Of the log, from 1. */
  readonly line: number
  readonly call: string
  readonly reason: string
}

export interface RecordingPrograms {
  readonly boot: Program
  /** One for each CPU: those of the threads, then the pinning CPU, then khugepaged. */
  readonly programs: readonly Program[]
  /** For each operation of these programs the line of its call; 0: of none. */
  readonly lines: readonly (readonly number[])[]
  readonly files: FileTable
  readonly labels: Labels
  /** The program break at the start. */
  readonly heap: Heap | undefined
  /** The address space at the end, as the log tells. */
  readonly model: AddressSpaceModel
  readonly calls: number
  readonly omitted: readonly Omitted[]
  /** The most of each that there is at a time. */
  readonly room: {
    readonly vmas: number
    readonly sharedPages: number
    readonly sharedFiles: number
    readonly populated: number
  }
}

const PAGE = 4096
/** Turns of the pinning and collapsing CPUs. */
const BACKGROUND_ROUNDS = 150
/** The word that says whose turn it is. */
const TURN = 0

/** `threadCpus`: how many CPUs the threads share, at least 1. */
export function recordingPrograms(recorded: RecordedSpace, threadCpus: number): RecordingPrograms {
  const [files, labels] = [new FileTable(), new Labels()]
  const survey = surveyOf(recorded)
  const { mayTouch, room, known } = survey
  const model = new AddressSpaceModel(recorded.start, known)
  const boot = startOps(model, { files, labels, mayTouch })
  const background = backgroundPrograms([...model.list])
  const threads = new Threads(threadCpus)
  const omitted: Omitted[] = []
  for (const event of recorded.events) {
    const cpu = threads.cpuOf(event.tid)
    const told = tellCall(event, { model, files, labels, slot: cpu, mayTouch })
    if (told !== null && 'reason' in told) omitted.push(omit(event, told.reason, model))
    else {
      const grown = told === null ? undefined : grownFor(event, model, recorded.final)
      if (told !== null) threads.add(cpu, event.line, told.ops, grown)
      model.apply(event)
    }
  }
  threads.growStacks(recorded, model)
  return {
    boot,
    programs: [...threads.programs, ...background],
    lines: threads.lines,
    files,
    labels,
    model,
    heap: known.heap,
    calls: threads.calls,
    omitted,
    room,
  }
}

function omit(event: LogEvent, reason: string, model: AddressSpaceModel): Omitted {
  const call = event.kind === 'call' || event.kind === 'other' ? event.name : event.kind
  // An omitted mmap leaves what is not known, a failed call nothing.
  if (event.kind === 'call' && (succeeded(event) || stopsHalfWay(event))) model.omit(event)
  return { line: event.line, call, reason }
}

/** It failed at one of several mappings; what it did to those before is not known. */
const stopsHalfWay = ({ name, errno }: Call): boolean =>
  (name === 'mprotect' || name === 'pkey_mprotect') && errno === 'EACCES'

/** The programs of the threads, each on the CPU that it has. */
class Threads {
  readonly programs: Op[][]
  readonly lines: number[][]
  calls = 0
  readonly #cpus = new Map<number, number>()

  constructor(count: number) {
    this.programs = Array.from({ length: count }, () => [])
    this.lines = Array.from({ length: count }, () => [])
  }

  cpuOf(tid: number): number {
    const cpu = this.#cpus.get(tid) ?? this.#cpus.size % this.programs.length
    this.#cpus.set(tid, cpu)
    return cpu
  }

  /** A call with what surrounds it, in its turn; touches are made while others go on. */
  add(cpu: number, line: number, [call, ...others]: readonly [Op, ...Op[]], grown: number | undefined): void {
    const isTouch = ({ op }: Op): boolean => op === 'load' || op === 'store'
    const inTurn = [...(grown === undefined ? [] : [{ op: 'store', addr: grown } as const]), call]
    this.#push(cpu, line, [
      { op: 'awaitWord', word: TURN, value: this.calls },
      ...inTurn,
      ...others.filter((op) => !isTouch(op)),
      { op: 'storeRelease', word: TURN, value: ++this.calls },
      ...others.filter(isTouch),
    ])
  }

  /** Stacks that the last snapshot shows to begin lower than the log tells: somebody touched them there. */
  growStacks({ final }: RecordedSpace, model: AddressSpaceModel): void {
    for (const vma of final) {
      const stack = model.list.find((own) => own.end === vma.end && own.hidden.includes('gd'))
      if (stack === undefined || vma.start >= stack.start) continue
      this.#push(0, 0, [
        { op: 'awaitWord', word: TURN, value: this.calls },
        { op: 'store', addr: vma.start },
      ])
      model.grow(vma.start)
    }
  }

  #push(cpu: number, line: number, ops: readonly Op[]): void {
    this.programs[cpu]?.push(...ops)
    this.lines[cpu]?.push(...ops.map(() => line))
  }
}

// ---- the further CPUs ---------------------------------------------------------------------------------------------

function backgroundPrograms(start: readonly Vma[]): Program[] {
  const own = start.filter((vma) => !vma.shared)
  const pick = ({ start: from, end }: Vma): { from: number; step: number; count: number } => ({
    from,
    step: PAGE,
    count: Math.min(64, (end - from) / PAGE),
  })
  const pins = own.map((vma): Program => {
    const write = vma.prot[1] === 'w'
    return [{ op: 'gup', addr: pick(vma), pages: 2, pin: true, write, fastOnly: true }]
  })
  const collapses = own.map((vma): Program => [{ op: 'collapse', addr: vma.start }])
  return [pins, collapses].map((of) => [{ op: 'repeat', times: BACKGROUND_ROUNDS, body: [{ op: 'oneOf', of }] }])
}
