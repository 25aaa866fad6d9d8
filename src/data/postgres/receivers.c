/* SPDX-License-Identifier: MIT */
/* Receivers ("ears"): other modules wait here until a commit may have written to their table. */
#include "data/postgres/ears.h"

#include "base/wait.h"

void vsi_postgres_ear_open(vestry_sql_pool *of, void *at) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_ear *ear = at;
  if (ear->is_open) return;
  *ear = (vsi_postgres_ear){.is_open = true};
  pthread_cond_init(&ear->heard, NULL);
  vsi_mutex_lock(&pool->lock);
  LIST_INSERT_HEAD(&pool->ears, ear, in);
  vsi_mutex_unlock(&pool->lock);
}

void vsi_postgres_ear_close(vestry_sql_pool *of, void *at) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_ear *ear = at;
  if (!ear->is_open) return;
  vsi_mutex_lock(&pool->lock);
  LIST_REMOVE(ear, in);
  vsi_mutex_unlock(&pool->lock);
  pthread_cond_destroy(&ear->heard);
  ear->is_open = false;
}

bool vsi_postgres_ear_listen(vestry_sql_pool *of, void *at) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_ear *ear = at;
  vsi_mutex_lock(&pool->lock);
  ear->is_listening = ear->is_open && ear->file && pool->followers_count;
  const bool is_listening = ear->is_listening;
  vsi_mutex_unlock(&pool->lock);
  return is_listening;
}

bool vsi_postgres_ear_know(vestry_sql_pool *of, void *at, uint32_t table, uint32_t file) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_ear *ear = at;
  vsi_mutex_lock(&pool->lock);
  const bool is_same = ear->table == table && ear->file == file;
  ear->table = table;
  ear->file = file;
  vsi_mutex_unlock(&pool->lock);
  return is_same;
}

bool vsi_postgres_ear_wait(vestry_sql_pool *of, void *at, uint64_t until_ns) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_ear *ear = at;
  vsi_mutex_lock(&pool->lock);
  while (!ear->has_heard && !ear->is_roused && vsi_wait_until(&ear->heard, &pool->lock, until_ns)) continue;
  const bool has_heard = ear->has_heard;
  ear->has_heard = ear->is_roused = false;
  vsi_mutex_unlock(&pool->lock);
  return has_heard;
}

void vsi_postgres_ear_rouse(vestry_sql_pool *of, void *at) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_postgres_ear *ear = at;
  vsi_mutex_lock(&pool->lock);
  ear->is_roused = true;
  if (ear->is_open) pthread_cond_signal(&ear->heard);
  vsi_mutex_unlock(&pool->lock);
}

const vsi_sql_ear_ops vsi_postgres_ear_ops = {.bytes = sizeof(vsi_postgres_ear),
                                              .open = vsi_postgres_ear_open,
                                              .close = vsi_postgres_ear_close,
                                              .listen = vsi_postgres_ear_listen,
                                              .know = vsi_postgres_ear_know,
                                              .wait = vsi_postgres_ear_wait,
                                              .rouse = vsi_postgres_ear_rouse};

/* ----------------------------------------------------------------------------------------------- the follower ----- */

static void tell_locked(vsi_postgres_ear *ear) {
  ear->is_listening = false;
  ear->has_heard = true;
  pthread_cond_signal(&ear->heard);
}

void vsi_postgres_ears_follow(vsi_postgres_pool *pool, bool is_followed) {
  vsi_postgres_ear *ear;
  vsi_mutex_lock(&pool->lock);
  if (is_followed)
    pool->followers_count++;
  else
    pool->followers_count--;
  LIST_FOREACH(ear, &pool->ears, in) tell_locked(ear);
  vsi_mutex_unlock(&pool->lock);
}

/* Return whether a commit wrote to the receiver's table: to its rows, its file, or its definition. */
static bool is_meant(const vsi_postgres_ear *ear, const vsi_postgres_keys *keys) {
  if (!ear->is_listening) return false;
  if (!keys) return true;
  return vsi_postgres_keys_have(keys, (vsi_postgres_key){.relation = ear->file, .kind = VSI_POSTGRES_TABLE}) ||
         vsi_postgres_keys_have(keys, (vsi_postgres_key){.relation = ear->file, .kind = VSI_POSTGRES_FILE}) ||
         vsi_postgres_keys_have(keys, (vsi_postgres_key){.relation = ear->table, .kind = VSI_POSTGRES_DEFINITION});
}

bool vsi_postgres_ears_want(vsi_postgres_pool *pool, const vsi_postgres_keys *keys) {
  const vsi_postgres_ear *ear;
  bool is_wanted = false;
  vsi_mutex_lock(&pool->lock);
  LIST_FOREACH(ear, &pool->ears, in) is_wanted |= is_meant(ear, keys);
  vsi_mutex_unlock(&pool->lock);
  return is_wanted;
}

void vsi_postgres_ears_tell(vsi_postgres_pool *pool, const vsi_postgres_keys *keys) {
  vsi_postgres_ear *ear;
  vsi_mutex_lock(&pool->lock);
  LIST_FOREACH(ear, &pool->ears, in)
  if (is_meant(ear, keys)) tell_locked(ear);
  vsi_mutex_unlock(&pool->lock);
}
