/* The watch sees ends and room.
 *
 * libmicrohttpd does not look at a suspended connection's socket, so it sees neither that the peer has gone nor that
 * there is room for what did not fit. An epoll of our own sees both, for all streams in one thread. It is asked for
 * edges: a peer that has gone is told once; room is told when there was none before, and only of sockets whose stream
 * has asked for it, as most never need to.
 *
 * The thread has events in its hands whose streams may have ended meanwhile, and whose memory and descriptor may be
 * somebody else's by now. So an event does not carry a pointer but the number of an entry in a table and the entry's
 * generation, and is looked up under the lock. Who is found there still has his descriptor: it goes back to
 * libmicrohttpd only after the removal, which takes the lock too. What is done with the connection is done without the
 * lock, with a reference. */
#include "adapter/microhttpd/watch.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/microhttpd/verdict.h"
#include "adapter/web/host.h"

enum { EVENTS_AT_ONCE = 128, LEAST_ENTRIES = 16, CLOSED_AT_ONCE = 64 };
static const uint32_t NONE = UINT32_MAX;
static const vsi_microhttpd_key STOP = UINT64_MAX;

/* ---- the table --------------------------------------------------------------------------------------------------- */

static vsi_microhttpd_entry *entry_locked(vsi_microhttpd_watch *watch, vsi_microhttpd_key key) {
  uint32_t index = (uint32_t)key;
  if (index >= watch->entries_count) return NULL;
  vsi_microhttpd_entry *entry = &watch->entries[index];
  return entry->generation == (uint32_t)(key >> 32) ? entry : NULL;
}

static vestry_err grow_locked(vsi_microhttpd_watch *watch) {
  uint32_t before = watch->entries_count, count = before ? before * 2 : LEAST_ENTRIES;
  if (before >= watch->capacity) return VESTRY_LIMIT;
  if (count > watch->capacity) count = watch->capacity;
  vsi_microhttpd_entry *entries = watch->host->reallocate(watch->host->ctx, watch->entries, count * sizeof *entries);
  if (!entries) return VESTRY_NO_MEMORY;
  for (uint32_t i = before; i < count; i++)
    entries[i] = (vsi_microhttpd_entry){.next_free = i + 1 < count ? i + 1 : NONE};
  watch->entries = entries;
  watch->entries_count = count;
  watch->first_free = before;
  return VESTRY_OK;
}

vestry_err vsi_microhttpd_watch_reserve(vsi_microhttpd_watch *watch, vsi_microhttpd_key *ret_key) {
  pthread_mutex_lock(&watch->lock);
  vestry_err error = watch->first_free == NONE ? grow_locked(watch) : VESTRY_OK;
  if (!error) {
    uint32_t index = watch->first_free;
    vsi_microhttpd_entry *entry = &watch->entries[index];
    watch->first_free = entry->next_free;
    entry->fd = -1;
    *ret_key = (uint64_t)entry->generation << 32 | index;
  }
  pthread_mutex_unlock(&watch->lock);
  return error;
}

void vsi_microhttpd_watch_name(vsi_microhttpd_watch *watch, vsi_microhttpd_key key, vestry_connection *connection) {
  pthread_mutex_lock(&watch->lock);
  entry_locked(watch, key)->connection = connection;
  pthread_mutex_unlock(&watch->lock);
}

void vsi_microhttpd_watch_release(vsi_microhttpd_watch *watch, vsi_microhttpd_key key) {
  pthread_mutex_lock(&watch->lock);
  uint32_t index = (uint32_t)key;
  vsi_microhttpd_entry *entry = &watch->entries[index];
  *entry = (vsi_microhttpd_entry){.generation = entry->generation + 1, .next_free = watch->first_free};
  watch->first_free = index;
  pthread_mutex_unlock(&watch->lock);
}

void vsi_microhttpd_watch_close_all(vsi_microhttpd_watch *watch, vestry_cause cause) {
  vestry_connection *connections[CLOSED_AT_ONCE];
  uint32_t at = 0, count;
  do {
    count = 0;
    pthread_mutex_lock(&watch->lock);
    for (; at < watch->entries_count && count < CLOSED_AT_ONCE; at++)
      if (watch->entries[at].connection) connections[count++] = vestry_connection_ref(watch->entries[at].connection);
    pthread_mutex_unlock(&watch->lock);
    for (uint32_t i = 0; i < count; i++) {
      vestry_connection_close(connections[i], cause);
      vestry_connection_unref(connections[i]);
    }
  } while (count == CLOSED_AT_ONCE);
}

