#include "store/leaving.h"

#include <string.h>

#include "base/memory.h"
#include "store/scoped_key.h"

vestry_err vsi_leaving_reserve(vsi_leaving *leaving, size_t count) {
  if (count <= leaving->room) return VESTRY_OK;
  vsi_parting *at = vsi_calloc(leaving->host, count, sizeof *at);
  if (!at) return VESTRY_NO_MEMORY;
  memcpy(at, leaving->at, leaving->count * sizeof *at);
  if (leaving->at != leaving->own) vsi_free(leaving->host, leaving->at);
  leaving->at = at;
  leaving->room = count;
  return VESTRY_OK;
}

void vsi_leaving_add(vsi_leaving *leaving, const vsi_slot *slot, vestry_handle handle, vestry_cause cause) {
  vsi_parting *parting = &leaving->at[leaving->count++];
  parting->value = slot->value;
  parting->handle = handle;
  parting->cause = cause;
  parting->len = slot->len;
  memcpy(parting->key, slot->key, sizeof parting->key);
}

static vsi_outside *outside_of(const vsi_parting *parting) {
  vsi_outside *outside = NULL;
  if (parting->len == VSI_SLOT_OUTSIDE) memcpy(&outside, parting->key, sizeof outside);
  return outside;
}

static void tell(vestry_store_exit *exit, const vsi_parting *parting) {
  const vsi_outside *outside = outside_of(parting);
  vestry_scoped_key key =
      outside ? vsi_scoped_key_read(outside->bytes, outside->len) : vsi_scoped_key_read(parting->key, parting->len);
  exit->purge(&(vestry_purged){key.scope, key.data + key.key_offset, key.len - key.key_offset, parting->value,
                               parting->handle, parting->cause},
              exit->purge_ctx);
}

void vsi_leaving_run(vsi_leaving *leaving, vestry_store_exit *exit) {
  for (size_t i = 0; i < leaving->count; i++) {
    vsi_parting *parting = &leaving->at[i];
    if (exit->purge) tell(exit, parting);
    exit->value.close(parting->value, parting->cause);
    if (leaving->readers) continue; /* the slot has the value and the key until they are gone */
    exit->value.unref(parting->value);
    vsi_free(leaving->host, outside_of(parting));
  }
  if (leaving->section) vsi_section_leave(leaving->section);
  for (size_t i = 0; i < leaving->rests_count; i++) {
    exit->value.unref(leaving->rests[i].value);
    vsi_free(leaving->host, leaving->rests[i].outside);
  }
  if (leaving->at != leaving->own) vsi_free(leaving->host, leaving->at);
  bool counted = leaving->counted;
  vsi_leaving_init(leaving, leaving->host);
  leaving->counted = counted; /* until it is taken back */
}
