/* SPDX-License-Identifier: MIT */
#include "store/leaving.h"

void vsi_leaving_run(vsi_leaving *leaving, const vestry_host *host, size_t extra_bytes, vestry_store_exit *exit) {
  vsi_parted *parted = &leaving->parted;
  if (parted->value) {
    vestry_scoped_key key = vsi_scoped_key_at(&parted->lens, parted->lens, 0);
    vestry_store_leave(exit, &key, parted->value, parted->handle, VESTRY_CAUSE_SIZE);
  }
  for (vsi_ring *node = leaving->first, *next; node; node = next) {
    next = node->next;
    vsi_entry *entry = vsi_entry_of_used(node);
    vestry_scoped_key key = vsi_entry_key(entry);
    vestry_store_leave(exit, &key, entry->value, entry->handle, (vestry_cause)entry->touched);
    vsi_entry_destroy(host, extra_bytes, entry);
  }
}
