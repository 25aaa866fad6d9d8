/* SPDX-License-Identifier: MIT */
/* essay: one thread that detects ends and room for all streams */
/* The watch detects ends of peers and room in sockets.
 *
 * libmicrohttpd does not look at the sockets of streams, so it detects neither that a peer is gone nor that there is
 * room for bytes that did not fit. An epoll of vestry detects both, for all streams in one thread. It is
 * edge-triggered: the end of a peer is reported once; room is reported only after there was none, and only for sockets
 * whose stream has requested it, because most streams never run out of room.
 *
 * When the thread handles an event, the stream may have ended meanwhile, and its memory and descriptor may belong to
 * another stream. Therefore an event carries no pointer, but the number of an entry in a table and the entry's
 * generation, and is looked up under the lock. A stream that is found still has its descriptor, because the descriptor
 * is closed, or returned to libmicrohttpd, only after the removal from the table, which takes the lock, too. The
 * connection is used without the lock, through a reference.
 *
 * Lingering streams belong to the watch. Its thread, its timer or a stop removes one from the table under the lock, and
 * then frees it. The timer looks at each of them once a second. */
#include "adapter/microhttpd/watch.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* glibc's struct tcp_info ends before the window */
#include <netinet/in.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/thread.h"

enum { EVENTS_AT_ONCE = 128, LOOK_MS = 1000, GENERATIONS = INT32_MAX };
enum { LINGER_S = 5, LINGER_MOST_S = 60 };
/* The longest interval between probes of a closed window (TCP_RTO_MAX of the kernel). */
enum { MOST_BETWEEN_PROBES_MS = 120000 };
static const uint32_t NONE = UINT32_MAX;
static const vsi_microhttpd_key END = UINT64_MAX; /* the key of `end` in the epoll; no entry has it, because generations
                                                     have 31 bits */

/* --------------------------------------------------------------------------------------------------- the table ---- */

static vsi_microhttpd_entry *entry_locked(vsi_microhttpd_watch *watch, vsi_microhttpd_key key) {
  uint32_t index = (uint32_t)key;
  if (index >= watch->entries_count) return NULL;
  vsi_microhttpd_entry *entry = &watch->entries[index];
  return entry->generation == key >> 32 ? entry : NULL;
}

static vestry_err grow_locked(vsi_microhttpd_watch *watch) {
  const size_t before = watch->entries_count;
  if (before >= watch->capacity) return VESTRY_LIMIT;
  if (VSI_ARRAY_RESERVE(watch->host, watch->entries, before, watch->entries_count, 1)) return VESTRY_NO_MEMORY;
  if (watch->entries_count > watch->capacity) watch->entries_count = watch->capacity;
  watch->first_free = NONE;
  for (size_t i = watch->entries_count; i-- > before; watch->first_free = (uint32_t)i)
    watch->entries[i] = (vsi_microhttpd_entry){.next_free = watch->first_free};
  return VESTRY_OK;
}

vestry_err vsi_microhttpd_watch_reserve(vsi_microhttpd_watch *watch, vsi_microhttpd_key *ret_key) {
  vsi_mutex_lock(&watch->lock);
  vestry_err error = watch->first_free == NONE ? grow_locked(watch) : VESTRY_OK;
  if (!error) {
    uint32_t index = watch->first_free;
    vsi_microhttpd_entry *entry = &watch->entries[index];
    watch->first_free = entry->next_free;
    entry->fd = -1;
    *ret_key = (uint64_t)entry->generation << 32 | index;
  }
  vsi_mutex_unlock(&watch->lock);
  return error;
}

void vsi_microhttpd_watch_name(vsi_microhttpd_watch *watch, vsi_microhttpd_key key, vsi_microhttpd_stream *stream) {
  vsi_mutex_lock(&watch->lock);
  entry_locked(watch, key)->stream = stream;
  vsi_mutex_unlock(&watch->lock);
}

