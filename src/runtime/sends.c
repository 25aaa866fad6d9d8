/* SPDX-License-Identifier: MIT */
/* essay: a write whose outcome is known later */
/* Batched sends.
 *
 * A system call costs about as much as what the kernel then does with 100 bytes. A worker that delivers a broadcast has
 * hundreds of small writes at hand. It collects them, and submits up to SENDS_MOST of them with one system call, by
 * io_uring. All of them have MSG_DONTWAIT, so the kernel completes each one during that call, with the result that
 * send(2) would have returned.
 *
 *   run of a stream ──> vsi_sends_room, vsi_sends_add ──> (further runs) ──> flush ──> class->sent, end of the run
 *
 * Between add and sent, no thread is inside the stream, but its actor is RUNNING: no other thread can write to it, end
 * it, or close its socket. A notify meanwhile leads to a run afterwards.
 *
 * When a batch is sent. A worker sends its batch when it has no other job, before a job that may take long (any that is
 * not a stream's), when the batch is full, and when its first send has waited for AGE_NS. The age is checked before
 * every AGE_TURNS-th run of a stream, whether or not these runs add sends. So a send waits only while other streams are
 * run, for AGE_NS and the time of AGE_TURNS runs.
 *
 * Same bytes. The streams of a broadcast are sent the same bytes. A send whose bytes equal those of the send before it
 * shares their memory, so that they stay in the nearest cache: comparing costs less than fetching three more lines. A
 * transport without a descriptor takes its bytes from the batch in the end, so they stay there.
 *
 * Results. The streams of a batch take their results in groups of VSI_SENDS_TOGETHER, because most of that work is
 * waiting: for cache lines of the streams, which the kernel's work on the sends has displaced, and for counters that
 * all threads write. The lines of the next group are fetched meanwhile, and a group changes each common counter once
 * (runner.c).
 *
 * Sends of another runtime's actors. A job may write streams of another runtime itself, such as a worker of pages. It
 * uses the batch of its thread, and flushes it before it does anything else.
 *
 * Without io_uring. The kernel may not have it, or refuse it (the sysctl kernel.io_uring_disabled, seccomp profiles of
 * containers), or lack the operation (Linux before 5.6, kernels in user space), or fail later. Then the log gets one
 * line, and all streams of the runtime write directly. But if only descriptors or memory are short for the moment, only
 * the thread that needs them writes directly, and tries again after RETRY_NS: a process that has reached its limit of
 * descriptors once would otherwise pay for it as long as it runs. The sends of a batch that the kernel has not taken,
 * or has refused without a look at the socket, are performed by send(2).
 *
 * Threads. A batch belongs to one thread: a worker, or whichever thread steps a stepped runtime. */
#include "runtime/sends.h"

#ifndef VSI_WITHOUT_URING
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"

/* SENDS_MOST: maximum number of sends of a batch. RING_LEAST: smaller batches are not worth a submission. AGE_NS: how
 * long a send may wait before the next check. RETRY_NS: how long a thread without a ring writes directly before it
 * tries again. NOT_SENT: a result that no send has. */
#define AGE_NS   UINT64_C(500000)
#define RETRY_NS UINT64_C(1000000000)
enum { SENDS_MOST = 256, BYTES_MOST = 128 << 10, RING_LEAST = 3, AGE_TURNS = 16, NOT_SENT = INT32_MIN };

struct vsi_sends {
  vsi_deferred base; /* first */
  const vestry_host *host;
  vsi_pool *pool;              /* whose actors send: the counters and the mode are its own */
  uint32_t count, used, turns; /* turns: checks of the age */
  bool is_flushing, has_ring;
  bool is_of_worker; /* always used by the same thread */
  uint64_t since_ns; /* when the first send was added */
  uint64_t retry_ns; /* without a ring: when to try again */
  struct io_uring ring;
  vsi_send all[SENDS_MOST];
  char bytes[BYTES_MOST];
};

/* Make the runtime write directly from now on. The first call logs the reason. */
static void give_up(vsi_pool *pool, const char *what, int error) {
  if (atomic_exchange_explicit(&pool->batches, false, memory_order_relaxed))
    vsi_log(pool->host, VESTRY_LOG_WARN,
            "runtime: sends are not batched any more: %s: %s. Streams are written one by one, which costs more "
            "processor time (vestry_runtime_options.io)",
            what, strerror(error));
}

/* ---- the ring ---------------------------------------------------------------------------------------------------- */

/* Return whether the descriptor is still the ring's. The application may have closed all descriptors, for example by
 * closefrom(3), and its next file may have the number. This file stays open. If it is another ring, only the memory
 * distinguishes it: a value that is written to this ring appears in a second mapping of this ring. */
