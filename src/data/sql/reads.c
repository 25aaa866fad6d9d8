/* SPDX-License-Identifier: MIT */
/* Sets of reads: places of keys in a map, groups of sets that have keys in common, the ring of commits, and walks. */
#include "data/sql/reads.h"

#include <string.h>

#include "base/hash.h"
#include "base/wait.h"

enum {
  STEP = 256,
  STEP_MS = 100,   /* maximum time for which a walk waits until one of the threads that want the lock has had it */
  SWEPT_EACH = 2,  /* sets that are looked at for each one that is entered */
  FREED_EACH = 2,  /* sets that are freed with each render that ends */
  GONE_MOST = 1024 /* sets that a commit has concerned and that are not freed yet; each costs a kilobyte or so */
};

typedef vsi_read_key key;
typedef vsi_read_place place;
typedef vsi_read_set set;
typedef vsi_read_group group;

struct vsi_read_later {
  place place;
  struct vsi_read_later *next;
};

/* ---------------------------------------------------------------------------------------------------- places ------ */

static uint64_t hash_place(const void *ctx, const vsi_stepped_link *of) {
  const vsi_reads *r = ctx;
  return r->is.hash(r->is.ctx, &((const place *)of)->key);
}

/* Return the first place with a key, and the next one after each. NULL: there are no more. */
static place *find(const vsi_reads *r, const key *of) {
  if (!vsi_reads_may_have(r, of)) return NULL;
  vsi_stepped_link *at = vsi_stepped_map_keys(&r->places, r->is.hash(r->is.ctx, of));
  while (at && !vsi_read_keys_are_equal(&((place *)at)->key, of)) at = at->next;
  return (place *)at;
}
static place *further(const place *where) {
  return (place *)vsi_stepped_further(&where->in);
}

static bool is_own(const vsi_reads *r, const key *of) {
  return r->is.own_kinds >> of->kind % 32 & 1;
}

static bool has_ended(const vsi_reads *r, const place *of) {
  return is_own(r, &of->key) && !of->of.set->group;
}

/* Let a place be found by its key. OK | NO_MEMORY: not after a reservation */
static vestry_err add_place(vsi_reads *r, place *where) {
  place *first = find(r, &where->key);
  if (!first && vsi_stepped_map_reserve(&r->places, r->is.host, hash_place, r)) return VESTRY_NO_MEMORY;
  if (first)
    vsi_stepped_map_add_behind(&r->places, &where->in, &first->in);
  else
    vsi_stepped_map_add(&r->places, &where->in, r->is.hash(r->is.ctx, &where->key));
  r->used[vsi_reads_used_at(&where->key)]++;
  return VESTRY_OK;
}

static void leave(vsi_reads *r, place *where) {
  if (r->walk.place == where) r->walk.place = further(where);
  r->used[vsi_reads_used_at(&where->key)]--;
  vsi_stepped_map_remove(&r->places, &where->in, hash_place, r);
}

/* ---------------------------------------------------------------------------------------------------- groups ------ */

static size_t group_bytes(size_t places_count, size_t bytes) {
  return sizeof(group) + places_count * sizeof(place) + bytes;
}

static size_t set_bytes(size_t places_count, size_t bytes) {
  return sizeof(set) + places_count * sizeof(place) + bytes;
}

static void go_on(vsi_read_walk *is, group *at) {
  is->group = at;
  is->next = at ? LIST_FIRST(&at->sets) : NULL;
}

/* Let no later set be in a group. */
static void hide(vsi_reads *r, group *g) {
  if (!g->is_hidden) vsi_map_remove(&r->groups, &g->in);
  g->is_hidden = true;
}

/* Remove the first places by which a group is found. */
static void leave_some(vsi_reads *r, group *g, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) leave(r, &g->places[g->has_turned ? g->count + i : i]);
}

static void remove_group(vsi_reads *r, group *g) {
  vsi_read_walk *const walks[] = {&r->sweep, &r->walk};
  for (size_t i = 0; i < 2; i++)
    if (walks[i]->group == g) go_on(walks[i], walks[i]->is_all ? LIST_NEXT(g, in_all) : NULL);
  leave_some(r, g, g->has_turned ? g->further : g->count);
  hide(r, g);
  r->bytes -= group_bytes(g->count + g->further, g->bytes);
  LIST_REMOVE(g, in_all);
  vsi_free(r->is.host, g);
}

