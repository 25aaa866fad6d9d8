/* SPDX-License-Identifier: MIT */
/* The guests of each place, and an actor that tells of each change (on_change). */
#include "app/presence/grace.h"
#include "app/presence/guest.h"
#include "app/presence/place.h"
#include "app/presence/spread.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"

enum { GRACE_MS = 2000, GRACE_MAX_MS = 86400000, MAX_COUNT = 100000 };

/* ------------------------------------------------------------------------------------------------- its life ------- */

/* The first news, as it is now; NULL: there is none. The guest stays until it has been told. */
static vsi_guest *next_news(vestry_presence *presence, vestry_presence_change *ret_change) {
  vsi_mutex_lock(&presence->lock);
  vsi_guest *one = NULL;
  if (!presence->is_closed && !vsi_ring_is_empty(&presence->news)) {
    one = VSI_RING_OWNER(presence->news.next, vsi_guest, news);
    one->is_news = false;
    vsi_ring_remove(&one->news);
    one->is_told = one->is_here;
    one->is_being_told = true;
    if (one->is_told)
      one->at->told_count++;
    else
      one->at->told_count--;
    *ret_change = (vestry_presence_change){one->at->key, one->who, one->is_told, one->at->told_count};
  }
  vsi_mutex_unlock(&presence->lock);
  return one;
}

static void run(vestry_actor *self, void *ctx) {
  vestry_presence *presence = ctx;
  vestry_presence_change change;
  (void)self;
  for (vsi_guest *one; (one = next_news(presence, &change)) != NULL;) {
    vsi_mutex_lock(&presence->telling);
    if (!presence->is_deaf) presence->on_change(&change, presence->ctx);
    vsi_mutex_unlock(&presence->telling);
    vsi_mutex_lock(&presence->lock);
    one->is_being_told = false;
    vsi_guest_let_go_locked(presence, one);
    vsi_mutex_unlock(&presence->lock);
  }
}

static void done(void *ctx) {
  vsi_presence_unref(ctx);
}

static vestry_err fill(vestry_presence *presence, vestry_runtime *runtime) {
  vestry_err error = vsi_presence_init(presence);
  if (error) return error;
  error = vestry_timer_create(runtime, vsi_grace_fire, presence, &presence->timer);
  if (error) return error;
  presence->refs++;
  error = vestry_actor_create(runtime, &(vestry_actor_options){.run = run, .done = done, .ctx = presence},
                              &presence->actor);
  if (error) presence->refs--;
  return error;
}

vestry_err vestry_presence_create(struct vestry *v, const vestry_presence_options *given,
                                  vestry_presence **ret_presence) {
  vestry_presence_options options;
  if (!v || !ret_presence) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(vestry_presence_options, options, given) || options.grace_ms > GRACE_MAX_MS)
    return vsi_mistake(v->host, "vestry_presence_create",
                       "grace_ms is out of its bounds, or the options are of a later vestry");
  size_t name_len = options.name ? strnlen(options.name, VSI_PRESENCE_NAME_MAX + 1) : 0;
  if ((options.name && !name_len) || name_len > VSI_PRESENCE_NAME_MAX)
    return vsi_mistake(v->host, "vestry_presence_create", "the name is empty, or too long");
  vsi_presences *all;
  vestry_err error = vsi_presences_use(v, &all);
  vestry_presence *presence = error ? NULL : vsi_calloc(v->host, 1, sizeof *presence);
  if (!presence) return error ? error : VESTRY_NO_MEMORY;
  presence->v = v;
  presence->all = all;
  presence->host = v->host;
  presence->refs = 1;
  if (name_len) memcpy(presence->name, options.name, name_len);
  presence->grace_ns = vsi_ms_to_ns(options.grace_ms ? options.grace_ms : GRACE_MS);
  presence->max_count = options.max_count ? options.max_count : MAX_COUNT;
  presence->on_change = options.on_change;
  presence->ctx = options.ctx;
  error = fill(presence, options.runtime ? options.runtime : v->runtime);
  if (error) {
    vestry_timer_destroy(presence->timer);
    vsi_presence_unref(presence);
    return error;
  }
  error = vsi_presence_begin(presence);
  if (error) {
    vestry_presence_destroy(presence);
    return error;
  }
  *ret_presence = presence;
  return VESTRY_OK;
}