void vsi_microhttpd_watch_release(vsi_microhttpd_watch *watch, vsi_microhttpd_key key) {
  vsi_mutex_lock(&watch->lock);
  uint32_t index = (uint32_t)key;
  vsi_microhttpd_entry *entry = &watch->entries[index];
  *entry = (vsi_microhttpd_entry){.generation = (entry->generation + 1) & GENERATIONS, .next_free = watch->first_free};
  watch->first_free = index;
  vsi_mutex_unlock(&watch->lock);
}

/* ----------------------------------------------------------------------------------------------------- sockets ---- */

static bool control(const vsi_microhttpd_watch *watch, int operation, int fd, uint32_t events, uint64_t key) {
  struct epoll_event event = {.events = events, .data.u64 = key};
  return epoll_ctl(watch->epoll, operation, fd, &event) == 0;
}

bool vsi_microhttpd_watch_add(vsi_microhttpd_watch *watch, vsi_microhttpd_key key, int fd) {
  vsi_mutex_lock(&watch->lock);
  bool added = control(watch, EPOLL_CTL_ADD, fd, EPOLLRDHUP | EPOLLET, key);
  if (added) entry_locked(watch, key)->fd = fd;
  vsi_mutex_unlock(&watch->lock);
  return added;
}

void vsi_microhttpd_watch_room(vsi_microhttpd_watch *watch, vsi_microhttpd_key key) {
  vsi_mutex_lock(&watch->lock);
  const vsi_microhttpd_entry *entry = entry_locked(watch, key);
  if (entry->fd >= 0) control(watch, EPOLL_CTL_MOD, entry->fd, EPOLLRDHUP | EPOLLOUT | EPOLLET, key);
  vsi_mutex_unlock(&watch->lock);
}

void vsi_microhttpd_watch_remove(vsi_microhttpd_watch *watch, vsi_microhttpd_key key) {
  vsi_mutex_lock(&watch->lock);
  vsi_microhttpd_entry *entry = entry_locked(watch, key);
  if (entry->fd >= 0) control(watch, EPOLL_CTL_DEL, entry->fd, 0, key);
  entry->fd = -1;
  vsi_mutex_unlock(&watch->lock);
}

/* --------------------------------------------------------------------------------------------------- lingering ---- */

/* essay: a stream's end that waits for a slow peer */
/* The end of a stream whose peer reads slowly: the stream lingers until its final chunk is sent.
 *
 * The runner treats all events as written when the kernel has them. Then there may be no room for the final chunk,
 * because the peer reads slowly. The stream is cut when
 * - the peer is gone,
 * - the adapter stops,
 * - the peer has taken no bytes for five seconds, or
 * - the peer has not taken all bytes within a minute. Every end of a stream waits that long for its peer
 *   (connection/runner.c). The kernel reports room only when a third of its buffer is free, and a slow peer may need
 *   more than five seconds for that. Therefore the watch checks once a second whether the few bytes fit already, and
 *   whether the peer has taken any. */
static uint32_t now_s(const vsi_microhttpd_stream *stream) {
  return (uint32_t)(vsi_now_ns(stream->host) / 1000000000);
}

/* Return the number of bytes that were sent and have not reached the peer. For a UNIX socket it is the memory of the
 * bytes that the peer has not read. */
static int unread_bytes(const vsi_microhttpd_stream *stream) {
  int bytes = 0;
  return ioctl(stream->wire.fd, SIOCOUTQ, &bytes) == 0 ? bytes : INT_MAX;
}

/* Look at the stream again, some time later. Returns whether the wait is over: all bytes are sent, no more can be sent,
 * or the peer has used up its time. */
static bool linger_is_over(vsi_microhttpd_stream *stream) {
  if (vsi_microhttpd_wire_flush(&stream->wire)) return true;
  uint32_t now = now_s(stream);
  int unread = unread_bytes(stream);
  if (unread < stream->unread_bytes) {
    stream->unread_bytes = unread;
    stream->until_s = now + LINGER_S < stream->most_s ? now + LINGER_S : stream->most_s;
  }
  return now >= stream->until_s;
}