static bool is_own(struct io_uring *ring) {
  const int answer = io_uring_enter((unsigned)ring->ring_fd, 0, 0, 0, NULL);
  if (answer) return answer != -EBADF && answer != -EOPNOTSUPP && answer != -EBADFD; /* others: refused */
  struct io_uring_sqe *own = ring->sq.sqes;
  const size_t bytes = SENDS_MOST * sizeof *own; /* new kernels map all or nothing */
  const struct io_uring_sqe *its = mmap(NULL, bytes, PROT_READ, MAP_SHARED, ring->ring_fd, IORING_OFF_SQES);
  if (its == MAP_FAILED) return false;
  bool are_same = true;
  for (own->user_data = 1; own->user_data <= 2; own->user_data++) are_same &= its->user_data == own->user_data;
  (void)munmap((void *)its, bytes);
  return are_same;
}

static void ring_finish(vsi_sends *sends) {
  if (!sends->has_ring) return;
  if (!is_own(&sends->ring)) sends->ring.ring_fd = -1;
  io_uring_queue_exit(&sends->ring);
  sends->has_ring = false;
}

/* Stop using the ring, which has failed, or could not be made. */
static void lose_ring(vsi_sends *sends, const char *what, int error) {
  vsi_pool *pool = sends->pool;
  ring_finish(sends);
  if (error != EMFILE && error != ENFILE && error != ENOMEM && error != EAGAIN && error != EBUSY) {
    give_up(pool, what, error);
    return;
  }
  sends->retry_ns = vsi_add_saturating(vsi_now_ns(pool->host), RETRY_NS);
  if (!atomic_fetch_add_explicit(&pool->rings_lost_count, 1, memory_order_relaxed))
    vsi_log(pool->host, VESTRY_LOG_WARN,
            "runtime: a thread does not batch its sends now: %s: %s. Until it can, it writes streams one by one, which "
            "costs more processor time. It tries again each second; vestry_runtime_rings_lost_total counts further "
            "failures, which are not logged",
            what, strerror(error));
}

/* With SINGLE_ISSUER and DEFER_TASKRUN (Linux 6.1) a completion costs less; a thread that steps may be another one each
 * time. IORING_SETUP_… of liburing: io_uring_setup(2). */
static void ring_init(vsi_sends *sends) {
  const unsigned wanted = sends->is_of_worker ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0;
  struct io_uring_params params = {.flags = wanted};
  int error = io_uring_queue_init_params(SENDS_MOST, &sends->ring, &params);
  if (error == -EINVAL && wanted) {
    params = (struct io_uring_params){.flags = 0};
    error = io_uring_queue_init_params(SENDS_MOST, &sends->ring, &params);
  }
  sends->has_ring = !error;
  if (error)
    lose_ring(sends, "io_uring_setup", -error);
  else
    (void)io_uring_ring_dontfork(&sends->ring);
}

/* Take the results that the kernel has. Returns their number. */
static uint32_t take_results(vsi_sends *sends) {
  struct io_uring_cqe *at;
  unsigned head;
  uint32_t count = 0;
  io_uring_for_each_cqe(&sends->ring, head, at) {
    sends->all[at->user_data].result = at->res;
    count++;
  }
  io_uring_cq_advance(&sends->ring, count);
  return count;
}

/* Submit the batch and wait for all results. If the ring fails, the sends that the kernel has not taken stay NOT_SENT,
 * and the ring is destroyed, so that it cannot take them later. */
