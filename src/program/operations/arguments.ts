/** Fields that operations of several subjects have. */
import { optional, pick, whole } from '../fields.js'
import { LITMUS_WORDS, REGISTERS, SLOTS } from '../state.js'

export const addr = pick('Address in bytes')
export const len = whole('Bytes', 0)
export const prot = whole('PROT_ bits: 1 read, 2 write, 4 execute', 0)
export const file = whole('Index of a file of the scenario', 0)
export const page = whole('Page of the file, from 0', 0)
export const slot = whole('Slot for an address space', 0, SLOTS - 1)
export const word = whole('Word of a litmus test', 0, LITMUS_WORDS - 1)
export const reg = whole('Register that gets what was read', 0, REGISTERS - 1)

/** How many pages, from the one at `addr` or `page` on. */
export const pages = whole('Pages', 1)
export const pagesOrOne = optional(whole('Pages; 1 unless given', 1))

/** Scenarios state what must be, recordings what the real kernel answered. */
export const expect = optional(whole('Expected result; another one is a finding, or in a recording a mismatch'))
