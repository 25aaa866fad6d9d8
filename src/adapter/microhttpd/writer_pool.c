/* SPDX-License-Identifier: MIT */
/* The writer pool runs errands: the blocking work of requests, such as writing an uploaded file. It is separate from
 * the runtime's pool, because a writer may wait for a disk, and streams must not wait with it. Threads are started one
 * by one, when errands find none idle, and stay. */
#include "adapter/microhttpd/adapter.h"

#include "base/thread.h"

void vsi_microhttpd_writer_pool_init(vsi_microhttpd_writer_pool *pool) {
  vsi_mutex_init(&pool->pool_lock, VSI_LOCK_MICROHTTPD_WRITER_POOL);
  pthread_cond_init(&pool->more, NULL);
  TAILQ_INIT(&pool->errands);
}

static vsi_microhttpd_errand *wait_for_errand(vsi_microhttpd_writer_pool *pool) {
  vsi_mutex_lock(&pool->pool_lock);
  pool->idle_count++;
  while (TAILQ_EMPTY(&pool->errands) && !pool->is_over) vsi_mutex_wait(&pool->pool_lock, &pool->more);
  pool->idle_count--;
  vsi_microhttpd_errand *errand = TAILQ_FIRST(&pool->errands);
  if (errand) {
    TAILQ_REMOVE(&pool->errands, errand, in);
    pool->turn = errand->turn;
    atomic_fetch_sub_explicit(&pool->errands_count, 1, memory_order_relaxed);
  }
  vsi_mutex_unlock(&pool->pool_lock);
  return errand;
}

static void *run_errands(void *argument) {
  for (vsi_microhttpd_errand *errand; (errand = wait_for_errand(argument)) != NULL;) errand->run(errand);
  return NULL;
}

/* An owner's first errand runs next, and each further one a turn later. */
static void enqueue(vsi_microhttpd_writer_pool *pool, vsi_microhttpd_errand *errand, uint64_t *last) {
  vsi_microhttpd_errand *before = TAILQ_LAST(&pool->errands, vsi_microhttpd_errands);
  errand->turn = last && *last > pool->turn ? *last + 1 : pool->turn + 1;
  if (last) *last = errand->turn;
  while (before && before->turn > errand->turn) before = TAILQ_PREV(before, vsi_microhttpd_errands, in);
  if (before)
    TAILQ_INSERT_AFTER(&pool->errands, before, errand, in);
  else
    TAILQ_INSERT_HEAD(&pool->errands, errand, in);
}

bool vsi_microhttpd_writer_pool_give(vsi_microhttpd_writer_pool *pool, vsi_microhttpd_errand *errand, uint64_t *last) {
  vsi_mutex_lock(&pool->pool_lock);
  const unsigned waiting = atomic_load_explicit(&pool->errands_count, memory_order_relaxed);
  if (waiting >= pool->idle_count && pool->threads_count < VSI_MICROHTTPD_MAX_WRITERS &&
      !vsi_thread_start(NULL, &pool->threads[pool->threads_count], "vestry-writer", run_errands, pool))
    pool->threads_count++;
  const bool is_given = pool->threads_count > 0;
  if (is_given) {
    enqueue(pool, errand, last);
    atomic_fetch_add_explicit(&pool->errands_count, 1, memory_order_relaxed);
    pthread_cond_signal(&pool->more);
  }
  vsi_mutex_unlock(&pool->pool_lock);
  return is_given;
}

void vsi_microhttpd_writer_pool_finish(vsi_microhttpd_writer_pool *pool) {
  vsi_mutex_lock(&pool->pool_lock);
  pool->is_over = true;
  pthread_cond_broadcast(&pool->more);
  vsi_mutex_unlock(&pool->pool_lock);
  for (unsigned i = 0; i < pool->threads_count; i++) pthread_join(pool->threads[i], NULL);
  pthread_cond_destroy(&pool->more);
  vsi_mutex_finish(&pool->pool_lock);
}
