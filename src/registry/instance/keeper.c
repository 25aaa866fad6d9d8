/* The keeper finds connections for replies, and keeps and removes new ones. Two races need care.
 *
 * A stream must not be stored when it has ended. It may end while the put is under way: another put evicts it, the
 * instance closes. So the keeper stores the handle where the end can find it, and then looks whether the end has come;
 * the end says that it has come, and then looks for a handle. Both do so with sequentially consistent operations, so at
 * least one of them sees the other, and removal by handle happens once whoever tries.
 *
 * For REUSE and REJECT at most one open stream may hold the key. The store's own REUSE decides when there is nothing
 * under the key. But there may be connections that are closing and have not left yet; they have no claim. Then the
 * stream joins them, and looks: the first open one in the order of the store's list holds the key. Everybody who joined
 * looks after joining, and all see the same order, so of several all but one find another one before theirs, and take
 * theirs out again. */
#include "registry/instance/keeper.h"

#include "registry/effects/context.h"
#include "registry/request/reply.h"
#include "store/store.h"

/* More than will ever be under one key: joining shall displace nobody. */
#define JOIN_COUNT ((size_t)1 << 20)
enum { DEFAULT_MANY_COUNT = 8 };

/* The open connections under the reply's key. As vsi_targets_find; finish the list in any case. */
static vestry_err look(vestry_dispatch_context *context, vsi_targets *found) {
  vsi_targets_init(found, context->v->host);
  return vsi_targets_find(found, context->v->store, context->reply->key);
}

/* As vsi_targets_count. */
static vestry_err count(vestry_dispatch_context *context, size_t *ret_closed_count) {
  return vsi_targets_count(context->v->store, context->reply->key, ret_closed_count);
}

/* Make them the targets. OK | NOT_FOUND (none is open) | errors of the look. */
static vestry_err target_stored(vestry_dispatch_context *context) {
  vsi_targets found;
  vestry_err error = look(context, &found);
  size_t added = 0;
  for (size_t i = 0; !error && i < found.count; i++) {
    error = vsi_context_target(context, found.items[i]);
    if (!error) added++;
    if (error == VESTRY_CLOSED) error = VESTRY_OK;
  }
  vsi_targets_finish(&found);
  return error ? error : added ? VESTRY_OK : VESTRY_NOT_FOUND;
}

/* OK: nobody open is there | EXISTS | errors of the look. */
static vestry_err check_free(vestry_dispatch_context *context) {
  size_t closed_count;
  vestry_err error = count(context, &closed_count);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error ? error : VESTRY_EXISTS;
}

void vsi_keeper_find(vestry_dispatch_context *context) {
  const vestry_reply *reply = context->reply;
  if (!reply->key || context->targets.count || context->refusal) return;
  vestry_err error = VESTRY_OK;
  switch (reply->policy) {
  case VESTRY_PUT_REPLACE:
  case VESTRY_PUT_MANY: return; /* a new stream in any case */
  case VESTRY_PUT_REUSE:
    error = target_stored(context);
    if (error == VESTRY_NOT_FOUND) error = VESTRY_OK;
    break;
  case VESTRY_PUT_REJECT: error = check_free(context); break;
  }
  if (error) vsi_context_refuse(context, error);
}

/* Put the opened stream under the key, and take it out again if it has ended meanwhile. */
static vestry_err put(vestry_dispatch_context *context, vestry_put_policy policy, size_t many_count) {
  vestry_store *store = context->v->store;
  vestry_put_result result = {0};
  vestry_err error = vsi_store_put(store, context->reply->key, context->opened, policy, many_count, &result);
  if (error) return error;
  vsi_life *life = context->life;
  /* seq_cst: this thread stores the handle, then loads `ended`; on_close (hooks.c) stores `ended`, then calls
   * vsi_keeper_remove, which loads the handle. At least one sees what the other stored, and removes the entry. */
  atomic_store_explicit(&life->handle, result.handle, memory_order_seq_cst);
  if (atomic_load_explicit(&life->ended, memory_order_seq_cst) || !vestry_connection_is_open(context->opened))
    vestry_store_remove_if(store, result.handle, vestry_connection_cause(context->opened));
  return VESTRY_OK;
}

