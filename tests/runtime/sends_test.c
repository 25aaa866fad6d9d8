/* SPDX-License-Identifier: MIT */
/* Batched sends: bytes, order and results are those of send(2), whatever the kernel refuses. */
#include "runtime/sends.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"
#include "vestry/runtime.h"

/* A stream of the tests: it sends numbers, one in each run, through the batch if there is one. */
typedef struct stream {
  vsi_actor actor; /* first */
  int ours, theirs;
  _Atomic(unsigned) sent_count; /* numbers */
  unsigned batched_count, wanted_count;
  int last_result;
} stream;

static void stream_sent(stream *s, int result) {
  s->last_result = result;
  if (result != (int)sizeof(unsigned)) return;
  if (atomic_fetch_add(&s->sent_count, 1) + 1 < s->wanted_count) vsi_actor_notify(&s->actor);
}

static void streams_sent(const vsi_send *all, size_t count) {
  assert_in_range(count, 1, VSI_SENDS_TOGETHER);
  for (size_t i = 0; i < count; i++) stream_sent((stream *)all[i].actor, all[i].result);
}

static void stream_run(vsi_actor *actor) {
  stream *s = (stream *)actor;
  const unsigned number = atomic_load(&s->sent_count);
  if (number == s->wanted_count) return;
  vsi_sends *sends = vsi_sends_here(actor->pool, actor->pool);
  if (sends) {
    memcpy(vsi_sends_room(sends), &number, sizeof number);
    vsi_sends_add(sends, actor, s->ours, sizeof number);
    s->batched_count++;
    return;
  }
  const ssize_t n = send(s->ours, &number, sizeof number, MSG_NOSIGNAL | MSG_DONTWAIT);
  stream_sent(s, n < 0 ? -errno : (int)n);
}

static void hold(vsi_actor *actor) {}

static const vsi_actor_class stream_class = {.run = stream_run, .ref = hold, .unref = hold, .sent = streams_sent};

static void stream_init(stream *s, vestry_runtime *runtime, unsigned wanted_count) {
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  *s = (stream){.ours = pair[0], .theirs = pair[1], .wanted_count = wanted_count};
  vsi_actor_init(&s->actor, &stream_class, &runtime->pool);
}

static void stream_finish(stream *s) {
  close(s->ours);
  close(s->theirs);
}

/* Read the numbers that have arrived; each must follow the one before. Returns the next one. */
static unsigned read_numbers(const stream *s, unsigned next) {
  for (unsigned number; recv(s->theirs, &number, sizeof number, MSG_DONTWAIT) == (ssize_t)sizeof number; next++)
    assert_int_equal(number, next);
  return next;
}

static vestry_runtime *runtime_of(test_host *th, uint32_t threads_count) {
  vestry_runtime *runtime = NULL;
  const vestry_runtime_options options = {
      .host = &th->host, .threads_count = threads_count, .io = VESTRY_RUNTIME_IO_BATCHED};
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_OK);
  return runtime;
}

static void settle(vestry_runtime *runtime) {
  while (vestry_runtime_step(runtime)) continue;
}

static bool batches(const vestry_runtime *runtime) {
  return atomic_load(&runtime->pool.batches);
}

/* The kernel may refuse it, as in a container. */
static void skip_without_uring(void) {
  struct io_uring ring;
  if (!io_uring_queue_init(8, &ring, 0)) {
    io_uring_queue_exit(&ring);
    return;
  }
  print_message("skipped: the kernel has no io_uring here\n");
  skip();
}

enum { MANY = 700, ROUNDS = 20 };

static void notify_together(stream *streams, unsigned count) {
  vsi_notices notices;
  vsi_notices_init(&notices);
  for (unsigned i = 0; i < count; i++) vsi_notices_add(&notices, &streams[i].actor);
  vsi_notices_send(&notices);
}

