/* SPDX-License-Identifier: MIT */
#include "app/presence/presences.h"

#include "base/memory.h"
#include "vestry/key.h"

/* The tables of places and members, and the lists that contain members. Functions named _locked: the caller holds the
 * presence's lock. */

vestry_err vsi_presence_init(vestry_presence *presence) {
  vsi_ring_init(&presence->gone);
  vsi_ring_init(&presence->unreported);
  vsi_mutex_init(&presence->lock, VSI_LOCK_PRESENCE);
  vsi_mutex_init(&presence->notifying, VSI_LOCK_PRESENCE_NOTIFYING);
  vestry_err error = vsi_map_reserve(&presence->places, presence->host, 1);
  if (!error) error = vsi_map_reserve(&presence->members, presence->host, 1);
  return error ? error : vsi_keyed_hash_init(&presence->hash, presence->host);
}

static void free_presence(vestry_presence *presence) {
  vsi_map_free_all(&presence->members, presence->host, offsetof(vsi_presence_member, in));
  vsi_map_free_all(&presence->places, presence->host, offsetof(vsi_place, in));
  vsi_mutex_finish(&presence->lock);
  vsi_mutex_finish(&presence->notifying);
  vsi_free(presence->host, presence);
}

void vsi_presence_unref(vestry_presence *presence) {
  vsi_mutex_lock(&presence->lock);
  bool is_last = --presence->refs == 0;
  vsi_mutex_unlock(&presence->lock);
  if (is_last) free_presence(presence);
}

static const vestry_key nowhere = {VESTRY_KEY_TUPLE, 0, NULL, 0, NULL};
static const vestry_scope no_scope = {NULL, 0};

vestry_err vsi_place_pack(const vestry_presence *presence, const vestry_key *place, vsi_scoped_key *packed) {
  return vsi_scoped_key_init(packed, &presence->hash, presence->host, no_scope, place ? place : &nowhere);
}

vestry_err vsi_place_pack_encoded(const vestry_presence *presence, vestry_slice encoded, vsi_scoped_key *packed) {
  return vsi_scoped_key_init_encoded(packed, &presence->hash, presence->host, no_scope, encoded);
}

/* Create a place outside of the table. packed: copied. OK | MALFORMED | NO_MEMORY */
static vestry_err create_place(const vestry_host *host, const vestry_scoped_key *packed, vsi_place **ret_place) {
  const vestry_slice encoded = vsi_place_encoded(packed);
  size_t count;
  vestry_err error = vestry_key_decode(encoded.data, encoded.len, NULL, 0, &count);
  if (error != VESTRY_TOO_LARGE) return error;
  /* The texts get a NUL each; they are no longer than the encoding, which has two bytes or more before each text. */
  vsi_place *made = vsi_calloc(host, 1, sizeof *made + count * sizeof(vestry_key) + encoded.len + packed->len);
  if (!made) return VESTRY_NO_MEMORY;
  vestry_key *parts = (vestry_key *)(made + 1);
  (void)vestry_key_decode(encoded.data, encoded.len, parts, count, &count);
  char *bytes = (char *)(parts + count);
  for (vestry_key *part = parts; part < parts + count; part++) {
    if (part->type != VESTRY_KEY_STRING && part->type != VESTRY_KEY_BYTES) continue;
    part->data = memcpy(bytes, part->data, part->len);
    bytes += part->len + 1; /* the NUL: the memory is zero */
  }
  made->key = parts;
  made->packed = *packed;
  made->packed.data = memcpy(bytes, packed->data, packed->len);
  made->packed.scope = no_scope;
  vsi_ring_init(&made->members);
  *ret_place = made;
  return VESTRY_OK;
}

vsi_place *vsi_place_find_locked(const vestry_presence *presence, const vestry_scoped_key *packed) {
  for (vsi_map_link *in = vsi_map_first(&presence->places, packed->hash); in; in = vsi_map_further(in)) {
    vsi_place *at = VSI_MAP_OWNER(in, vsi_place, in);
    if (at->packed.len == packed->len && memcmp(at->packed.data, packed->data, packed->len) == 0) return at;
  }
  return NULL;
}

/* Drop a member's reference to its place. The last one frees the place. */
static void place_unref_locked(vestry_presence *presence, vsi_place *at) {
  if (--at->refs) return;
  vsi_map_remove(&presence->places, &at->in);
  vsi_free(presence->host, at);
}

/* All grace times are equal, so members leave in the order in which their grace times began. A list and one timer
 * suffice. */

/* Return the member whose grace time ends first; NULL: there is none. */
static vsi_presence_member *first_locked(const vestry_presence *presence) {
  return vsi_ring_is_empty(&presence->gone) ? NULL : VSI_RING_OWNER(presence->gone.next, vsi_presence_member, gone);
}

