/* SPDX-License-Identifier: MIT */
/* essay: one member on several nodes; members that are unsure while a node lists its members anew */
/* Presence across nodes. Each node announces its members: users with streams on that node, or in their grace time
 * there. The other nodes keep the set of nodes that have a member. A member is here while it has such a node, or is_own
 * is set. So no node changes the state of another one, and a user with tabs on two nodes is one member.
 *
 * Members that have changed are in a list, each at most once; the link is a part of the member, so this needs no
 * memory. The announcement is the difference between a member's state at that moment and the state announced before.
 *
 * A node may list all its members anew, for example after lost messages. No member leaves because the list begins: all
 * members of the node are marked as unsure until they are listed, and those still unsure at the end of the list leave.
 * A node that is dead or has left has no members. */
#include "app/presence/spread.h"

#include "app/presence/presences.h"
#include "base/memory.h"
#include "base/utf8.h"

static vestry_err create(vestry *v, void **ret_state) {
  vsi_presences *all = *ret_state = vsi_calloc(v->host, 1, sizeof *all);
  if (!all) return VESTRY_NO_MEMORY;
  vsi_mutex_init(&all->list_lock, VSI_LOCK_PRESENCES);
  return VESTRY_OK;
}

static void destroy(vestry *v, void *state) {
  vsi_presences *all = state;
  vsi_mutex_finish(&all->list_lock);
  vsi_free(v->host, all);
}

static const vsi_extension kind = {.name = "presences", .create = create, .destroy = destroy};

vestry_err vsi_presences_use(vestry *v, vsi_presences **ret_all) {
  void *all;
  vestry_err error = vsi_extension_use(v, &kind, &all);
  if (!error) *ret_all = all;
  return error;
}

/* Iterate over the presences. Each is locked during its turn, and the list from the first call to the one that returns
 * NULL, so the loop must run to its end:
 *   for (vestry_presence *at = NULL; (at = next_locked(all, at));) … */
static vestry_presence *next_locked(vsi_presences *all, vestry_presence *at) {
  if (at)
    vsi_mutex_unlock(&at->lock);
  else
    vsi_mutex_lock(&all->list_lock);
  vestry_presence *next = at ? LIST_NEXT(at, in) : LIST_FIRST(&all->list);
  if (next)
    vsi_mutex_lock(&next->lock);
  else
    vsi_mutex_unlock(&all->list_lock);
  return next;
}

static uint64_t hash_of(const char *presence, vestry_slice place, const char *user) {
  const vsi_siphash_key fixed = {UINT64_C(0x76657374727920), UINT64_C(0x70726573656e6365)};
  const vsi_siphash_key own = {vsi_siphash_1_3(fixed, presence, strlen(presence)),
                               vsi_siphash_1_3(fixed, place.data, place.len)};
  return vsi_siphash_1_3(own, user, strlen(user));
}

uint64_t vsi_presence_update_hash(const vsi_presence_update *update) {
  return hash_of(update->presence, update->place, update->user);
}

/* ------------------------------------------------------------------------------------ members of this node -------- */

bool vsi_presence_fits_locked(const vestry_presence *presence, vestry_slice place, const char *user) {
  size_t bytes = strlen(presence->name) + place.len + strlen(user);
  return !presence->watch || presence->watch->fits(bytes, presence->watch->ctx);
}

/* Set whether a member counts as announced. Returns the announcement. */
static vsi_presence_update set_spread_locked(vestry_presence *presence, vsi_presence_member *one, bool is_spread) {
  const vsi_presence_update update = {presence->name, vsi_place_encoded(&one->at->packed), one->user, is_spread};
  if (one->is_spread == is_spread) return update;
  uint64_t hash = vsi_presence_update_hash(&update);
  one->is_spread = is_spread;
  presence->spread_count += is_spread ? 1 : UINT64_MAX;
  presence->spread_sum += is_spread ? hash : -hash;
  return update;
}

/* Note that a member is not announced. The actor logs it, because no lock is held there. */
static void cut_locked(vestry_presence *presence) {
  if (!presence->is_cut) vestry_actor_notify(presence->actor);
  presence->is_cut = true;
}

/* Take the first member off the list of members to announce. */
static vsi_presence_member *take_locked(vestry_presence *presence) {
  vsi_presence_member *one = presence->first_waiting;
  if (!one) return NULL;
  presence->first_waiting = one->next_waiting;
  if (!one->next_waiting) presence->last_waiting = NULL;
  one->next_waiting = NULL;
  one->is_waiting = false;
  return one;
}

