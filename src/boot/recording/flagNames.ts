/** Flags of VMAs by the two-letter names that smaps has for them; those that a log or a snapshot can tell. */
import { VM_LOCKONFAULT } from '../../mm/mlock.js'
import * as vm from '../../mm/mmStruct.js'

export const VM_FLAG_NAMES: Readonly<Record<string, number>> = {
  ac: vm.VM_ACCOUNT,
  nr: vm.VM_NORESERVE,
  lo: vm.VM_LOCKED,
  lf: VM_LOCKONFAULT,
  nh: vm.VM_NOHUGEPAGE,
  hg: vm.VM_HUGEPAGE,
  dc: vm.VM_DONTCOPY,
  wf: vm.VM_WIPEONFORK,
  dd: vm.VM_DONTDUMP,
  sr: vm.VM_SEQ_READ,
  rr: vm.VM_RAND_READ,
  mg: vm.VM_MERGEABLE,
  sl: vm.VM_SEALED,
  dp: vm.VM_DROPPABLE,
  gd: vm.VM_GROWSDOWN,
}
