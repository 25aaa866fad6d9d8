/* SPDX-License-Identifier: MIT */
/* essay: a coming and a leaving, told once and in order, of which no more wait than there are guests */
/* Two things are known of each guest: whether he is here, and what on_change was told last. Where the two differ there
 * is news, and the guest stands in a list of news, once, by a link of his own: so telling needs no memory, and the news
 * that waits for a slow on_change is bounded by the number of guests. A change that makes the two equal again takes the
 * guest out; one that makes them differ puts him at the end. So on_change hears what happened last to each guest, in
 * the order in which it happened, and what it hears of one guest alternates.
 *
 * A guest is in the tables while he is here, is believed to be, or is being told of; and all guests that are there
 * count among max_count. */
#include "app/presence/guest.h"

#include "app/presence/place.h"
#include "base/memory.h"

static uint64_t hash_guest(const vestry_presence *presence, uint64_t place_hash, const char *who) {
  return place_hash ^ vsi_siphash_1_3(presence->hash.siphash, who, strlen(who)) * UINT64_C(0x9e3779b97f4a7c15);
}

vsi_guest *vsi_guest_create(const vestry_presence *presence, const vestry_scoped_key *place, const char *who) {
  size_t len = strlen(who) + 1;
  vsi_guest *made = vsi_calloc(presence->host, 1, sizeof *made + len);
  if (!made) return NULL;
  made->in.hash = hash_guest(presence, place->hash, who);
  memcpy(made->who, who, len);
  return made;
}

vsi_guest *vsi_guest_find_locked(const vestry_presence *presence, const vsi_place *at, const char *who) {
  if (!at) return NULL;
  uint64_t hash = hash_guest(presence, at->packed.hash, who);
  for (vsi_map_link *in = vsi_map_first(&presence->guests, hash); in; in = vsi_map_further(in)) {
    vsi_guest *found = VSI_MAP_OWNER(in, vsi_guest, in);
    if (found->at == at && strcmp(found->who, who) == 0) return found;
  }
  return NULL;
}

/* He has come or left, which makes news, or makes untold news untrue. */
static void tell_locked(vestry_presence *presence, vsi_guest *one) {
  if (one->is_news) {
    one->is_news = false;
    vsi_ring_remove(&one->news);
    return;
  }
  if (!presence->on_change || presence->is_closed) return;
  bool is_first = vsi_ring_is_empty(&presence->news);
  one->is_news = true;
  vsi_ring_add_last(&presence->news, &one->news);
  if (is_first) vestry_actor_notify(presence->actor); /* it tells all news that there is */
}

void vsi_guest_let_go_locked(vestry_presence *presence, vsi_guest *one) {
  if (one->is_here || one->is_news || one->is_being_told || one->is_waiting) return;
  vsi_map_remove(&presence->guests, &one->in);
  vsi_place_unref_locked(presence, one->at);
  vsi_free(presence->host, one);
}

void vsi_guest_enter_locked(vestry_presence *presence, vsi_place *at, vsi_guest *one) {
  one->at = at;
  at->refs++;
  vsi_map_add(&presence->guests, &one->in, one->in.hash);
}

void vsi_guest_come_locked(vestry_presence *presence, vsi_guest *one) {
  one->is_here = true;
  vsi_ring_add_last(&one->at->guests, &one->at_place);
  one->at->count++;
  presence->here_count++;
  tell_locked(presence, one);
}

void vsi_guest_leave_locked(vestry_presence *presence, vsi_guest *one) {
  one->is_here = false;
  vsi_ring_remove(&one->at_place);
  one->at->count--;
  presence->here_count--;
  tell_locked(presence, one);
  vsi_guest_let_go_locked(presence, one);
}

void vsi_guest_own_locked(vestry_presence *presence, vsi_guest *one, bool is_own) {
  one->is_own = is_own;
  presence->own_count += is_own ? 1 : SIZE_MAX;
  vsi_guest_spread_locked(presence, one);
}

void vsi_guest_spread_locked(vestry_presence *presence, vsi_guest *one) {
  if (!presence->watch || one->is_waiting || one->is_own == one->is_spread) return;
  bool is_first = !presence->first_waiting;
  one->is_waiting = true;
  one->next_waiting = NULL;
  if (is_first)
    presence->first_waiting = one;
  else
    presence->last_waiting->next_waiting = one;
  presence->last_waiting = one;
  if (is_first) presence->watch->soon(presence->watch->ctx);
}