bool vsi_microhttpd_watch_linger(vsi_microhttpd_watch *watch, vsi_microhttpd_stream *stream) {
  stream->until_s = now_s(stream) + LINGER_S;
  stream->most_s = now_s(stream) + LINGER_MOST_S;
  stream->unread_bytes = unread_bytes(stream);
  vsi_mutex_lock(&watch->lock);
  vsi_microhttpd_entry *entry = entry_locked(watch, stream->key);
  bool lingers = entry->fd >= 0 &&
                 !watch->is_shut && /* a stop that did not find it lingering has shut the gate before */
                 control(watch, EPOLL_CTL_MOD, entry->fd, EPOLLRDHUP | EPOLLOUT | EPOLLET, stream->key);
  if (lingers) {
    entry->lingers = true;
    watch->lingering_count++;
  }
  vsi_mutex_unlock(&watch->lock);
  return lingers;
}

/* Remove a lingering stream from the table. The calling thread must then free it. */
static vsi_microhttpd_stream *take_out_locked(vsi_microhttpd_watch *watch, vsi_microhttpd_entry *entry) {
  control(watch, EPOLL_CTL_DEL, entry->fd, 0, 0);
  entry->fd = -1;
  entry->lingers = false;
  watch->lingering_count--;
  return entry->stream;
}

/* Find the next stream to close, from *at on: a lingering one that is over or, in a shutdown, any. A lingering one is
 * taken out; of another one, *ret_open is a reference to its connection. */
static vsi_microhttpd_stream *next_locked(vsi_microhttpd_watch *watch, uint32_t *at, bool shuts,
                                          vestry_connection **ret_open) {
  while (*at < watch->entries_count && (shuts || watch->lingering_count)) {
    vsi_microhttpd_entry *entry = &watch->entries[(*at)++];
    if (!entry->stream) continue;
    if (entry->lingers && (shuts || linger_is_over(entry->stream))) return take_out_locked(watch, entry);
    if (entry->lingers || !shuts) continue;
    *ret_open = vestry_connection_ref(entry->stream->connection);
    return entry->stream;
  }
  return NULL;
}

static void close_each(vsi_microhttpd_watch *watch, bool shuts, vestry_cause cause) {
  vsi_microhttpd_stream *next;
  uint32_t at = 0;
  do {
    vestry_connection *open = NULL;
    vsi_mutex_lock(&watch->lock);
    if (shuts) watch->is_shut = true;
    next = next_locked(watch, &at, shuts, &open);
    vsi_mutex_unlock(&watch->lock);
    if (open) {
      vestry_connection_close(open, cause);
      vestry_connection_unref(open);
    } else if (next) {
      watch->over(next);
    }
  } while (next);
}

void vsi_microhttpd_watch_shut(vsi_microhttpd_watch *watch, vestry_cause cause) {
  close_each(watch, true, cause);
}

/* ------------------------------------------------------------------------------------------------- the verdict ---- */

/* The kernel gives up with the same error after the same time, whether the peer is silent (LOST) or reads nothing
 * (STALLED). A peer that reads nothing has closed its window, or its window is too small for the next bytes. In the
 * second case the peer has acknowledged bytes within this time. */
vestry_cause vsi_microhttpd_verdict(int fd, int error) {
  if (error != ETIMEDOUT && error != EHOSTUNREACH && error != ENETUNREACH) return VESTRY_CAUSE_HANGUP;
  struct tcp_info info;
  unsigned timeout_ms = 0;
  socklen_t info_len = sizeof info, timeout_len = sizeof timeout_ms;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_len) != 0 ||
      getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &timeout_len) != 0)
    return VESTRY_CAUSE_LOST;
  bool tells_window = info_len >= offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd;
  if (tells_window && !info.tcpi_snd_wnd) return VESTRY_CAUSE_STALLED;
  return info.tcpi_last_ack_recv < (timeout_ms ? timeout_ms : MOST_BETWEEN_PROBES_MS) ? VESTRY_CAUSE_STALLED
                                                                                      : VESTRY_CAUSE_LOST;
}

