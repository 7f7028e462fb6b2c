/** Options that several commands share, and what is accepted for them. */
import { InvalidArgumentError, Option } from 'commander'
import { nearest } from '../base/names.js'
import { SHARDS_MAX } from '../explore/shards/shards.js'
import { rangeOf, STRATEGIES, thoseWith, type StrategyId } from '../explore/searches.js'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
const DURATION_MAX_MS = 24 * 3_600_000

/** `500ms`, `5s`, `2m`, `1.5h` in milliseconds. */
function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  const ms = match === null ? NaN : Number(match[1]) * (UNITS[match[2] as string] as number)
  if (!(ms > 0 && ms <= DURATION_MAX_MS))
    throw new InvalidArgumentError('a duration is a number and a unit, as in 500ms, 5s, 2m; at most 24h.')
  return ms
}

function parseCount(least: number, what: string, most = Infinity): (text: string) => number {
  const range = most === Infinity ? `${least} or more` : `${least} to ${most}`
  return (text) => {
    const count = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count < least || count > most)
      throw new InvalidArgumentError(`${what} is a whole number, ${range}.`)
    return count
  }
}

const SEED_MAX = 2 ** 31 - 1

function parseSeed(text: string): number {
  const seed = Number(text)
  if (!/^\d+$/.test(text) || seed > SEED_MAX)
    throw new InvalidArgumentError(`a seed is a whole number from 0 to ${SEED_MAX}.`)
  return seed
}

export const jsonOption = (): Option => new Option('--json', 'print one JSON document and nothing else')
export const pauseOption = (): Option =>
  new Option('--pause <TIME>', 'hold each process for so long for its snapshots, as in 250ms')
    .argParser(parseDuration)
    .default(250, '250ms')
export const bugOption = (): Option =>
  new Option('--bug <ID>', 'with this bug in the kernel: see racewalk list; or a file that exports one')
export const patchOption = (): Option =>
  new Option('--patch <FILE>', 'with this patch of the kernel on top: a module, TypeScript or JavaScript')
export const cpusOption = (): Option =>
  new Option('--cpus <N>', 'number of CPUs').argParser(parseCount(1, 'a number of CPUs'))
export const seedOption = (): Option => new Option('--seed <N>', 'seed of all choices').argParser(parseSeed).default(1)
export const strategyOption = (): Option =>
  new Option('--strategy <NAME>', 'how schedules are chosen: see racewalk list')
    .argParser((id: string): StrategyId => nearest('strategy', id, STRATEGIES).id)
    .default('portfolio')
export const depthOption = (): Option =>
  new Option(
    '--depth <D>',
    `of ${thoseWith('depth')}: every execution has this depth, instead of one that it draws`,
  ).argParser(parseCount(rangeOf('depth').least, 'a depth', rangeOf('depth').most))
export const preemptionsOption = (): Option =>
  new Option(
    '--preemptions <K>',
    `of ${thoseWith('preemptions')}: only executions with at most so many preemptions`,
  ).argParser(parseCount(rangeOf('preemptions').least, 'a number of preemptions', rangeOf('preemptions').most))
export const maxStepsOption = (): Option =>
  new Option(
    '--max-steps <N>',
    'give an execution up after so many accesses; unless given, the limit grows with the programs',
  ).argParser(parseCount(1, 'a number of accesses'))
export const gpDelayOption = (): Option =>
  new Option(
    '--gp-delay <PERCENT>',
    'how often a CPU puts quiescent states and RCU callbacks off when it could see to them: 0 to 99',
  ).argParser(parseCount(0, 'a percentage'))
export const shardsOption = (): Option =>
  new Option('--shards <N>', 'spread the executions over N threads: the same result, sooner').argParser(
    parseCount(1, 'a number of shards', SHARDS_MAX),
  )
export const resumeOption = (): Option =>
  new Option('--resume <DIR>', 'keep the exploration in this directory, and go on with what it holds')
export const checkOption = (): Option => new Option('--check', 'run each schedule twice and stop where the two differ')
export const fullOption = (): Option => new Option('--full', 'show every step of the interleaving').conflicts('json')
export const curveOption = (): Option =>
  new Option('--curve', 'plot how likely it fails when it goes on at random after some of its steps')
export const executionsOption = (): Option =>
  new Option('--executions <N>', 'stop after so many executions').argParser(parseCount(1, 'a number of executions'))
export const durationOption = (flags: string, description: string): Option =>
  new Option(flags, description).argParser(parseDuration)