/* More streams than fit into a batch, on two workers. */
HOST_CASE(numbers_of_many_streams_arrive_in_order) {
  static stream streams[MANY];
  vestry_runtime *runtime = runtime_of(th, 2);
  for (unsigned i = 0; i < MANY; i++) stream_init(&streams[i], runtime, ROUNDS);
  for (unsigned i = 0; i < MANY / 2; i++) vsi_actor_notify(&streams[i].actor);
  notify_together(streams, MANY);
  for (unsigned i = 0; i < MANY; i++) UNTIL(atomic_load(&streams[i].sent_count) == ROUNDS);
  const bool had_ring = batches(runtime);
  vestry_runtime_destroy(runtime);
  unsigned batched_count = 0;
  for (unsigned i = 0; i < MANY; i++) {
    assert_int_equal(read_numbers(&streams[i], 0), ROUNDS);
    batched_count += streams[i].batched_count;
    stream_finish(&streams[i]);
  }
  if (had_ring) assert_int_equal(batched_count, MANY * ROUNDS);
}

/* Until the batch is sent, nothing has arrived. It is sent when nothing else is to do, and when it is full. */
TEST_CASE(a_step_without_work_sends_the_batch) {
  static stream streams[MANY];
  test_host th;
  skip_without_uring();
  test_host_init(&th);
  vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
  for (unsigned i = 0; i < MANY; i++) stream_init(&streams[i], runtime, 1);
  vsi_actor_notify(&streams[0].actor);
  assert_true(vestry_runtime_step(runtime));
  assert_int_equal(read_numbers(&streams[0], 0), 0);
  assert_true(vestry_runtime_step(runtime));
  assert_int_equal(read_numbers(&streams[0], 0), 1);
  assert_false(vestry_runtime_step(runtime));

  for (unsigned i = 1; i < MANY; i++) vsi_actor_notify(&streams[i].actor);
  for (unsigned i = 1; i < MANY; i++) assert_true(vestry_runtime_step(runtime));
  assert_int_equal(atomic_load(&runtime->pool.batches_count), 1 + (MANY - 1) / 256);
  assert_int_equal(read_numbers(&streams[1], 0), 1);
  assert_int_equal(read_numbers(&streams[MANY - 1], 0), 0);
  settle(runtime);
  assert_int_equal(atomic_load(&runtime->pool.batched_count), MANY);
  for (unsigned i = 2; i < MANY; i++) assert_int_equal(read_numbers(&streams[i], 0), 1);
  for (unsigned i = 0; i < MANY; i++) stream_finish(&streams[i]);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
}

/* A send that waits is sent in time while streams are run that send nothing, or write directly. */
TEST_CASE(an_old_send_does_not_wait_for_further_sends) {
  enum { STREAMS = 64 };
  static stream streams[STREAMS];
  test_host th;
  test_host_init(&th);
  vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
  for (unsigned i = 0; i < STREAMS; i++) stream_init(&streams[i], runtime, i == 0);
  for (unsigned i = 0; i < STREAMS; i++) vsi_actor_notify(&streams[i].actor);
  assert_true(vestry_runtime_step(runtime));
  for (unsigned i = 1; i < 32; i++) assert_true(vestry_runtime_step(runtime));
  assert_int_equal(read_numbers(&streams[0], 0), !batches(runtime)); /* no time has passed */
  test_host_advance_ms(&th, 1);
  for (unsigned i = 32; i < 48; i++) assert_true(vestry_runtime_step(runtime));
  assert_int_equal(atomic_load(&streams[0].sent_count), 1);
  settle(runtime);
  for (unsigned i = 0; i < STREAMS; i++) stream_finish(&streams[i]);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
}

typedef struct looker {
  vsi_actor actor; /* first */
  const stream *at;
  unsigned seen;
} looker;

static void look(vsi_actor *actor) {
  looker *l = (looker *)actor;
  l->seen = read_numbers(l->at, 0);
}

