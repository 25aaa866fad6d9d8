/* SPDX-License-Identifier: MIT */
/* The interface of presence, and the actor that reports each change to on_change. */
#include "app/presence/presences.h"

#include "app/presence/spread.h"
#include "base/buffer.h"
#include "base/callback.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "connection/connection.h"
#include "http/reply.h"
#include "store/store.h"

/* A reply names a user and a place. The user is present while the reply's stream is open, and for a grace time after
 * its end. */

/* Copies of the arguments of one reply; then the state of its stream from beginning to end. */
typedef struct arrival {
  vsi_attachment attachment; /* first */
  vestry_presence *presence; /* a reference */
  vsi_presence_member *here; /* the member, while the stream is open */
  const char *user;          /* in `bytes`, as is the place */
  size_t place_len;
  char bytes[];
} arrival;

static void drop_arrival(vsi_attachment *attachment) {
  arrival *one = (arrival *)attachment;
  vestry_presence *presence = one->presence;
  vsi_free(presence->host, one);
  vsi_presence_unref(presence);
}

static void stream_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  arrival *one = (arrival *)(void *)node;
  vestry_presence *presence = one->presence;
  (void)connection, (void)cause;
  vsi_mutex_lock(&presence->lock);
  if (!--one->here->streams_count) vsi_grace_begin_locked(presence, one->here);
  vsi_mutex_unlock(&presence->lock);
  drop_arrival(&one->attachment);
}

/* Return whether there is room for a new member. A member that is in the tables needs none, also if it has left and its
 * leaving has not been reported.
 *
 * While the last sixteenth of max_count is in use, each new member ends the oldest grace time. So a client that opens
 * and ends streams under many names cannot fill the bound with members that have no stream. */
static bool has_room_locked(vestry_presence *presence) {
  const size_t most = presence->max_count;
  if (presence->members.count < most - most / 16) return true;
  /* If the table is full of members whose leaving is to be reported, one more makes no room. */
  if (presence->members.count < most || vsi_ring_is_empty(&presence->unreported)) vsi_grace_shorten_locked(presence);
  return presence->members.count < most;
}

/* Find the member, or create it. The bound is checked in the same section that adds the member, so it is exact. */
static vestry_err need_locked(vestry_presence *presence, const vestry_scoped_key *place, const char *user,
                              vsi_presence_member **ret_member) {
  *ret_member = vsi_presence_member_find_locked(presence, vsi_place_find_locked(presence, place), user);
  if (*ret_member) return VESTRY_OK;
  return has_room_locked(presence) ? vsi_presence_member_add_locked(presence, place, user, ret_member) : VESTRY_LIMIT;
}

/* Let the user join when the stream begins. */
static vestry_err arrive(vsi_attachment *attachment, vestry_connection *connection) {
  arrival *one = (arrival *)attachment;
  vestry_presence *presence = one->presence;
  vsi_scoped_key place;
  vsi_presence_member *here;
  vestry_err error = vsi_place_pack_encoded(presence, (vestry_slice){one->bytes, one->place_len}, &place);
  if (error) return error;
  vsi_mutex_lock(&presence->lock);
  error = need_locked(presence, place.key, one->user, &here);
  if (!error) {
    if (here->is_gone) vsi_grace_end_locked(here);
    if (!here->is_own) vsi_presence_member_own_locked(presence, here, true);
    if (!here->is_here) vsi_presence_member_come_locked(presence, here);
    here->streams_count++;
    one->here = here;
  }
  vsi_mutex_unlock(&presence->lock);
  vsi_scoped_key_finish(&place);
  if (!error) vsi_connection_call_at_close(connection, &one->attachment.node, stream_ended);
  return error;
}

/* Return whether the user may join now. TOO_LARGE: the member cannot be announced to other nodes. If the table is full,
 * the oldest grace time ends here, so that there is room when the tab tries again. */
static vestry_err may_arrive_locked(vestry_presence *presence, const vestry_scoped_key *place, const char *user) {
  if (presence->is_closed) return VESTRY_CLOSED;
  if (!vsi_presence_fits_locked(presence, vsi_place_encoded(place), user)) return VESTRY_TOO_LARGE;
  if (presence->members.count < presence->max_count) return VESTRY_OK;
  if (vsi_presence_member_find_locked(presence, vsi_place_find_locked(presence, place), user)) return VESTRY_OK;
  return has_room_locked(presence) ? VESTRY_OK : VESTRY_LIMIT;
}

