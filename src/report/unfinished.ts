/** Executions that were given up at the limit of accesses, in words: no finding, and never left unsaid. */
export const unfinishedText = (unfinished: number, maxSteps: number): string =>
  `${count(unfinished)} execution${unfinished === 1 ? '' : 's'} reached the limit of ${count(maxSteps)} accesses and ` +
  `${unfinished === 1 ? 'was' : 'were'} not finished (--max-steps raises it)`

const count = (n: number): string => n.toLocaleString('en-US')
