/** The exit codes of commands, for scripts. */
export const EXIT = { clean: 0, finding: 1, usage: 2, fault: 3 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]
