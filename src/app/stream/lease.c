/* SPDX-License-Identifier: MIT */
/* essay: leases: detecting lost tabs behind a proxy */
/* A proxy accepts data for a tab whose network is broken, and the server's own TCP connection is intact, because it
 * ends at the proxy. Only a message from the tab itself, through the whole path, shows that the tab is there. Therefore
 * the element renews its lease: it answers events of the stream, above all heartbeats, with a POST
 * (app/stream/stream.c). A stream whose lease is not renewed for lease_ms ends.
 *
 * Alternatives. If each stream had a maximum age and the tab opened it anew, each reopening would cost a request,
 * guards, the handler and a render, and messages sent to the key in between would be lost. A renewal costs a lookup. It
 * is performed before sessions, guards and handlers: it does not count as activity of the user, renews no session, and
 * takes no token of a rate. It contains only the lease, which is random, is sent only to its stream, and can only keep
 * that stream open. If the page renewed its lease by a timer alone, leases of hidden tabs would expire, because their
 * timers fire once a minute, while incoming data is handled at once. The element uses a timer in addition, because a
 * large event may be arriving for a long time.
 *
 * States of a lease:
 *
 *     sent with the first event ──first renewal──→ running ──lease_ms without a renewal──→ expired: the stream ends
 *                              ↑                    ↑ │ └──renewal──┐
 *                              └──────release───────┼─┘             │
 *                                                   └───────────────┘
 *
 * Begin. A lease begins with its first renewal, not with the stream. So if renewals cannot reach the server (a proxy
 * passes only GET, or all six connections to the host are in use), a stream works as it would without leases.
 *
 * Release. A proxy may send a renewal to a process that cannot pass it on to the process of the stream, for example
 * because the processes are no cluster, or their broker is away. That process answers 404. The other one must not end
 * the stream for want of renewals, so the element then repeats the request as a release until that process receives it.
 * Renewals that other nodes lost without noticing are a gap of the cluster, after which all leases begin anew.
 *
 * Times. The element does not answer an event that arrives within pause_ms after the last renewal, and the next event
 * may follow only after a heartbeat. So renewals are at most a heartbeat and a pause apart, and the rest of lease_ms is
 * for their transport. The pause is a quarter of the difference between lease_ms and the heartbeat.
 *
 * Standstill. While a process is stopped, or all its threads are busy, renewals wait in its sockets, and its streams
 * get no event that the element could answer. Therefore all leases begin anew if the timer fires more than a second
 * late, but not twice in succession, because under lasting overload the leases of lost tabs must end, too.
 *
 * All leases have the same length, so those that have begun are in a list in the order of their renewals, and one timer
 * is set for the first. The lock is held for a lookup; the timer is set and streams are closed without it. */
#include "app/stream/lease.h"

#include <string.h>
#include <sys/queue.h>

#include "base/held_log.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mutex.h"
#include "connection/connection.h"
#include "event/layout.h"
#include "instance/elsewhere.h"
#include "vestry/app/stream.h"
#include "vestry/runtime.h"

enum {
  DEFAULT_BEYOND_MS = 10000,
  LATE_MS = 1000,
  NS_PER_S = 1000000000,
  ALL_BYTES = VSI_LEASE_BYTES + VSI_ADDRESS_BYTES,
  DIGITS = 2 * ALL_BYTES
};

typedef struct lease {
  vsi_attachment attachment; /* first */
  vsi_leases *leases;
  vestry_connection *connection; /* a reference, from the beginning of the stream to its end */
  vestry_event *first;           /* the first event, until the stream begins */
  unsigned char id[VSI_LEASE_BYTES];
  /* Guarded by the lock. */
  vsi_map_link in;
  TAILQ_ENTRY(lease) place; /* in the list of running leases: begun, and not expired */
  uint64_t due_ns;
  bool has_begun, is_running;
} lease;

struct vsi_leases {
  vestry *v;
  /* Constant once a request was served. */
  uint64_t lease_ns;
  uint64_t pause_ms; /* at least 1; 0: there are no leases */
  vestry_timer *timer;
  vsi_repeated_log repeated;
  vsi_mutex lock;
  /* guarded by lock */
  bool is_set;                 /* by vestry_leases_create; otherwise the length is the default */
  vsi_map map;                 /* of all streams with a lease, by the first bytes of its id */
  TAILQ_HEAD(, lease) running; /* in the order of due_ns */
  bool is_armed;               /* the timer is set, or its function is running */
  uint64_t fires_ns;           /* the time for which the timer was set last */
  bool was_late;               /* it fired late the last time */
  vestry_lease_stats stats;    /* except live_count */
};

static vsi_leases *of(const vestry *v);

/* ------------------------------------------------------------------------------------------------- the timer ------ */

