/* SPDX-License-Identifier: MIT */
/* A scope's streams, in a store of vestry's own under one key, in the order in which they came.
 *
 * Which stream goes. One that has ended, or is about to, takes no other's place: it is not counted. Of the others the
 * one that was active longest ago goes: its last event was written then, or it opened. But an event to all tabs of a
 * user reaches them in any order, which says nothing; so those whose last activity lies within a second of the longest
 * ago count as alike, and of those the one that came first goes. The newcomer stays.
 *
 * It goes for REPLACED, by which its client does not come back: if it did, it would send away the next one, which came
 * back in its turn, and so on for ever.
 *
 * A stream comes in, all of its scope are looked at, and one is marked, under one lock; so of however many that come at
 * once, as many are marked as are too many. That look is as long as the bound, and those that are ending. */
#include "serve/shares.h"

#include <stdatomic.h>

#include "base/memory.h"
#include "base/mutex.h"
#include "connection/connection.h"

#define ALIKE_NS UINT64_C(1000000000)

struct vsi_shares {
  const vestry_host *host;
  size_t max_count;
  vsi_mutex lock;
  vestry_store *streams; /* of entered; guarded by lock */
  _Atomic(uint64_t) outnumbered;
};

typedef struct entered {
  vsi_close_node node; /* first */
  vsi_shares *shares;
  vestry_connection *connection; /* borrowed: it is in the store no longer than that lives */
  vestry_handle handle;          /* guarded by the shares' lock, as what follows */
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

/* ----------------------------------------------------------------------------------------------- which has to go
 * --- */

typedef struct look {
  const entered *newcomer;
  size_t count;      /* of those that stay */
  uint64_t least_ns; /* when the one that was active longest ago was */
  entered *goes;     /* NULL: none yet */
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

/* The last that is taken is the one that came first. */
static void choose_one(void *value, void *ctx) {
  entered *one = value;
  look *l = ctx;
  if (one != l->newcomer && stays(one) && active_ns(one) <= vsi_add_saturating(l->least_ns, ALIKE_NS)) l->goes = one;
}

/* A reference; NULL: none has to go. Under the lock. */
static vestry_connection *choose_locked(vsi_shares *shares, const vestry_scope *scope, const entered *newcomer) {
  look l = {.newcomer = newcomer, .least_ns = UINT64_MAX};
  if (vestry_store_with(shares->streams, *scope, STREAM, count_one, &l) || l.count <= shares->max_count) return NULL;
  if (vestry_store_with(shares->streams, *scope, STREAM, choose_one, &l) || !l.goes) return NULL;
  l.goes->is_sent_away = true;
  return vestry_connection_ref(l.goes->connection);
}

vestry_err vsi_shares_enter(vsi_shares *shares, vestry_scope scope, vestry_connection *connection) {
  if (!shares || !scope.len) return VESTRY_OK;
  entered *one = vsi_calloc(shares->host, 1, sizeof *one);
  if (!one) return VESTRY_NO_MEMORY;
  vsi_close_node_init(&one->node, on_end);
  one->shares = shares;
  one->connection = connection;
  one->opened_ns = vsi_now_ns(shares->host);
  vestry_put_result put = {.size = sizeof put};
  vestry_connection *goes = NULL;
  vsi_mutex_lock(&shares->lock);
  vestry_err error = vestry_store_put(shares->streams, scope, STREAM, one, VESTRY_KEEP_MANY, SIZE_MAX, &put);
  one->handle = put.handle;
  if (!error) goes = choose_locked(shares, &scope, one);
  vsi_mutex_unlock(&shares->lock);
  if (error) {
    vsi_free(shares->host, one);
    return error;
  }
  if (vsi_connection_at_close(connection, &one->node)) /* it has ended already, and calls no node any more */
    on_end(&one->node, connection, VESTRY_CAUSE_CLOSED);
  if (!goes) return VESTRY_OK;
  atomic_fetch_add_explicit(&shares->outnumbered, 1, memory_order_relaxed); /* a mere count */
  vestry_connection_close(goes, VESTRY_CAUSE_REPLACED);
  vestry_connection_unref(goes);
  return VESTRY_OK;
}

uint64_t vsi_shares_outnumbered(const vsi_shares *shares) {
  return shares ? atomic_load_explicit(&shares->outnumbered, memory_order_relaxed) : 0;
}
