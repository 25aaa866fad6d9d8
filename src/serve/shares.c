/* SPDX-License-Identifier: MIT */
/* The maximum number of open streams of a scope (vestry_bounds.max_streams_per_scope_count). A separate store holds the
 * streams of each scope under one key, in the order of their arrival. If a new stream exceeds the maximum, another
 * stream of its scope is closed.
 *
 * Choice of the stream to close. A stream that has ended or is about to end takes no place, so it is not counted. Of
 * the other streams, the least recently active stream is closed; activity is the write of its last event, or its
 * opening. But an event for all tabs of a user reaches them in arbitrary order, so small differences mean nothing. So
 * all streams whose last activity lies within a second of the oldest activity count as equal, and the stream that
 * arrived first among them is closed. The new stream itself is never chosen.
 *
 * The chosen stream is closed with cause REPLACED, so that its client does not reconnect. If it did, it would evict the
 * next stream, whose client would reconnect in turn, and so on for ever.
 *
 * A stream is added, all streams of its scope are checked and one is marked under the same lock. So if several arrive
 * at once, exactly the excess is marked. The check takes time in proportion to the bound plus the streams that are
 * ending. */

#include <stdatomic.h>

#include "base/memory.h"
#include "base/mutex.h"
#include "connection/connection.h"
#include "serve/inside.h"

#define ALIKE_NS UINT64_C(1000000000)

struct vsi_shares {
  const vestry_host *host;
  size_t max_count;
  vsi_mutex lock;
  vestry_store *streams; /* values are `entered`; guarded by lock */
  _Atomic(uint64_t) outnumbered;
};

typedef struct entered {
  vsi_close_node node; /* first member */
  vsi_shares *shares;
  vestry_connection *connection; /* borrowed: the entry leaves the store before the connection is freed */
  /* guarded by the lock of the shares */
  vestry_handle handle;
  uint64_t opened_ns;
  bool is_sent_away;
} entered;

#define STREAM VESTRY_KEY("stream")

static void nothing(void *value) {
  (void)value;
}
static void nothing_for(void *value, vestry_cause cause) {
  (void)value, (void)cause;
}

vestry_err vsi_shares_create(const vestry_host *host, size_t max_count, vsi_shares **ret_shares) {
  static const vestry_value_ops value = {.ref = nothing, .unref = nothing, .close = nothing_for};
  vsi_shares *shares = vsi_calloc(host, 1, sizeof *shares);
  if (!shares) return VESTRY_NO_MEMORY;
  shares->host = host;
  shares->max_count = max_count;
  vestry_err error =
      vestry_store_create("hash", &(vestry_store_options){.host = host, .value = &value}, &shares->streams);
  if (error) {
    vsi_free(host, shares);
    return error;
  }
  vsi_mutex_init(&shares->lock, VSI_LOCK_SHARES); /* cannot fail with default attributes on Linux */
  *ret_shares = shares;
  return VESTRY_OK;
}

void vsi_shares_destroy(vsi_shares *shares) {
  if (!shares) return;
  vestry_store_destroy(shares->streams);
  vsi_mutex_finish(&shares->lock);
  vsi_free(shares->host, shares);
}

static void on_end(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  (void)connection;
  entered *one = (entered *)(void *)node;
  vsi_shares *shares = one->shares;
  vsi_mutex_lock(&shares->lock);
  vestry_store_remove_if(shares->streams, one->handle, cause);
  vsi_mutex_unlock(&shares->lock);
  vsi_free(shares->host, one);
}

/* --------------------------------------------------------------------------------------- the choice --- */

typedef struct look {
  const entered *newcomer;
  size_t count;      /* of streams that stay */
  uint64_t least_ns; /* the oldest last activity */
  entered *goes;     /* the stream to close; NULL: none yet */
} look;

static uint64_t active_ns(const entered *one) {
  uint64_t written_ns = vsi_connection_last_write_ns(one->connection);
  return written_ns > one->opened_ns ? written_ns : one->opened_ns;
}

