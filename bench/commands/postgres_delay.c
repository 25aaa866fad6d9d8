/* SPDX-License-Identifier: MIT */
/* The delay of a commit to the socket of a tab, without other load: from before its statement is sent, and from the
 * answer of its commit, until the complete message is read. There is one tab, and one commit at a time. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"
#include "histogram.h"
#include "postgres.h"
#include "server.h"
#include "stream.h"

enum { PAUSE_MS = 40, PATIENCE_MS = 10000, READ_BYTES = 64 << 10, STREAMS = 64 };

typedef struct tab {
  bench_stream stream;
  uint64_t shown, at_ns; /* the last message, and its arrival */
} tab;

static void take_line(bench_stream *stream, const char *line, size_t len, void *ctx) {
  static const char mark[] = "message ";
  tab *t = ctx;
  (void)stream;
  const char *found = memmem(line, len, mark, sizeof mark - 1); /* the first message is the one written last */
  if (!found) return;
  t->shown = strtoull(found + sizeof mark - 1, NULL, 10);
  t->at_ns = bench_now_ns();
}

static bool read_tab(tab *t) {
  static char data[READ_BYTES];
  const ssize_t n = recv(t->stream.fd, data, sizeof data, 0);
  if (n > 0 && bench_stream_feed(&t->stream, data, (size_t)n, take_line, t) && t->stream.at != STREAM_ENDED)
    return true;
  return channels_complain("the tab's stream has ended");
}

/* Read the answer to the writer. */
static bool take_answer(PGconn *writer) {
  bool is_done = true;
  for (PGresult *result; (result = PQgetResult(writer)); PQclear(result))
    is_done &= PQresultStatus(result) == PGRES_COMMAND_OK;
  return is_done || channels_complain(PQerrorMessage(writer));
}

typedef struct delays {
  histogram whole, after; /* since the send; since the answer */
} delays;

static bool commit_one(channels *c, tab *t, delays *d) {
  char sql[128];
  const uint64_t number = ++c->written, sent_ns = bench_now_ns();
  uint64_t answered_ns = 0;
  snprintf(sql, sizeof sql, "INSERT INTO message(channel, body) VALUES(0, 'message %" PRIu64 "')", number);
  if (!PQsendQuery(c->writer, sql)) return channels_complain(PQerrorMessage(c->writer));
  while (t->shown != number || !answered_ns) {
    struct pollfd at[] = {{.fd = t->stream.fd, .events = POLLIN}, {.fd = PQsocket(c->writer), .events = POLLIN}};
    if (poll(at, answered_ns ? 1 : 2, PATIENCE_MS) <= 0) return channels_complain("a commit did not appear in the tab");
    if (at[1].revents && !answered_ns) {
      if (!take_answer(c->writer)) return false;
      answered_ns = bench_now_ns();
    }
    if (at[0].revents && !read_tab(t)) return false;
  }
  histogram_add(&d->whole, t->at_ns - sent_ns);
  histogram_add(&d->after, t->at_ns > answered_ns ? t->at_ns - answered_ns : 0);
  return true;
}

static bool begin(channels *c, bench_server *server, tab *t) {
  const bench_subscription how = {.port = (int)server->port, .path = "/?0"};
  if (!bench_stream_open(&t->stream, &how)) return channels_complain("the tab cannot log in");
  struct pollfd at = {.fd = t->stream.fd, .events = POLLIN};
  while (atomic_load_explicit(&c->renders, memory_order_relaxed) == 0 || t->stream.at == STREAM_HEAD) {
    if (poll(&at, 1, PATIENCE_MS) <= 0) return channels_complain("the tab cannot log in");
    if (!read_tab(t)) return false;
  }
  return true;
}

static void tell(const delays *d) {
  printf("delay commits=%" PRIu64, d->whole.total);
  const histogram *const all[] = {&d->whole, &d->after};
  for (int i = 0; i < 2; i++) {
    const char *name = i ? "after_" : "";
    printf(" %sp50_ms=%.2f %sp99_ms=%.2f %smax_ms=%.2f", name, histogram_percentile_ns(all[i], 0.5) / 1e6, name,
           histogram_percentile_ns(all[i], 0.99) / 1e6, name, (double)all[i]->max_ns / 1e6);
  }
  puts("");
}

bool channels_delay(const channels_options *options) {
  static delays d;
  channels c;
  bench_server server;
  tab t = {.stream.fd = -1};
  int status;
  bool has_server = false;
  bool is_done = channels_open(&c, options, &(channels_way){.threads_count = 2, .is_followed = true});
  if (is_done)
    is_done = has_server =
        bench_server_start(&server, c.v, &(bench_server_options){.adapter = "microhttpd", .streams = STREAMS}, &status);
  is_done = is_done && begin(&c, &server, &t) && channels_settle(&c);
  for (uint64_t i = 0; is_done && i < options->commits; i++) {
    bench_sleep_ms(PAUSE_MS + channels_chance(&c, PAUSE_MS));
    is_done = commit_one(&c, &t, &d);
  }
  if (is_done) tell(&d);
  if (t.stream.decoder) bench_stream_finish(&t.stream, true);
  if (has_server) bench_server_stop(&server);
  channels_close(&c);
  return is_done;
}
