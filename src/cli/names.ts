/** Names that a user typed, looked up. */
import { nearest } from '../base/names.js'
import type { Bug } from '../bug/bug.js'
import { bugs } from '../bug/index.js'

/** Throws UsageError, with what exists and the nearest match, for a name that is none. */
export const bugNamed = (id: string | undefined): Bug | null => (id === undefined ? null : nearest('bug', id, bugs))