/* A job that is no stream's may take long: the sends that wait are sent before it. */
HOST_CASE(a_job_of_another_kind_comes_after_the_batch) {
  static const vsi_actor_class looker_class = {.run = look, .ref = hold, .unref = hold};
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  stream s;
  stream_init(&s, runtime, 1);
  looker l = {.at = &s};
  vsi_actor_init(&l.actor, &looker_class, &runtime->pool);
  vsi_actor_notify(&s.actor);
  vsi_actor_notify(&l.actor);
  settle(runtime);
  assert_int_equal(l.seen, 1);
  stream_finish(&s);
  vestry_runtime_destroy(runtime);
}

/* A notify while the send waits leads to a run after its result, not before. */
TEST_CASE(a_notify_while_a_send_waits_runs_afterwards) {
  test_host th;
  skip_without_uring();
  test_host_init(&th);
  vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
  stream s;
  stream_init(&s, runtime, 1);
  vsi_actor_notify(&s.actor);
  assert_true(vestry_runtime_step(runtime));
  s.wanted_count = 2;
  vsi_actor_notify(&s.actor);
  assert_false(vsi_actor_try_enter(&s.actor));
  settle(runtime);
  assert_int_equal(s.batched_count, 2);
  assert_int_equal(read_numbers(&s, 0), 2);
  stream_finish(&s);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
}

/* The results of a full socket, of one whose peer is gone, and of one that takes all, in one batch. */
TEST_CASE(results_are_those_of_send) {
  enum { STREAMS = 6 };
  static stream streams[STREAMS];
  static const char filler[4096];
  test_host th;
  test_host_init(&th);
  vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
  for (unsigned i = 0; i < STREAMS; i++) stream_init(&streams[i], runtime, 1);
  while (send(streams[1].ours, filler, sizeof filler, MSG_DONTWAIT) > 0) continue;
  while (send(streams[1].ours, filler, 1, MSG_DONTWAIT) > 0) continue;
  close(streams[3].theirs);
  streams[3].theirs = -1;
  for (unsigned i = 0; i < STREAMS; i++) vsi_actor_notify(&streams[i].actor);
  settle(runtime);
  for (unsigned i = 0; i < STREAMS; i++)
    assert_int_equal(streams[i].last_result, i == 1 ? -EAGAIN : i == 3 ? -EPIPE : (int)sizeof(unsigned));
  for (unsigned i = 0; i < STREAMS; i++) {
    if (i != 1 && i != 3) assert_int_equal(read_numbers(&streams[i], 0), 1);
    stream_finish(&streams[i]);
  }
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
}

/* ---- a kernel that refuses --------------------------------------------------------------------------------------- */

/* Let a system call fail with EPERM in this process from now on, as profiles of containers do. */
static void refuse(unsigned call) {
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) _exit(2);
}

/* Return the descriptor of the last ring that this process has open; -1: none. */
static int find_ring(void) {
  char path[64], link[64];
  for (int at = 1023; at > 2; at--) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", at);
    const ssize_t len = readlink(path, link, sizeof link - 1);
    if (len <= 0) continue;
    link[len] = '\0';
    if (strstr(link, "io_uring")) return at;
  }
  return -1;
}

/* In a child: send two rounds of numbers while the kernel refuses a call, from the first or from the second round on.
 * All numbers must arrive, once and in order, and the log must have one line. */
static void send_while_refused(unsigned call, unsigned from_round) {
  enum { STREAMS = 20 };
  static stream streams[STREAMS];
  test_host th;
  test_host_init(&th);
  vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
  for (unsigned i = 0; i < STREAMS; i++) stream_init(&streams[i], runtime, 0);
  for (unsigned round = 0; round < 3; round++) {
    if (round == from_round) refuse(call);
    for (unsigned i = 0; i < STREAMS; i++) {
      streams[i].wanted_count = round + 1;
      vsi_actor_notify(&streams[i].actor);
    }
    settle(runtime);
    for (unsigned i = 0; i < STREAMS; i++)
      if (read_numbers(&streams[i], round) != round + 1) _exit(3);
  }
  if (batches(runtime)) _exit(4);
  if (th.log_lines != 1 || !strstr(th.last_log, "not batched") || !strstr(th.last_log, "Operation not permitted"))
    _exit(5);
  for (unsigned i = 0; i < STREAMS; i++) stream_finish(&streams[i]);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
  if (find_ring() >= 0) _exit(6);
  _exit(0);
}

