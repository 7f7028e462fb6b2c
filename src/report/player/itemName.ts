/** Items of the state by names that stand alone, outside of their panels. */

/** `mm0.pmd[0] of 0x10000`, `page[0xa] refcount`, `TLB of CPU 1: 0x10000 of mm0`. */
export function itemName({ panel, group, name }: { panel: string; group: string; name: string }): string {
  switch (panel) {
    case 'tables':
      if (group === 'tables') return name
      return group.startsWith('mm') ? `${group}.${name}` : `${name}, ${group}`
    case 'frames':
      return `page[${group}] ${name}`
    case 'tlbs':
      return `TLB of ${group}: ${name}`
    case 'locks':
      return `${name} ${group}`
    case 'rcu':
      return group === 'grace period' ? group : `${group} ${name}`
    case 'ipis':
      return `interrupt from ${name}`
    case 'words':
      return group === 'words' ? name : `${group} ${name}`
    default:
      return `${group} ${name}`
  }
}
