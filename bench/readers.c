/* SPDX-License-Identifier: MIT */
/* The publisher writes a round and then counts it as published (release). Readers read that count (acquire) before they
 * compare received data. The place of a round is reused only when all its events are counted as delivered, which
 * synchronizes in the other direction, and the publisher has a separate place to write. So no reader reads a line that
 * is being written, and an unpublished event counts as a disorder. */
#include "readers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#ifdef BENCH_H2
#include "h2.h"
#else
typedef void bench_h2;
#endif

enum { PILE_BYTES = 64 << 20 };
enum { EVENTS_AT_ONCE = 256, RECEIVE_BYTES = 1 << 16, LOOK_MS = 100, QUIET_MS = 2, OPEN_PATIENCE_MS = 10000 };

typedef struct reader {
  bench_stream stream; /* first */
  uint64_t next;       /* the expected round */
  uint64_t ended_ns;   /* 0: it has not ended */
  uint64_t beat_ns;    /* time of the last line of no round; 0: none */
  bool is_due;         /* its line has arrived, but not the empty line after it */
} reader;

typedef struct reading_thread {
  readers *all;
  pthread_t thread;
  bool is_started;
  int epoll;
  uint64_t now_ns; /* arrival of the current bytes */
  char *pile;      /* postponed data: an arrival, its bytes, the next */
  size_t pile_len, pile_capacity;
  histogram latency, beats[READERS_LANES];
} reading_thread;

struct readers {
  readers_options options;
  reader *readers;
  reading_thread *threads;
  bench_h2 **connections; /* of HTTP/2; the first streams belong to the first one, and so on */
  size_t connections_count;
  readers_round *rounds;
  size_t slots; /* places for rounds: one for each concurrent round, and one for the publisher */
  _Atomic(uint64_t) published, opened, deliveries, disorders, broken, ended, hints, skipped, body_bytes;
  _Atomic(bool) stopping, expects_ends;
  _Atomic(unsigned) lane;
  pthread_mutex_t lock;
  pthread_cond_t reached;
  const _Atomic(uint64_t) *awaited; /* guarded by lock: the count that a thread waits for; NULL: none */
  uint64_t target;                  /* guarded by lock */
};

/* Counts are read after a wait has seen their change under its lock, which orders them. A delivery also signals that
 * the line of its round is no longer used. */
