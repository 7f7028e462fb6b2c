/** The architectures that a machine can have. */
export const ARCHITECTURES = ['x86-64', 's390', 'powerpc'] as const
export type ArchId = (typeof ARCHITECTURES)[number]

/** log2 of the bytes of a base page. */
export const PAGE_SHIFT = { 'x86-64': 12, s390: 12, powerpc: 16 } as const satisfies Readonly<Record<ArchId, number>>
