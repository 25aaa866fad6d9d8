/* SPDX-License-Identifier: MIT */
/* vestry-bench chat: tabs of the example chat, each with a separate session, in several channels, and messages at a
 * fixed rate. Every tab must show every message of its channel, within the hundred messages that it shows, and at the
 * end the last one. The delay of a message runs from before its POST until a tab has decoded it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"
#include "histogram.h"
#include "stream.h"

enum {
  ANSWER_BYTES = 256 << 10,
  COOKIE_BYTES = 128,
  SEAL_BYTES = 65,
  CHANNELS_MOST = 200,
  EVENTS = 256,
  READ_BYTES = 64 << 10
};

/* A tab, with its tokens. */
typedef struct tab {
  bench_stream stream;
  int channel;    /* from 0 */
  uint64_t shown; /* number of messages shown */
  char cookie[COOKIE_BYTES], token[SEAL_BYTES], nonce[SEAL_BYTES], id[SEAL_BYTES];
} tab;

typedef struct channel {
  uint64_t sent; /* number of messages so far */
  uint64_t *sent_ns;
} channel;

typedef struct chat {
  uint64_t port, pid, database_pid, tabs_count, channels_count, people, a_second, seconds, warm_s;
  const char *encoding;
  tab *tabs;
  channel channels[CHANNELS_MOST];
  char *answer; /* answer to the last request */
  int epoll;
  uint64_t deliveries, disorders, broken, body_bytes;
  bool is_measured;
  histogram each, last; /* delays of all tabs; of the last tab for each message */
  uint64_t *last_ns;    /* by channel and message */
} chat;

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* Send a request on a new connection. Returns its status; the answer is in chat->answer. */
static int ask(chat *c, const char *method, const char *path, const tab *t, const char *type, const char *body) {
  char head[1024];
  int fd = bench_connect((int)c->port, 0, 0), status = -1;
  if (fd < 0) return -1;
  int len =
      snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %zu\r\n",
               method, path, strlen(body));
  if (*t->cookie) len += snprintf(head + len, sizeof head - (size_t)len, "Cookie: %s\r\n", t->cookie);
  if (*body) len += snprintf(head + len, sizeof head - (size_t)len, "Content-Type: %s\r\n", type);
  if (*t->id)
    len += snprintf(head + len, sizeof head - (size_t)len, "Datastar-Request: true\r\nX-CSRF-Token: %s\r\n", t->token);
  len += snprintf(head + len, sizeof head - (size_t)len, "\r\n");
  size_t got = 0;
  if (bench_send_all(fd, head, (size_t)len) && bench_send_all(fd, body, strlen(body)))
    for (ssize_t n; got < ANSWER_BYTES - 1 && (n = recv(fd, c->answer + got, ANSWER_BYTES - 1 - got, 0)) > 0;)
      got += (size_t)n;
  c->answer[got] = '\0';
  if (sscanf(c->answer, "HTTP/1.%*d %d", &status) != 1) status = -1;
  close(fd);
  return status;
}

/* Log in, create the channel if there is none, and enter it. */
static bool enter(chat *c, tab *t, uint64_t number) {
  char body[512], path[64];
  if (ask(c, "GET", "/", t, "", "") != 200 ||
      !bench_cut(c->answer, "name=\"csrf\" value=\"", "\"", t->token, SEAL_BYTES))
    return false;
  if (!bench_cut(c->answer, "Set-Cookie: ", ";", t->cookie, COOKIE_BYTES)) return false;
  snprintf(body, sizeof body, "name=person%" PRIu64 "&csrf=%s", number % c->people, t->token);
  if (ask(c, "POST", "/login", t, "application/x-www-form-urlencoded", body) != 303) return false;
  if (!bench_cut(c->answer, "Set-Cookie: ", ";", t->cookie, COOKIE_BYTES) || ask(c, "GET", "/", t, "", "") != 200)
    return false;
  if (!bench_cut(c->answer, "_csrf=\"'", "'", t->token, SEAL_BYTES) ||
      !bench_cut(c->answer, "_once=\"'", "'", t->nonce, SEAL_BYTES) ||
      !bench_cut(c->answer, "take() || '", "'", t->id, SEAL_BYTES))
    return false;
  if (number >= 2 && number < c->channels_count) { /* two exist already */
    snprintf(body, sizeof body, "{\"tabId\":\"%s\",\"name\":\"channel %" PRIu64 "\"}", t->id, number);
    if (ask(c, "POST", "/channel", t, "application/json", body) != 200) return false;
  }
  snprintf(path, sizeof path, "/channel/%d", t->channel + 1);
  snprintf(body, sizeof body, "{\"tabId\":\"%s\"}", t->id);
  return ask(c, "POST", path, t, "application/json", body) == 204;
}

