/**
 * The order of test files: project after project, so that a process is kept for the files of its project, and the
 * longest files of a project first, so that the last of them is not awaited by one core alone.
 */
import { basename } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take more than some ten seconds, by project, longest first. */
const LONGEST: readonly string[] = [
  'stress.threads',
  'shardsOfSearches.threads',
  'shards.threads',
  'init',
  'readme.command',
  'benches.command',
  'compare',
  'module.command',
  'stops',
  'bugs',
  'catalog',
  'strategies',
  'shrink',
  'lower',
  'rcu',
]

const rank = ({ moduleId }: TestSpecification): number => {
  const at = LONGEST.indexOf(basename(moduleId, '.test.ts'))
  return at < 0 ? LONGEST.length : at
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const projects = this.ctx.projects.map(({ name }) => name)
    const place = ({ project }: TestSpecification): number => projects.indexOf(project.name)
    return (await super.sort(files)).sort((a, b) => place(a) - place(b) || rank(a) - rank(b))
  }
}
