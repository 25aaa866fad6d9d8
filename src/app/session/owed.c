/* SPDX-License-Identifier: MIT */
/* One thread at a time makes calls, so a storage that is down holds one thread, and calls with one key are never made
 * twice at once. A call that fails moves to the end of the list, because the storage may reject this call only. The
 * timer is armed, or its function runs, whenever the list has calls. */
#include "app/session/owed.h"

#include "base/log.h"
#include "base/memory.h"

enum { AT_ONCE = 16, RETRY_MS = 5000, LAST_FAILURES = 3 };
enum { FAILED = 1, DROPPED }; /* reasons of lines */

static size_t count_of(const vsi_owed *owed) {
  return atomic_load_explicit(&owed->count, memory_order_relaxed);
}

static void enter_locked(vsi_owed *owed, vsi_owed_call *call) {
  TAILQ_INSERT_TAIL(&owed->calls, call, at);
  TAILQ_INSERT_TAIL(&owed->classes[call->hash % VSI_OWED_CLASSES], call, of_hash);
  atomic_fetch_add_explicit(&owed->count, 1, memory_order_relaxed);
}

static void leave_locked(vsi_owed *owed, vsi_owed_call *call) {
  TAILQ_REMOVE(&owed->calls, call, at);
  TAILQ_REMOVE(&owed->classes[call->hash % VSI_OWED_CLASSES], call, of_hash);
  atomic_fetch_sub_explicit(&owed->count, 1, memory_order_relaxed);
}

/* of NULL: any call */
static vsi_owed_call *find_locked(const vsi_owed *owed, const vsi_owed_key *of) {
  vsi_owed_call *call = TAILQ_FIRST(of ? &owed->classes[of->hash % VSI_OWED_CLASSES] : &owed->calls);
  while (call && of && !of->is_it(call, of->key)) call = TAILQ_NEXT(call, of_hash);
  return call;
}

void vsi_owed_add(vsi_owed *owed, vsi_owed_call *call, vestry_err why) {
  const vsi_owed_ops *ops = owed->ops;
  vsi_owed_call *dropped = NULL;
  vsi_mutex_lock(&owed->lock);
  const size_t before = count_of(owed);
  const bool is_first = !atomic_fetch_add_explicit(&owed->failed, 1, memory_order_relaxed);
  if (call && before >= owed->max_count) dropped = TAILQ_FIRST(&owed->calls);
  if (dropped && dropped == owed->under_way) dropped = TAILQ_NEXT(dropped, at);
  if (dropped) leave_locked(owed, dropped);
  if (call) enter_locked(owed, call);
  const bool is_first_loss = (!call || dropped) && !owed->dropped++;
  vsi_mutex_unlock(&owed->lock);
  if (is_first || atomic_load_explicit(&owed->is_silent, memory_order_relaxed)) {
    const bool is_logged = vsi_log_repeated(
        owed->host, &owed->failures, FAILED, VESTRY_LOG_WARN,
        "%s: %s failed in the storage: %s. It is tried again; the number of failures follows when it works", ops->who,
        ops->what, vestry_err_name(why));
    atomic_store_explicit(&owed->is_silent, !is_logged, memory_order_relaxed);
  }
  if (is_first_loss)
    vsi_log_repeated(owed->host, &owed->failures, DROPPED, VESTRY_LOG_WARN,
                     "%s: %s failed too often, so calls are dropped; %s", ops->who, ops->what, ops->lost);
  if (call && !before) (void)vestry_timer_set(owed->timer, RETRY_MS, 0);
  if (dropped) ops->drop(owed->ctx, dropped);
}

void vsi_owed_worked(vsi_owed *owed) {
  if (!atomic_load_explicit(&owed->failed, memory_order_relaxed)) return;
  vsi_mutex_lock(&owed->lock);
  const size_t failed = count_of(owed) ? 0 : atomic_load_explicit(&owed->failed, memory_order_relaxed);
  const size_t dropped = owed->dropped;
  if (failed) {
    owed->dropped = 0;
    atomic_store_explicit(&owed->failed, 0, memory_order_relaxed);
  }
  vsi_mutex_unlock(&owed->lock);
  if (failed && !atomic_exchange_explicit(&owed->is_silent, false, memory_order_relaxed))
    vsi_log(owed->host, dropped ? VESTRY_LOG_WARN : VESTRY_LOG_INFO,
            "%s: %s works again in the storage: of %zu failed calls, %zu were made again and %zu dropped",
            owed->ops->who, owed->ops->what, failed, failed - dropped, dropped);
}