void vsi_presences_take(vsi_presences *all, vsi_presence_update_fn fn, void *ctx) {
  for (vestry_presence *presence = NULL; (presence = next_locked(all, presence));) {
    for (vsi_presence_member *one; (one = take_locked(presence)) != NULL;) {
      bool fits = vsi_presence_fits_locked(presence, vsi_place_encoded(&one->at->packed), one->user),
           is_spread = one->is_own && fits;
      if (one->is_own && !fits) cut_locked(presence);
      if (one->is_spread != is_spread) {
        const vsi_presence_update update = set_spread_locked(presence, one, is_spread);
        fn(&update, ctx);
      }
      vsi_presence_member_let_go_locked(presence, one);
    }
  }
}

/* Called for each member of each presence; may free the member. */
typedef void (*member_fn)(vestry_presence *presence, vsi_presence_member *one, void *ctx);

static void each_locked(vestry_presence *presence, member_fn fn, void *ctx) {
  for (vsi_map_link *next, *at = vsi_map_after(&presence->members, NULL); at; at = next) {
    next = vsi_map_after(&presence->members, at);
    fn(presence, VSI_MAP_OWNER(at, vsi_presence_member, in), ctx);
  }
}

static void each(vsi_presences *all, member_fn fn, void *ctx) {
  for (vestry_presence *presence = NULL; (presence = next_locked(all, presence));) each_locked(presence, fn, ctx);
}

typedef struct notifying {
  vsi_presence_update_fn fn;
  void *ctx;
} notifying;

static void pass_one(vestry_presence *presence, vsi_presence_member *one, void *ctx) {
  const notifying *t = ctx;
  if (!one->is_own && !one->is_spread) return;
  bool fits = vsi_presence_fits_locked(presence, vsi_place_encoded(&one->at->packed), one->user);
  if (one->is_own && !fits) cut_locked(presence);
  const vsi_presence_update update =
      set_spread_locked(presence, one, fits && (one->is_waiting ? one->is_spread : one->is_own));
  if (update.is_here) t->fn(&update, t->ctx);
}

void vsi_presences_list(vsi_presences *all, vsi_presence_update_fn fn, void *ctx) {
  each(all, pass_one, &(notifying){fn, ctx});
}

void vsi_presences_sum(vsi_presences *all, uint64_t *ret_count, uint64_t *ret_sum) {
  *ret_count = *ret_sum = 0;
  for (vestry_presence *at = NULL; (at = next_locked(all, at));) {
    *ret_count += at->spread_count;
    *ret_sum += at->spread_sum;
  }
}

/* ----------------------------------------------------------------------------------- members of other nodes ------- */

static void drop_locked(vestry_presence *presence, vsi_presence_member *one, unsigned node) {
  vsi_bits_remove(&one->others, node);
  vsi_bits_remove(&one->unsure, node);
  if (one->is_here && !one->is_own && vsi_bits_is_empty(&one->others)) vsi_presence_member_leave_locked(presence, one);
}

static void hold_locked(vestry_presence *presence, vsi_presence_member *one, unsigned node) {
  vsi_bits_add(&one->others, node);
  vsi_bits_remove(&one->unsure, node);
  if (!one->is_here) vsi_presence_member_come_locked(presence, one);
}

/* Add a member that another node has announced and this node does not know. */
static vestry_err meet_locked(vestry_presence *presence, const vestry_scoped_key *place, const char *user,
                              unsigned node) {
  if (presence->members.count >= presence->max_count) {
    vsi_bits_add(&presence->crowded_out, node);
    presence->refused_count++;
    return VESTRY_OK;
  }
  vsi_presence_member *one;
  vestry_err error = vsi_presence_member_add_locked(presence, place, user, &one);
  if (!error) hold_locked(presence, one, node);
  return error;
}

static vestry_err apply_locked(vestry_presence *presence, const vestry_scoped_key *place,
                               const vsi_presence_update *update, unsigned node) {
  vsi_presence_member *one =
      vsi_presence_member_find_locked(presence, vsi_place_find_locked(presence, place), update->user);
  if (update->is_here && !one) return meet_locked(presence, place, update->user, node);
  if (update->is_here)
    hold_locked(presence, one, node);
  else if (one)
    drop_locked(presence, one, node);
  return VESTRY_OK;
}

static vestry_err apply(vestry_presence *presence, const vsi_presence_update *update, unsigned node) {
  vsi_scoped_key place;
  vestry_err error = vsi_place_pack_encoded(presence, update->place, &place);
  if (error) return error == VESTRY_NO_MEMORY ? error : VESTRY_MALFORMED;
  vsi_mutex_lock(&presence->lock);
  error = apply_locked(presence, place.key, update, node);
  vsi_mutex_unlock(&presence->lock);
  vsi_scoped_key_finish(&place);
  return error;
}