static uint64_t add(_Atomic(uint64_t) *count, uint64_t n) {
  return atomic_fetch_add_explicit(count, n, memory_order_acq_rel) + n;
}
static uint64_t look(const _Atomic(uint64_t) *count) {
  return atomic_load_explicit(count, memory_order_acquire);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static bool is_round(const readers_round *round, const char *line, size_t len) {
  return len == round->len && memcmp(line, round->line, len) == 0;
}

/* Return the round of a line; UINT64_MAX: no current round. */
static uint64_t find_round(const readers *all, const char *line, size_t len, uint64_t published) {
  uint64_t window = all->options.window, first = published > window ? published - window : 0;
  for (uint64_t at = first; at < published; at++)
    if (is_round(&all->rounds[at % all->slots], line, len)) return at;
  return UINT64_MAX;
}

/* Accept a round that is later than the expected one. */
static bool skip(readers *all, reader *r, const char *line, size_t len, uint64_t published) {
  uint64_t found = r->next;
  while (found < published && !is_round(&all->rounds[found % all->slots], line, len)) found++;
  if (found == published || r->is_due) return false;
  add(&all->skipped, found - r->next);
  add(&all->deliveries, found - r->next);
  r->next = found;
  return r->is_due = true;
}

static void take_data(readers *all, reader *r, const char *line, size_t len) {
  uint64_t published = look(&all->published), due = all->options.keyed ? published - 1 : r->next;
  const readers_round *round = &all->rounds[due % all->slots];
  bool is_due = published && due < published && due >= r->next && !r->is_due && is_round(round, line, len);
  if (!is_due && all->options.skips && skip(all, r, line, len, published)) return;
  if (is_due && all->options.keyed) is_due = round->target == (size_t)(r - all->readers);
  if (!is_due) {
    uint64_t found = find_round(all, line, len, published);
    add(&all->disorders, 1);
    if (found == UINT64_MAX || found < r->next) return;
    r->next = found; /* continue after the missing rounds */
  } else {
    r->next = due;
  }
  r->is_due = true;
}

static void take_beat(reading_thread *thread, reader *r) {
  unsigned lane = atomic_load_explicit(&thread->all->lane, memory_order_relaxed); /* approximately at that time */
  if (r->beat_ns) histogram_add(&thread->beats[lane], thread->now_ns - r->beat_ns);
  r->beat_ns = thread->now_ns;
}

static void take_line(bench_stream *stream, const char *line, size_t len, void *ctx) {
  reading_thread *thread = ctx;
  readers *all = thread->all;
  reader *r = (reader *)stream;
  const char *other = all->options.other;
  if (other && len >= strlen(other) && memcmp(line, other, strlen(other)) == 0) {
    if (all->options.times_others) take_beat(thread, r);
    return;
  }
  if (len > 5 && memcmp(line, "data:", 5) == 0) {
    take_data(all, r, line, len);
  } else if (len > 6 && memcmp(line, "retry:", 6) == 0) {
    add(&all->hints, 1);
  } else if (!len && r->is_due) {
    histogram_add(&thread->latency, thread->now_ns - all->rounds[r->next % all->slots].sent_ns);
    r->is_due = false;
    r->next++;
    add(&all->deliveries, 1);
  }
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void end_reader(reading_thread *thread, reader *r) {
  if (r->stream.fd >= 0) epoll_ctl(thread->epoll, EPOLL_CTL_DEL, r->stream.fd, NULL);
  bench_stream_finish(&r->stream, false);
  r->ended_ns = bench_now_ns();
  bool is_expected = atomic_load_explicit(&thread->all->expects_ends, memory_order_relaxed);
  add(is_expected ? &thread->all->ended : &thread->all->broken, 1); /* also publishes ended_ns */
}

/* Postponed bytes of a stream. */
typedef struct arrival {
  reader *from;
  uint64_t at_ns;
  size_t len;
} arrival;

/* false: no memory. */
static bool put_off(reading_thread *thread, reader *r, const char *data, size_t len) {
  size_t wanted = thread->pile_len + sizeof(arrival) + len;
  if (wanted > thread->pile_capacity) {
    char *pile = realloc(thread->pile, 2 * wanted);
    if (!pile) return false;
    thread->pile = pile;
    thread->pile_capacity = 2 * wanted;
  }
  const arrival one = {r, thread->now_ns, len};
  memcpy(thread->pile + thread->pile_len, &one, sizeof one);
  memcpy(thread->pile + thread->pile_len + sizeof one, data, len);
  thread->pile_len = wanted;
  return true;
}

/* Process received bytes. false: the stream has ended, or is invalid. */
static bool take_bytes(reading_thread *thread, reader *r, const char *data, size_t len) {
  bool had_head = r->stream.at >= STREAM_BODY;
  uint64_t body_bytes = r->stream.body_bytes;
  bool ok = len && bench_stream_feed(&r->stream, data, len, take_line, thread);
  add(&thread->all->body_bytes, r->stream.body_bytes - body_bytes);
  if (ok && !had_head && r->stream.at >= STREAM_BODY) add(&thread->all->opened, 1);
  if (ok && r->stream.at != STREAM_ENDED) return true;
  end_reader(thread, r);
  return false;
}

static void take_pile(reading_thread *thread) {
  for (size_t at = 0; at < thread->pile_len;) {
    arrival one;
    memcpy(&one, thread->pile + at, sizeof one);
    thread->now_ns = one.at_ns;
    at += sizeof one + one.len;
    if (one.from->stream.fd >= 0) take_bytes(thread, one.from, thread->pile + at - one.len, one.len);
  }
  thread->pile_len = 0;
}

/* Read until no data is left, because the epoll is edge-triggered. If the data fills less than the buffer, it was all,
 * except for an end that arrived with it. */
static void read_stream(reading_thread *thread, reader *r, bool has_end, char *data) {
  for (ssize_t got = RECEIVE_BYTES; got == RECEIVE_BYTES || has_end;) {
    got = recv(r->stream.fd, data, RECEIVE_BYTES, 0);
    if (got < 0 && errno == EAGAIN) return;
    thread->now_ns = bench_now_ns();
    size_t len = got > 0 ? (size_t)got : 0;
    if (thread->all->options.puts_off && len && put_off(thread, r, data, len)) continue;
    take_pile(thread);
    if (r->stream.fd < 0 || !take_bytes(thread, r, data, len)) return;
  }
}

#ifdef BENCH_H2
static void take_h2_head(void *stream, int status, void *ctx) {
  reading_thread *thread = ctx;
  reader *r = stream;
  if (status != 200 || r->stream.at != STREAM_HEAD) return;
  r->stream.at = STREAM_BODY;
  add(&thread->all->opened, 1);
}

static void take_h2_bytes(void *stream, const char *data, size_t len, void *ctx) {
  reading_thread *thread = ctx;
  reader *r = stream;
  thread->now_ns = bench_now_ns(); /* more bytes arrive while bench_h2_read processes the first */
  if (r->stream.at == STREAM_BODY && r->stream.decoder) take_bytes(thread, r, data, len);
}

static void take_h2_end(void *stream, bool is_clean, void *ctx) {
  reading_thread *thread = ctx;
  reader *r = stream;
  (void)is_clean;
  if (r->stream.decoder) end_reader(thread, r);
}

static const bench_h2_events h2_events = {take_h2_head, take_h2_bytes, take_h2_end};

/* The streams of a connection that has ended are broken. */
static void read_h2(reading_thread *thread, bench_h2 **connection) {
  readers *all = thread->all;
  const size_t first = (size_t)(connection - all->connections) * all->options.h2_streams;
  if (!*connection || bench_h2_read(*connection, thread)) return;
  bench_h2_free(*connection);
  *connection = NULL;
  for (size_t i = first; i < all->options.count && i < first + all->options.h2_streams; i++)
    if (all->readers[i].stream.decoder) end_reader(thread, &all->readers[i]);
}

static bool open_h2(readers *all, size_t i) {
  const readers_options *options = &all->options;
  const size_t first = i * options->h2_streams;
  const int port = options->ports_count ? options->ports[i % options->ports_count] : options->port;
  reading_thread *thread = &all->threads[i % options->threads];
  bench_h2 *h2 = bench_h2_connect(port, (unsigned)(i % READERS_SOURCES), !options->h2_plain, &h2_events);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = &all->connections[i]};
  all->connections[i] = h2;
  for (size_t at = first; h2 && at < options->count && at < first + options->h2_streams; at++) {
    bench_stream *stream = &all->readers[at].stream;
    char path[128];
    snprintf(path, sizeof path, options->keyed ? "%s%ckey=k%zu" : "%s", options->path,
             strchr(options->path, '?') ? '&' : '?', at);
    stream->decoder = bench_decoder_create(options->encoding ? options->encoding : "identity");
    if (!stream->decoder || !bench_h2_subscribe(h2, path, options->encoding, stream)) return false;
  }
  if (h2 && i < options->h2_unread && !bench_h2_subscribe(h2, options->path, options->encoding, NULL)) return false;
  const int fd = h2 ? bench_h2_begin(h2) : -1;
  return fd >= 0 && epoll_ctl(thread->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}
#else
static void read_h2(reading_thread *thread, bench_h2 **connection) {
  (void)thread, (void)connection;
}

static bool open_h2(readers *all, size_t i) {
  (void)all, (void)i;
  errno = ENOSYS;
  return false;
}
#endif

static void read_ready(reading_thread *thread, const struct epoll_event *event, char *data) {
  if (thread->all->options.h2_streams)
    read_h2(thread, event->data.ptr);
  else
    read_stream(thread, event->data.ptr, event->events != EPOLLIN, data);
}

static bool is_over_locked(const readers *all) {
  return look(all->awaited) >= all->target || look(&all->broken);
}

static void *read_streams(void *argument) {
  reading_thread *thread = argument;
  readers *all = thread->all;
  char *data = malloc(RECEIVE_BYTES);
  while (data && !atomic_load_explicit(&all->stopping, memory_order_acquire)) { /* pairs with destroy */
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(thread->epoll, events, EVENTS_AT_ONCE, thread->pile_len ? QUIET_MS : LOOK_MS);
    for (int i = 0; i < count; i++) read_ready(thread, &events[i], data);
    if (count < 0 || (!count && !thread->pile_len)) continue;
    if (!count || thread->pile_len > PILE_BYTES) take_pile(thread);
    pthread_mutex_lock(&all->lock);
    if (all->awaited && is_over_locked(all)) pthread_cond_signal(&all->reached);
    pthread_mutex_unlock(&all->lock);
  }
  free(data);
  return NULL;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* Wait until the count reaches the target. false: it does not change for patience_ms, or a stream breaks. */
static bool wait_for(readers *all, const _Atomic(uint64_t) *count, uint64_t target, uint64_t patience_ms) {
  uint64_t patience_ns = patience_ms * 1000000, until_ns = bench_now_ns() + patience_ns, last = look(count);
  pthread_mutex_lock(&all->lock);
  all->awaited = count;
  all->target = target;
  while (!is_over_locked(all)) {
    if (bench_now_ns() >= until_ns) {
      if (look(count) == last) break;
      last = look(count);
      until_ns = bench_now_ns() + patience_ns;
    }
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    pthread_cond_timedwait(&all->reached, &all->lock, &until);
  }
  all->awaited = NULL;
  pthread_mutex_unlock(&all->lock);
  return look(count) >= target;
}

bool readers_wait(readers *all, uint64_t deliveries, uint64_t patience_ms) {
  return wait_for(all, &all->deliveries, deliveries, patience_ms);
}

void readers_expect_ends(readers *all) {
  atomic_store_explicit(&all->expects_ends, true, memory_order_relaxed); /* the request that ends them follows */
}

static int compare_times(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

bool readers_wait_ends(readers *all, uint64_t patience_ms, uint64_t *ret_busiest) {
  size_t count = all->options.count;
  uint64_t *times = calloc(count, sizeof *times), most = 0;
  if (!times || !wait_for(all, &all->ended, count, patience_ms)) {
    free(times);
    return false;
  }
  for (size_t i = 0; i < count; i++) times[i] = all->readers[i].ended_ns;
  qsort(times, count, sizeof *times, compare_times);
  for (size_t first = 0, last = 0; last < count; last++) { /* a sliding second */
    while (times[last] - times[first] >= UINT64_C(1000000000)) first++;
    if (last - first + 1 > most) most = last - first + 1;
  }
  free(times);
  *ret_busiest = most;
  return true;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool start_threads(readers *all) {
  for (size_t i = 0; i < all->options.threads; i++) {
    reading_thread *thread = &all->threads[i];
    thread->all = all;
    thread->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (thread->epoll < 0) return false;
    thread->is_started = pthread_create(&thread->thread, NULL, read_streams, thread) == 0;
    if (!thread->is_started) return false;
  }
  return true;
}

readers *readers_create(const readers_options *options) {
  readers *all = calloc(1, sizeof *all);
  if (!all) return NULL;
  all->options = *options;
  all->slots = options->window + 1;
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&all->reached, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_mutex_init(&all->lock, NULL);
  all->readers = calloc(options->count, sizeof *all->readers);
  all->threads = calloc(options->threads, sizeof *all->threads);
  all->rounds = calloc(all->slots, sizeof *all->rounds);
  if (options->h2_streams) {
    all->connections_count = (options->count + options->h2_streams - 1) / options->h2_streams;
    all->connections = calloc(all->connections_count, sizeof(bench_h2 *));
  }
  for (size_t i = 0; all->readers && i < options->count; i++) all->readers[i].stream.fd = -1;
  for (size_t i = 0; all->threads && i < options->threads; i++) all->threads[i].epoll = -1;
  const bool has_all = all->readers && all->threads && all->rounds && (all->connections || !options->h2_streams);
  if (has_all && start_threads(all)) return all;
  readers_destroy(all);
  return NULL;
}

void readers_stop(readers *all) {
  atomic_store_explicit(&all->stopping, true, memory_order_release); /* pairs with read_streams */
  for (size_t i = 0; all->threads && i < all->options.threads; i++) {
    if (all->threads[i].is_started) pthread_join(all->threads[i].thread, NULL);
    all->threads[i].is_started = false;
  }
}

void readers_destroy(readers *all) {
  if (!all) return;
  readers_stop(all);
  for (size_t i = 0; all->threads && i < all->options.threads; i++)
    if (all->threads[i].epoll >= 0) close(all->threads[i].epoll);
  for (size_t i = 0; all->readers && i < all->options.count; i++) bench_stream_finish(&all->readers[i].stream, true);
#ifdef BENCH_H2
  for (size_t i = 0; all->connections && i < all->connections_count; i++) bench_h2_free(all->connections[i]);
#endif
  free(all->connections);
  for (size_t i = 0; all->threads && i < all->options.threads; i++) free(all->threads[i].pile);
  for (size_t i = 0; all->rounds && i < all->slots; i++) free(all->rounds[i].line);
  free(all->rounds);
  free(all->threads);
  free(all->readers);
  pthread_mutex_destroy(&all->lock);
  pthread_cond_destroy(&all->reached);
  free(all);
}

bool readers_open(readers *all) {
  const readers_options *options = &all->options;
  for (size_t i = 0; i < all->connections_count; i++)
    if (!open_h2(all, i)) {
      fprintf(stderr, "vestry-bench: connection %zu: %s\n", i, strerror(errno));
      return false;
    }
  for (size_t i = 0; i < options->count && !options->h2_streams; i++) {
    char path[128];
    reader *r = &all->readers[i];
    int port = options->ports_count ? options->ports[i % options->ports_count] : options->port;
    snprintf(path, sizeof path, options->keyed ? "%s%ckey=k%zu" : "%s", options->path,
             strchr(options->path, '?') ? '&' : '?', i);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = r};
    bench_subscription how = {.port = port,
                              .path = path,
                              .source = (unsigned)(i % READERS_SOURCES),
                              .encoding = options->encoding,
                              .is_websocket = options->websockets};
    if (!bench_stream_open(&r->stream, &how) ||
        epoll_ctl(all->threads[i % options->threads].epoll, EPOLL_CTL_ADD, r->stream.fd, &event)) {
      fprintf(stderr, "vestry-bench: stream %zu: %s\n", i, strerror(errno));
      return false;
    }
  }
  if (wait_for(all, &all->opened, options->count, OPEN_PATIENCE_MS)) return true;
  fprintf(stderr, "vestry-bench: only %llu of %zu streams opened\n", (unsigned long long)look(&all->opened),
          options->count);
  return false;
}

readers_round *readers_next_round(readers *all) {
  return &all->rounds[look(&all->published) % all->slots];
}

void readers_publish(readers *all) {
  add(&all->published, 1);
}

void readers_count(const readers *all, readers_counts *ret_counts) {
  *ret_counts = (readers_counts){look(&all->opened), look(&all->deliveries), look(&all->disorders), look(&all->broken),
                                 look(&all->hints),  look(&all->skipped),    look(&all->body_bytes)};
}

void readers_latency(readers *all, histogram *ret_latency) {
  memset(ret_latency, 0, sizeof *ret_latency);
  for (size_t i = 0; i < all->options.threads; i++) {
    histogram_merge(ret_latency, &all->threads[i].latency);
    memset(&all->threads[i].latency, 0, sizeof all->threads[i].latency);
  }
}

void readers_lane_set(readers *all, unsigned lane) {
  atomic_store_explicit(&all->lane, lane, memory_order_relaxed);
}

void readers_beats(const readers *all, unsigned lane, histogram *ret_beats) {
  memset(ret_beats, 0, sizeof *ret_beats);
  for (size_t i = 0; i < all->options.threads; i++) histogram_merge(ret_beats, &all->threads[i].beats[lane]);
}