static bool open_stream(chat *c, tab *t, uint64_t number) {
  char path[256], headers[256];
  snprintf(path, sizeof path, "/?datastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", t->id);
  snprintf(headers, sizeof headers, "Cookie: %s\r\n", t->cookie);
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = t}};
  const bench_subscription how = {.port = (int)c->port,
                                  .path = path,
                                  .source = (unsigned)(number % 8),
                                  .encoding = c->encoding,
                                  .headers = headers};
  return bench_stream_open(&t->stream, &how) && epoll_ctl(c->epoll, EPOLL_CTL_ADD, t->stream.fd, &event) == 0;
}

/* ---- shown messages ---------------------------------------------------------------------------------------------- */

typedef struct reader {
  chat *c;
  tab *t;
} reader;

static void note(chat *c, tab *t, uint64_t message, uint64_t now) {
  const channel *of = &c->channels[t->channel];
  if (!c->is_measured) return;
  histogram_add(&c->each, now - of->sent_ns[message]);
  c->last_ns[(uint64_t)t->channel * c->seconds * c->a_second + message] = now;
}

/* Process a line: its last "<p>load CHANNEL MESSAGE<" contains the newest message of the tab. */
static void take_line(bench_stream *stream, const char *line, size_t len, void *ctx) {
  static const char mark[] = "<p>load ";
  const reader *r = ctx;
  (void)stream;
  if (len < sizeof mark || strncmp(line, "data: elements ", 15) != 0) return;
  const char *found = NULL;
  for (const char *at = line + len - sizeof mark; at >= line && !found; at--)
    if (*at == '<' && memcmp(at, mark, sizeof mark - 1) == 0) found = at + sizeof mark - 1;
  if (!found) return;
  char *end;
  unsigned long where = strtoul(found, &end, 10), message = strtoul(end, NULL, 10);
  tab *t = r->t;
  if (where != (unsigned long)t->channel || message >= r->c->channels[t->channel].sent) {
    r->c->disorders++;
    return;
  }
  for (uint64_t now = bench_now_ns(); t->shown <= message; t->shown++, r->c->deliveries++) note(r->c, t, t->shown, now);
}

static void read_tab(chat *c, tab *t) {
  static char data[READ_BYTES];
  reader r = {c, t};
  for (;;) {
    ssize_t n = recv(t->stream.fd, data, sizeof data, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0 && bench_stream_feed(&t->stream, data, (size_t)n, take_line, &r) && t->stream.at != STREAM_ENDED)
      continue;
    c->broken++;
    epoll_ctl(c->epoll, EPOLL_CTL_DEL, t->stream.fd, NULL);
    return;
  }
}