/* ---- sockets ----------------------------------------------------------------------------------------------------- */

static bool control(const vsi_microhttpd_watch *watch, int operation, int fd, uint32_t events, uint64_t key) {
  struct epoll_event event = {.events = events, .data.u64 = key};
  return epoll_ctl(watch->epoll, operation, fd, &event) == 0;
}

bool vsi_microhttpd_watch_add(vsi_microhttpd_watch *watch, vsi_microhttpd_key key, int fd) {
  pthread_mutex_lock(&watch->lock);
  bool added = control(watch, EPOLL_CTL_ADD, fd, EPOLLRDHUP | EPOLLET, key);
  if (added) entry_locked(watch, key)->fd = fd;
  pthread_mutex_unlock(&watch->lock);
  return added;
}

void vsi_microhttpd_watch_room(vsi_microhttpd_watch *watch, vsi_microhttpd_key key) {
  pthread_mutex_lock(&watch->lock);
  const vsi_microhttpd_entry *entry = entry_locked(watch, key);
  if (entry->fd >= 0) control(watch, EPOLL_CTL_MOD, entry->fd, EPOLLRDHUP | EPOLLOUT | EPOLLET, key);
  pthread_mutex_unlock(&watch->lock);
}

void vsi_microhttpd_watch_remove(vsi_microhttpd_watch *watch, vsi_microhttpd_key key) {
  pthread_mutex_lock(&watch->lock);
  vsi_microhttpd_entry *entry = entry_locked(watch, key);
  if (entry->fd >= 0) control(watch, EPOLL_CTL_DEL, entry->fd, 0, key);
  entry->fd = -1;
  pthread_mutex_unlock(&watch->lock);
}

static int error_of(int fd) {
  int error = 0;
  socklen_t len = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : 0;
}

static void handle(vsi_microhttpd_watch *watch, const struct epoll_event *event) {
  vestry_connection *connection = NULL;
  vestry_cause cause = VESTRY_CAUSE_NONE;
  pthread_mutex_lock(&watch->lock);
  const vsi_microhttpd_entry *entry = entry_locked(watch, event->data.u64);
  if (entry && entry->fd >= 0) {
    connection = vestry_connection_ref(entry->connection);
    if (event->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
      cause = vsi_microhttpd_verdict(entry->fd, error_of(entry->fd));
  }
  pthread_mutex_unlock(&watch->lock);
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
    int count = epoll_wait(watch->epoll, events, EVENTS_AT_ONCE, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == STOP) return NULL;
      handle(watch, &events[i]);
    }
  }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* The application's signals go to the application's threads. */
static bool start(vsi_microhttpd_watch *watch) {
  sigset_t blocked, before;
  sigfillset(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  bool started = pthread_create(&watch->thread, NULL, keep_watch, watch) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started) pthread_setname_np(watch->thread, "vestry-watch");
  return started;
}

vestry_err vsi_microhttpd_watch_init(vsi_microhttpd_watch *watch, const vestry_host *host, uint32_t capacity) {
  *watch = (vsi_microhttpd_watch){.host = host, .capacity = capacity, .first_free = NONE};
  pthread_mutex_init(&watch->lock, NULL);
  watch->epoll = epoll_create1(EPOLL_CLOEXEC);
  watch->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (watch->epoll < 0 || watch->stop < 0 || !control(watch, EPOLL_CTL_ADD, watch->stop, EPOLLIN, STOP))
    return VESTRY_IO;
  watch->started = start(watch);
  return watch->started ? VESTRY_OK : VESTRY_IO;
}

void vsi_microhttpd_watch_finish(vsi_microhttpd_watch *watch) {
  if (!watch->host) return;
  if (watch->started) {
    eventfd_write(watch->stop, 1);
    pthread_join(watch->thread, NULL);
  }
  if (watch->epoll >= 0) close(watch->epoll);
  if (watch->stop >= 0) close(watch->stop);
  pthread_mutex_destroy(&watch->lock);
  vsi_web_free(watch->host, watch->entries);
  watch->host = NULL;
}