static void ring_send(vsi_sends *sends) {
  uint32_t queued[SENDS_MOST], queued_count = 0, taken = 0, done = 0;
  for (uint32_t i = 0; i < sends->count; i++) {
    const vsi_send *at = &sends->all[i];
    if (at->descriptor < 0) continue;
    struct io_uring_sqe *entry = io_uring_get_sqe(&sends->ring);
    if (!entry) break; /* not reached: the ring has SENDS_MOST entries, all free */
    io_uring_prep_send(entry, at->descriptor, sends->bytes + at->at, at->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    entry->user_data = i;
    queued[queued_count++] = i;
  }
  while (done < queued_count) {
    const int got = io_uring_submit_and_wait(&sends->ring, queued_count - done);
    const uint32_t results_count = take_results(sends);
    if (got > 0) taken += (uint32_t)got;
    done += results_count;
    if (got > 0 || got == -EINTR || results_count) continue;
    /* The results of sends that the kernel has taken are there, because none of them waits. */
    for (uint32_t i = 0; i < taken; i++)
      if (sends->all[queued[i]].result == NOT_SENT) sends->all[queued[i]].result = -EIO;
    lose_ring(sends, "io_uring_enter", got ? -got : EBADF); /* 0: the application has closed it, and has another ring */
    return;
  }
}

/* ---- the batch --------------------------------------------------------------------------------------------------- */

static void destroy(vsi_deferred *batch) {
  vsi_sends *sends = (vsi_sends *)batch;
  VSI_ASSERT(!sends->count); /* a worker sends its batch before it leaves */
  ring_finish(sends);
  vsi_free(sends->host, sends);
}

/* Perform a send that the kernel has not performed: the ring failed, the send was interrupted, there was no memory for
 * the operation, or the kernel has no such operation. These errors do not concern the socket, unless send(2) returns
 * them too. */
static void send_rest(vsi_sends *sends, vsi_send *at) {
  const int refusal = at->result;
  const bool lacks_operation = refusal == -EINVAL || refusal == -EOPNOTSUPP || refusal == -ENOSYS;
  if (!lacks_operation && refusal != NOT_SENT && refusal != -EINTR && refusal != -ECANCELED && refusal != -ENOMEM)
    return;
  ssize_t sent;
  do sent = send(at->descriptor, sends->bytes + at->at, at->len, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  at->result = sent < 0 ? -errno : (int)sent;
  if (!lacks_operation || at->result == refusal) return;
  lose_ring(sends, "io_uring has no send", -refusal);
}

/* Return whether the first send has waited for long, before this number of runs. */
static bool is_old(vsi_sends *sends, uint32_t runs_count) {
  const uint32_t before = sends->turns;
  sends->turns += runs_count;
  return before / AGE_TURNS != sends->turns / AGE_TURNS && vsi_now_ns(sends->pool->host) - sends->since_ns > AGE_NS;
}

static bool flush(vsi_deferred *batch, uint32_t runs_count) {
  vsi_sends *sends = (vsi_sends *)batch;
  if (!sends->count || sends->is_flushing || (runs_count && !is_old(sends, runs_count))) return false;
  sends->is_flushing = true;
  if (sends->has_ring && sends->count >= RING_LEAST) ring_send(sends);
  atomic_fetch_add_explicit(&sends->pool->batches_count, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&sends->pool->batched_count, sends->count, memory_order_relaxed);
  for (uint32_t i = 0; i < sends->count; i++) {
    vsi_send *at = &sends->all[i];
    if (at->descriptor < 0)
      at->result = (int)at->len;
    else
      send_rest(sends, at);
  }
  for (uint32_t i = 0; i < sends->count && i < VSI_SENDS_TOGETHER; i++) vsi_job_fetch(&sends->all[i].actor->job);
  for (uint32_t i = 0; i < sends->count; i += VSI_SENDS_TOGETHER) {
    for (uint32_t next = i + VSI_SENDS_TOGETHER; next < sends->count && next < i + 2 * VSI_SENDS_TOGETHER; next++)
      vsi_job_fetch(&sends->all[next].actor->job);
    vsi_actor_sent(sends->all + i, sends->count - i < VSI_SENDS_TOGETHER ? sends->count - i : VSI_SENDS_TOGETHER);
  }
  sends->count = sends->used = 0;
  sends->is_flushing = false;
  return true;
}

static vsi_sends *create(const vsi_pool *here, vsi_pool *of) {
  vsi_sends *sends = vsi_alloc(here->host, sizeof *sends);
  if (!sends) return NULL; /* this write is direct; the next one tries again */
  sends->base = (vsi_deferred){flush, destroy};
  sends->host = here->host;
  sends->pool = of;
  sends->count = sends->used = sends->turns = 0;
  sends->is_flushing = sends->has_ring = false;
  sends->is_of_worker = here->workers_count;
  sends->retry_ns = 0;
  return sends;
}

/* Return whether the batch has a ring; make one if it is time. */
static bool has_ring_now(vsi_sends *sends) {
  if (!sends->has_ring && vsi_now_ns(sends->pool->host) >= sends->retry_ns) ring_init(sends);
  return sends->has_ring;
}

vsi_sends *vsi_sends_here(vsi_pool *here, vsi_pool *of) {
  if (!atomic_load_explicit(&of->batches, memory_order_relaxed)) return NULL;
  vsi_deferred **at = vsi_pool_deferred(here);
  if (!at) return NULL;
  if (!*at) *at = (vsi_deferred *)create(here, of);
  vsi_sends *sends = (vsi_sends *)*at;
  return sends && sends->pool == of && !sends->is_flushing && has_ring_now(sends) ? sends : NULL;
}

void *vsi_sends_room(vsi_sends *sends) {
  if (sends->count == SENDS_MOST || sends->used > BYTES_MOST - VSI_SEND_ROOM) (void)flush(&sends->base, 0);
  return sends->bytes + sends->used;
}

void vsi_sends_add(vsi_sends *sends, vsi_actor *actor, int descriptor, size_t len) {
  VSI_ASSERT(sends->count < SENDS_MOST && len <= VSI_SEND_ROOM);
  if (!sends->count) sends->since_ns = vsi_now_ns(sends->pool->host);
  const vsi_send *last = sends->count && descriptor >= 0 ? &sends->all[sends->count - 1] : NULL;
  const bool is_same =
      last && last->len == len && memcmp(sends->bytes + last->at, sends->bytes + sends->used, len) == 0;
  const uint32_t at = is_same ? last->at : sends->used;
  sends->all[sends->count++] =
      (vsi_send){.actor = actor, .result = NOT_SENT, .descriptor = descriptor, .at = at, .len = (uint32_t)len};
  if (!is_same) sends->used += (uint32_t)len;
  actor->is_sending = true;
}
#endif