/* All streams under the key are closed: put this one beside them, then look who holds the key now. OK | EXISTS: another
 * stream does, and this one has been removed and closed. */
static vestry_err join(vestry_dispatch_context *context) {
  vestry_err error = put(context, VESTRY_PUT_MANY, JOIN_COUNT);
  if (error) return error;
  vsi_targets found;
  error = look(context, &found);
  if (error == VESTRY_NOT_FOUND)
    error = VESTRY_OK; /* it has ended already; its close hook removes the entry */
  else if (!error && found.items[0] != context->opened)
    error = VESTRY_EXISTS;
  vsi_targets_finish(&found);
  if (!error) return VESTRY_OK;
  vestry_handle handle = atomic_load_explicit(&context->life->handle, memory_order_relaxed); /* put on this thread */
  vestry_store_remove_if(context->v->store, handle, VESTRY_CAUSE_CLOSED);
  return error;
}

/* Keep it if no open stream holds the key. Otherwise REJECT refuses; REUSE gives this stream up for the one that holds
 * the key. */
static vestry_err keep_alone(vestry_dispatch_context *context) {
  bool reuse = context->reply->policy == VESTRY_PUT_REUSE;
  vestry_err error = put(context, VESTRY_PUT_REUSE, 0);
  if (error != VESTRY_EXISTS) return error;
  error = reuse ? target_stored(context) : check_free(context);
  if (error != (reuse ? VESTRY_NOT_FOUND : VESTRY_OK)) return error;
  error = join(context); /* those there are closing */
  if (error != VESTRY_EXISTS || !reuse) return error;
  error = target_stored(context);
  return error == VESTRY_NOT_FOUND ? VESTRY_LIMIT : error; /* the stream that won has ended already: 503 */
}

/* Keep it beside others. The store counts closed streams that it still has among the many, so the put allows for them.
 * If more than many_count are open afterwards, the oldest are closed. */
static vestry_err keep_many(vestry_dispatch_context *context) {
  size_t many_count = context->reply->many_count ? context->reply->many_count : DEFAULT_MANY_COUNT, closed_count = 0;
  if (many_count > JOIN_COUNT) many_count = JOIN_COUNT;
  vestry_err error = count(context, &closed_count);
  if (error && error != VESTRY_NOT_FOUND) return error;
  error = put(context, VESTRY_PUT_MANY, many_count + closed_count);
  if (error || !closed_count) return error;
  vsi_targets found;
  error = look(context, &found);
  for (size_t i = 0; !error && found.count - i > many_count; i++)
    vestry_connection_close(found.items[i], VESTRY_CAUSE_REPLACED);
  vsi_targets_finish(&found);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

void vsi_keeper_keep(vestry_dispatch_context *context) {
  const vestry_reply *reply = context->reply;
  if (!context->opened || context->refusal || !reply->key || !vsi_reply_stays_open(reply, context->v)) return;
  vestry_err error = VESTRY_OK;
  switch (reply->policy) {
  case VESTRY_PUT_REPLACE: error = put(context, VESTRY_PUT_REPLACE, 0); break;
  case VESTRY_PUT_MANY: error = keep_many(context); break;
  case VESTRY_PUT_REUSE:
  case VESTRY_PUT_REJECT: error = keep_alone(context); break;
  }
  if (error) vsi_context_refuse(context, error);
}

void vsi_keeper_remove(const vsi_life *life, vestry_cause cause) {
  /* seq_cst, after the store of `ended`: see put */
  vestry_handle handle = atomic_load_explicit(&life->handle, memory_order_seq_cst);
  if (handle) vestry_store_remove_if(life->v->store, handle, cause);
}
