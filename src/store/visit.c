#include "store/visit.h"

/* The first in the order of birth is another. */
static void publish_born(vsi_table *table, vsi_shard *shard) {
  uint32_t tick = VSI_TICK_NONE;
  if (!vsi_ring_is_empty(&shard->born)) tick = vsi_entry_extra(vsi_entry_of_born(shard->born.next))->born;
  vsi_visit_publish_tick(&table->eldest[shard->number], tick);
}

VSI_SELDOM void vsi_visit_add_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry, vsi_scope_share *share) {
  vsi_extra *extra = vsi_entry_extra(entry);
  extra->born = vsi_entry_tick(entry);
  vsi_ring_add_last(&shard->born, &extra->born_in);
  publish_born(table, shard);
  if (share) vsi_scopes_add(share, entry);
}

VSI_SELDOM void vsi_visit_take_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry) {
  vsi_ring_remove(&vsi_entry_extra(entry)->born_in);
  publish_born(table, shard);
  if (table->rules.max_per_scope) vsi_scopes_remove(&shard->scopes, table->host, entry);
}

VSI_SELDOM vsi_entry *vsi_visit_drop_due(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now,
                                         vsi_leaving *leaving) {
  vsi_entry *left = NULL, *entry = newest->newer, *next; /* the oldest first */
  for (bool more = true; more; entry = next) {
    next = entry->newer;
    more = entry != newest;
    vestry_cause cause = vsi_visit_due(table, entry, now);
    if (cause)
      vsi_visit_take(table, shard, entry, cause, false, leaving);
    else
      left = entry;
  }
  return left;
}