static bool stays(const entered *one) {
  return !one->is_sent_away && vestry_connection_is_open(one->connection);
}

static void count_one(void *value, void *ctx) {
  const entered *one = value;
  look *l = ctx;
  if (!stays(one)) return;
  l->count++;
  if (one != l->newcomer && active_ns(one) < l->least_ns) l->least_ns = active_ns(one);
}

/* The values are visited from the newest to the oldest put, so the last assignment chooses the stream that arrived
 * first. */
static void choose_one(void *value, void *ctx) {
  entered *one = value;
  look *l = ctx;
  if (one != l->newcomer && stays(one) && active_ns(one) <= vsi_add_saturating(l->least_ns, ALIKE_NS)) l->goes = one;
}

/* Choose the stream to close, and return a reference to it; NULL: none. The caller holds the lock. */
static vestry_connection *choose_locked(vsi_shares *shares, const vestry_scope *scope, const entered *newcomer) {
  look l = {.newcomer = newcomer, .least_ns = UINT64_MAX};
  if (vestry_store_with(shares->streams, *scope, STREAM, count_one, &l) || l.count <= shares->max_count) return NULL;
  if (vestry_store_with(shares->streams, *scope, STREAM, choose_one, &l) || !l.goes) return NULL;
  l.goes->is_sent_away = true;
  return vestry_connection_ref(l.goes->connection);
}

/* Put a stream into the list of a scope, and choose the stream to close. OK | NO_MEMORY */
static vestry_err put_locked(vsi_shares *shares, const vestry_scope *scope, entered *one,
                             vestry_connection **ret_goes) {
  vestry_put_result put = {0};
  vestry_err error = vestry_store_put(shares->streams, *scope, STREAM, one, VESTRY_KEEP_MANY, SIZE_MAX, &put);
  if (error) return error;
  one->handle = put.handle;
  *ret_goes = choose_locked(shares, scope, one);
  return VESTRY_OK;
}

/* Take a stream out of its list. Returns the memory to free; NULL: the stream is ending, and its end frees it. */
static entered *leave_locked(vsi_shares *shares, entered *one) {
  vestry_store_remove_if(shares->streams, one->handle, VESTRY_CAUSE_REMOVED);
  one->handle = 0;
  return vsi_connection_cancel_at_close(one->connection, &one->node) ? one : NULL;
}

vestry_err vsi_shares_enter(vsi_shares *shares, vestry_scope scope, vestry_connection *connection) {
  if (!shares) return VESTRY_OK;
  vestry_connection *goes = NULL;
  vestry_err error = VESTRY_OK;
  entered *one = scope.len ? vsi_calloc(shares->host, 1, sizeof *one) : NULL;
  if (scope.len && !one) return VESTRY_NO_MEMORY;
  if (one) *one = (entered){{.fn = on_end}, shares, connection, .opened_ns = vsi_now_ns(shares->host)};
  vsi_mutex_lock(&shares->lock); /* for which on_end waits, so the former node exists */
  entered *unused = (entered *)(void *)vsi_connection_find_at_close(connection, on_end, NULL, NULL);
  if (one) error = put_locked(shares, &scope, one, &goes);
  if (error)
    unused = one;
  else if (unused)
    unused = leave_locked(shares, unused);
  vsi_mutex_unlock(&shares->lock);
  vsi_free(shares->host, unused);
  if (error) return error;
  if (one && vsi_connection_at_close(connection, &one->node)) /* it has ended already, and calls no node any more */
    on_end(&one->node, connection, VESTRY_CAUSE_CLOSED);
  if (!goes) return VESTRY_OK;
  atomic_fetch_add_explicit(&shares->outnumbered, 1, memory_order_relaxed); /* relaxed: a counter */
  vestry_connection_close(goes, VESTRY_CAUSE_REPLACED);
  vestry_connection_unref(goes);
  return VESTRY_OK;
}

uint64_t vsi_shares_outnumbered(const vsi_shares *shares) {
  return shares ? atomic_load_explicit(&shares->outnumbered, memory_order_relaxed) : 0;
}
