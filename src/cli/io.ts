/** The surroundings of a command, so that it can be called as a function: nothing of the command reaches past them. */
import type { ExitCode } from './exit.js'

/** Where words go, and what is there to read them. */
export interface Output {
  write(text: string): void
  readonly isTerminal: boolean
  /** Of the terminal; 0 where there is none. */
  readonly columns: number
}

export interface Io {
  readonly out: Output
  readonly err: Output
  /** False where the environment asks for none. */
  readonly hasColours: boolean
  /** Calls `stop` when the user or the system asks the command to end; returns what takes that back. */
  onStop(stop: () => void): () => void
}

/** One call of the command: its surroundings, and where its exit code goes. */
export interface Invocation {
  readonly io: Io
  done(code: ExitCode): void
}