/* Count the keys of groups. */
static uint32_t count_shared(const vsi_reads *r, const vsi_read_content *of) {
  uint32_t count = 0;
  for (size_t i = 0; i < of->count; i++) count += !is_own(r, &of->keys[i]);
  return count;
}

static bool has_content(const vsi_reads *r, group *g, const vsi_read_content *of) {
  size_t at = 0;
  for (size_t i = 0; i < of->count; i++)
    if (!is_own(r, &of->keys[i]) && (at == g->count || !vsi_read_keys_are_equal(&g->places[at++].key, &of->keys[i])))
      return false;
  return at == g->count && g->bytes == of->shared_bytes &&
         (!g->bytes || !memcmp(vsi_read_group_data(g), of->shared, g->bytes));
}

/* Find the group of a set. A former group in which it may no longer be is hidden. NULL: it needs a new one. */
static group *find_group(vsi_reads *r, const vsi_read_content *of, uint64_t *ret_hash) {
  uint64_t hash = of->shared_bytes ? vsi_hash_bytes(0, of->shared, of->shared_bytes) : 0;
  for (size_t i = 0; i < of->count; i++)
    if (!is_own(r, &of->keys[i])) hash = vsi_hash_mix(hash, r->is.hash(r->is.ctx, &of->keys[i]));
  *ret_hash = hash;
  group *g = (group *)vsi_map_first(&r->groups, hash);
  while (g && !has_content(r, g, of)) g = (group *)vsi_map_further(&g->in);
  if (!g || !r->is.is_current || r->is.is_current(r->is.ctx, g)) return g;
  hide(r, g);
  return NULL;
}

static group *create_group(vsi_reads *r, const vsi_read_content *of, uint32_t count, uint64_t hash) {
  if (vsi_map_reserve(&r->groups, r->is.host, r->groups.count + 1) ||
      (of->further_count && vsi_stepped_map_reserve(&r->places, r->is.host, hash_place, r))) /* for vsi_reads_turn */
    return NULL;
  group *g = vsi_calloc(r->is.host, 1, group_bytes(count + of->further_count, of->shared_bytes));
  if (!g) return NULL;
  *g = (group){
      .since = r->clock, .count = count, .further = (uint32_t)of->further_count, .bytes = (uint32_t)of->shared_bytes};
  uint32_t at = 0, added = 0;
  for (size_t i = 0; i < of->count; i++)
    if (!is_own(r, &of->keys[i])) g->places[at++] = (place){.key = of->keys[i], .of.group = g};
  for (size_t i = 0; i < of->further_count; i++) g->places[at++] = (place){.key = of->further[i], .of.group = g};
  if (g->bytes) memcpy(vsi_read_group_data(g), of->shared, g->bytes);
  while (added < count && !add_place(r, &g->places[added])) added++;
  if (added < count) {
    leave_some(r, g, added);
    vsi_free(r->is.host, g);
    return NULL;
  }
  vsi_map_add(&r->groups, &g->in, hash);
  LIST_INSERT_HEAD(&r->all, g, in_all);
  r->bytes += group_bytes(count + of->further_count, of->shared_bytes);
  return g;
}

void vsi_reads_turn(vsi_reads *r, group *g) {
  if (g->has_turned) return;
  hide(r, g);
  leave_some(r, g, g->count);
  g->has_turned = true;
  for (uint32_t i = 0; i < g->further; i++) (void)add_place(r, &g->places[g->count + i]);
}

/* ------------------------------------------------------------------------------------------------------ sets ------ */

/* Free a set that is in no group's list. */
static void free_set(vsi_reads *r, set *s) {
  for (uint32_t i = 0; i < s->places_count; i++) leave(r, &s->places[i]);
  for (vsi_read_later *next, *at = s->later; at; at = next) {
    next = at->next;
    leave(r, &at->place);
    vsi_free(r->is.host, at);
    r->bytes -= sizeof *at;
  }
  r->bytes -= set_bytes(s->places_count, s->bytes);
  vsi_free(r->is.host, s);
}

static void leave_group(vsi_reads *r, set *s) {
  group *g = s->group;
  vsi_read_walk *const walks[] = {&r->sweep, &r->walk};
  for (size_t i = 0; i < 2; i++)
    if (walks[i]->next == s) walks[i]->next = LIST_NEXT(s, in);
  LIST_REMOVE(s, in);
  r->count--;
  if (LIST_EMPTY(&g->sets)) remove_group(r, g);
}