/* Make one call: the first with this key, after waiting for another thread, or the first of all. OK | NOT_FOUND (there
 * is none, or, without a key, another thread makes one) | the error of the storage */
static vestry_err pay_one(vsi_owed *owed, const vsi_owed_key *of) {
  vsi_owed_call *call;
  vsi_mutex_lock(&owed->lock);
  while ((call = find_locked(owed, of)) && of && owed->under_way) vsi_mutex_wait(&owed->lock, &owed->tried);
  if (owed->under_way) call = NULL;
  if (call) owed->under_way = call;
  vsi_mutex_unlock(&owed->lock);
  if (!call) return VESTRY_NOT_FOUND;
  vestry_err error = owed->ops->make(owed->ctx, call);
  vsi_mutex_lock(&owed->lock);
  owed->under_way = NULL;
  leave_locked(owed, call);
  if (error) enter_locked(owed, call);
  pthread_cond_broadcast(&owed->tried);
  vsi_mutex_unlock(&owed->lock);
  if (error) return error;
  owed->ops->drop(owed->ctx, call);
  vsi_owed_worked(owed);
  return VESTRY_OK;
}

static vestry_err pay_some(vsi_owed *owed) {
  vestry_err error = VESTRY_OK;
  for (int i = 0; i < AT_ONCE && !error && count_of(owed); i++) error = pay_one(owed, NULL);
  return error;
}

void vsi_owed_pay(vsi_owed *owed) {
  (void)pay_some(owed);
}

vestry_err vsi_owed_settle(vsi_owed *owed, const vsi_owed_key *of) {
  vestry_err error;
  do {
    error = pay_one(owed, of);
  } while (!error);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

vsi_owed_call *vsi_owed_take(vsi_owed *owed, const vsi_owed_key *of) {
  vsi_owed_call *call;
  vsi_mutex_lock(&owed->lock);
  while ((call = find_locked(owed, of)) && call == owed->under_way) vsi_mutex_wait(&owed->lock, &owed->tried);
  if (call) leave_locked(owed, call);
  vsi_mutex_unlock(&owed->lock);
  return call;
}

bool vsi_owed_has(vsi_owed *owed, const vsi_owed_key *of, bool or_under_way) {
  if (!count_of(owed)) return false;
  vsi_mutex_lock(&owed->lock);
  const vsi_owed_call *call = find_locked(owed, of);
  const bool has = call && (or_under_way || call != owed->under_way);
  vsi_mutex_unlock(&owed->lock);
  return has;
}

/* -------------------------------------------------------------------------------------- create and destroy ------- */

static void pay_later(vestry_timer *timer, void *ctx) {
  vsi_owed *owed = ctx;
  const vestry_err error = pay_some(owed);
  if (count_of(owed)) (void)vestry_timer_set(timer, error ? RETRY_MS : 0, 0);
}

vestry_err vsi_owed_init(vsi_owed *owed, const vestry_host *host, vestry_runtime *runtime, const vsi_owed_ops *ops,
                         void *ctx, size_t max_count) {
  owed->host = host;
  owed->ops = ops;
  owed->ctx = ctx;
  owed->max_count = max_count;
  TAILQ_INIT(&owed->calls);
  vsi_mutex_init(&owed->lock, VSI_LOCK_OWED);
  pthread_cond_init(&owed->tried, NULL);
  owed->classes = vsi_calloc(host, VSI_OWED_CLASSES, sizeof *owed->classes);
  if (!owed->classes) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < VSI_OWED_CLASSES; i++) TAILQ_INIT(&owed->classes[i]);
  return vestry_timer_create(runtime, pay_later, owed, &owed->timer);
}

void vsi_owed_finish(vsi_owed *owed) {
  vestry_timer_destroy(owed->timer);
  for (int failures = 0; failures < LAST_FAILURES && count_of(owed);) failures += pay_one(owed, NULL) != VESTRY_OK;
  const size_t left = count_of(owed);
  for (vsi_owed_call *call; (call = TAILQ_FIRST(&owed->calls));) {
    leave_locked(owed, call);
    owed->ops->drop(owed->ctx, call);
  }
  if (left)
    vsi_log(owed->host, VESTRY_LOG_WARN, "%s: %s failed until the end, so %zu calls are dropped; %s", owed->ops->who,
            owed->ops->what, left, owed->ops->lost);
  vsi_free(owed->host, owed->classes);
  pthread_cond_destroy(&owed->tried);
  vsi_mutex_finish(&owed->lock);
}