static vestry_err create_arrival(vestry_presence *presence, const vestry_scoped_key *key, const char *user,
                                 arrival **ret_arrival) {
  const vestry_slice place = vsi_place_encoded(key);
  const size_t user_bytes = strlen(user) + 1;
  arrival *one = vsi_alloc(presence->host, sizeof *one + place.len + user_bytes);
  if (!one) return VESTRY_NO_MEMORY;
  *one = (arrival){{.begin = arrive, .drop = drop_arrival}, presence, .place_len = place.len};
  memcpy(one->bytes, place.data, place.len);
  one->user = memcpy(one->bytes + place.len, user, user_bytes);
  vsi_mutex_lock(&presence->lock);
  vestry_err error = may_arrive_locked(presence, key, user);
  presence->refs += !error;
  vsi_mutex_unlock(&presence->lock);
  if (error)
    vsi_free(presence->host, one);
  else
    *ret_arrival = one;
  return error;
}

vestry_err vestry_reply_present(vestry_reply *reply, vestry_presence *presence, const vestry_key *key,
                                const char *user) {
  size_t len = user ? strlen(user) : 0;
  if (!presence || !len || len > VSI_PRESENCE_WHO_MAX || !vsi_is_utf8(user, len))
    return vsi_reply_refuse(
        reply, VESTRY_INVALID,
        "presence: user is NULL (is no user logged in?), empty, longer than 255 bytes, or not UTF-8");
  if (presence->v != reply->v)
    return vsi_reply_refuse(reply, VESTRY_INVALID, "presence: it belongs to another instance than the request");
  vestry_err error = vsi_reply_may_join(reply);
  if (error) return error;
  vsi_scoped_key place;
  arrival *one = NULL;
  error = vsi_place_pack(presence, key, &place);
  if (error && error != VESTRY_NO_MEMORY)
    return vsi_reply_refuse(reply, error, "the place is not well formed or too large");
  if (error) return vsi_reply_remember(reply, error);
  error = create_arrival(presence, place.key, user, &one);
  vsi_scoped_key_finish(&place);
  if (error == VESTRY_TOO_LARGE)
    (void)vsi_reply_refuse(reply, error,
                           "presence: place and user exceed the maximum size of a message to the other nodes; use "
                           "shorter ones, or raise max_payload of the broker");
  return vsi_reply_attach(reply, error, error ? NULL : &one->attachment);
}

enum { GRACE_MS = 2000, GRACE_MAX_MS = 86400000, MAX_COUNT = 100000 };

/* ----------------------------------------------------------------------- reporting changes, create, destroy ------ */

/* Take the first unreported change, in its present state; NULL: there is none. The member is not freed until the report
 * has returned. */
static vsi_presence_member *next_change(vestry_presence *presence, vestry_presence_change *ret_change) {
  vsi_mutex_lock(&presence->lock);
  vsi_presence_member *one = NULL;
  if (!presence->is_closed && !vsi_ring_is_empty(&presence->unreported)) {
    one = VSI_RING_OWNER(presence->unreported.next, vsi_presence_member, unreported);
    one->is_unreported = false;
    vsi_ring_remove(&one->unreported);
    one->is_reported = one->is_here;
    one->is_being_reported = true;
    if (one->is_reported)
      one->at->reported_count++;
    else
      one->at->reported_count--;
    *ret_change = (vestry_presence_change){one->at->key, one->user, one->is_reported, one->at->reported_count};
  }
  vsi_mutex_unlock(&presence->lock);
  return one;
}

/* Log, once, that a member was not announced to the other nodes. */
static void log_cut(vestry_presence *presence) {
  vsi_mutex_lock(&presence->lock);
  bool is_new = presence->is_cut && !presence->is_cut_logged && !presence->is_closed;
  presence->is_cut_logged |= is_new;
  vsi_mutex_unlock(&presence->lock);
  if (is_new)
    vsi_log(presence->host, VESTRY_LOG_ERROR,
            "presence %s: a member's place and user exceed the maximum size of a message to the other nodes, so only "
            "this node knows the member; use shorter ones, or raise max_payload of the broker",
            presence->name);
}

