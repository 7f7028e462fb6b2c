/** A mistake in what the user gave us: a name, a size, a file, a token. Ends the command with exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
  /** `rule` says what is accepted, `remedy` what to type instead. */
  constructor(what: string, rule?: string, remedy?: string) {
    super([what, rule, remedy].filter((part) => part !== undefined && part !== '').join('\n  '))
  }
}