static void assert_arrives_while_refused(unsigned call, unsigned from_round) {
  const pid_t child = fork();
  assert_true(child >= 0);
  if (!child) send_while_refused(call, from_round);
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

TEST_CASE(a_kernel_that_refuses_io_uring_gets_plain_sends) {
  assert_arrives_while_refused(SYS_io_uring_setup, 0);
}

TEST_CASE(a_ring_that_fails_later_loses_and_repeats_nothing) {
  skip_without_uring();
  assert_arrives_while_refused(SYS_io_uring_enter, 0);
  assert_arrives_while_refused(SYS_io_uring_enter, 1);
}

/* The error, if any, with which the kernel of the tests refuses a ring, a submission, or each send of a submission. */
static int setup_error, enter_error, send_error;

/* liburing's functions, which the library calls. */
int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params) {
  int (*init)(unsigned, struct io_uring *, struct io_uring_params *) = NULL;
  if (setup_error) return -setup_error;
  *(void **)&init = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
  return init(entries, ring, params);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_count) {
  int (*submit)(struct io_uring *, unsigned) = NULL;
  if (enter_error) return -enter_error;
  *(void **)&submit = dlsym(RTLD_NEXT, "io_uring_submit_and_wait");
  const unsigned mask = *ring->sq.kring_mask;
  for (unsigned i = ring->sq.sqe_head; send_error && i != ring->sq.sqe_tail; i++) ring->sq.sqes[i & mask].opcode = 250;
  const int count = submit(ring, wait_count);
  struct io_uring_cqe *at;
  unsigned head;
  io_uring_for_each_cqe(ring, head, at) if (send_error) at->res = -send_error;
  return count;
}

enum { SOME = 20 };

/* Send the next number on each of these streams, and read it. */
static void send_one_each(stream streams[SOME], vestry_runtime *runtime) {
  for (unsigned i = 0; i < SOME; i++) {
    streams[i].wanted_count++;
    vsi_actor_notify(&streams[i].actor);
  }
  settle(runtime);
  for (unsigned i = 0; i < SOME; i++) {
    const unsigned next = streams[i].wanted_count;
    assert_int_equal(read_numbers(&streams[i], next - 1), next);
  }
}

HOST_CASE(a_kernel_without_the_operation_gets_plain_sends) {
  static stream streams[SOME];
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  for (unsigned i = 0; i < SOME; i++) stream_init(&streams[i], runtime, 0);
  send_error = EINVAL; /* as Linux before 5.6 */
  for (unsigned round = 0; round < 3; round++) send_one_each(streams, runtime);
  send_error = 0;
  assert_false(batches(runtime));
  assert_int_equal(th->log_lines, 1);
  assert_non_null(strstr(th->last_log, "not batched"));
  for (unsigned i = 0; i < SOME; i++) stream_finish(&streams[i]);
  vestry_runtime_destroy(runtime);
}

/* The kernel has looked at no socket, so no stream ends. */
HOST_CASE(sends_without_memory_in_the_kernel_are_made_directly) {
  static stream streams[SOME];
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  for (unsigned i = 0; i < SOME; i++) stream_init(&streams[i], runtime, 0);
  send_error = ENOMEM;
  for (unsigned round = 0; round < 3; round++) send_one_each(streams, runtime);
  send_error = 0;
  for (unsigned i = 0; i < SOME; i++) {
    assert_int_equal(streams[i].last_result, sizeof(unsigned));
    stream_finish(&streams[i]);
  }
  vestry_runtime_destroy(runtime);
}

/* Send while the kernel refuses by *error, and later while it does not. Whatever is short for the moment, the thread
 * batches again after a second, and the log has one line. */
