/* SPDX-License-Identifier: MIT */
/* The threads of the adapter. Each waits for the sockets of its sessions, serves their requests, and looks at their
 * deadlines several times a second.
 *
 * Sessions take turns to serve requests, and between two turns their sockets are looked at. A session with FEW requests
 * that had none before has its first turn at once, and the others have one each in their order. So a request waits for
 * one handler of clients that send hundreds of requests at a time, however many such clients there are.
 *
 * A socket whose protocol is not known yet is watched edge-triggered, because its bytes stay unread until enough of
 * them have arrived. Later it is level-triggered, and watched for room only if a thread has found none. */
#include "adapter/h2/adapter.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "base/wait.h"

enum { EVENTS_AT_ONCE = 64, FEW = 4 };

/* ---------------------------------------------------------------------------------------------------- arrivals ---- */

bool vsi_h2_loop_take(void *ctx, int fd, const struct sockaddr *address) {
  vsi_h2 *adapter = ctx;
  const uint32_t number = atomic_fetch_add_explicit(&adapter->next_loop, 1, memory_order_relaxed);
  vsi_h2_loop *loop = &adapter->loops[number % adapter->loops_count];
  vsi_h2_session *session = vsi_h2_session_create(adapter, fd, address);
  if (!session) return false;
  session->loop = loop;
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = session};
  vsi_mutex_lock(&loop->loop_lock); /* the session may end on the loop's thread, but not before the unlock */
  TAILQ_INSERT_TAIL(&loop->sessions, session, in);
  (void)epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event); /* if it cannot be watched, it ends by its deadline */
  vsi_mutex_unlock(&loop->loop_lock);
  return true;
}

/* -------------------------------------------------------------------------------------------------- the thread ---- */

static void enter_line(struct vsi_h2_sessions *line, vsi_h2_session *session) {
  TAILQ_INSERT_TAIL(line, session, in_line);
  session->line = line;
}

static void leave_line(vsi_h2_session *session) {
  if (session->line) TAILQ_REMOVE(session->line, session, in_line);
  session->line = NULL;
}

/* Return the number of its requests, at most FEW + 1. */
static unsigned count_requests(const vsi_h2_session *session) {
  unsigned count = 0;
  for (const vsi_h2_stream *at = STAILQ_FIRST(&session->ready); at && count <= FEW; at = STAILQ_NEXT(at, in_ready))
    count++;
  return count;
}

/* Let a session wait for its turn, if it has requests. had_some: also before */
static void await_turn(vsi_h2_loop *loop, vsi_h2_session *session, bool had_some) {
  const unsigned count = count_requests(session);
  if (count && !session->line) enter_line(!had_some && count <= FEW ? &loop->fresh : &loop->busy, session);
}

static void give_turn(vsi_h2_loop *loop, vsi_h2_session *session) {
  leave_line(session);
  if (vsi_h2_request_serve_ready(session)) enter_line(&loop->busy, session);
}

static void give_turns(vsi_h2_loop *loop) {
  vsi_h2_session *const waiting = TAILQ_FIRST(&loop->busy);
  for (vsi_h2_session *at; (at = TAILQ_FIRST(&loop->fresh)) != NULL;) give_turn(loop, at);
  if (waiting) give_turn(loop, waiting);
}

static void end(vsi_h2_loop *loop, vsi_h2_session *session) {
  leave_line(session);
  vsi_mutex_lock(&loop->loop_lock);
  TAILQ_REMOVE(&loop->sessions, session, in);
  session->has_left = true;
  vsi_mutex_unlock(&loop->loop_lock);
  vsi_h2_session_end(session);
}

/* Return the first session of the list, or the one after a session. Only this thread removes sessions. */
static vsi_h2_session *next_of(vsi_h2_loop *loop, vsi_h2_session *session) {
  vsi_mutex_lock(&loop->loop_lock);
  vsi_h2_session *next = session ? TAILQ_NEXT(session, in) : TAILQ_FIRST(&loop->sessions);
  vsi_mutex_unlock(&loop->loop_lock);
  return next;
}

static void look(vsi_h2_loop *loop) {
  const uint64_t now_ns = vsi_now_ns(loop->adapter->host);
  for (vsi_h2_session *at = next_of(loop, NULL), *next; at; at = next) {
    const bool had_some = count_requests(at) != 0;
    next = next_of(loop, at);
    if (vsi_h2_session_look(at, now_ns))
      await_turn(loop, at, had_some);
    else
      end(loop, at);
  }
}

static void visit(vsi_h2_loop *loop, vsi_h2_session *session) {
  const bool had_some = count_requests(session) != 0;
  if (vsi_h2_session_visit(session))
    await_turn(loop, session, had_some);
  else
    end(loop, session);
}

