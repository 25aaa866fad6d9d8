/* SPDX-License-Identifier: MIT */
/* The writer pool is separate from the runtime's pool, because a writer may wait for a disk, and streams must not wait
 * with it. Threads are started one by one, when errands find none idle, and stay. */
#include "adapter/microhttpd/writers.h"

#include "base/thread.h"

void vsi_microhttpd_writers_init(vsi_microhttpd_writers *writers) {
  vsi_mutex_init(&writers->lock, VSI_LOCK_MICROHTTPD_WRITERS);
  pthread_cond_init(&writers->more, NULL);
  STAILQ_INIT(&writers->errands);
}

static vsi_microhttpd_errand *wait_for_errand(vsi_microhttpd_writers *writers) {
  vsi_mutex_lock(&writers->lock);
  writers->idle_count++;
  while (STAILQ_EMPTY(&writers->errands) && !writers->is_over) vsi_mutex_wait(&writers->lock, &writers->more);
  writers->idle_count--;
  vsi_microhttpd_errand *errand = STAILQ_FIRST(&writers->errands);
  if (errand) {
    STAILQ_REMOVE_HEAD(&writers->errands, in);
    atomic_fetch_sub_explicit(&writers->errands_count, 1, memory_order_relaxed);
  }
  vsi_mutex_unlock(&writers->lock);
  return errand;
}

static void *run_errands(void *argument) {
  for (vsi_microhttpd_errand *errand; (errand = wait_for_errand(argument)) != NULL;) errand->run(errand);
  return NULL;
}

bool vsi_microhttpd_writers_give(vsi_microhttpd_writers *writers, vsi_microhttpd_errand *errand) {
  vsi_mutex_lock(&writers->lock);
  const unsigned waiting = atomic_load_explicit(&writers->errands_count, memory_order_relaxed);
  if (waiting >= writers->idle_count && writers->threads_count < VSI_MICROHTTPD_MAX_WRITERS &&
      !vsi_thread_start(NULL, &writers->threads[writers->threads_count], "vestry-writer", run_errands, writers))
    writers->threads_count++;
  const bool is_given = writers->threads_count > 0;
  if (is_given) {
    STAILQ_INSERT_TAIL(&writers->errands, errand, in);
    atomic_fetch_add_explicit(&writers->errands_count, 1, memory_order_relaxed);
    pthread_cond_signal(&writers->more);
  }
  vsi_mutex_unlock(&writers->lock);
  return is_given;
}

bool vsi_microhttpd_writers_are_wanted(const vsi_microhttpd_writers *writers) {
  return atomic_load_explicit(&writers->errands_count, memory_order_relaxed) != 0;
}

void vsi_microhttpd_writers_finish(vsi_microhttpd_writers *writers) {
  vsi_mutex_lock(&writers->lock);
  writers->is_over = true;
  pthread_cond_broadcast(&writers->more);
  vsi_mutex_unlock(&writers->lock);
  for (unsigned i = 0; i < writers->threads_count; i++) pthread_join(writers->threads[i], NULL);
  pthread_cond_destroy(&writers->more);
  vsi_mutex_finish(&writers->lock);
}