/* Set the timer to the end of the first grace time. */
static void arm_locked(vestry_presence *presence) {
  const vsi_presence_member *first = first_locked(presence);
  if (!first || presence->is_closed) return;
  uint64_t now = vsi_now_ns(presence->host), due = first->leaves_ns;
  uint64_t ms = due > now ? (due - now + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS : 0;
  (void)vestry_timer_set(presence->timer, ms, 0); /* CLOSED: the runtime ends, and no change is reported any more */
}

void vsi_grace_begin_locked(vestry_presence *presence, vsi_presence_member *one) {
  one->is_gone = true;
  one->leaves_ns = vsi_now_ns(presence->host) + presence->grace_ns;
  vsi_ring_add_last(&presence->gone, &one->gone);
  if (first_locked(presence) == one) arm_locked(presence);
}

void vsi_grace_end_locked(vsi_presence_member *one) {
  one->is_gone = false;
  vsi_ring_remove(&one->gone);
}

static void go_locked(vestry_presence *presence, vsi_presence_member *one) {
  vsi_grace_end_locked(one);
  vsi_presence_member_own_locked(presence, one, false);
  if (vsi_bits_is_empty(&one->others)) vsi_presence_member_leave_locked(presence, one);
}

void vsi_grace_shorten_locked(vestry_presence *presence) {
  vsi_presence_member *first = first_locked(presence);
  if (first) go_locked(presence, first);
}

void vsi_grace_fire(vestry_timer *timer, void *ctx) {
  vestry_presence *presence = ctx;
  (void)timer;
  vsi_mutex_lock(&presence->lock);
  uint64_t now = vsi_now_ns(presence->host);
  for (vsi_presence_member *one; (one = first_locked(presence)) && one->leaves_ns <= now;) go_locked(presence, one);
  arm_locked(presence);
  vsi_mutex_unlock(&presence->lock);
}

/* essay: reports of joining and leaving: in order, and no more than there are members */
/* A member has two states: whether it is here, and the state last reported to on_change. While the two differ, the
 * member is in the list of unreported changes. Its link in this list is a part of the member. Therefore a report needs
 * no memory, and at most one change of each member waits for a slow on_change. A change that makes the states equal
 * removes the member from the list; a change that makes them differ appends it. So on_change receives the latest change
 * of each member, in the order in which they happened. For one member joining and leaving alternate.
 *
 * A member is in the tables while it is here, a change of it is unreported or being reported, or it has to be announced
 * to other nodes. All members in the tables count towards max_count. */

static uint64_t hash_member(const vestry_presence *presence, uint64_t place_hash, const char *user) {
  return place_hash ^ vsi_siphash_1_3(presence->hash.siphash, user, strlen(user)) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Create a member outside of the table. NULL: out of memory. */
static vsi_presence_member *create_member(const vestry_presence *presence, const vestry_scoped_key *place,
                                          const char *user) {
  size_t len = strlen(user) + 1;
  vsi_presence_member *made = vsi_calloc(presence->host, 1, sizeof *made + len);
  if (!made) return NULL;
  made->in.hash = hash_member(presence, place->hash, user);
  memcpy(made->user, user, len);
  return made;
}

vsi_presence_member *vsi_presence_member_find_locked(const vestry_presence *presence, const vsi_place *at,
                                                     const char *user) {
  if (!at) return NULL;
  uint64_t hash = hash_member(presence, at->packed.hash, user);
  for (vsi_map_link *in = vsi_map_first(&presence->members, hash); in; in = vsi_map_further(in)) {
    vsi_presence_member *found = VSI_MAP_OWNER(in, vsi_presence_member, in);
    if (found->at == at && strcmp(found->user, user) == 0) return found;
  }
  return NULL;
}

/* Record a change of a member: either it becomes unreported, or it cancels an opposite unreported change. */
static void note_change_locked(vestry_presence *presence, vsi_presence_member *one) {
  if (one->is_unreported) {
    one->is_unreported = false;
    vsi_ring_remove(&one->unreported);
    return;
  }
  if (!presence->on_change || presence->is_closed) return;
  bool is_first = vsi_ring_is_empty(&presence->unreported);
  one->is_unreported = true;
  vsi_ring_add_last(&presence->unreported, &one->unreported);
  if (is_first) vestry_actor_notify(presence->actor); /* the actor reports all changes in the list */
}

void vsi_presence_member_let_go_locked(vestry_presence *presence, vsi_presence_member *one) {
  if (one->is_here || one->is_unreported || one->is_being_reported || one->is_waiting) return;
  vsi_map_remove(&presence->members, &one->in);
  place_unref_locked(presence, one->at);
  vsi_free(presence->host, one);
}

vestry_err vsi_presence_member_add_locked(vestry_presence *presence, const vestry_scoped_key *place, const char *user,
                                          vsi_presence_member **ret_member) {
  vsi_place *at = vsi_place_find_locked(presence, place), *made = NULL;
  vestry_err error = at ? VESTRY_OK : create_place(presence->host, place, &made);
  vsi_presence_member *one = error ? NULL : create_member(presence, place, user);
  if (!one) {
    vsi_free(presence->host, made);
    return error ? error : VESTRY_NO_MEMORY;
  }
  /* Without memory for larger tables, these are slower. */
  (void)vsi_map_reserve(&presence->places, presence->host, presence->places.count + 1);
  (void)vsi_map_reserve(&presence->members, presence->host, presence->members.count + 1);
  if (made) vsi_map_add(&presence->places, &made->in, place->hash);
  one->at = at ? at : made;
  one->at->refs++;
  vsi_map_add(&presence->members, &one->in, one->in.hash);
  *ret_member = one;
  return VESTRY_OK;
}

void vsi_presence_member_come_locked(vestry_presence *presence, vsi_presence_member *one) {
  one->is_here = true;
  vsi_ring_add_last(&one->at->members, &one->at_place);
  one->at->count++;
  presence->here_count++;
  note_change_locked(presence, one);
}

void vsi_presence_member_leave_locked(vestry_presence *presence, vsi_presence_member *one) {
  one->is_here = false;
  vsi_ring_remove(&one->at_place);
  one->at->count--;
  presence->here_count--;
  note_change_locked(presence, one);
  vsi_presence_member_let_go_locked(presence, one);
}

void vsi_presence_member_own_locked(vestry_presence *presence, vsi_presence_member *one, bool is_own) {
  one->is_own = is_own;
  presence->own_count += is_own ? 1 : SIZE_MAX;
  vsi_presence_member_spread_locked(presence, one);
}

void vsi_presence_member_spread_locked(vestry_presence *presence, vsi_presence_member *one) {
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