/* Set the timer for the lease that expires first. The caller holds the lock, which is released. */
static void unlock_and_arm(vsi_leases *leases, bool has_fired) {
  const lease *first = TAILQ_FIRST(&leases->running);
  bool is_to_arm = first && (has_fired || !leases->is_armed);
  uint64_t now = vsi_now_ns(leases->v->host), due = first ? first->due_ns : 0;
  if (has_fired || is_to_arm) leases->is_armed = is_to_arm;
  if (is_to_arm) leases->fires_ns = due > now ? due : now;
  vsi_mutex_unlock(&leases->lock);
  if (!is_to_arm) return;
  uint64_t ms = due > now ? (due - now + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS : 0;
  (void)vestry_timer_set(leases->timer, ms, 0); /* CLOSED: the runtime ends, and all streams with it */
}

static void stop_locked(vsi_leases *leases, lease *one) {
  if (one->is_running) TAILQ_REMOVE(&leases->running, one, place);
  one->is_running = false;
}

static void restart_locked(vsi_leases *leases, uint64_t now) {
  lease *one;
  TAILQ_FOREACH(one, &leases->running, place) one->due_ns = vsi_add_saturating(now, leases->lease_ns);
}

void vsi_leases_restart(vestry *v) {
  vsi_leases *leases = of(v);
  if (!leases) return;
  vsi_mutex_lock(&leases->lock);
  restart_locked(leases, vsi_now_ns(v->host)); /* the timer fires for the former times, and is set again then */
  vsi_mutex_unlock(&leases->lock);
}

/* The function of the timer: end the streams whose leases have expired. The lock is released for each one. */
static void fire(vestry_timer *timer, void *ctx) {
  vsi_leases *leases = ctx;
  uint64_t now = vsi_now_ns(leases->v->host);
  (void)timer;
  vsi_mutex_lock(&leases->lock);
  const bool is_late = now > vsi_add_saturating(leases->fires_ns, vsi_ms_to_ns(LATE_MS));
  if (is_late && !leases->was_late) restart_locked(leases, now);
  leases->was_late = is_late;
  for (lease *first; (first = TAILQ_FIRST(&leases->running)) && first->due_ns <= now;) {
    stop_locked(leases, first);
    vestry_connection *connection = vestry_connection_ref(first->connection);
    vsi_mutex_unlock(&leases->lock);
    vsi_log_repeated(leases->v->host, &leases->repeated, 0, VESTRY_LOG_INFO,
                     "leases: a stream ended because its tab has not renewed the lease for %llu s; the tab is lost, or "
                     "a proxy withholds its requests",
                     (unsigned long long)(leases->lease_ns / NS_PER_S));
    vestry_connection_close(connection, VESTRY_CAUSE_LEASE_EXPIRED);
    vestry_connection_unref(connection);
    vsi_mutex_lock(&leases->lock);
  }
  unlock_and_arm(leases, true);
}

/* ------------------------------------------------------------------------------------------------- one lease ------ */

static uint64_t hash_of(const unsigned char id[VSI_LEASE_BYTES]) {
  uint64_t hash;
  memcpy(&hash, id, sizeof hash); /* random, so no client can choose its bucket */
  return hash;
}

static void ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  lease *one = (lease *)(void *)node;
  vsi_leases *leases = one->leases;
  (void)cause;
  vsi_mutex_lock(&leases->lock);
  stop_locked(leases, one);
  leases->stats.ended_count += one->has_begun;
  vsi_map_remove(&leases->map, &one->in);
  vsi_mutex_unlock(&leases->lock);
  vestry_connection_unref(connection);
  vsi_free(leases->v->host, one);
}

static vestry_err begin(vsi_attachment *attachment, vestry_connection *connection) {
  lease *one = (lease *)(void *)attachment;
  vsi_leases *leases = one->leases;
  vestry_event *first = one->first;
  vsi_mutex_lock(&leases->lock);
  vestry_err error = vsi_map_reserve(&leases->map, leases->v->host, leases->map.count + 1);
  if (!error) {
    one->connection = vestry_connection_ref(connection);
    vsi_map_add(&leases->map, &one->in, hash_of(one->id));
  }
  vsi_mutex_unlock(&leases->lock);
  if (error) return error;
  vsi_close_node_init(&attachment->node, ended);
  if (vsi_connection_at_close(connection, &attachment->node)) /* it has ended already, and calls no node */
    ended(&attachment->node, connection, VESTRY_CAUSE_NONE);
  else
    (void)vestry_connection_send(connection, first); /* after an error the element has no lease, and renews none */
  vestry_event_unref(first);
  return VESTRY_OK;
}