static void assert_recovers(int *error, int is) {
  static stream streams[SOME];
  test_host th;
  test_host_init(&th);
  vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
  for (unsigned i = 0; i < SOME; i++) stream_init(&streams[i], runtime, 0);
  *error = is;
  for (unsigned round = 0; round < 3; round++) {
    send_one_each(streams, runtime);
    test_host_advance_ms(&th, 1000);
  }
  *error = 0;
  assert_int_equal(atomic_load(&runtime->pool.rings_lost_count), 3);
  assert_true(batches(runtime));
  assert_int_equal(th.log_lines, 1);
  assert_non_null(strstr(th.last_log, strerror(is)));
  const unsigned before = streams[0].batched_count;
  assert_int_equal(before, error == &enter_error ? 3 : 0);
  send_one_each(streams, runtime);
  send_one_each(streams, runtime);
  for (unsigned i = 0; i < SOME; i++) {
    assert_int_equal(streams[i].batched_count, before + 2);
    stream_finish(&streams[i]);
  }
  assert_int_equal(th.log_lines, 1);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
  assert_int_equal(find_ring(), -1);
}

TEST_CASE(a_thread_that_lacks_something_for_a_moment_batches_again) {
  static const int passing[] = {EMFILE, ENFILE, ENOMEM, EAGAIN};
  skip_without_uring();
  for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
    assert_recovers(&setup_error, passing[i]);
    if (i >= 2) assert_recovers(&enter_error, passing[i]);
  }
}

/* Until a second has passed, the thread does not try, so that it does not make a system call for each write. */
TEST_CASE(a_thread_without_descriptors_writes_directly_for_a_second) {
  static stream streams[SOME];
  struct rlimit limit;
  test_host th;
  skip_without_uring();
  test_host_init(&th);
  vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
  for (unsigned i = 0; i < SOME; i++) stream_init(&streams[i], runtime, 0);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max}), 0);
  send_one_each(streams, runtime);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_non_null(strstr(th.last_log, strerror(EMFILE)));
  test_host_advance_ms(&th, 999);
  send_one_each(streams, runtime);
  assert_int_equal(streams[0].batched_count, 0);
  test_host_advance_ms(&th, 1);
  send_one_each(streams, runtime);
  assert_int_equal(streams[0].batched_count, 1);
  for (unsigned i = 0; i < SOME; i++) stream_finish(&streams[i]);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
}

/* The application closes descriptors that it did not open, and opens a file with the ring's number, which later sends,
 * and the end of the runtime, leave alone. */
TEST_CASE(a_ring_that_the_application_closed_closes_no_other_file) {
  for (int rounds = 0; rounds < 2; rounds++) {
    static stream streams[SOME];
    test_host th;
    test_host_init(&th);
    vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
    for (unsigned i = 0; i < SOME; i++) stream_init(&streams[i], runtime, 0);
    send_one_each(streams, runtime);
    const int ring = find_ring();
    int pair[2];
    char byte = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    if (ring >= 0) assert_int_equal(dup2(pair[0], ring), ring);
    for (int round = 0; round < rounds; round++) send_one_each(streams, runtime);
    for (unsigned i = 0; i < SOME; i++) stream_finish(&streams[i]);
    vestry_runtime_destroy(runtime);
    if (ring >= 0) {
      assert_int_equal(th.log_lines, rounds);
      assert_int_equal(send(ring, "x", 1, 0), 1);
      assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), 1);
      close(ring);
    }
    close(pair[0]);
    close(pair[1]);
    test_host_assert_clean(&th);
  }
}

