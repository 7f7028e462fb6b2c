/** Names of calls about memory. */

/** Calls that change mappings in a way that nothing here knows. */
export const UNMODELLED: ReadonlySet<string> = new Set(
  'map_shadow_stack io_setup io_destroy set_mempolicy_home_node migrate_pages move_pages'.split(' '),
)

/** By these a call about memory that never returned is told from others. */
export const MEMORY_CALLS: ReadonlySet<string> = new Set(
  (
    'mmap munmap mprotect pkey_mprotect madvise mremap brk mlock mlock2 munlock mlockall munlockall mseal ' +
    'remap_file_pages shmat shmdt process_madvise mbind'
  ).split(' '),
)

export const isAboutMemory = (name: string): boolean => UNMODELLED.has(name) || MEMORY_CALLS.has(name)
