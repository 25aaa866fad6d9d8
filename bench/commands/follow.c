/* SPDX-License-Identifier: MIT */
/* vestry-bench follow: the cost of a change of a private page. A page of messages is sent to one stream, then the same
 * page with an additional message: encoded alone, and as the difference from the first (vestry_event_follow). One
 * thread does all work, over a memory transport. The second page is measured: the time from the send to its bytes in
 * the transport, and their number. Every round has other messages and a new stream; at its end independent decoders
 * must read the sent data from it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "decode.h"
#include "payload.h"

enum { MAX_ROUNDS = 10000, PAGE_MOST = 1 << 20 };

typedef struct page {
  char *text; /* PAGE_MOST, and space for another message */
  size_t len;
  uint64_t random, count;
} page;

typedef struct measured {
  double us[MAX_ROUNDS];
  uint64_t rounds, wire_bytes, event_bytes, followed;
} measured;

static vestry_event *event_of(const page *p) {
  vestry_event *event = NULL;
  vestry_elements_options options = {.selector = "#messages", .mode = VESTRY_PATCH_INNER};
  return vestry_event_elements(NULL, p->text, p->len, &options, &event) ? NULL : event;
}

static vestry_err keep_open(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* The rest of the expected text. */
typedef struct expected {
  const vestry_event *events[2];
  size_t at; /* position in the two events, one after the other */
  bool in_primer, wrong;
} expected;

static void compare(const char *data, size_t len, void *ctx) {
  expected *e = ctx;
  vestry_slice first = vestry_event_bytes(e->events[0]), second = vestry_event_bytes(e->events[1]);
  for (size_t i = 0; i < len; i++) {
    if (!e->at && data[i] == ':') e->in_primer = true; /* a comment, up to the first event */
    if (e->in_primer && data[i] != 'e') continue;
    e->in_primer = false;
    size_t at = e->at++;
    const char *wanted = at < first.len                ? (const char *)first.data + at
                         : at - first.len < second.len ? (const char *)second.data + (at - first.len)
                                                       : NULL;
    e->wrong |= !wanted || *wanted != data[i];
  }
}

static bool is_right(vestry_memory_exchange *exchange, const char *encoding, const vestry_event *a,
                     const vestry_event *b) {
  vestry_slice got = vestry_memory_look(exchange).received;
  bench_decoder *decoder = bench_decoder_create(encoding);
  expected e = {.events = {a, b}};
  bool right = decoder && bench_decoder_feed(decoder, got.data, got.len, compare, &e) && !e.wrong &&
               e.at == vestry_event_bytes(a).len + vestry_event_bytes(b).len;
  bench_decoder_destroy(decoder);
  return right;
}

static bool run_round(vestry *v, const char *encoding, page *p, size_t page_bytes, bool follows, measured *m) {
  const vestry_header accept = {"Accept-Encoding", encoding};
  vestry_memory_exchange *exchange = NULL;
  vestry_memory_call call = {.datastar = true, .headers = &accept, .headers_count = 1};
  if (vestry_memory_request(v, &call, keep_open, NULL, &exchange)) return false;
  vestry_connection *connection = vestry_memory_look(exchange).connection;
  p->len = 0;
  while (p->len + 100 < page_bytes) p->len += payload_message(p->text + p->len, p->count++, &p->random);
  vestry_event *first = event_of(p);
  p->len += payload_message(p->text + p->len, p->count++, &p->random);
  vestry_event *second = event_of(p);
  bool ok = connection && first && second && !vestry_connection_send(connection, first);
  vestry_memory_settle(v);
  if (ok && follows) vestry_event_follow(second, first);
  size_t before = vestry_memory_look(exchange).received.len;
  uint64_t began = bench_now_ns();
  ok = ok && !vestry_connection_send(connection, second);
  vestry_memory_settle(v);
  m->us[m->rounds++] = (double)(bench_now_ns() - began) / 1e3;
  vestry_connection_stats stats = {0};
  if (ok) vestry_connection_stats_get(connection, &stats);
  m->wire_bytes += vestry_memory_look(exchange).received.len - before;
  m->event_bytes += second ? vestry_event_bytes(second).len : 0;
  m->followed += stats.followed_count;
  ok = ok && is_right(exchange, encoding, first, second);
  vestry_event_unref(second);
  vestry_event_unref(first);
  vestry_memory_destroy(exchange);
  vestry_memory_settle(v);
  return ok;
}

static void report(const char *encoding, const char *way, measured *m) {
  double rounds = (double)m->rounds;
  const double median_us = bench_median(m->us, m->rounds);
  printf("%s %s event_bytes=%.0f wire_bytes=%.1f us=%.1f p90=%.1f followed=%" PRIu64 " rounds=%" PRIu64 "\n", encoding,
         way, (double)m->event_bytes / rounds, (double)m->wire_bytes / rounds, median_us, m->us[m->rounds * 9 / 10],
         m->followed, m->rounds);
}

int bench_follow(int argc, char **argv) {
  const char *encoding = "br";
  uint64_t rounds = 1000, page_bytes = 11600, level = 0, window_bits = 0;
  const bench_option options[] = {{"--encoding", &encoding, NULL, 0, 0},
                                  {"--rounds", NULL, &rounds, 1, MAX_ROUNDS - 1},
                                  {"--page-bytes", NULL, &page_bytes, 200, PAGE_MOST / 2},
                                  {"--level", NULL, &level, 0, 9},
                                  {"--window-bits", NULL, &window_bits, 0, 18}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  vestry_profile profile = {.level = (uint32_t)level, .window_bits = (uint32_t)window_bits};
  profile.ops = bench_profile(encoding);
  if (!profile.ops) {
    fprintf(stderr, "vestry-bench: follow: --encoding must be identity, gzip or br\n");
    return 2;
  }
  vestry *v = NULL;
  page p = {.text = malloc(PAGE_MOST + PAYLOAD_MESSAGE_BYTES), .random = 1};
  measured *m = calloc(2, sizeof *m);
  vestry_options made = {.threads_count = VESTRY_THREADS_NONE, .profiles = &profile, .profiles_count = 1};
  bool ok = p.text && m && !vestry_create(&made, &v);
  for (uint64_t round = 0; ok && round <= rounds; round++) {
    for (int follows = 0; ok && follows < 2; follows++)
      ok = run_round(v, encoding, &p, page_bytes, follows, &m[follows]);
    if (round == 0) memset(m, 0, 2 * sizeof *m); /* the first round is a warm-up */
  }
  if (ok) {
    report(encoding, "alone", &m[0]);
    report(encoding, "following", &m[1]);
  } else {
    fprintf(stderr, "vestry-bench: follow: a sent message did not arrive\n");
  }
  vestry_destroy(v);
  free(m);
  free(p.text);
  return !ok;
}