static void remove_set(vsi_reads *r, set *s) {
  leave_group(r, s);
  free_set(r, s);
}

/* Free at most this number of sets that have ended. */
static void free_gone(vsi_reads *r, size_t count) {
  for (set *s; count && (s = LIST_FIRST(&r->gone)); count--) {
    LIST_REMOVE(s, in);
    r->gone_count--;
    free_set(r, s);
  }
}

static vestry_err add_set(vsi_reads *r, uint64_t number, const vsi_read_content *of, group *g, uint32_t own,
                          set **ret_set) {
  set *s = vsi_calloc(r->is.host, 1, set_bytes(own, of->bytes));
  bool is_made = s != NULL;
  for (size_t i = 0; i < of->count && is_made; i++) {
    if (is_own(r, &of->keys[i])) {
      s->places[s->places_count] = (place){.key = of->keys[i], .of.set = s};
      is_made = !add_place(r, &s->places[s->places_count]);
      s->places_count += is_made;
    }
  }
  if (!is_made) {
    if (s) r->bytes += set_bytes(s->places_count, 0); /* as if it had been counted */
    if (s) free_set(r, s);
    return VESTRY_NO_MEMORY;
  }
  s->group = g;
  s->number = number;
  s->bytes = (uint32_t)of->bytes;
  LIST_INSERT_HEAD(&g->sets, s, in);
  r->count++;
  r->bytes += set_bytes(own, of->bytes);
  *ret_set = s;
  return VESTRY_OK;
}

bool vsi_reads_have(const vsi_reads *r, const key *of) {
  const place *at = find(r, of);
  while (at && has_ended(r, at)) at = further(at);
  return at != NULL;
}

static bool has_key(const set *s, const key *of) {
  for (uint32_t i = 0; i < s->places_count; i++)
    if (vsi_read_keys_are_equal(&s->places[i].key, of)) return true;
  for (const vsi_read_later *at = s->later; at; at = at->next)
    if (vsi_read_keys_are_equal(&at->place.key, of)) return true;
  return false;
}