/* Read until this time. */
static void read_until(chat *c, uint64_t until_ns) {
  struct epoll_event events[EVENTS];
  for (uint64_t now; (now = bench_now_ns()) < until_ns;) {
    int count = epoll_wait(c->epoll, events, EVENTS, (int)((until_ns - now + 999999) / 1000000));
    for (int i = 0; i < count; i++) read_tab(c, events[i].data.ptr);
  }
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* Send a message from a tab of the channel. */
static bool say(chat *c, bench_client *client, uint64_t number) {
  const int where = (int)(number % c->channels_count);
  channel *to = &c->channels[where];
  const uint64_t tabs_here = (c->tabs_count - (uint64_t)where + c->channels_count - 1) / c->channels_count;
  const tab *t = &c->tabs[(uint64_t)where + to->sent % tabs_here * c->channels_count];
  char path[64], headers[512], body[512];
  snprintf(path, sizeof path, "/channel/%d/message", where + 1);
  snprintf(headers, sizeof headers,
           "Cookie: %s\r\nX-CSRF-Token: %s\r\nX-Once: %s.%" PRIu64
           "\r\nDatastar-Request: true\r\nContent-Type: application/json\r\n",
           t->cookie, t->token, t->nonce, number);
  snprintf(body, sizeof body,
           "{\"tabId\":\"%s\",\"text\":\"load %d %" PRIu64 " and some words that people would say\"}", t->id, where,
           to->sent);
  to->sent_ns[to->sent++] = bench_now_ns();
  return bench_post(client, path, headers, body, strlen(body)) == 204;
}

static void find_last(chat *c, uint64_t from, uint64_t to) {
  for (uint64_t number = from; number < to; number++) {
    const uint64_t where = number % c->channels_count, message = number / c->channels_count;
    const uint64_t at = c->last_ns[where * c->seconds * c->a_second + message];
    if (at) histogram_add(&c->last, at - c->channels[where].sent_ns[message]);
  }
}

/* Return the number of messages missing in tabs. */
static uint64_t missing(const chat *c) {
  uint64_t count = 0;
  for (uint64_t i = 0; i < c->tabs_count; i++) count += c->channels[c->tabs[i].channel].sent - c->tabs[i].shown;
  return count;
}

/* Processor seconds of the server and of its database. */
typedef struct usage {
  double server_s, database_s;
} usage;

static usage look(const chat *c) {
  return (usage){.server_s = c->pid ? (double)bench_cpu_ns((int)c->pid) / 1e9 : 0,
                 .database_s = c->database_pid ? (double)bench_family_cpu_ns((int)c->database_pid) / 1e9 : 0};
}

static int report(chat *c, uint64_t from, uint64_t to, double wall_s, usage used) {
  const uint64_t lost = missing(c);
  find_last(c, from, to);
  printf("chat tabs=%" PRIu64 " channels=%" PRIu64 " people=%" PRIu64 " a_second=%" PRIu64
         " encoding=%s messages=%" PRIu64 " deliveries=%" PRIu64 " missing=%" PRIu64 " disorders=%" PRIu64
         " broken=%" PRIu64 " seconds=%.1f",
         c->tabs_count, c->channels_count, c->people, c->a_second, c->encoding, to - from, c->each.total, lost,
         c->disorders, c->broken, wall_s);
  if (c->pid)
    printf(" server_cores=%.3f rss_mb=%.1f", used.server_s / wall_s, (double)bench_rss_bytes((int)c->pid) / 1e6);
  if (c->database_pid) printf(" database_cores=%.3f", used.database_s / wall_s);
  printf(" each_p50_ms=%.1f each_p99_ms=%.1f last_p50_ms=%.1f last_p99_ms=%.1f last_max_ms=%.1f\n",
         histogram_percentile_ns(&c->each, 0.5) / 1e6, histogram_percentile_ns(&c->each, 0.99) / 1e6,
         histogram_percentile_ns(&c->last, 0.5) / 1e6, histogram_percentile_ns(&c->last, 0.99) / 1e6,
         (double)c->last.max_ns / 1e6);
  return lost || c->disorders || c->broken ? 1 : 0;
}

static int run(chat *c) {
  bench_client client = {.port = (int)c->port, .fd = -1};
  for (uint64_t i = 0; i < c->tabs_count; i++) {
    tab *t = &c->tabs[i];
    t->channel = (int)(i % c->channels_count);
    if (!enter(c, t, i) || !open_stream(c, t, i)) {
      fprintf(stderr, "vestry-bench: tab %" PRIu64 " cannot log in: %.300s\n", i, c->answer);
      return 1;
    }
    read_until(c, bench_now_ns() + 1000000); /* read received data */
  }
  read_until(c, bench_now_ns() + UINT64_C(2000000000));
  const uint64_t from = c->warm_s * c->a_second, to = c->seconds * c->a_second;
  uint64_t began = bench_now_ns(), measured = began;
  usage before = {0};
  for (uint64_t number = 0; number < to; number++) {
    read_until(c, began + number * UINT64_C(1000000000) / c->a_second);
    if (number == from) {
      before = look(c);
      measured = bench_now_ns();
      c->is_measured = true;
    }
    if (say(c, &client, number)) continue;
    fprintf(stderr, "vestry-bench: message %" PRIu64 " was refused\n", number);
    return 1;
  }
  read_until(c, began + to * UINT64_C(1000000000) / c->a_second);
  double wall_s = (double)(bench_now_ns() - measured) / 1e9;
  usage used = look(c);
  used.server_s -= before.server_s;
  used.database_s -= before.database_s;
  for (int waits = 0; waits < 100 && missing(c); waits++) read_until(c, bench_now_ns() + 100000000);
  bench_client_finish(&client);
  return report(c, from, to, wall_s, used);
}

int bench_chat(int argc, char **argv) {
  static chat c = {.tabs_count = 2000,
                   .channels_count = 20,
                   .people = 2000,
                   .a_second = 20,
                   .seconds = 30,
                   .warm_s = 5,
                   .encoding = "br"};
  const bench_option options[] = {
      {"--port", NULL, &c.port, 1, 65535},       {"--pid", NULL, &c.pid, 1, INT32_MAX},
      {"--tabs", NULL, &c.tabs_count, 1, 20000}, {"--channels", NULL, &c.channels_count, 2, CHANNELS_MOST},
      {"--people", NULL, &c.people, 1, 20000},   {"--a-second", NULL, &c.a_second, 1, 1000},
      {"--seconds", NULL, &c.seconds, 1, 3600},  {"--warm", NULL, &c.warm_s, 0, 3600},
      {"--encoding", &c.encoding, NULL, 0, 0},   {"--database-pid", NULL, &c.database_pid, 1, INT32_MAX}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  if (!c.port || c.warm_s >= c.seconds || c.tabs_count < c.channels_count || !bench_decoder_knows(c.encoding)) {
    fprintf(stderr, "vestry-bench: chat: --port is required, --warm must be less than --seconds, and there must be a "
                    "tab for each channel\n");
    return 2;
  }
  bench_raise_descriptors();
  const size_t messages = (size_t)(c.seconds * c.a_second);
  c.epoll = epoll_create1(0);
  c.answer = malloc(ANSWER_BYTES);
  c.tabs = calloc(c.tabs_count, sizeof *c.tabs);
  c.last_ns = calloc(c.channels_count * messages, sizeof *c.last_ns);
  uint64_t *sent_ns = calloc(c.channels_count * messages, sizeof *sent_ns);
  for (uint64_t i = 0; i < c.channels_count && sent_ns; i++) c.channels[i].sent_ns = sent_ns + i * messages;
  status = c.epoll >= 0 && c.answer && c.tabs && c.last_ns && sent_ns ? run(&c) : 1;
  for (uint64_t i = 0; i < c.tabs_count && c.tabs; i++)
    if (c.tabs[i].stream.decoder) bench_stream_finish(&c.tabs[i].stream, true);
  free(sent_ns);
  free(c.last_ns);
  free(c.tabs);
  free(c.answer);
  if (c.epoll >= 0) close(c.epoll);
  return status;
}