/* -------------------------------------------------------------------------------------------------- the thread ---- */

static int error_of(int fd) {
  int error = 0;
  socklen_t len = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : 0;
}

static void handle(vsi_microhttpd_watch *watch, const struct epoll_event *event) {
  vsi_microhttpd_stream *over = NULL;
  vestry_connection *connection = NULL;
  vestry_cause cause = VESTRY_CAUSE_NONE;
  bool has_ended = event->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP);
  vsi_mutex_lock(&watch->lock);
  vsi_microhttpd_entry *entry = entry_locked(watch, event->data.u64);
  if (entry && entry->fd >= 0 && entry->lingers) {
    if (has_ended || vsi_microhttpd_wire_flush(&entry->stream->wire)) over = take_out_locked(watch, entry);
  } else if (entry && entry->fd >= 0) {
    connection = vestry_connection_ref(entry->stream->connection);
    if (has_ended) cause = vsi_microhttpd_verdict(entry->fd, error_of(entry->fd));
  }
  vsi_mutex_unlock(&watch->lock);
  if (over) watch->over(over);
  if (!connection) return;
  if (cause)
    vestry_connection_close(connection, cause);
  else
    vestry_connection_writable(connection);
  vestry_connection_unref(connection);
}

static void *keep_watch(void *argument) {
  vsi_microhttpd_watch *watch = argument;
  for (;;) {
    struct epoll_event events[EVENTS_AT_ONCE];
    const int count = epoll_wait(watch->epoll, events, EVENTS_AT_ONCE, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == END) return NULL;
      handle(watch, &events[i]);
    }
  }
}

static void look(vestry_timer *timer, void *ctx) {
  (void)timer;
  close_each(ctx, false, VESTRY_CAUSE_NONE);
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

vestry_err vsi_microhttpd_watch_init(vsi_microhttpd_watch *watch, vestry *v, const char *function, uint32_t capacity,
                                     vsi_microhttpd_over_fn over) {
  *watch =
      (vsi_microhttpd_watch){.host = vestry_parts_of(v)->host, .over = over, .capacity = capacity, .first_free = NONE};
  vsi_mutex_init(&watch->lock, VSI_LOCK_MICROHTTPD_WATCH);
  watch->epoll = epoll_create1(EPOLL_CLOEXEC);
  watch->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (watch->epoll < 0 || watch->end < 0 || !control(watch, EPOLL_CTL_ADD, watch->end, EPOLLIN, END)) {
    vsi_log(watch->host, VESTRY_LOG_ERROR, "%s: cannot watch streams: %s; raise the limit of descriptors (ulimit -n)",
            function, strerror(errno));
    return VESTRY_IO;
  }
  vestry_err error = vestry_timer_create(vestry_parts_of(v)->runtime, look, watch, &watch->timer);
  if (!error) error = vestry_timer_set(watch->timer, LOOK_MS, LOOK_MS);
  if (!error) error = vsi_thread_start(watch->host, &watch->thread, "vestry-watch", keep_watch, watch);
  watch->started = !error;
  return error;
}

void vsi_microhttpd_watch_finish(vsi_microhttpd_watch *watch) {
  if (!watch->host) return;
  vestry_timer_destroy(watch->timer);
  if (watch->started) {
    eventfd_write(watch->end, 1);
    pthread_join(watch->thread, NULL);
  }
  if (watch->epoll >= 0) close(watch->epoll);
  if (watch->end >= 0) close(watch->end);
  vsi_mutex_finish(&watch->lock);
  vsi_free(watch->host, watch->entries);
  watch->host = NULL;
}
