/* SPDX-License-Identifier: MIT */
#include "page_alone.h"

#include <inttypes.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <vestry/app/page.h>
#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "decode.h"
#include "memory.h"
#include "payload.h"

enum { TAG_BYTES = 128, PATIENCE_MS = 60000, MANY = 1000000, QUIET_MS = 5 };

/* An application with one page: prepared text, or rows that it formats. */
typedef struct site {
  vestry *v;
  vestry_pages *pages;
  vestry_page *page;
  char *text;
  size_t len;
  uint64_t bytes, random, count;
  uint64_t handler_ns; /* time of the handler for its content; one page only */
  bool is_timed;
  bool sends_whole;      /* set it before open_site */
  vestry_event *opening; /* first event of a stream without a page */
} site;

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  site *s = app;
  vestry_render_topic(render, "topic");
  vestry_html_add(html, "<!doctype html><title>Messages</title>");
  vestry_render_head(render, html);
  vestry_render_begin(render, html);
  uint64_t began = s->is_timed ? bench_now_ns() : 0;
  vestry_html_raw(html, s->text, s->len);
  if (s->is_timed) s->handler_ns += bench_now_ns() - began;
  return vestry_render_end(render, html);
}

static vestry_err serve(const vestry_request *req, vestry_reply *reply, void *app) {
  site *s = app;
  vestry_err error = vestry_reply_key(reply, VESTRY_KEY("page", s->count++));
  if (!error) error = vestry_reply_keep(reply, VESTRY_KEEP_MANY, MANY);
  return error ? error : vestry_page_serve(req, reply, s->page, NULL);
}

/* Open a stream without a page. */
static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  site *s = app;
  (void)req;
  vestry_err error = vestry_reply_key(reply, VESTRY_KEY("page", s->count++));
  return error ? error : vestry_reply_keep(reply, VESTRY_KEEP_MANY, MANY);
}