void vestry_presence_destroy(vestry_presence *presence) {
  if (!presence || vestry_is_forked(presence->v)) return;
  vsi_presence_end(presence);
  vsi_mutex_lock(&presence->telling); /* one that runs is over then */
  presence->is_deaf = true;
  vsi_mutex_unlock(&presence->telling);
  vsi_mutex_lock(&presence->lock);
  presence->is_closed = true;
  vsi_mutex_unlock(&presence->lock);
  vestry_timer_destroy(presence->timer);
  vestry_actor_unref(presence->actor);
  vsi_presence_unref(presence);
}

/* ------------------------------------------------------------------------------------------------ asking ---------- */

/* Locked if it is there. */
static vsi_place *find_and_lock(vestry_presence *presence, const vestry_key *key, vestry_err *ret_error) {
  vsi_scoped_key packed;
  *ret_error = vsi_place_pack(presence, key, &packed);
  if (*ret_error) return NULL;
  vsi_mutex_lock(&presence->lock);
  vsi_place *found = vsi_place_find_locked(presence, &packed.key);
  if (!found) vsi_mutex_unlock(&presence->lock);
  vsi_scoped_key_finish(&packed);
  return found;
}

void vestry_presence_stats_get(vestry_presence *presence, vestry_presence_stats *ret_stats) {
  vestry_presence_stats stats = {0};
  vsi_mutex_lock(&presence->lock);
  stats.here_count = presence->here_count;
  stats.own_count = presence->own_count;
  stats.refused_count = presence->refused_count;
  stats.is_partial = presence->crowded_out != 0;
  const vsi_presence_watch *watch = presence->watch;
  vsi_mutex_unlock(&presence->lock);
  if (watch && !watch->knows_all(watch->ctx)) stats.is_partial = true;
  VSI_RESULT_GIVE(vestry_presence_stats, ret_stats, stats);
}

size_t vestry_presence_count(vestry_presence *presence, const vestry_key *key) {
  vestry_err error;
  if (!presence) return 0;
  vsi_place *at = find_and_lock(presence, key, &error);
  size_t count = at ? at->count : 0;
  if (at) vsi_mutex_unlock(&presence->lock);
  return count;
}

bool vestry_presence_is(vestry_presence *presence, const vestry_key *key, const char *who) {
  vestry_err error;
  if (!presence || !who) return false;
  vsi_place *at = find_and_lock(presence, key, &error);
  const vsi_guest *one = at ? vsi_guest_find_locked(presence, at, who) : NULL;
  bool is = one && one->is_here;
  if (at) vsi_mutex_unlock(&presence->lock);
  return is;
}

vestry_err vestry_presence_each(vestry_presence *presence, const vestry_key *key, vestry_presence_each_fn fn,
                                void *ctx) {
  vestry_err error;
  if (!presence || !fn) return VESTRY_INVALID;
  vsi_place *at = find_and_lock(presence, key, &error);
  if (!at) return error;
  vsi_buffer all; /* a count and a name, and so on */
  vsi_buffer_init(&all, presence->host);
  for (const vsi_ring *in = at->guests.next; in != &at->guests; in = in->next) {
    const vsi_guest *one = VSI_RING_OWNER(in, const vsi_guest, at_place);
    vsi_buffer_append(&all, &one->streams_count, sizeof one->streams_count);
    vsi_buffer_append(&all, one->who, strlen(one->who) + 1);
  }
  vsi_mutex_unlock(&presence->lock);
  error = all.error;
  for (const char *next = all.data, *end = all.len ? next + all.len : next; !error && next < end;) {
    size_t streams_count;
    memcpy(&streams_count, next, sizeof streams_count);
    next += sizeof streams_count;
    fn(next, streams_count, ctx);
    next += strlen(next) + 1;
  }
  vsi_buffer_finish(&all);
  return error;
}