static void *keep_loop(void *argument) {
  vsi_h2_loop *loop = argument;
  vsi_h2 *adapter = loop->adapter;
  const int wait_ms = (int)(adapter->look_ns / VSI_NS_PER_MS);
  uint64_t looked_ns = vsi_monotonic_ns();
  while (!atomic_load_explicit(&adapter->is_over, memory_order_acquire)) { /* pairs with the store in finish */
    struct epoll_event events[EVENTS_AT_ONCE];
    const bool has_work = !TAILQ_EMPTY(&loop->fresh) || !TAILQ_EMPTY(&loop->busy);
    const int count = epoll_wait(loop->epoll, events, EVENTS_AT_ONCE, has_work ? 0 : wait_ms);
    bool is_called = false;
    for (int i = 0; i < count; i++) {
      vsi_h2_session *session = events[i].data.ptr;
      if (!session) {
        eventfd_t calls;
        is_called = true;
        (void)eventfd_read(loop->bell, &calls);
      } else {
        visit(loop, session);
      }
    }
    give_turns(loop);
    if (!is_called && vsi_monotonic_ns() - looked_ns < adapter->look_ns) continue;
    look(loop);
    looked_ns = vsi_monotonic_ns();
  }
  return NULL;
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

static vestry_err make(vsi_h2 *adapter, vsi_h2_loop *loop) {
  loop->adapter = adapter;
  TAILQ_INIT(&loop->sessions);
  TAILQ_INIT(&loop->fresh);
  TAILQ_INIT(&loop->busy);
  loop->epoll = epoll_create1(EPOLL_CLOEXEC);
  loop->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  vsi_mutex_init(&loop->loop_lock, VSI_LOCK_H2_LOOP);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (loop->epoll >= 0 && loop->bell >= 0 && epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->bell, &event) == 0)
    return VESTRY_OK;
  vsi_log(adapter->host, VESTRY_LOG_ERROR,
          "vestry_h2_create: no descriptor is left; raise the limit of descriptors (ulimit -n)");
  return VESTRY_IO;
}

vestry_err vsi_h2_loops_make(vsi_h2 *adapter, uint32_t count) {
  adapter->loops = vsi_calloc(adapter->host, count, sizeof *adapter->loops);
  if (!adapter->loops) return VESTRY_NO_MEMORY;
  vestry_err error = VESTRY_OK;
  while (!error && adapter->loops_count < count) error = make(adapter, &adapter->loops[adapter->loops_count++]);
  return error;
}

vestry_err vsi_h2_loops_start(vsi_h2 *adapter) {
  vestry_err error = VESTRY_OK;
  for (uint32_t i = 0; i < adapter->loops_count && !error; i++) {
    vsi_h2_loop *loop = &adapter->loops[i];
    error = vsi_thread_start(adapter->host, &loop->thread, "vestry-h2", keep_loop, loop);
    loop->is_started = !error;
  }
  return error;
}

void vsi_h2_loops_wake(vsi_h2 *adapter) {
  for (uint32_t i = 0; i < adapter->loops_count; i++) eventfd_write(adapter->loops[i].bell, 1);
}

void vsi_h2_loops_finish(vsi_h2 *adapter) {
  atomic_store_explicit(&adapter->is_over, true, memory_order_release);
  vsi_h2_loops_wake(adapter);
  for (uint32_t i = 0; i < adapter->loops_count; i++) {
    vsi_h2_loop *loop = &adapter->loops[i];
    if (loop->is_started) pthread_join(loop->thread, NULL);
    for (vsi_h2_session *at; (at = next_of(loop, NULL)) != NULL;) end(loop, at);
    if (loop->epoll >= 0) close(loop->epoll);
    if (loop->bell >= 0) close(loop->bell);
    vsi_mutex_finish(&loop->loop_lock);
  }
  vsi_free(adapter->host, adapter->loops);
}

/* The references are taken in pieces, because connections are closed without a lock. */
static void close_streams(vsi_h2_session *session, vestry_cause cause) {
  enum { AT_ONCE = 64 };
  uint32_t after = UINT32_MAX; /* the list is in the order of falling ids */
  for (;;) {
    vestry_connection *found[AT_ONCE];
    size_t count = 0;
    vsi_mutex_lock(&session->lock);
    for (vsi_h2_stream *at = LIST_FIRST(&session->streams); at && count < AT_ONCE; at = LIST_NEXT(at, in_all)) {
      if ((uint32_t)at->id >= after || !at->connection) continue;
      after = (uint32_t)at->id;
      found[count++] = vestry_connection_ref(at->connection);
    }
    vsi_mutex_unlock(&session->lock);
    if (!count) return;
    for (size_t i = 0; i < count; i++) {
      vestry_connection_close(found[i], cause);
      vestry_connection_unref(found[i]);
    }
  }
}

void vsi_h2_loops_close_streams(vsi_h2 *adapter, vestry_cause cause) {
  for (uint32_t i = 0; i < adapter->loops_count; i++) {
    vsi_h2_loop *loop = &adapter->loops[i];
    vsi_h2_session *held = NULL;
    for (;;) {
      /* A session that has left the list was ended, with all of its streams; then the walk begins anew. */
      vsi_mutex_lock(&loop->loop_lock);
      vsi_h2_session *next = held && !held->has_left ? TAILQ_NEXT(held, in) : TAILQ_FIRST(&loop->sessions);
      if (next) VSI_REFS_TAKE(&next->refs);
      vsi_mutex_unlock(&loop->loop_lock);
      if (held) vsi_h2_session_unref(held);
      held = next;
      if (!held) break;
      close_streams(held, cause);
      vsi_h2_session_look_at_waiting(held, vsi_now_ns(adapter->host));
    }
  }
}
