/** Control registers of a CPU of s390, in words that CPU_AREA leaves free. */
import { ownCpu } from '../../machine/image/guard.js'
import { struct } from '../../machine/image/struct.js'

export const S390_CPU_STATE = struct('cpu', 256, {
  asceTop: [56, 4, ownCpu], //     the table where the hardware's walks for users begin
  asceLevel: [60, 4, ownCpu], //   its level
  secondary: [152, 4, ownCpu], //  1: the kernel accesses user memory in secondary-space mode
  primaryTop: [156, 4, ownCpu], // the table by which instructions are fetched meanwhile; 0: the kernel's
})
