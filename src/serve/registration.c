/* SPDX-License-Identifier: MIT */
/* essay: at most one open stream under a key */
/* The stream registration finds the connections that are stored under a reply's key, and stores new connections. (A
 * connection is the object of a stream; its end removes it from the stores: instance/stream_entries.c. `elsewhere` is
 * the table of functions that reach the other nodes of a cluster; reserving a key there ensures that only this node
 * stores streams under it: instance/elsewhere.h.)
 *
 * For REUSE and REJECT, at most one open stream may hold the key. If nothing is stored under the key, the store's own
 * REUSE decides. But closing connections that have not left yet may be stored there; they have no claim to the key. In
 * this case the thread adds its stream to them, and then looks up the key: the first open stream in the store's list
 * holds the key. If several threads do so at the same time, each looks up the key after it has added its stream, and
 * all see the streams in the same order. So at most one thread finds its own stream first; each other thread finds
 * another stream before its own, and removes its own again. */

#include "base/log.h"
#include "connection/connection.h"
#include "instance/elsewhere.h"
#include "instance/stream_entries.h"
#include "serve/inside.h"
#include "store/store.h"

/* More values than any key ever has, so that an added stream displaces none. */
#define JOIN_COUNT ((size_t)1 << 20)

/* Return the other nodes; NULL: there are none, or they do not know the keys of this store. */
static const vsi_elsewhere *elsewhere_of(const vsi_connecting *c) {
  return c->store == c->v->store ? vsi_instance_elsewhere(c->v) : NULL;
}

/* Set the targets, which are the connections that receive the reply's effects, to the open connections under the key.
 * If a stream was opened for this reply, give it up: it is not used. OK | NOT_FOUND (none is open) | errors of the
 * lookup. */
static vestry_err target_stored(vsi_connecting *c) {
  vestry_err error = vsi_targets_find(c->targets, c->store, c->reply->key);
  if (!error && c->opened) vsi_connecting_give_up(c);
  return error;
}

/* Check that no open connection is under the key. OK | EXISTS | errors of the lookup. */
static vestry_err check_free(vsi_connecting *c) {
  uint32_t count;
  vestry_err error = vsi_targets_count(c->store, c->reply->key, &count);
  if (error != VESTRY_NOT_FOUND) return error ? error : VESTRY_EXISTS;
  const vsi_elsewhere *elsewhere = elsewhere_of(c);
  return elsewhere && elsewhere->is_held(c->reply->key, elsewhere->ctx) ? VESTRY_EXISTS : VESTRY_OK;
}

/* Return the i-th key, the first being 0. NULL: there is no first one. */
static const vestry_scoped_key *key_at(const vestry_reply *reply, size_t i) {
  return i ? reply->more_keys[i - 1].key : reply->key;
}

static bool refuse_keys(const vsi_connecting *c, const char *option, size_t most) {
  vsi_log_repeated(c->v->host, &c->v->repeated, 0, VESTRY_LOG_ERROR,
                   "reply: its stream has more keys than %s of the store, %zu, which limits entries; each key "
                   "is an entry. To limit the streams of a user, use max_streams_per_scope_count",
                   option, most);
  return false;
}

/* Return whether a stream's entries fit into the store, in all and for each scope. A stream with more entries than the
 * maximum is never stored: it would evict others, and then itself. */
static bool fits_the_store(const vsi_connecting *c) {
  const vestry_reply *reply = c->reply;
  const vestry_store *store = c->store;
  if (!vsi_reply_stays_open(reply, c->v)) return true;
  if (store->max_count && reply->more_keys_count + (reply->key != NULL) > store->max_count)
    return refuse_keys(c, "max_count", store->max_count);
  size_t most = store->max_per_scope_count;
  if (!most || reply->more_keys_count < most) return true;
  for (size_t i = 0; i <= reply->more_keys_count; i++) {
    size_t count = 0;
    for (size_t k = i; k <= reply->more_keys_count && count <= most; k++)
      count += key_at(reply, i) && key_at(reply, k) && vsi_scoped_key_is_of(key_at(reply, k), &key_at(reply, i)->scope);
    if (count > most) return refuse_keys(c, "max_per_scope_count", most);
  }
  return true;
}

