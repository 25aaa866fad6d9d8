/* SPDX-License-Identifier: MIT */
/* The public functions of a runtime: creating it, closing, stopping and destroying it; and stepping a runtime that has
 * no threads. */
#include "runtime/runtime.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "runtime/actor.h"

enum { THREADS_MAX = 256 };

static size_t page_bytes(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

/* Create the page by which a forked child is recognized (vsi_home). NULL: out of memory. */
static vsi_home *create_home(void) {
  vsi_home *home = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (home == MAP_FAILED) return NULL;
  (void)madvise((void *)home, page_bytes(), MADV_WIPEONFORK); /* before Linux 4.14 a child is not detected */
  atomic_init(home, true);
  return home;
}

static void destroy_home(vsi_home *home) {
  if (home) (void)munmap((void *)home, page_bytes());
}

vestry_err vestry_runtime_create(const vestry_runtime_options *options, vestry_runtime **ret_runtime) {
  vestry_runtime_options own = options ? *options : (vestry_runtime_options){0};
  const vestry_host *host = vsi_host(own.host);
  bool threaded = own.threads_count != VESTRY_THREADS_NONE;
  if (!ret_runtime || !host->reallocate || !host->now_ns || !host->random ||
      (threaded && own.threads_count > THREADS_MAX) || (unsigned)own.io > VESTRY_RUNTIME_IO_PLAIN)
    return vsi_mistake(host, "vestry_runtime_create",
                       "ret_runtime is NULL, the host lacks a function, threads_count is more than 256, or io is no "
                       "vestry_runtime_io");
  uint32_t workers_count = !threaded ? 0 : own.threads_count ? own.threads_count : vsi_processors(1, THREADS_MAX);

  vestry_runtime *runtime = vsi_calloc(host, 1, sizeof *runtime);
  if (!runtime) return VESTRY_NO_MEMORY;
  runtime->host = host;
  vsi_home *home = create_home();
  vestry_err error =
      home ? vsi_pool_init(&runtime->pool, host, home, workers_count, vsi_actor_run_jobs, vsi_actor_job_is_short)
           : VESTRY_NO_MEMORY;
  if (!error && (own.io == VESTRY_RUNTIME_IO_BATCHED || (threaded && own.io == VESTRY_RUNTIME_IO_AUTOMATIC)))
    vsi_pool_batch(&runtime->pool, own.io == VESTRY_RUNTIME_IO_BATCHED);
  if (!error && (error = vsi_ticker_init(&runtime->ticker, host, threaded)) != VESTRY_OK) {
    vsi_pool_stop(&runtime->pool);
    vsi_pool_finish(&runtime->pool);
  }
  if (error) {
    destroy_home(home);
    vsi_free(host, runtime);
    return error;
  }
  vsi_mutex_init(&runtime->stage_lock, VSI_LOCK_STAGE); /* cannot fail on Linux */
  *ret_runtime = runtime;
  return VESTRY_OK;
}

void vsi_runtime_close(vestry_runtime *runtime) {
  if (vsi_runtime_is_forked(runtime)) return;
  /* release pairs with vsi_runtime_is_closed: a thread that is refused sees the writes before the close */
  if (!atomic_exchange_explicit(&runtime->closed, true, memory_order_release)) vsi_ticker_close(&runtime->ticker);
}

void vestry_runtime_stop(vestry_runtime *runtime) {
  if (vsi_runtime_is_forked(runtime)) return;
  vsi_runtime_close(runtime);
  vsi_mutex_lock(&runtime->stage_lock);
  if (!runtime->is_stopped) {
    vsi_ticker_stop(&runtime->ticker); /* first, because its timers make actors ready */
    vsi_pool_stop(&runtime->pool);
    runtime->is_stopped = true;
  }
  vsi_mutex_unlock(&runtime->stage_lock);
  /* Run the actors of a stepped runtime or, with threads, the actors that were notified after the last check of the
   * last worker. */
  vsi_pool_drain(&runtime->pool);
}

void vestry_runtime_destroy(vestry_runtime *runtime) {
  if (!runtime || vsi_runtime_is_forked(runtime)) return;
  vestry_runtime_stop(runtime);
  vsi_ticker_finish(&runtime->ticker);
  vsi_pool_finish(&runtime->pool);
  if (runtime->has_wake) vsi_wake_finish(&runtime->wake);
  vsi_mutex_finish(&runtime->stage_lock);
  destroy_home(runtime->pool.home);
  vsi_free(runtime->host, runtime);
}

/* Its address identifies the thread. */
static _Thread_local char this_thread;

static bool is_stepping(const vestry_runtime *runtime) {
  return atomic_load_explicit(&runtime->stepper, memory_order_relaxed) == &this_thread;
}

/* A step within a callback of the same runtime would run other actors on top of it, as deep as they step again, and
 * would fire a timer within its own callback. */
bool vestry_runtime_step(vestry_runtime *runtime) {
  if (runtime->pool.workers_count || vsi_runtime_is_forked(runtime) || is_stepping(runtime)) return false;
  atomic_store_explicit(&runtime->stepper, &this_thread, memory_order_relaxed);
  bool fired = vsi_ticker_fire_due(&runtime->ticker);
  bool ran = vsi_pool_run_or_clear(&runtime->pool);
  if (!fired && !ran) vsi_ticker_rest(&runtime->ticker, NULL);
  atomic_store_explicit(&runtime->stepper, NULL, memory_order_relaxed);
  return fired || ran;
}

bool vsi_runtime_is_inside(const vestry_runtime *runtime) {
  if (vsi_runtime_is_stepped(runtime)) return is_stepping(runtime);
  return vsi_pool_is_mine(&runtime->pool) || vsi_ticker_is_mine(&runtime->ticker);
}

vestry_err vestry_runtime_descriptor(vestry_runtime *runtime, int *ret_descriptor) {
  if (!ret_descriptor || !vsi_runtime_is_stepped(runtime))
    return vsi_mistake(runtime->host, "vestry_runtime_descriptor",
                       "ret_descriptor is NULL, or the runtime has threads; only a stepped one has a descriptor");
  if (vsi_runtime_is_forked(runtime)) return VESTRY_CLOSED;
  vsi_mutex_lock(&runtime->stage_lock);
  vestry_err error = runtime->has_wake ? VESTRY_OK : vsi_wake_init(&runtime->wake);
  if (!error) runtime->has_wake = true;
  vsi_mutex_unlock(&runtime->stage_lock);
  if (error) {
    vsi_log(runtime->host, VESTRY_LOG_ERROR,
            "vestry_runtime_descriptor: no file descriptors are left, and three are needed; raise RLIMIT_NOFILE "
            "(ulimit -n)");
    return error;
  }
  /* Done by each caller, because the thread that created the wake may not have reached this step. */
  vsi_pool_wake_by(&runtime->pool, &runtime->wake);
  vsi_ticker_rest(&runtime->ticker, &runtime->wake);
  *ret_descriptor = runtime->wake.descriptor;
  return VESTRY_OK;
}