/* The file is a ring of the application: a send on it would wait for ever. */
TEST_CASE(a_ring_that_became_the_applications_is_left_to_it) {
  skip_without_uring();
  for (int rounds = 0; rounds < 2; rounds++) {
    static stream streams[SOME];
    struct io_uring its;
    test_host th;
    test_host_init(&th);
    vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
    for (unsigned i = 0; i < SOME; i++) stream_init(&streams[i], runtime, 0);
    send_one_each(streams, runtime);
    const int ring = find_ring();
    assert_int_equal(io_uring_queue_init(256, &its, 0), 0); /* as many entries as the library's */
    assert_int_equal(dup2(its.ring_fd, ring), ring);
    for (int round = 0; round < 2 * rounds; round++) send_one_each(streams, runtime);
    for (unsigned i = 0; i < SOME; i++) stream_finish(&streams[i]);
    vestry_runtime_destroy(runtime);
    assert_int_equal(th.log_lines, rounds);
    io_uring_prep_nop(io_uring_get_sqe(&its));
    assert_int_equal(io_uring_submit_and_wait(&its, 1), 1);
    assert_true(fcntl(ring, F_GETFD) >= 0);
    close(ring);
    io_uring_queue_exit(&its);
    test_host_assert_clean(&th);
  }
}

typedef struct helper {
  stream *streams;
  vestry_runtime *of, *here;
} helper;

/* Send the next number on each of these streams, as a thread that does the work of a stepped runtime. Returns NULL, or
 * the stream that could not be batched. */
static void *help(void *ctx) {
  const helper *h = ctx;
  for (unsigned i = 0; i < SOME; i++) {
    stream *s = &h->streams[i];
    const unsigned number = atomic_load(&s->sent_count);
    while (!vsi_actor_try_enter(&s->actor)) sched_yield();
    vsi_sends *sends = vsi_sends_here(&h->here->pool, &h->of->pool);
    if (!sends) return s;
    memcpy(vsi_sends_room(sends), &number, sizeof number);
    vsi_sends_add(sends, &s->actor, s->ours, sizeof number);
  }
  (void)vsi_pool_flush(&h->here->pool, 0);
  return NULL;
}

/* A stepped runtime may do work for one with threads, for example render its pages, and each step may be on another
 * thread. */
TEST_CASE(a_stepped_runtime_sends_for_another_one_on_any_thread) {
  static stream streams[SOME];
  test_host th;
  skip_without_uring();
  test_host_init(&th);
  helper h = {.streams = streams, .of = runtime_of(&th, 1), .here = runtime_of(&th, VESTRY_THREADS_NONE)};
  for (unsigned i = 0; i < SOME; i++) stream_init(&streams[i], h.of, 0);
  for (unsigned round = 0; round < 3; round++) {
    pthread_t thread;
    void *refused = NULL;
    assert_int_equal(pthread_create(&thread, NULL, help, &h), 0);
    assert_int_equal(pthread_join(thread, &refused), 0);
    assert_null(refused);
    for (unsigned i = 0; i < SOME; i++) assert_int_equal(read_numbers(&streams[i], round), round + 1);
  }
  assert_true(batches(h.of));
  assert_int_equal(th.log_lines, 0);
  vestry_runtime_destroy(h.here);
  vestry_runtime_destroy(h.of);
  for (unsigned i = 0; i < SOME; i++) stream_finish(&streams[i]);
  test_host_assert_clean(&th);
}

/* Without memory for a batch, a write is direct; later writes are batched. */
HOST_CASE(without_memory_a_write_is_direct) {
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  stream s;
  stream_init(&s, runtime, 1);
  test_host_fail_in(th, 0);
  vsi_actor_notify(&s.actor);
  settle(runtime);
  assert_true(test_host_has_failed(th));
  test_host_fail_no_more(th);
  assert_int_equal(read_numbers(&s, 0), 1);
  assert_int_equal(s.batched_count, 0);
  assert_int_equal(th->log_lines, 0);
  s.wanted_count = 2;
  vsi_actor_notify(&s.actor);
  settle(runtime);
  assert_int_equal(read_numbers(&s, 1), 2);
  assert_int_equal(s.batched_count, batches(runtime));
  stream_finish(&s);
  vestry_runtime_destroy(runtime);
}