void vsi_registration_find(vsi_connecting *c) {
  const vestry_reply *reply = c->reply;
  if (!c->targets->count && !c->refusal && !fits_the_store(c)) vsi_connecting_refuse(c, VESTRY_INVALID);
  if (!reply->key || c->targets->count || c->refusal) return;
  vestry_err error = VESTRY_OK;
  switch (vsi_reply_policy(reply)) {
  case VESTRY_KEEP_REPLACE:
  case VESTRY_KEEP_MANY: return; /* always a new stream */
  case VESTRY_KEEP_REUSE:
    error = vsi_targets_find(c->targets, c->store, reply->key);
    if (error == VESTRY_NOT_FOUND) error = VESTRY_OK;
    break;
  case VESTRY_KEEP_REJECT: error = check_free(c); break;
  }
  if (error) vsi_connecting_refuse(c, error);
}

/* Add this stream to the closed streams under the key, then determine which stream holds the key now. OK | EXISTS:
 * another stream does, and this one was removed and closed. */
static vestry_err join(vsi_connecting *c, const vestry_scoped_key *key) {
  vestry_put_result result = {0};
  vestry_err error = vsi_store_put(c->store, key, c->opened, VESTRY_KEEP_MANY, JOIN_COUNT, &result);
  if (error) return error;
  vsi_targets found;
  vsi_targets_init(&found, c->v->host);
  error = vsi_targets_find(&found, c->store, key);
  if (error == VESTRY_NOT_FOUND)
    error = VESTRY_OK; /* this stream has ended already; its close hook removes the entry */
  else if (!error && found.items[0] != c->opened)
    error = VESTRY_EXISTS;
  vsi_targets_finish(&found);
  if (!error) return VESTRY_OK;
  vestry_store_remove_if(c->store, result.handle, VESTRY_CAUSE_CLOSED);
  return error;
}

/* Store the stream if no open stream holds the key. Otherwise REJECT refuses, and REUSE gives this stream up for the
 * stream that holds the key. */
static vestry_err keep_alone(vsi_connecting *c) {
  bool reuse = vsi_reply_policy(c->reply) == VESTRY_KEEP_REUSE;
  const vestry_scoped_key *key = c->reply->key;
  vestry_err error = vsi_store_put(c->store, key, c->opened, VESTRY_KEEP_REUSE, 0, NULL);
  if (error != VESTRY_EXISTS) return error;
  error = reuse ? target_stored(c) : check_free(c);
  if (error != (reuse ? VESTRY_NOT_FOUND : VESTRY_OK)) return error;
  error = join(c, key); /* the streams there are closing */
  if (error != VESTRY_EXISTS || !reuse) return error;
  error = target_stored(c);
  return error == VESTRY_NOT_FOUND ? VESTRY_LIMIT : error; /* the stream that holds the key has ended already: 503 */
}

/* Store the stream beside others. Closed streams that are still stored are evicted before open ones. */
static vestry_err keep_many(vsi_connecting *c, const vestry_scoped_key *key, size_t many_count) {
  return vsi_store_put(c->store, key, c->opened, VESTRY_KEEP_MANY, many_count < JOIN_COUNT ? many_count : JOIN_COUNT,
                       NULL);
}

static vestry_err keep_more(vsi_connecting *c) {
  const vestry_reply *reply = c->reply;
  if (!reply->more_keys_count) return VESTRY_OK;
  vestry_err error = vsi_stream_entries_reserve(c->opened, reply->more_keys_count + (reply->key != NULL));
  for (size_t i = 0; i < reply->more_keys_count && !error; i++)
    error = keep_many(c, reply->more_keys[i].key, reply->more_keys[i].many_count);
  return error;
}

void vsi_registration_keep(vsi_connecting *c, vestry_scope scope) {
  const vestry_scoped_key *key = c->reply->key;
  const vestry_keep_policy policy = vsi_reply_policy(c->reply);
  vestry_err error = VESTRY_OK;
  if (key && policy == VESTRY_KEEP_REPLACE)
    error = vsi_store_put(c->store, key, c->opened, policy, 0, NULL);
  else if (key && policy == VESTRY_KEEP_MANY)
    error = keep_many(c, key, c->reply->many_count);
  else if (key)
    error = keep_alone(c);
  if (!error && c->opened) error = keep_more(c); /* otherwise it was given up for another stream */
  if (!error && c->opened) error = vsi_shares_enter(c->v->shares, scope, c->opened);
  if (error) vsi_connecting_refuse(c, error);
}