static void fill(site *s) {
  s->len = 0;
  while (s->len + 100 < s->bytes) s->len += payload_message(s->text + s->len, s->count++, &s->random);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool open_site(site *s, uint64_t bytes, bool is_stepped, const vestry_profile *profile, bool is_counted) {
  const bool sends_whole = s->sends_whole;
  *s = (site){
      .sends_whole = sends_whole, .bytes = bytes, .random = 1, .text = calloc(1, bytes + 2 * PAYLOAD_MESSAGE_BYTES)};
  const vestry_options options = {.host = is_counted ? bench_counting_host() : NULL,
                                  .threads_count = is_stepped ? VESTRY_THREADS_NONE : 0,
                                  .store = "hash",
                                  .profiles = profile,
                                  .profiles_count = profile != NULL};
  vestry_err error = s->text ? vestry_create(&options, &s->v) : VESTRY_NO_MEMORY;
  if (!error) error = vestry_pages_create(s->v, NULL, &s->pages);
  const vestry_page_options page = {.render = make, .app = s, .sends_whole = sends_whole};
  if (!error) error = vestry_page_create(s->pages, &page, &s->page);
  if (!error) fill(s);
  if (error) fprintf(stderr, "vestry-bench: pages: %s\n", vestry_strerror(error));
  return !error;
}

static void close_site(site *s) {
  vestry_event_unref(s->opening);
  if (s->v) vestry_stop(s->v, 0);
  vestry_pages_destroy(s->pages);
  vestry_destroy(s->v);
  free(s->text);
}

/* Open a stream. tag: the content that the tab claims to have; NULL: none. */
static vestry_memory_exchange *open_stream(site *s, vestry_handler_fn handler, const char *encoding, const char *tag) {
  vestry_header headers[2];
  size_t count = 0;
  if (encoding) headers[count++] = (vestry_header){"Accept-Encoding", encoding};
  if (tag) headers[count++] = (vestry_header){"Last-Event-ID", tag};
  const vestry_memory_call call = {.path = "/page", .datastar = true, .headers = headers, .headers_count = count};
  vestry_memory_exchange *exchange = NULL;
  return vestry_memory_request(s->v, &call, handler, s, &exchange) ? NULL : exchange;
}

static bool settle(site *s, uint64_t seq) {
  return !vestry_pages_settle(s->pages, seq, PATIENCE_MS);
}

static int wrong(const char *why) {
  fprintf(stderr, "vestry-bench: pages: %s\n", why);
  return 1;
}

/* ---- a refresh, for the caller ----------------------------------------------------------------------------------- */

/* A thread that sleeps on a futex, as the workers of a runtime do, and receives the names of topics. This is the least
 * that a refresh can do: the name must be copied to memory that the thread reads, it gets a number, and the thread is
 * woken. The memory is separate, because that of a stack would still be in the caches after a pause. */
typedef struct sleeper {
  _Alignas(64) _Atomic(uint32_t) word; /* 0: it sleeps until the word changes; 1: awake; 2: it ends */
  _Atomic(uint32_t) count;             /* of names received, by number */
  pthread_t thread;
  _Alignas(64) char name[64]; /* of the last topic */
} sleeper;

static void *sleep_on(void *of) {
  sleeper *s = of;
  for (uint32_t word; (word = atomic_load(&s->word)) != 2;) {
    if (word == 1) atomic_compare_exchange_strong(&s->word, &word, 0);
    (void)syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
  }
  return NULL;
}

/* Wake the thread, on x86-64 without a function of the C library, which would be in further memory. */
static void wake(sleeper *s) {
#if defined(__x86_64__) && defined(__LP64__)
  long result = SYS_futex;
  register const void *further __asm__("r10") = NULL;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(&s->word), "S"((long)FUTEX_WAKE_PRIVATE), "d"(1L), "r"(further)
                   : "rcx", "r11", "memory");
#else
  (void)syscall(SYS_futex, &s->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
#endif
}

/* Wake the thread. Returns the time that this takes. */
static double rouse(sleeper *s, uint32_t word) {
  const uint64_t began = bench_now_ns();
  atomic_store(&s->word, word);
  wake(s);
  return (double)(bench_now_ns() - began);
}

/* Pass the name of a topic to the thread, and wake it. Returns the time that this takes. */
static double hand_over(sleeper *s, const char *topic, uint64_t *ret_seq) {
  const uint64_t began = bench_now_ns();
  __builtin_prefetch(&s->word, 1); /* so that the two lines are loaded together */
  __builtin_prefetch(s->name, 1);
  for (size_t i = 0; i < sizeof s->name && (s->name[i] = topic[i]); i++) continue;
  *ret_seq = atomic_fetch_add(&s->count, 1);
  atomic_store(&s->word, 1);
  wake(s);
  return (double)(bench_now_ns() - began);
}

/* What is measured, each after the same pause. */
enum { ASLEEP, FUTEX, HANDED, UNSHOWN, KINDS, BURST = 8 };

/* Render all pages, wake the bare thread, too, and pause. So all threads sleep after they have run, and each kind is
 * measured with the same caches. */
static bool be_quiet(site *s, sleeper *beside) {
  uint64_t seq;
  const bool ok = !vestry_refresh(s->pages, "topic", &seq) && settle(s, seq);
  (void)hand_over(beside, "topic", &seq);
  nanosleep(&(struct timespec){0, QUIET_MS * 1000000}, NULL);
  return ok;
}

static bool time_refresh(site *s, const char *topic, uint64_t *ret_seq, double *ret_ns) {
  const uint64_t began = bench_now_ns();
  const bool ok = !vestry_refresh(s->pages, topic, ret_seq);
  *ret_ns = (double)(bench_now_ns() - began);
  return ok;
}

/* Measure waking a bare thread, passing it a name, a refresh of a topic that no page shows, which wakes no thread, or a
 * refresh that finds the workers asleep, and then a burst of others, which find them awake. */
static bool measure_one(site *s, sleeper *beside, unsigned kind, double *ret_ns, double *ret_awake_ns) {
  uint64_t seq = 0;
  bool ok = be_quiet(s, beside);
  if (kind == FUTEX) *ret_ns = rouse(beside, 1);
  if (kind == HANDED) *ret_ns = hand_over(beside, "topic", &seq);
  if (kind == UNSHOWN) ok = ok && time_refresh(s, "unshown", &seq, ret_ns);
  if (kind == ASLEEP) ok = ok && time_refresh(s, "topic", &seq, ret_ns);
  for (unsigned i = 0; ok && kind == ASLEEP && i < BURST; i++) ok = time_refresh(s, "topic", &seq, &ret_awake_ns[i]);
  return ok && (kind != ASLEEP || settle(s, seq));
}

static void print_times(const char *name, double *ns, uint64_t count) {
  printf(" %s_ns=%.0f %s_p99_ns=%.0f", name, bench_share(ns, count, 0.5), name, bench_share(ns, count, 0.99));
}

/* Measure refreshes, and beside them the least that they can cost. The order of the kinds rotates. */
static int refresh(uint64_t pages, uint64_t rounds) {
  site s = {.sends_whole = false};
  uint64_t opened = 0;
  vestry_memory_exchange **streams = calloc(pages, sizeof(vestry_memory_exchange *));
  double *times = calloc(rounds * (KINDS + BURST), sizeof *times), *awake = times ? times + rounds * KINDS : NULL;
  sleeper *beside = aligned_alloc(_Alignof(sleeper), sizeof *beside);
  bool ok = streams && times && beside && open_site(&s, 200, false, NULL, false);
  if (beside) *beside = (sleeper){.word = 0};
  const bool has_sleeper = ok && !pthread_create(&beside->thread, NULL, sleep_on, beside);
  ok = has_sleeper;
  for (; ok && opened < pages; opened++) ok = (streams[opened] = open_stream(&s, serve, NULL, NULL)) != NULL;
  ok = ok && settle(&s, 0);
  for (uint64_t i = 0; ok && i < rounds * KINDS; i++) {
    const uint64_t round = i / KINDS, kind = (round + i) % KINDS;
    ok = measure_one(&s, beside, (unsigned)kind, &times[kind * rounds + round], &awake[round * BURST]);
  }
  vestry_pages_stats stats = {0};
  if (ok) vestry_pages_stats_get(s.pages, &stats);
  ok = ok && stats.unchanged_count >= pages * rounds * (KINDS + 1) && stats.streams_count == pages;
  if (ok) {
    printf("vestry pages alone=refresh pages=%" PRIu64 " rounds=%" PRIu64, pages, rounds);
    print_times("awake", awake, rounds * BURST);
    print_times("asleep", &times[ASLEEP * rounds], rounds);
    print_times("futex", &times[FUTEX * rounds], rounds);
    print_times("handed", &times[HANDED * rounds], rounds);
    print_times("unshown", &times[UNSHOWN * rounds], rounds);
    printf("\n");
  }
  for (uint64_t i = 0; streams && i < opened; i++) vestry_memory_destroy(streams[i]);
  close_site(&s);
  if (has_sleeper) {
    (void)rouse(beside, 2);
    pthread_join(beside->thread, NULL);
  }
  free(streams);
  free(times);
  free(beside);
  return ok ? 0 : wrong("a page was not rendered for a change");
}

/* ---- a render that makes the same -------------------------------------------------------------------------------- */

static int unchanged(uint64_t rounds, uint64_t bytes) {
  site s = {.sends_whole = false};
  uint64_t seq = 0;
  double *beyond = calloc(rounds, sizeof *beyond);
  bool ok = beyond && open_site(&s, bytes, true, NULL, false);
  vestry_memory_exchange *stream = ok ? open_stream(&s, serve, NULL, NULL) : NULL;
  ok = stream && settle(&s, 0);
  size_t before = ok ? vestry_memory_look(stream).received.len : 0;
  s.is_timed = true;
  for (uint64_t round = 0; ok && round < rounds; round++) {
    s.handler_ns = 0;
    uint64_t began = bench_now_ns();
    ok = !vestry_refresh(s.pages, "topic", &seq) && settle(&s, seq);
    beyond[round] = (double)(bench_now_ns() - began - s.handler_ns) / 1e3;
    ok = ok && s.handler_ns;
  }
  size_t sent = ok ? vestry_memory_look(stream).received.len - before : 1;
  if (ok)
    printf("vestry pages alone=unchanged bytes=%zu rounds=%" PRIu64 " us=%.2f p99_us=%.2f sent_bytes=%zu\n", s.len,
           rounds, bench_share(beyond, rounds, 0.5), bench_share(beyond, rounds, 0.99), sent);
  vestry_memory_destroy(stream);
  close_site(&s);
  free(beyond);
  return ok && !sent ? 0 : wrong("an unchanged page was sent, or was not rendered");
}

/* ---- one message more -------------------------------------------------------------------------------------------- */

typedef struct decoded {
  char *bytes;
  size_t len, capacity;
} decoded;

static void append(const char *data, size_t len, void *ctx) {
  decoded *t = ctx;
  if (t->len + len + 1 > t->capacity) {
    char *more = realloc(t->bytes, 2 * (t->len + len + 1));
    if (!more) return;
    t->bytes = more;
    t->capacity = 2 * (t->len + len + 1);
  }
  memcpy(t->bytes + t->len, data, len);
  t->len += len;
  t->bytes[t->len] = '\0';
}

/* Return whether an independent decoder finds the last message, exactly once and last. */
static bool shows(vestry_memory_exchange *stream, const site *s) {
  vestry_slice got = vestry_memory_look(stream).received;
  bench_decoder *decoder = bench_decoder_create("br");
  decoded t = {NULL, 0, 0};
  bool ok = decoder && bench_decoder_feed(decoder, got.data, got.len, append, &t) && t.len;
  const char *last = s->text;
  for (const char *next = last; next; next = strstr(next + 1, "<li ")) last = next;
  const char *at = ok ? strstr(t.bytes, last) : NULL;
  ok = at && !strstr(at + 1, "<li");
  free(t.bytes);
  bench_decoder_destroy(decoder);
  return ok;
}

static int message(uint64_t rounds, uint64_t bytes) {
  site s = {.sends_whole = false};
  uint64_t seq = 0, wire = 0;
  double *beyond = calloc(rounds, sizeof *beyond), *held = calloc(rounds, sizeof *held);
  const vestry_profile profile = {.ops = &vestry_profile_brotli};
  bool ok = beyond && held && open_site(&s, bytes, true, &profile, true);
  for (uint64_t round = 0; ok && round <= rounds; round++) {
    fill(&s);
    s.is_timed = false;
    vestry_memory_exchange *stream = open_stream(&s, serve, "br", NULL);
    ok = stream && settle(&s, 0);
    size_t before = ok ? vestry_memory_look(stream).received.len : 0, len = s.len;
    const int64_t held_before = bench_counted_bytes();
    s.len += payload_message(s.text + s.len, s.count++, &s.random);
    len = s.len - len;
    s.is_timed = true;
    s.handler_ns = 0;
    uint64_t began = bench_now_ns();
    ok = ok && !vestry_refresh(s.pages, "topic", &seq) && settle(&s, seq);
    uint64_t took_ns = bench_now_ns() - began - s.handler_ns;
    if (ok && round) { /* the first round is a warm-up */
      beyond[round - 1] = (double)took_ns / 1e3;
      wire += vestry_memory_look(stream).received.len - before;
      held[round - 1] = (double)(bench_counted_bytes() - held_before - (int64_t)len);
    }
    ok = ok && shows(stream, &s);
    vestry_memory_destroy(stream);
    if (ok) vestry_memory_settle(s.v);
  }
  if (ok)
    printf("vestry pages alone=message encoding=br bytes=%zu rounds=%" PRIu64
           " us=%.1f p99_us=%.1f wire_bytes=%.1f held_bytes=%.0f\n",
           s.len, rounds, bench_share(beyond, rounds, 0.5), bench_share(beyond, rounds, 0.99),
           (double)wire / (double)rounds, bench_share(held, rounds, 0.5));
  close_site(&s);
  free(beyond);
  free(held);
  return ok ? 0 : wrong("a sent message did not arrive");
}

/* ---- one row of many --------------------------------------------------------------------------------------------- */

enum { NUMBER_BYTES = 8, ROW_FEWEST = 80 };

/* Fill the page with rows of the same length, each with an id and a number. Returns the distance of their numbers. */
static size_t fill_rows(site *s, uint64_t rows, size_t *ret_first) {
  const size_t each = s->bytes / rows;
  char *to = s->text;
  for (uint64_t row = 0; row < rows; row++) {
    const int len = sprintf(to, "<li id=\"player-%06" PRIu64 "\"><b>%0*d</b><i title=\"", row, NUMBER_BYTES, 0);
    if (!row) *ret_first = (size_t)len - strlen("</b><i title=\"") - NUMBER_BYTES;
    const size_t rest = each > (size_t)len + 16 ? each - (size_t)len - 16 : 0;
    memset(to + len, 'x', rest);
    to += (size_t)len + rest;
    to += sprintf(to, "\"></i></li>");
  }
  s->len = (size_t)(to - s->text);
  return s->len / rows;
}

typedef struct row_costs {
  site s;
  vestry_memory_exchange *stream;
  double *us;
  size_t sent;
} row_costs;

/* Change one row, and measure the processor's time of its render and of its event. */
static bool change_row(row_costs *c, uint64_t round, uint64_t rows, size_t first, size_t apart) {
  char number[NUMBER_BYTES + 1];
  uint64_t seq = 0;
  snprintf(number, sizeof number, "%0*" PRIu64, NUMBER_BYTES, (round + 1) % 99999999);
  memcpy(c->s.text + first + round * 7919 % rows * apart, number, NUMBER_BYTES);
  const size_t before = vestry_memory_look(c->stream).received.len;
  const uint64_t began_ns = bench_thread_cpu_ns();
  const bool ok = !vestry_refresh(c->s.pages, "topic", &seq) && settle(&c->s, seq);
  c->us[round] = (double)(bench_thread_cpu_ns() - began_ns) / 1e3;
  c->sent += vestry_memory_look(c->stream).received.len - before;
  const char *text = vestry_memory_look(c->stream).received.data;
  return ok && strstr(text + before, number);
}

/* A list of players of which one changes: the whole content, and only what changed, in turns. */
static int changed(uint64_t rows, uint64_t rounds, uint64_t bytes) {
  row_costs costs[2] = {{.s = {.sends_whole = true}}, {.s = {.sends_whole = false}}};
  size_t first = 0, apart = 0;
  bool ok = true;
  for (int i = 0; i < 2; i++) {
    row_costs *c = &costs[i];
    c->us = calloc(rounds, sizeof *c->us);
    ok = open_site(&c->s, bytes, true, NULL, false) && c->us && rows && bytes / rows >= ROW_FEWEST && ok;
    if (ok) apart = fill_rows(&c->s, rows, &first);
    c->stream = ok ? open_stream(&c->s, serve, NULL, NULL) : NULL;
    ok = c->stream && settle(&c->s, 0);
  }
  for (uint64_t round = 0; ok && round < rounds; round++)
    for (int i = 0; i < 2; i++) ok = ok && change_row(&costs[i], round, rows, first, apart);
  vestry_pages_stats stats = {0};
  if (ok) vestry_pages_stats_get(costs[1].s.pages, &stats);
  ok = ok && stats.patched_count == rounds;
  if (ok)
    printf("vestry pages alone=row rows=%" PRIu64 " bytes=%zu rounds=%" PRIu64
           " us=%.1f whole_us=%.1f sent_bytes=%.1f whole_sent_bytes=%.1f kept_bytes_a_row=%.1f\n",
           rows, costs[1].s.len, rounds, bench_share(costs[1].us, rounds, 0.5), bench_share(costs[0].us, rounds, 0.5),
           (double)costs[1].sent / (double)rounds, (double)costs[0].sent / (double)rounds,
           (double)stats.kept_bytes / (double)rows);
  for (int i = 0; i < 2; i++) {
    vestry_memory_destroy(costs[i].stream);
    close_site(&costs[i].s);
    free(costs[i].us);
  }
  return ok ? 0 : wrong("a changed row did not arrive alone");
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Return the allocated bytes, including the header words of malloc. */
static int64_t held_bytes(void) {
  return bench_counted_bytes() + bench_counted_blocks() * (int64_t)sizeof(size_t);
}

/* Return the bytes that held_bytes counts for an allocation. */
static size_t chunk_bytes(size_t bytes) {
  return (bytes + sizeof(size_t) + 15) / 16 * 16;
}

/* Send as many bytes as a page's stream begins with, so that the client's decoder keeps the same number. */
static bool say_as_much(const site *s, vestry_memory_exchange *stream) {
  return !vestry_connection_send(vestry_memory_look(stream).connection, s->opening);
}

/* Measure the memory of streams. Events are encoded, because content that nothing can refer to is not kept. */
static bool measure_streams(site *s, vestry_memory_exchange **streams, uint64_t count, vestry_handler_fn handler,
                            const char *tag, double *ret_each) {
  int64_t before = held_bytes();
  bool ok = true;
  uint64_t opened = 0;
  for (; ok && opened < count; opened++) {
    streams[opened] = open_stream(s, handler, handler == serve && !tag ? "br" : NULL, tag);
    ok = streams[opened] && (handler != keep || say_as_much(s, streams[opened]));
  }
  vestry_memory_settle(s->v);
  ok = ok && settle(s, 0);
  *ret_each = (double)(held_bytes() - before) / (double)count;
  return ok;
}

static void end_streams(site *s, vestry_memory_exchange **streams, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) {
    vestry_memory_destroy(streams[i]);
    streams[i] = NULL;
  }
  vestry_memory_settle(s->v);
}

/* Learn the tag of a page's event, and the number of bytes at the beginning of the stream of such a tab. */
static bool learn(site *s, char tag[TAG_BYTES]) {
  static const char form[] = "event: datastar-patch-signals\ndata: signals {\"x\":\"\"}\n\n";
  vestry_memory_exchange *stream = open_stream(s, serve, NULL, NULL);
  bool ok = stream && settle(s, 0);
  const char *at = ok ? strstr(vestry_memory_look(stream).received.data, "\nid: ") : NULL;
  if (at) snprintf(tag, TAG_BYTES, "%.*s", (int)strcspn(at + 5, "\n"), at + 5);
  vestry_memory_destroy(stream);
  stream = at ? open_stream(s, serve, NULL, tag) : NULL;
  ok = stream && settle(s, 0);
  size_t len = ok ? vestry_memory_look(stream).received.len : 0;
  vestry_memory_destroy(stream);
  vestry_memory_settle(s->v);
  char text[1024];
  if (len < sizeof form || len - sizeof form >= sizeof text) return false;
  memset(text, 'x', sizeof text);
  text[len - (sizeof form - 1)] = '\0';
  return !vestry_event_signals(bench_counting_host(), VESTRY_OBJECT("x", (const char *)text), NULL, &s->opening);
}

/* Measure idle pages. The first streams grow all doubling arrays to their final size, so that they are not counted. */
static int idle(uint64_t pages, uint64_t bytes) {
  site s = {.sends_whole = false};
  char tag[TAG_BYTES];
  size_t opening = 0;
  double warm, plain = 0, page = 0, kept = 0;
  vestry_pages_stats stats = {0}, full = {0};
  const vestry_profile profile = {.ops = &vestry_profile_brotli};
  vestry_memory_exchange **streams = calloc(pages, sizeof(vestry_memory_exchange *));
  bool ok = streams && open_site(&s, bytes, true, &profile, true) && learn(&s, tag);
  ok = ok && measure_streams(&s, streams, pages, keep, NULL, &warm);
  if (ok) end_streams(&s, streams, pages);
  ok = ok && measure_streams(&s, streams, pages, keep, NULL, &plain);
  ok = ok && (opening = vestry_memory_look(streams[0]).received.len) > 0;
  if (ok) end_streams(&s, streams, pages);
  ok = ok && measure_streams(&s, streams, pages, serve, tag, &page);
  ok = ok && vestry_memory_look(streams[0]).received.len == opening;
  if (ok) vestry_pages_stats_get(s.pages, &stats);
  ok = ok && stats.unchanged_count == pages + 1 && !stats.kept_bytes /* one more is from learn */;
  if (ok) end_streams(&s, streams, pages);
  ok = ok && measure_streams(&s, streams, pages, serve, NULL, &kept);
  if (ok) vestry_pages_stats_get(s.pages, &full);
  if (ok) end_streams(&s, streams, pages);
  size_t copied = pages && ok ? chunk_bytes(stats.requests_bytes / pages) : 0;
  if (ok)
    printf("vestry pages alone=idle pages=%" PRIu64 " bytes=%zu stream_bytes=%.1f request_bytes=%zu"
           " beyond_bytes=%.1f kept_bytes=%zu kept_dropped=%" PRIu64 "\n",
           pages, s.len, plain, copied, page - plain - (double)copied, full.kept_bytes, full.kept_dropped_count);
  close_site(&s);
  free(streams);
  return ok ? 0 : wrong("cannot determine the memory of pages");
}

int bench_pages_alone(const char *what, uint64_t pages, uint64_t rounds, uint64_t bytes) {
  if (!strcmp(what, "refresh")) return refresh(pages, rounds);
  if (!strcmp(what, "unchanged")) return unchanged(rounds, bytes);
  if (!strcmp(what, "message")) return message(rounds, bytes);
  if (!strcmp(what, "row")) return changed(pages, rounds, bytes);
  if (!strcmp(what, "idle")) return idle(pages, bytes);
  fprintf(stderr, "vestry-bench: pages: --alone: expected refresh, unchanged, message, row or idle\n");
  return 2;
}
