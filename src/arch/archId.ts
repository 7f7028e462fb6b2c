/** The architectures that a machine can have. */
export const ARCHITECTURES = ['x86-64', 's390', 'powerpc'] as const
export type ArchId = (typeof ARCHITECTURES)[number]