static void drop(vsi_attachment *attachment) {
  lease *one = (lease *)(void *)attachment;
  vestry_event_unref(one->first);
  vsi_free(one->leases->v->host, one);
}

/* Write the first event: the id of the lease, and the address of the node that has the stream. Only the element reads
 * this line; the client ignores it. */
static void first_layout(vsi_writer *writer, const void *ctx) {
  vsi_put_str(writer, "event: datastar-patch-signals\ndata: signals {}\ndata: lease ");
  vsi_put_str(writer, ctx);
  vsi_put_str(writer, "\n\n");
}

static vestry_err make_first(const vestry *v, lease *one) {
  const vsi_elsewhere *elsewhere = vsi_instance_elsewhere(v);
  unsigned char all[ALL_BYTES] = {0};
  char text[DIGITS + 1];
  memcpy(all, one->id, VSI_LEASE_BYTES);
  if (elsewhere) elsewhere->address(one->id, all + VSI_LEASE_BYTES, elsewhere->ctx);
  vsi_hex_write(text, all, sizeof all);
  return vsi_event_build(v->host, first_layout, text, &one->first);
}

/* Give the stream of a request a lease, if the request contains the header. The stream then begins with an event that
 * contains the lease, and that also counts as a heartbeat. */
static vestry_err attach(void *state, const vestry_request *req, vestry_reply *reply, bool *ret_has_sign) {
  vestry *v = req->v;
  vsi_leases *leases = state;
  const char *wanted = leases->pause_ms && req->is_datastar ? vestry_request_header(req, VSI_SIGNS_HEADER) : NULL;
  uint64_t heartbeat_ms = reply->stream.heartbeat_ms ? reply->stream.heartbeat_ms : v->heartbeat_ms;
  /* A stream with a longer heartbeat has too few events to answer. */
  if (!wanted || strcmp(wanted, VSI_LEASE_WANTED) != 0 || heartbeat_ms > v->heartbeat_ms ||
      !vsi_reply_stays_open(reply, v))
    return VESTRY_OK;
  lease *one = vsi_calloc(v->host, 1, sizeof *one);
  if (!one) return VESTRY_NO_MEMORY;
  one->leases = leases;
  one->attachment.begin = begin;
  one->attachment.drop = drop;
  vestry_err error = v->host->random(v->host->ctx, one->id, sizeof one->id);
  if (!error) error = make_first(v, one);
  if (error) {
    drop(&one->attachment);
    return error;
  }
  vsi_attachments_add(&reply->attachments, &one->attachment);
  *ret_has_sign = true;
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- renewal ------ */

static lease *find_locked(const vsi_leases *leases, const unsigned char id[VSI_LEASE_BYTES]) {
  vsi_map_link *at = vsi_map_first(&leases->map, hash_of(id));
  while (at && memcmp(VSI_MAP_OWNER(at, lease, in)->id, id, VSI_LEASE_BYTES) != 0) at = vsi_map_further(at);
  return VSI_MAP_OWNER(at, lease, in);
}

bool vsi_leases_renew(vestry *v, const unsigned char id[VSI_LEASE_BYTES]) {
  vsi_leases *leases = of(v);
  if (!leases) return false;
  uint64_t now = vsi_now_ns(v->host);
  vsi_mutex_lock(&leases->lock);
  lease *one = find_locked(leases, id);
  bool is_there = one && (!one->has_begun || one->is_running); /* otherwise it has expired, and its stream is ending */
  if (is_there) {
    stop_locked(leases, one);
    leases->stats.begun_count += !one->has_begun;
    one->has_begun = one->is_running = true;
    one->due_ns = vsi_add_saturating(now, leases->lease_ns);
    TAILQ_INSERT_TAIL(&leases->running, one, place);
    leases->stats.renewals_count++;
  }
  unlock_and_arm(leases, false);
  return is_there;
}

/* Stop a lease, so that its stream stays open without renewals until the next one. Returns whether it is here. */
static bool release(vsi_leases *leases, const unsigned char id[VSI_LEASE_BYTES]) {
  vsi_mutex_lock(&leases->lock);
  lease *one = find_locked(leases, id);
  if (one && one->is_running) {
    stop_locked(leases, one);
    leases->stats.ended_count++;
    one->has_begun = false;
  }
  vsi_mutex_unlock(&leases->lock);
  if (!one) return false;
  vsi_log_repeated(leases->v->host, &leases->repeated, 0, VESTRY_LOG_WARN,
                   "leases: a stream continues without a lease, because a proxy has sent its renewal to a process that "
                   "cannot reach this one; connect the processes by a cluster, or turn leases off "
                   "(vestry_leases_create with VESTRY_NEVER_MS)");
  return true;
}

/* Perform a renewal or a release, on this node or on the node of the stream. Returns whether a node has received it. */
static bool perform(vsi_leases *leases, const char *text) {
  const vsi_elsewhere *elsewhere = vsi_instance_elsewhere(leases->v);
  const char *more = strlen(text) > DIGITS ? text + DIGITS : "";
  unsigned char all[ALL_BYTES];
  if (!vsi_hex_is(text, DIGITS)) return false;
  vsi_hex_read(all, text, sizeof all);
  if (strcmp(more, VSI_LEASE_RELEASED) == 0) return release(leases, all);
  if (*more) return false;
  return vsi_leases_renew(leases->v, all) ||
         (elsewhere && elsewhere->renew(all, all + VSI_LEASE_BYTES, elsewhere->ctx));
}

static int answer(void *state, const vestry_request *req) {
  vsi_leases *leases = state;
  const bool is_post = leases->pause_ms && strcmp(req->method, "POST") == 0;
  const char *text = is_post ? vestry_request_header(req, VSI_LEASE_HEADER) : NULL;
  if (!text) return 0;
  if (perform(leases, text)) return 204;
  vsi_mutex_lock(&leases->lock);
  leases->stats.unknown_count++;
  vsi_mutex_unlock(&leases->lock);
  return 404;
}

/* ----------------------------------------------------------------------------------------- create and destroy ----- */

static uint64_t length_of(const vestry *v, uint64_t lease_ms) {
  if (lease_ms) return lease_ms;
  return v->heartbeat_ms >= VESTRY_NEVER_MS - DEFAULT_BEYOND_MS ? VESTRY_NEVER_MS : v->heartbeat_ms + DEFAULT_BEYOND_MS;
}

static void destroy(vestry *v, void *state) {
  vsi_leases *leases = state;
  vestry_timer_destroy(leases->timer);
  vsi_map_finish(&leases->map, v->host);
  vsi_mutex_finish(&leases->lock);
  vsi_free(v->host, leases);
}

static void set_length(vsi_leases *leases, uint64_t ms) {
  leases->lease_ns = vsi_ms_to_ns(ms);
  leases->pause_ms = ms == VESTRY_NEVER_MS ? 0 : (ms - leases->v->heartbeat_ms + 3) / 4;
}

/* Create leases with the default length, which vestry_leases_create can replace. */
static vestry_err create(vestry *v, void **ret_state) {
  vsi_leases *leases = vsi_calloc(v->host, 1, sizeof *leases);
  if (!leases) return VESTRY_NO_MEMORY;
  leases->v = v;
  set_length(leases, length_of(v, 0));
  TAILQ_INIT(&leases->running);
  vsi_mutex_init(&leases->lock, VSI_LOCK_LEASES);
  vestry_err error = vestry_timer_create(v->runtime, fire, leases, &leases->timer);
  if (error)
    destroy(v, leases);
  else
    *ret_state = leases;
  return error;
}

static const vsi_extension kind = {
    .name = "vestry_leases_create", .create = create, .destroy = destroy, .answers = answer, .open = attach};

static vsi_leases *of(const vestry *v) {
  return vsi_extension_find(v, &kind);
}

vestry_err vestry_leases_create(vestry *v, uint64_t lease_ms) {
  vsi_leases *leases;
  if (!v) return VESTRY_INVALID;
  const uint64_t length_ms = length_of(v, lease_ms);
  if (length_ms <= v->heartbeat_ms && length_ms != VESTRY_NEVER_MS)
    return vsi_mistake(v->host, "vestry_leases_create", "lease_ms is not longer than the heartbeat");
  vestry_err error = vsi_leases_use(v, &leases);
  if (error) return error;
  vsi_mutex_lock(&leases->lock);
  const bool was_set = leases->is_set;
  leases->is_set = true;
  if (!was_set) set_length(leases, length_ms);
  vsi_mutex_unlock(&leases->lock);
  return was_set ? vsi_extension_repeated(v, &kind) : VESTRY_OK;
}

vestry_err vsi_leases_use(vestry *v, vsi_leases **ret_leases) {
  void *state;
  vestry_err error = vsi_extension_use(v, &kind, &state);
  if (!error) *ret_leases = state;
  return error;
}

uint64_t vsi_leases_pause_ms(const vestry *v) {
  const vsi_leases *leases = of(v);
  return leases ? leases->pause_ms : 0;
}

void vestry_lease_stats_get(vestry *v, vestry_lease_stats *ret_stats) {
  vestry_lease_stats stats = {0};
  vsi_leases *leases = of(v);
  if (leases) {
    vsi_mutex_lock(&leases->lock);
    stats = leases->stats;
    vsi_mutex_unlock(&leases->lock);
    stats.live_count = stats.begun_count - stats.ended_count;
  }
  if (ret_stats) *ret_stats = stats;
}