vestry_err vsi_presences_apply(vsi_presences *all, unsigned node, const vsi_presence_update *update) {
  size_t len = strlen(update->user);
  if (!len || len > VSI_PRESENCE_WHO_MAX || !vsi_is_utf8(update->user, len)) return VESTRY_MALFORMED;
  vestry_err error = VESTRY_OK;
  vsi_mutex_lock(&all->list_lock);
  vestry_presence *presence = LIST_FIRST(&all->list);
  while (presence && strcmp(presence->name, update->presence) != 0) presence = LIST_NEXT(presence, in);
  if (presence) error = apply(presence, update, node);
  vsi_mutex_unlock(&all->list_lock);
  return error;
}

static void doubt_one(vestry_presence *presence, vsi_presence_member *one, void *node) {
  (void)presence;
  if (vsi_bits_has(&one->others, *(unsigned *)node)) vsi_bits_add(&one->unsure, *(unsigned *)node);
}

void vsi_presences_doubt(vsi_presences *all, unsigned node) {
  for (vestry_presence *presence = NULL; (presence = next_locked(all, presence));) {
    each_locked(presence, doubt_one, &node);
    vsi_bits_remove(&presence->crowded_out, node);
  }
}

static void sweep_one(vestry_presence *presence, vsi_presence_member *one, void *node) {
  if (vsi_bits_has(&one->unsure, *(unsigned *)node)) drop_locked(presence, one, *(unsigned *)node);
}

void vsi_presences_sweep(vsi_presences *all, unsigned node) {
  each(all, sweep_one, &node);
}

void vsi_presences_forget(vsi_presences *all, unsigned node) {
  vsi_presences_doubt(all, node);
  vsi_presences_sweep(all, node);
}

bool vsi_presences_have_room_again(vsi_presences *all, unsigned node) {
  bool any = false;
  for (vestry_presence *presence = NULL; (presence = next_locked(all, presence));) {
    /* Only when an eighth is free. Otherwise the node would list all members again for each one that leaves. */
    size_t limit = presence->max_count - presence->max_count / 8;
    any |= vsi_bits_has(&presence->crowded_out, node) && presence->members.count < limit;
  }
  return any;
}

/* ----------------------------------------------------------------------------------------- begin and end ---------- */

static void wait_one(vestry_presence *presence, vsi_presence_member *one, void *ctx) {
  (void)ctx;
  vsi_presence_member_spread_locked(presence, one);
}

static void untell_one(vestry_presence *presence, vsi_presence_member *one, void *ctx) {
  (void)presence, (void)ctx;
  one->is_spread = false;
}

/* Begin to announce the members of a presence, or stop it (watch NULL). */
static void watch_locked(vestry_presence *presence, const vsi_presence_watch *watch) {
  presence->watch = watch;
  if (watch) {
    each_locked(presence, wait_one, NULL);
    return;
  }
  for (vsi_presence_member *one; (one = take_locked(presence)) != NULL;)
    vsi_presence_member_let_go_locked(presence, one);
  each_locked(presence, untell_one, NULL);
  presence->spread_count = presence->spread_sum = 0;
}

static void watch_all(vsi_presences *all, const vsi_presence_watch *watch) {
  vsi_mutex_lock(&all->list_lock);
  all->watch = watch;
  for (vestry_presence *presence = LIST_FIRST(&all->list); presence; presence = LIST_NEXT(presence, in)) {
    vsi_mutex_lock(&presence->lock);
    watch_locked(presence, watch);
    vsi_mutex_unlock(&presence->lock);
  }
  vsi_mutex_unlock(&all->list_lock);
}

void vsi_presences_begin(vsi_presences *all, const vsi_presence_watch *watch) {
  watch_all(all, watch);
}

void vsi_presences_end(vsi_presences *all) {
  watch_all(all, NULL);
}

vestry_err vsi_presence_begin(vestry_presence *presence) {
  vsi_presences *all = presence->all;
  if (!presence->name[0]) return VESTRY_OK;
  vsi_mutex_lock(&all->list_lock);
  const vestry_presence *same = LIST_FIRST(&all->list);
  while (same && strcmp(same->name, presence->name) != 0) same = LIST_NEXT(same, in);
  const vsi_presence_watch *watch = all->watch;
  if (!same) {
    presence->watch = watch; /* no other thread knows the presence yet */
    LIST_INSERT_HEAD(&all->list, presence, in);
    presence->is_entered = true;
  }
  vsi_mutex_unlock(&all->list_lock);
  if (same) return VESTRY_EXISTS;
  if (watch) watch->begins(watch->ctx);
  return VESTRY_OK;
}

void vsi_presence_end(vestry_presence *presence) {
  vsi_presences *all = presence->all;
  vsi_mutex_lock(&all->list_lock);
  if (presence->is_entered) LIST_REMOVE(presence, in);
  presence->is_entered = false;
  vsi_mutex_unlock(&all->list_lock);
  vsi_mutex_lock(&presence->lock);
  watch_locked(presence, NULL);
  vsi_mutex_unlock(&presence->lock);
}