static void run(vestry_actor *self, void *ctx) {
  vestry_presence *presence = ctx;
  vestry_presence_change change;
  (void)self;
  log_cut(presence);
  for (vsi_presence_member *one; (one = next_change(presence, &change)) != NULL;) {
    vsi_mutex_lock(&presence->notifying);
    if (!presence->is_muted) presence->on_change(&change, presence->ctx);
    vsi_mutex_unlock(&presence->notifying);
    vsi_mutex_lock(&presence->lock);
    one->is_being_reported = false;
    vsi_presence_member_let_go_locked(presence, one);
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
  if (!v) return VESTRY_INVALID;
  if (!ret_presence) return vsi_mistake(v->host, "vestry_presence_create", "ret_presence is NULL");
  vestry_presence_options options = given ? *given : (vestry_presence_options){0};
  const vsi_option_range grace_ms = {"grace_ms", options.grace_ms, 1, GRACE_MAX_MS};
  if (vsi_option_ranges_check(v->host, "vestry_presence_create", &grace_ms, 1)) return VESTRY_INVALID;
  size_t name_len = options.name ? strnlen(options.name, VSI_PRESENCE_NAME_MAX + 1) : 0;
  if ((options.name && !name_len) || name_len > VSI_PRESENCE_NAME_MAX) {
    vsi_log(v->host, VESTRY_LOG_ERROR, "vestry_presence_create: the name \"%.*s\" must have from 1 to %d bytes",
            VSI_PRESENCE_NAME_MAX, options.name, VSI_PRESENCE_NAME_MAX);
    return VESTRY_INVALID;
  }
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
  vsi_mutex_lock(&presence->notifying); /* waits for a running on_change */
  presence->is_muted = true;
  vsi_mutex_unlock(&presence->notifying);
  vsi_mutex_lock(&presence->lock);
  presence->is_closed = true;
  vsi_mutex_unlock(&presence->lock);
  vestry_timer_destroy(presence->timer);
  vestry_actor_unref(presence->actor);
  vsi_presence_unref(presence);
}

/* ----------------------------------------------------------------------------------------------- queries ---------- */

/* Find a place. If it is found, the presence's lock is held on return. */
static vsi_place *find_and_lock(vestry_presence *presence, const vestry_key *key, vestry_err *ret_error) {
  vsi_scoped_key packed;
  *ret_error = vsi_place_pack(presence, key, &packed);
  if (*ret_error) return NULL;
  vsi_mutex_lock(&presence->lock);
  vsi_place *found = vsi_place_find_locked(presence, packed.key);
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
  stats.is_partial = !vsi_bits_is_empty(&presence->crowded_out);
  const vsi_presence_watch *watch = presence->watch;
  vsi_mutex_unlock(&presence->lock);
  if (watch && !watch->knows_all(watch->ctx)) stats.is_partial = true;
  if (ret_stats) *ret_stats = stats;
}

size_t vestry_presence_count(vestry_presence *presence, const vestry_key *key) {
  vestry_err error;
  if (!presence) return 0;
  vsi_place *at = find_and_lock(presence, key, &error);
  size_t count = at ? at->count : 0;
  if (at) vsi_mutex_unlock(&presence->lock);
  return count;
}

bool vestry_presence_is(vestry_presence *presence, const vestry_key *key, const char *user) {
  vestry_err error;
  if (!presence || !user) return false;
  vsi_place *at = find_and_lock(presence, key, &error);
  const vsi_presence_member *one = at ? vsi_presence_member_find_locked(presence, at, user) : NULL;
  bool is = one && one->is_here;
  if (at) vsi_mutex_unlock(&presence->lock);
  return is;
}

vestry_err vestry_presence_each(vestry_presence *presence, const vestry_key *key, vestry_presence_each_fn fn,
                                void *ctx) {
  vestry_err error;
  if (!presence) return VESTRY_INVALID;
  if (!fn) return vsi_mistake(presence->host, "vestry_presence_each", "the function is NULL");
  vsi_place *at = find_and_lock(presence, key, &error);
  if (!at) return vsi_key_refuse(presence->host, "vestry_presence_each", error);
  vsi_buffer all; /* for each member, the number of streams and the name */
  vsi_buffer_init(&all, presence->host);
  for (const vsi_ring *in = at->members.next; in != &at->members; in = in->next) {
    const vsi_presence_member *one = VSI_RING_OWNER(in, const vsi_presence_member, at_place);
    vsi_buffer_append(&all, &one->streams_count, sizeof one->streams_count);
    vsi_buffer_append(&all, one->user, strlen(one->user) + 1);
  }
  vsi_mutex_unlock(&presence->lock);
  error = all.error;
  for (const char *next = all.data, *end = all.len ? next + all.len : next; !error && next < end;) {
    size_t streams_count;
    memcpy(&streams_count, next, sizeof streams_count);
    next += sizeof streams_count;
    vsi_callback_begin();
    fn(next, streams_count, ctx);
    vsi_callback_end();
    next += strlen(next) + 1;
  }
  vsi_buffer_finish(&all);
  return error;
}
