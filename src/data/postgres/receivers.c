/* SPDX-License-Identifier: MIT */
/* Receivers: other modules wait here until a commit may have written to their table. */
#include "data/postgres/receivers.h"

#include "base/wait.h"

static void receiver_open(vestry_sql_pool *of, void *at) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_receiver *receiver = at;
  if (receiver->is_open) return;
  *receiver = (vsi_postgres_receiver){.is_open = true};
  pthread_cond_init(&receiver->notified, NULL);
  vsi_mutex_lock(&pool->is.lock);
  LIST_INSERT_HEAD(&pool->receivers, receiver, in);
  vsi_mutex_unlock(&pool->is.lock);
}

static void receiver_close(vestry_sql_pool *of, void *at) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_receiver *receiver = at;
  if (!receiver->is_open) return;
  vsi_mutex_lock(&pool->is.lock);
  LIST_REMOVE(receiver, in);
  vsi_mutex_unlock(&pool->is.lock);
  pthread_cond_destroy(&receiver->notified);
  receiver->is_open = false;
}

static bool receiver_listen(vestry_sql_pool *of, void *at) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_receiver *receiver = at;
  vsi_mutex_lock(&pool->is.lock);
  receiver->is_listening = receiver->is_open && receiver->file && pool->followers_count;
  const bool is_listening = receiver->is_listening;
  vsi_mutex_unlock(&pool->is.lock);
  return is_listening;
}

static bool receiver_know(vestry_sql_pool *of, void *at, uint32_t table, uint32_t file) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_receiver *receiver = at;
  vsi_mutex_lock(&pool->is.lock);
  const bool is_same = receiver->table == table && receiver->file == file;
  receiver->table = table;
  receiver->file = file;
  vsi_mutex_unlock(&pool->is.lock);
  return is_same;
}

static bool receiver_wait(vestry_sql_pool *of, void *at, uint64_t until_ns) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_receiver *receiver = at;
  vsi_mutex_lock(&pool->is.lock);
  while (!receiver->is_notified && !receiver->is_roused &&
         vsi_wait_until(&receiver->notified, &pool->is.lock, until_ns))
    continue;
  const bool is_notified = receiver->is_notified;
  receiver->is_notified = receiver->is_roused = false;
  vsi_mutex_unlock(&pool->is.lock);
  return is_notified;
}

static void receiver_rouse(vestry_sql_pool *of, void *at) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_receiver *receiver = at;
  vsi_mutex_lock(&pool->is.lock);
  receiver->is_roused = true;
  if (receiver->is_open) pthread_cond_signal(&receiver->notified);
  vsi_mutex_unlock(&pool->is.lock);
}

const vsi_sql_receiver_ops vsi_postgres_receiver_ops = {.bytes = sizeof(vsi_postgres_receiver),
                                                        .open = receiver_open,
                                                        .close = receiver_close,
                                                        .listen = receiver_listen,
                                                        .know = receiver_know,
                                                        .wait = receiver_wait,
                                                        .rouse = receiver_rouse};

/* ----------------------------------------------------------------------------------------------- the follower ----- */

static void notify_locked(vsi_postgres_receiver *receiver) {
  receiver->is_listening = false;
  receiver->is_notified = true;
  pthread_cond_signal(&receiver->notified);
}

void vsi_postgres_receivers_follow(vsi_postgres_pool *pool, bool is_followed) {
  vsi_postgres_receiver *receiver;
  vsi_mutex_lock(&pool->is.lock);
  if (is_followed)
    pool->followers_count++;
  else
    pool->followers_count--;
  LIST_FOREACH(receiver, &pool->receivers, in) notify_locked(receiver);
  vsi_mutex_unlock(&pool->is.lock);
}

/* Return whether a commit wrote to the receiver's table: to its rows, its file, or its definition. */
static bool is_meant(const vsi_postgres_receiver *receiver, const vsi_postgres_keys *keys) {
  if (!receiver->is_listening) return false;
  if (!keys) return true;
  return vsi_postgres_keys_have(keys, (vsi_postgres_key){.relation = receiver->file, .kind = VSI_POSTGRES_TABLE}) ||
         vsi_postgres_keys_have(keys, (vsi_postgres_key){.relation = receiver->file, .kind = VSI_POSTGRES_FILE}) ||
         vsi_postgres_keys_have(keys, (vsi_postgres_key){.relation = receiver->table, .kind = VSI_POSTGRES_DEFINITION});
}

bool vsi_postgres_receivers_want(vsi_postgres_pool *pool, const vsi_postgres_keys *keys) {
  const vsi_postgres_receiver *receiver;
  bool is_wanted = false;
  vsi_mutex_lock(&pool->is.lock);
  LIST_FOREACH(receiver, &pool->receivers, in) is_wanted |= is_meant(receiver, keys);
  vsi_mutex_unlock(&pool->is.lock);
  return is_wanted;
}

void vsi_postgres_receivers_notify(vsi_postgres_pool *pool, const vsi_postgres_keys *keys) {
  vsi_postgres_receiver *receiver;
  vsi_mutex_lock(&pool->is.lock);
  LIST_FOREACH(receiver, &pool->receivers, in)
  if (is_meant(receiver, keys)) notify_locked(receiver);
  vsi_mutex_unlock(&pool->is.lock);
}