vestry_err vsi_reads_move(vsi_reads *r, const key *from, const key *to) {
  for (const place *where = find(r, from); where; where = further(where)) {
    set *s = where->of.set;
    if (has_ended(r, where) || has_key(s, to)) continue;
    vsi_read_later *more = vsi_calloc(r->is.host, 1, sizeof *more);
    if (!more) return VESTRY_NO_MEMORY;
    more->place = (place){.key = *to, .of.set = s};
    if (add_place(r, &more->place)) {
      vsi_free(r->is.host, more);
      return VESTRY_NO_MEMORY;
    }
    more->next = s->later;
    s->later = more;
    r->bytes += sizeof *more;
  }
  return VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------------- walks ------ */

void vsi_reads_walk(vsi_reads *r) {
  r->walk = (vsi_read_walk){.is_all = true};
  go_on(&r->walk, LIST_FIRST(&r->all));
}

void vsi_reads_walk_key(vsi_reads *r, const key *of) {
  r->walk = (vsi_read_walk){.place = find(r, of)};
}

static set *take_next(vsi_read_walk *is) {
  set *s = is->next;
  if (s) is->next = LIST_NEXT(s, in);
  return s;
}

set *vsi_reads_next(vsi_reads *r) {
  vsi_read_walk *is = &r->walk;
  while (is->is_all && is->group && !is->next) go_on(is, LIST_NEXT(is->group, in_all));
  while (!is->is_all && !is->next && is->place) {
    const place *where = is->place;
    is->place = further(where);
    if (has_ended(r, where)) continue;
    if (is_own(r, &where->key)) return where->of.set;
    go_on(is, where->of.group);
  }
  return take_next(is);
}

/* Return the next set of an endless walk over all sets; NULL: continue from the beginning with the next call. */
static set *sweep_next(vsi_reads *r) {
  vsi_read_walk *is = &r->sweep;
  is->is_all = true;
  while (is->group && !is->next) go_on(is, LIST_NEXT(is->group, in_all));
  set *s = take_next(is);
  if (!s) go_on(is, LIST_FIRST(&r->all));
  return s;
}

/* Remove sets that no page needs: look at two with each set that is entered. A sweep over n sets ends after n / 2
 * further ones, so there are at most twice as many sets as pages need at one time. While a page renders, it needs its
 * former sets as well as its new ones. */
static void sweep(vsi_reads *r) {
  for (int i = 0; i < SWEPT_EACH; i++) {
    set *s = sweep_next(r);
    if (s && !r->is.is_used(r->is.ctx, s->number)) remove_set(r, s);
  }
}

/* Report the hits. The next render of a page frees an ended set; those that no page needs are freed here. */
void vsi_reads_report(vsi_reads *r) {
  const size_t count = r->hits_count;
  if (!count) return;
  r->hits_count = 0;
  r->is.hit(r->is.ctx, r->hits, count);
  for (size_t i = 0; i < count; i++)
    if (!r->hits[i].is_used && r->hits[i].number != VSI_READS_EVERYTHING) free_gone(r, 1);
  if (r->gone_count > GONE_MOST) free_gone(r, r->gone_count - GONE_MOST);
}

static void add_hit(vsi_reads *r, vsi_read_hit of) {
  r->hits[r->hits_count++] = of;
  if (r->hits_count == VSI_READS_HITS_MOST) vsi_reads_report(r);
}

void vsi_reads_hit(vsi_reads *r, set *s, key of, uint64_t at_ns) {
  leave_group(r, s);
  s->group = NULL;
  LIST_INSERT_HEAD(&r->gone, s, in);
  r->gone_count++;
  add_hit(r, (vsi_read_hit){.number = s->number, .at_ns = at_ns, .key = of});
}

void vsi_reads_hit_whole(vsi_reads *r, uint64_t at_ns) {
  if (!r->has_whole) return;
  r->has_whole = false;
  add_hit(r, (vsi_read_hit){.number = VSI_READS_EVERYTHING, .at_ns = at_ns});
}

void vsi_reads_give_way(vsi_reads *r) {
  if (++r->walked % STEP || !atomic_load_explicit(&r->waiting, memory_order_relaxed)) return;
  vsi_reads_report(r);
  r->gives_way = true;
  (void)vsi_wait_until(&r->ended, &r->lock, vsi_monotonic_in_ms(STEP_MS));
  r->gives_way = false;
}

/* ------------------------------------------------------------------------------------------------- the ring ------- */

static void drop(vsi_reads *r, vsi_read_commit *c) {
  TAILQ_REMOVE(&r->ring, c, in);
  r->ring_count--;
  r->ring_bytes -= c->bytes;
  r->is.drop(r->is.ctx, c);
}

/* Return the ticket of the oldest render that may still be current. Those of forgotten commits run again anyway. */
static uint64_t oldest_ticket(const vsi_reads *r) {
  const vsi_read_ticket *t = TAILQ_FIRST(&r->tickets);
  while (t && t->at <= r->forgotten) t = TAILQ_NEXT(t, in);
  return t ? t->at : UINT64_MAX;
}

/* Drop the commits that no running render can need. */
static void prune(vsi_reads *r) {
  const uint64_t oldest = oldest_ticket(r);
  for (vsi_read_commit *c; (c = TAILQ_FIRST(&r->ring)) && c->published < oldest && !c->is_held;) drop(r, c);
}

static bool is_full(const vsi_reads *r) {
  return r->ring_count > r->is.max_ring || r->ring_bytes > r->is.ring_bytes;
}

bool vsi_reads_shrink(vsi_reads *r) {
  for (vsi_read_commit *c; is_full(r) && (c = TAILQ_FIRST(&r->ring)) && !c->is_held;) {
    if (c->published > r->forgotten) r->forgotten = c->published;
    drop(r, c);
  }
  return is_full(r);
}

void vsi_reads_forget(vsi_reads *r) {
  while (!TAILQ_EMPTY(&r->ring)) drop(r, TAILQ_FIRST(&r->ring));
  r->forgotten = ++r->clock;
}

void vsi_reads_publish(vsi_reads *r, vsi_read_commit *c) {
  TAILQ_INSERT_TAIL(&r->ring, c, in);
  r->ring_count++;
  r->ring_bytes += c->bytes;
  c->published = ++r->clock;
  c->is_held = true;
}

void vsi_reads_walked(vsi_reads *r, vsi_read_commit *c) {
  VSI_ASSERT(c->is_held);
  c->is_held = false;
  prune(r);
}

/* -------------------------------------------------------------------------------------------------- renders ------- */

void vsi_reads_lock(vsi_reads *r) {
  atomic_fetch_add_explicit(&r->waiting, 1, memory_order_relaxed);
  vsi_mutex_lock(&r->lock);
  atomic_fetch_sub_explicit(&r->waiting, 1, memory_order_relaxed);
}

void vsi_reads_unlock(vsi_reads *r) {
  if (r->gives_way) pthread_cond_broadcast(&r->ended);
  vsi_mutex_unlock(&r->lock);
}

void vsi_reads_begin(vsi_reads *r, vsi_read_ticket *ticket) {
  vsi_reads_lock(r);
  ticket->at = ++r->clock;
  TAILQ_INSERT_TAIL(&r->tickets, ticket, in);
  vsi_reads_unlock(r);
}

void vsi_reads_end(vsi_reads *r, vsi_read_ticket *ticket) {
  TAILQ_REMOVE(&r->tickets, ticket, in);
  free_gone(r, FREED_EACH);
  pthread_cond_broadcast(&r->ended);
  prune(r);
}

void vsi_reads_leave(vsi_reads *r, vsi_read_ticket *ticket) {
  vsi_reads_lock(r);
  vsi_reads_end(r, ticket);
  vsi_reads_unlock(r);
}

uint64_t vsi_reads_number(vsi_reads *r) {
  return atomic_fetch_add_explicit(&r->numbers, 1, memory_order_relaxed) + 1;
}

vsi_read_entry vsi_reads_enter(vsi_reads *r, uint64_t number, const vsi_read_content *of, bool is_least,
                               set **ret_set) {
  uint64_t hash;
  sweep(r);
  const uint32_t shared = count_shared(r, of), own = (uint32_t)of->count - shared;
  group *g = find_group(r, of, &hash);
  const size_t wanted = set_bytes(own, of->bytes) + (g ? 0 : group_bytes(shared + of->further_count, of->shared_bytes));
  if (r->bytes + wanted > r->is.max_bytes) free_gone(r, SIZE_MAX);
  const bool has_room = r->bytes + wanted <= r->is.max_bytes + (is_least ? r->is.more_bytes : 0);
  if (!has_room && !is_least) return VSI_READS_LARGE;
  if (has_room && !g) g = create_group(r, of, shared, hash);
  if (has_room && g && !add_set(r, number, of, g, own, ret_set)) return VSI_READS_ENTERED;
  if (g && LIST_EMPTY(&g->sets)) remove_group(r, g);
  return VSI_READS_WHOLE;
}

void vsi_reads_add_whole(vsi_reads *r) {
  vsi_reads_lock(r);
  r->has_whole = true;
  vsi_reads_unlock(r);
}

vsi_read_entry vsi_reads_enter_whole(vsi_reads *r, vsi_read_ticket *ticket) {
  vsi_reads_lock(r);
  const vsi_read_commit *last = TAILQ_LAST(&r->ring, vsi_read_ring);
  while (last && last->is_quiet) last = TAILQ_PREV(last, vsi_read_ring, in);
  const bool is_passed = ticket->at <= r->forgotten || (last && last->published > ticket->at);
  if (is_passed)
    r->overtaken_count++;
  else
    r->has_whole = true;
  vsi_reads_end(r, ticket);
  vsi_reads_unlock(r);
  return is_passed ? VSI_READS_OVERTAKEN : VSI_READS_WHOLE;
}

bool vsi_reads_wait(vsi_reads *r, uint64_t until_ns) {
  bool is_in_time = true;
  const vsi_read_ticket *oldest;
  vsi_reads_lock(r);
  const uint64_t now = ++r->clock;
  while (is_in_time && (oldest = TAILQ_FIRST(&r->tickets)) && oldest->at < now)
    is_in_time = vsi_wait_until(&r->ended, &r->lock, until_ns);
  vsi_reads_unlock(r);
  return is_in_time;
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

void vsi_reads_init(vsi_reads *r, const vsi_reads_options *options) {
  r->is = *options;
  vsi_mutex_init(&r->lock, VSI_LOCK_READS);
  pthread_cond_init(&r->ended, NULL);
  TAILQ_INIT(&r->tickets);
  TAILQ_INIT(&r->ring);
}

void vsi_reads_finish(vsi_reads *r) {
  vsi_reads_forget(r);
  free_gone(r, SIZE_MAX);
  while (!LIST_EMPTY(&r->all)) remove_set(r, LIST_FIRST(&LIST_FIRST(&r->all)->sets));
  vsi_stepped_map_finish(&r->places, r->is.host);
  vsi_map_finish(&r->groups, r->is.host);
  pthread_cond_destroy(&r->ended);
  vsi_mutex_finish(&r->lock);
}
