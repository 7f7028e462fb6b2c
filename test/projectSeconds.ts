/** Prints, after the tests, how long each project took and which files took longest. */
import type { Reporter, TestModule } from 'vitest/node'

const SLOWEST = 8
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1).padStart(7)} s`

/** From before a file is imported until its last test has ended. */
function durationOf(module: TestModule): number {
  const { prepareDuration, environmentSetupDuration, collectDuration, setupDuration, duration } = module.diagnostic()
  return prepareDuration + environmentSetupDuration + collectDuration + setupDuration + duration
}

export class ProjectSeconds implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    console.log('\nseconds of all files, by project')
    for (const name of new Set(modules.map(({ project }) => project.name))) {
      const files = modules.filter(({ project }) => project.name === name)
      console.log(`${seconds(sum(files))}  ${name} (${files.length} files)`)
    }
    console.log('slowest files')
    for (const module of [...modules].sort((a, b) => durationOf(b) - durationOf(a)).slice(0, SLOWEST))
      console.log(`${seconds(durationOf(module))}  ${module.relativeModuleId}`)
  }
}

const sum = (modules: readonly TestModule[]): number => modules.reduce((all, module) => all + durationOf(module), 0)
