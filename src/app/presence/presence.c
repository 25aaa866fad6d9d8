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

/* essay: memory for a member, allocated before its stream opens */
/* A reply names a user and a place. The user is present while the reply's stream is open, and for a grace time after
 * its end.
 *
 * The memory that the stream may need is allocated when the reply names the user, before there is a stream: a member, a
 * place, and room within max_count. Therefore nothing can fail when the stream begins; unused memory is freed then. */

/* The state of one reply, and then of its stream from beginning to end. */
typedef struct arrival {
  vsi_attachment attachment;  /* first */
  vestry_presence *presence;  /* a reference */
  vsi_presence_member *spare; /* NULL: used */
  vsi_place *spare_place;     /* NULL: used */
  vsi_presence_member *here;  /* the member, while the stream is open */
} arrival;

static void free_spares(const vestry_host *host, arrival *one) {
  vsi_free(host, one->spare);
  vsi_free(host, one->spare_place);
  one->spare = NULL;
  one->spare_place = NULL;
}

static void free_arrival(arrival *one) {
  vestry_presence *presence = one->presence;
  free_spares(presence->host, one);
  vsi_free(presence->host, one);
  vsi_presence_unref(presence);
}

static void drop_arrival(vsi_attachment *attachment) {
  arrival *one = (arrival *)attachment;
  vsi_mutex_lock(&one->presence->lock);
  one->presence->reserved_count--;
  vsi_mutex_unlock(&one->presence->lock);
  free_arrival(one);
}

static void stream_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  arrival *one = (arrival *)(void *)node;
  vestry_presence *presence = one->presence;
  (void)connection, (void)cause;
  vsi_mutex_lock(&presence->lock);
  if (!--one->here->streams_count) vsi_grace_begin_locked(presence, one->here);
  vsi_mutex_unlock(&presence->lock);
  free_arrival(one);
}

/* Let the user join when the stream begins, with the memory that was reserved. Reserved memory that is not needed is
 * freed. */
static vestry_err arrive(vsi_attachment *attachment, vestry_connection *connection) {
  arrival *one = (arrival *)attachment;
  vestry_presence *presence = one->presence;
  vsi_mutex_lock(&presence->lock);
  presence->reserved_count--;
  vsi_place *at = vsi_place_find_locked(presence, &one->spare_place->packed);
  if (!at) {
    at = one->spare_place;
    one->spare_place = NULL;
    vsi_place_enter_locked(presence, at);
  }
  vsi_presence_member *here = vsi_presence_member_find_locked(presence, at, one->spare->user);
  if (!here) {
    here = one->spare;
    one->spare = NULL;
    vsi_presence_member_enter_locked(presence, at, here);
  }
  if (here->is_gone) vsi_grace_end_locked(here);
  if (!here->is_own) vsi_presence_member_own_locked(presence, here, true);
  if (!here->is_here) vsi_presence_member_come_locked(presence, here);
  here->streams_count++;
  one->here = here;
  vsi_mutex_unlock(&presence->lock);
  free_spares(presence->host, one);
  vsi_connection_call_at_close(connection, &one->attachment.node, stream_ended);
  return VESTRY_OK;
}

/* Reserve room for a member. A new member is refused when members and reservations have reached max_count. A member
 * that is in the tables is accepted even then, also if it has left and its leaving has not been reported. This does not
 * exceed the bound: when the stream begins, either the member is still in the tables, and none is added, or it was
 * removed, and the reservation takes the room that it left. TOO_LARGE: the member cannot be announced to other
 * nodes.
 *
 * While the last sixteenth of max_count is in use, each new member ends the oldest grace time. So a client that opens
 * and ends streams under many names cannot fill the bound with members that have no stream. */
static bool has_room_locked(vestry_presence *presence, const arrival *one) {
  const size_t most = presence->max_count;
  if (presence->members.count + presence->reserved_count < most - most / 16) return true;
  const vsi_place *at = vsi_place_find_locked(presence, &one->spare_place->packed);
  if (vsi_presence_member_find_locked(presence, at, one->spare->user)) return true;
  /* If the table is full of members whose leaving is to be reported, one more makes no room. */
  if (presence->members.count + presence->reserved_count < most || vsi_ring_is_empty(&presence->unreported))
    vsi_grace_shorten_locked(presence);
  return presence->members.count + presence->reserved_count < most;
}

static vestry_err reserve(vestry_presence *presence, arrival *one) {
  vsi_mutex_lock(&presence->lock);
  vestry_err error = presence->is_closed ? VESTRY_CLOSED : VESTRY_OK;
  if (!error && !vsi_presence_fits_locked(presence, one->spare_place, one->spare->user)) error = VESTRY_TOO_LARGE;
  if (!error && !has_room_locked(presence, one)) error = VESTRY_LIMIT;
  if (!error) {
    vsi_presence_grow_locked(presence);
    presence->reserved_count++;
    presence->refs++;
    one->presence = presence;
  }
  vsi_mutex_unlock(&presence->lock);
  return error;
}

static vestry_err prepare(vestry_presence *presence, const vestry_key *place, const char *user, arrival *one) {
  vsi_scoped_key packed;
  vestry_err error = vsi_place_pack(presence, place, &packed);
  if (error) return error;
  error = vsi_place_create(presence->host, packed.key, &one->spare_place);
  if (!error) one->spare = vsi_presence_member_create(presence, packed.key, user);
  vsi_scoped_key_finish(&packed);
  return !error && !one->spare ? VESTRY_NO_MEMORY : error;
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
  arrival *one = vsi_calloc(presence->host, 1, sizeof *one);
  error = one ? prepare(presence, key, user, one) : VESTRY_NO_MEMORY;
  if (error && error != VESTRY_NO_MEMORY)
    (void)vsi_reply_refuse(reply, error, "the place is not well formed or too large");
  if (!error) {
    error = reserve(presence, one);
    if (error == VESTRY_TOO_LARGE)
      (void)vsi_reply_refuse(reply, error,
                             "presence: place and user exceed the maximum size of a message to the other nodes; use "
                             "shorter ones, or raise max_payload of the broker");
  }
  if (!error) {
    one->attachment.begin = arrive;
    one->attachment.drop = drop_arrival;
    vsi_attachments_add_counted(&reply->attachments, &one->attachment);
    return VESTRY_OK;
  }
  if (one) free_spares(presence->host, one);
  vsi_free(presence->host, one);
  return vsi_reply_remember(reply, error);
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
