/* SPDX-License-Identifier: MIT */
/* vestry-bench cells: viewers of the example cells, or of a server with the same function. Each viewer sees two by two
 * parts of the board, and has also loaded the parts around them. Periodically it scrolls by one part, and opens another
 * stream. Changes come at a fixed rate; each is a click on a box that a viewer sees. All received boxes are checked: at
 * the end each viewer must show all clicks, and no viewer may have received a part that it does not have. The delay of
 * a change runs from its due time until a viewer has decoded the part. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"
#include "histogram.h"
#include "stream.h"

enum {
  SIDE = 1000, /* boxes */
  PART = 10,
  PARTS = SIDE / PART,
  SHOWN = 4, /* parts of a window, in each direction */
  SEEN = 2,
  SOURCES = 200, /* number of addresses: the example admits 20 clicks per second for each */
  DOCUMENT_BYTES = 512 << 10,
  SEAL_BYTES = 65,
  EVENTS = 256,
  READ_BYTES = 64 << 10,
  PATH_BYTES = 64,
  TAG_BYTES = 512,
  CLAIM_NAME_LEN = 9, /* "~" and eight digits */
  DOCUMENT_PARTS = 64,
  BITS_WORDS = 2 /* bits for the boxes of a part */
};

typedef struct board_part {
  uint64_t is_ticked[BITS_WORDS];
  uint32_t pending; /* the first change that a viewer lacks; from 1, 0: none */
} board_part;

/* A clicked box. */
typedef struct change {
  uint64_t due_ns;
  uint32_t part, next; /* the next change of the part, as board_part.pending */
  uint8_t box;
  bool to;
  uint32_t lacking_count; /* number of viewers in the bits of lacking */
  uint64_t *lacking;
} change;

/* The last received state of a part of a viewer's document. */
typedef struct shown_part {
  uint32_t part;
  uint64_t is_ticked[BITS_WORDS];
} shown_part;

/* The document of a viewer contains its window and, until the page of a scroll has arrived, also the parts of its
 * former windows. The viewer's tag claims all of them, so a viewer that scrolls there and back meanwhile need not
 * receive them again. */
typedef struct viewer {
  bench_stream stream;
  int row, column; /* the visible part at the upper left */
  shown_part shown[DOCUMENT_PARTS];
  unsigned shown_count;
  uint64_t opened_ns; /* 0: its window is complete */
  char once[SEAL_BYTES];
  char tag[TAG_BYTES]; /* the content that its tab claims to have (src/app/page/navigate.js); empty: none */
} viewer;

/* A kept connection for clicks. */
typedef struct presser {
  int fd;           /* -1: none */
  uint64_t sent_ns; /* 0: no current request */
  size_t got;
  char answer[1024];
} presser;

typedef struct cells {
  uint64_t port, pid, viewers_count, writes, seconds, warm_s, scroll_ms, is_together, seed, patience_ms;
  const char *encoding;
  viewer *viewers;
  board_part *board;
  change *changes;
  uint64_t changes_count, changes_most, presses_count, first_change; /* first_change: the first measured one */
  presser pressers[SOURCES];
  int epoll;
  bool is_measured;
  char *document;
  uint64_t pending, deliveries, strays, broken, refused, scrolls, body_bytes;
  histogram seen, last, answered, scrolled;
} cells;

/* ------------------------------------------------------------------------------------------------- the board ------ */

static uint64_t random_below(cells *c, uint64_t bound) {
  c->seed ^= c->seed << 13;
  c->seed ^= c->seed >> 7;
  c->seed ^= c->seed << 17;
  return (c->seed >> 11) % bound;
}

/* Return the first part of a window: one before the first visible part, within the board (window.c). */
static int window_first(int place) {
  int first = place > 1 ? place - 1 : 0;
  return first > PARTS - SHOWN ? PARTS - SHOWN : first;
}

static bool is_in_window(const viewer *v, uint32_t part) {
  int row = (int)(part / PARTS) - window_first(v->row), column = (int)(part % PARTS) - window_first(v->column);
  return row >= 0 && row < SHOWN && column >= 0 && column < SHOWN;
}

static uint32_t part_of_window(const viewer *v, int index) {
  return (uint32_t)((window_first(v->row) + index / SHOWN) * PARTS + window_first(v->column) + index % SHOWN);
}

/* Return a part of the viewer's document; NULL: it is missing. */
static shown_part *find_shown(const viewer *v, uint32_t part) {
  for (unsigned i = 0; i < v->shown_count; i++)
    if (v->shown[i].part == part) return (shown_part *)&v->shown[i];
  return NULL;
}

static bool is_whole(const viewer *v) {
  int index = 0;
  while (index < SHOWN * SHOWN && find_shown(v, part_of_window(v, index))) index++;
  return index == SHOWN * SHOWN;
}

/* Remove all other parts when the page has arrived. */
static void drop_others(viewer *v) {
  unsigned left = 0;
  for (unsigned i = 0; i < v->shown_count; i++)
    if (is_in_window(v, v->shown[i].part)) v->shown[left++] = v->shown[i];
  v->shown_count = left;
}

static bool is_set(const uint64_t *bits, uint32_t at) {
  return bits[at / 64] >> at % 64 & 1;
}
static void set_to(uint64_t *bits, uint32_t at, bool to) {
  bits[at / 64] = (bits[at / 64] & ~(UINT64_C(1) << at % 64)) | (uint64_t)to << at % 64;
}

/* Remove a change from the list of its part when no viewer lacks it. */
static void leave(cells *c, change *one) {
  uint32_t *at = &c->board[one->part].pending, number = (uint32_t)(one - c->changes) + 1;
  while (*at != number) at = &c->changes[*at - 1].next;
  *at = one->next;
  c->pending--;
  free(one->lacking);
  one->lacking = NULL;
}

/* Record that a viewer has the change, or no longer waits for it. */
static void settle(cells *c, uint32_t number, change *one, bool has_it) {
  if (!is_set(one->lacking, number)) return;
  set_to(one->lacking, number, false);
  const uint64_t took_ns = bench_now_ns() - one->due_ns;
  const bool counts = has_it && (uint64_t)(one - c->changes) >= c->first_change;
  if (counts) {
    histogram_add(&c->seen, took_ns);
    c->deliveries++;
  }
  if (--one->lacking_count) return;
  if (counts) histogram_add(&c->last, took_ns);
  leave(c, one);
}

/* Process a complete part. */
static void take_part(cells *c, viewer *v, uint32_t part, const uint64_t *is_ticked) {
  shown_part *shown = find_shown(v, part);
  if (!is_in_window(v, part)) {
    c->strays++;
    return;
  }
  if (!shown) shown = &v->shown[v->shown_count++];
  shown->part = part;
  memcpy(shown->is_ticked, is_ticked, sizeof shown->is_ticked);
  if (v->opened_ns && is_whole(v)) {
    if (c->is_measured) histogram_add(&c->scrolled, bench_now_ns() - v->opened_ns);
    v->opened_ns = 0;
  }
  for (uint32_t at = c->board[part].pending, next; at; at = next) {
    change *one = &c->changes[at - 1];
    next = one->next;
    if (is_set(is_ticked, one->box) == one->to) settle(c, (uint32_t)(v - c->viewers), one, true);
  }
}

/* -------------------------------------------------------------------------------------------- received data ------- */

typedef struct reader {
  cells *c;
  viewer *v;
} reader;

/* Read all boxes of HTML: <input … value="NUMBER" … checked>; the hundred boxes of a part are adjacent. */
static void take_boxes(cells *c, viewer *v, const char *at, const char *end) {
  static const char mark[] = " value=\"";
  uint64_t is_ticked[BITS_WORDS] = {0};
  unsigned came = 0;
  while ((at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1))) {
    uint32_t number = 0;
    for (at += sizeof mark - 1; at < end && *at >= '0' && *at <= '9'; at++)
      number = number * 10 + (uint32_t)(*at - '0');
    const char *close = at < end ? memchr(at, '>', (size_t)(end - at)) : NULL;
    if (!close || number >= SIDE * SIDE) return;
    const uint32_t row = number / SIDE, column = number % SIDE, box = row % PART * PART + column % PART;
    set_to(is_ticked, box, close - at > 8 && memcmp(close - 8, " checked", 8) == 0);
    if (++came == PART * PART) {
      take_part(c, v, row / PART * PARTS + column / PART, is_ticked);
      came = 0;
    }
    at = close;
  }
}

/* Update the tag like the page's script: by the tag of a page, or by the event of a part, which replaces the claim for
 * that part. */
static void take_tag(viewer *v, const char *tag, size_t len) {
  static const char of_part[] = "00000000000000000000000000000000.";
  const char *claim = memchr(tag, '~', len);
  if (len >= sizeof v->tag) return;
  if (strncmp(tag, of_part, sizeof of_part - 1) != 0 || !*v->tag || !claim) {
    memcpy(v->tag, tag, len);
    v->tag[len] = '\0';
    drop_others(v);
    return;
  }
  const size_t claim_len = len - (size_t)(claim - tag);
  char *to = strchr(v->tag, '~'), *at = to;
  while (at) {
    char *next = strchr(at + 1, '~');
    size_t one_len = next ? (size_t)(next - at) : strlen(at);
    if (memcmp(at, claim, CLAIM_NAME_LEN) != 0) {
      memmove(to, at, one_len);
      to += one_len;
    }
    at = next;
  }
  if (!to) to = v->tag + strlen(v->tag);
  if ((size_t)(to - v->tag) + claim_len >= sizeof v->tag) return;
  memcpy(to, claim, claim_len);
  to[claim_len] = '\0';
}

static void take_line(bench_stream *stream, const char *line, size_t len, void *ctx) {
  static const char mark[] = "data: elements ", has[] = "data: has ";
  const reader *r = ctx;
  (void)stream;
  if (len >= sizeof has && memcmp(line, has, sizeof has - 1) == 0)
    take_tag(r->v, line + sizeof has - 1, len - (sizeof has - 1));
  if (len >= sizeof mark && memcmp(line, mark, sizeof mark - 1) == 0)
    take_boxes(r->c, r->v, line + sizeof mark - 1, line + len);
}

static void read_viewer(cells *c, viewer *v) {
  static char data[READ_BYTES];
  reader r = {c, v};
  for (;;) {
    ssize_t n = recv(v->stream.fd, data, sizeof data, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) c->body_bytes += (uint64_t)n;
    if (n > 0 && bench_stream_feed(&v->stream, data, (size_t)n, take_line, &r) && v->stream.at != STREAM_ENDED)
      continue;
    c->broken++;
    epoll_ctl(c->epoll, EPOLL_CTL_DEL, v->stream.fd, NULL);
    return;
  }
}

/* ------------------------------------------------------------------------------------------------ pressing -------- */

static void end_presser(presser *p) {
  if (p->fd >= 0) close(p->fd);
  p->fd = -1;
  p->sent_ns = 0;
}

/* Read the answer to a click, which is durable by then. */
static void read_presser(cells *c, presser *p) {
  ssize_t n = recv(p->fd, p->answer + p->got, sizeof p->answer - 1 - p->got, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    c->refused += p->sent_ns != 0;
    end_presser(p);
    return;
  }
  p->got += (size_t)n;
  p->answer[p->got] = '\0';
  if (!strstr(p->answer, "\r\n\r\n")) return;
  int status = 0;
  if (sscanf(p->answer, "HTTP/1.%*d %d", &status) != 1 || status != 204) c->refused++;
  if (c->is_measured) histogram_add(&c->answered, bench_now_ns() - p->sent_ns);
  p->sent_ns = 0;
}

/* Return a free connection, in turn; NULL: none. */
static presser *find_presser(cells *c) {
  for (uint64_t i = 0; i < SOURCES; i++) {
    presser *p = &c->pressers[(c->presses_count + i) % SOURCES];
    if (!p->sent_ns) return p;
  }
  return NULL;
}

static bool send_press(cells *c, presser *p, const viewer *v, uint32_t number, bool to) {
  c->presses_count++;
  const unsigned source = (unsigned)(p - c->pressers) + 1;
  if (p->fd < 0) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = p}};
    p->fd = bench_connect((int)c->port, source, 0);
    if (p->fd < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, p->fd, &event) != 0) return false;
  }
  char head[512];
  int len = snprintf(head, sizeof head,
                     "POST /box/%" PRIu32 "/%d HTTP/1.1\r\nHost: 127.0.0.1\r\nDatastar-Request: true\r\n"
                     "X-Once: %s.%" PRIu64 "\r\nVestry-Sent: %016x.%" PRIu64
                     "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
                     number, to, v->once, c->presses_count, (unsigned)(v - c->viewers) + 1, c->presses_count);
  p->got = 0;
  p->sent_ns = bench_now_ns();
  return bench_send_all(p->fd, head, (size_t)len);
}

static bool is_pending(const cells *c, uint32_t part, uint32_t box) {
  uint32_t at = c->board[part].pending;
  while (at && c->changes[at - 1].box != box) at = c->changes[at - 1].next;
  return at != 0;
}

/* Click a box that a viewer sees, and whose last change has reached all viewers. */
static bool press(cells *c, presser *by, uint64_t due_ns) {
  const viewer *v;
  uint32_t row, column, part, box;
  do {
    v = &c->viewers[random_below(c, c->viewers_count)];
    row = (uint32_t)v->row * PART + (uint32_t)random_below(c, SEEN * PART);
    column = (uint32_t)v->column * PART + (uint32_t)random_below(c, SEEN * PART);
    part = row / PART * PARTS + column / PART;
    box = row % PART * PART + column % PART;
  } while (is_pending(c, part, box));
  const bool to = !is_set(c->board[part].is_ticked, box);
  set_to(c->board[part].is_ticked, box, to);
  change *one = &c->changes[c->changes_count++];
  *one = (change){due_ns, part, c->board[part].pending, (uint8_t)box, to, 0, calloc((c->viewers_count + 63) / 64, 8)};
  if (!one->lacking) return false;
  c->board[part].pending = (uint32_t)c->changes_count;
  c->pending++;
  for (uint64_t i = 0; i < c->viewers_count; i++) {
    if (!is_in_window(&c->viewers[i], part)) continue;
    set_to(one->lacking, (uint32_t)i, true);
    one->lacking_count++;
  }
  return send_press(c, by, v, row * SIDE + column, to);
}

/* --------------------------------------------------------------------------------------------- scrolling ---------- */

static bool open_stream(cells *c, viewer *v, const char *more) {
  char path[PATH_BYTES], headers[TAG_BYTES + 700], had[TAG_BYTES + 20] = "";
  const uint64_t number = (uint64_t)(v - c->viewers);
  snprintf(path, sizeof path, "/?at=%d.%d", v->row, v->column);
  if (*v->tag) snprintf(had, sizeof had, "Last-Event-ID: %s\r\n", v->tag);
  snprintf(headers, sizeof headers,
           "Vestry-Layout: cells/main/content\r\nVestry-Sent: %016" PRIx64 ".900000001\r\n%s%s", number + 1, had, more);
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = v}};
  const bench_subscription how = {.port = (int)c->port,
                                  .path = path,
                                  .source = (unsigned)(number % SOURCES) + 1,
                                  .encoding = strcmp(c->encoding, "identity") == 0 ? NULL : c->encoding,
                                  .headers = headers};
  return bench_stream_open(&v->stream, &how) && epoll_ctl(c->epoll, EPOLL_CTL_ADD, v->stream.fd, &event) == 0;
}

/* Drop the viewer's claims, so that it receives its whole window. */
static void forget(viewer *v) {
  *v->tag = '\0';
  v->shown_count = 0;
}

/* Scroll by one part in a random direction. Parts in both windows stay, as after a morph. Missing changes in them are
 * still expected, and may arrive with the new stream. */
static bool scroll(cells *c, viewer *v) {
  const uint32_t number = (uint32_t)(v - c->viewers);
  const viewer former = *v;
  while (v->row == former.row && v->column == former.column) {
    int *by = random_below(c, 2) ? &v->row : &v->column;
    *by += random_below(c, 2) ? 1 : -1;
    if (*by < 0) *by = 0;
    if (*by > PARTS - SEEN) *by = PARTS - SEEN;
  }
  for (int index = 0; index < SHOWN * SHOWN; index++) {
    const uint32_t part = part_of_window(&former, index);
    for (uint32_t at = is_in_window(v, part) ? 0 : c->board[part].pending, next; at; at = next) {
      next = c->changes[at - 1].next;
      settle(c, number, &c->changes[at - 1], false);
    }
  }
  if (!*v->tag || v->shown_count + SHOWN * SHOWN > DOCUMENT_PARTS) forget(v);
  v->opened_ns = is_whole(v) ? 0 : bench_now_ns();
  bench_stream_finish(&v->stream, false);
  c->scrolls += c->is_measured;
  return open_stream(c, v, "");
}

/* ---------------------------------------------------------------------------------------------- the run ----------- */

static void read_until(cells *c, uint64_t until_ns) {
  struct epoll_event events[EVENTS];
  uint64_t now = bench_now_ns();
  do { /* even if it is late, read the received data */
    int count = epoll_wait(c->epoll, events, EVENTS, now < until_ns ? (int)((until_ns - now + 999999) / 1000000) : 0);
    for (int i = 0; i < count; i++) {
      void *whose = events[i].data.ptr;
      presser *p = whose;
      if (p >= c->pressers && p < c->pressers + SOURCES)
        read_presser(c, p);
      else
        read_viewer(c, whose);
    }
    now = bench_now_ns();
  } while (now < until_ns);
}

/* Load a document, and open the stream of its script. vestry's document contains the claims of its stream. */
static bool enter(cells *c, viewer *v) {
  char path[PATH_BYTES], number[20] = "", more[60] = "";
  v->row = c->is_together ? 0 : (int)random_below(c, PARTS - SEEN + 1);
  v->column = c->is_together ? 0 : (int)random_below(c, PARTS - SEEN + 1);
  snprintf(path, sizeof path, "/?at=%d.%d", v->row, v->column);
  if (bench_request((int)c->port, "GET", path, "", 0, c->document, DOCUMENT_BYTES) != 200) return false;
  if (!bench_cut(c->document, "_once=\"'", "'", v->once, sizeof v->once)) snprintf(v->once, sizeof v->once, "none");
  if (!bench_cut(c->document, "el.had = '", "'", v->tag, sizeof v->tag)) *v->tag = '\0';
  if (bench_cut(c->document, "'vestry-document': '", "'", number, sizeof number))
    snprintf(more, sizeof more, "Vestry-Document: %s\r\n", number);
  v->opened_ns = bench_now_ns();
  take_boxes(c, v, c->document, c->document + strlen(c->document));
  return is_whole(v) && open_stream(c, v, more);
}

/* Return the number of parts that a viewer shows wrongly. */
static uint64_t count_wrong(const cells *c) {
  uint64_t count = 0;
  for (uint64_t i = 0; i < c->viewers_count; i++) {
    const viewer *v = &c->viewers[i];
    for (int index = 0; index < SHOWN * SHOWN; index++) {
      const uint32_t part = part_of_window(v, index);
      const shown_part *shown = find_shown(v, part);
      count += !shown || memcmp(shown->is_ticked, c->board[part].is_ticked, sizeof shown->is_ticked) != 0;
    }
  }
  return count;
}

typedef struct meter {
  uint64_t at_ns, cpu_ns, own_ns, body_bytes;
  int64_t renders;
} meter;

static meter read_meter(const cells *c) {
  struct rusage own;
  getrusage(RUSAGE_SELF, &own);
  return (meter){bench_now_ns(), c->pid ? bench_cpu_ns((int)c->pid) : 0,
                 (uint64_t)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) * UINT64_C(1000000000) +
                     (uint64_t)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) * 1000,
                 c->body_bytes, bench_server_stat((int)c->port, "renders")};
}

static void print_times(const char *name, const histogram *of) {
  printf(" %s_p50_ms=%.1f %s_p99_ms=%.1f %s_max_ms=%.1f", name, histogram_percentile_ns(of, 0.5) / 1e6, name,
         histogram_percentile_ns(of, 0.99) / 1e6, name, (double)of->max_ns / 1e6);
}

static int report(const cells *c, const meter *from, const meter *to, uint64_t memory_bytes) {
  const double wall_s = (double)(to->at_ns - from->at_ns) / 1e9;
  const uint64_t changes = c->changes_count - c->first_change, wrong = count_wrong(c);
  printf("cells viewers=%" PRIu64 " writes=%" PRIu64 " scroll_ms=%" PRIu64 " together=%" PRIu64
         " encoding=%s seconds=%.1f changes=%" PRIu64 " deliveries=%" PRIu64 " scrolls=%" PRIu64 " missing=%" PRIu64
         " wrong=%" PRIu64 " strays=%" PRIu64 " broken=%" PRIu64 " refused=%" PRIu64,
         c->viewers_count, c->writes, c->scroll_ms, c->is_together, c->encoding, wall_s, changes, c->deliveries,
         c->scrolls, c->pending, wrong, c->strays, c->broken, c->refused);
  print_times("seen", &c->seen);
  print_times("last", &c->last);
  print_times("answer", &c->answered);
  if (c->scrolls) print_times("scroll", &c->scrolled);
  printf(" renders_per_change=%.3f wire_mb_per_s=%.3f load_cores=%.3f",
         (double)(to->renders - from->renders) / (double)changes,
         (double)(to->body_bytes - from->body_bytes) / 1e6 / wall_s,
         (double)(to->own_ns - from->own_ns) / 1e9 / wall_s);
  if (c->pid) {
    const double cores = (double)(to->cpu_ns - from->cpu_ns) / 1e9 / wall_s;
    printf(" server_cores=%.3f viewers_per_core=%.0f rss_mb=%.1f kib_per_viewer=%.1f", cores,
           (double)c->viewers_count / cores, (double)bench_rss_bytes((int)c->pid) / 1e6,
           (double)memory_bytes / 1024 / (double)c->viewers_count);
  }
  printf("\n");
  return c->pending || wrong || c->strays || c->broken || c->refused ? 1 : 0;
}

/* Perform clicks and scrolls at their due times. A click that waits for a free connection is late, and its delay
 * includes this wait. */
static bool perform(cells *c, meter *ret_from, meter *ret_to) {
  const uint64_t begin = bench_now_ns(), end = begin + c->seconds * UINT64_C(1000000000);
  const uint64_t measured = begin + c->warm_s * UINT64_C(1000000000), each = UINT64_C(1000000000) / c->writes;
  const uint64_t pause = c->scroll_ms && !c->is_together ? c->scroll_ms * 1000000 / c->viewers_count : UINT64_MAX;
  const uint64_t patience_ns = c->patience_ms * 1000000;
  uint64_t next_press = begin, next_scroll = pause == UINT64_MAX ? UINT64_MAX : begin + pause, scrolled = 0;
  while (next_press < end) {
    read_until(c, next_press < next_scroll ? next_press : next_scroll);
    if (!c->is_measured && next_press >= measured) {
      *ret_from = read_meter(c);
      c->first_change = c->changes_count;
      c->is_measured = true;
    }
    if (next_press <= next_scroll) {
      presser *by;
      while (!(by = find_presser(c)) && bench_now_ns() < end + patience_ns) read_until(c, bench_now_ns() + 1000000);
      if (!by || !press(c, by, next_press)) return false;
      next_press += each;
    } else {
      if (!scroll(c, &c->viewers[scrolled++ % c->viewers_count])) return false;
      next_scroll += pause;
    }
  }
  read_until(c, end);
  *ret_to = read_meter(c);
  c->is_measured = false;
  const uint64_t patience = bench_now_ns() + patience_ns;
  while ((c->pending || count_wrong(c)) && bench_now_ns() < patience) read_until(c, bench_now_ns() + 10000000);
  return true;
}

static int run(cells *c) {
  meter from = {0}, to = {0};
  uint64_t memory = c->pid ? bench_memory_bytes((int)c->pid) : 0;
  for (uint64_t i = 0; i < c->viewers_count; i++) {
    if (!enter(c, &c->viewers[i])) {
      fprintf(stderr, "vestry-bench: cells: viewer %" PRIu64 " cannot log in: %.300s\n", i, c->document);
      return 1;
    }
    read_until(c, bench_now_ns() + 200000); /* read received data */
  }
  read_until(c, bench_now_ns() + UINT64_C(1000000000));
  memory = c->pid ? bench_memory_bytes((int)c->pid) - memory : 0;
  if (!perform(c, &from, &to)) {
    fprintf(stderr, "vestry-bench: cells: cannot send change %" PRIu64 " or a stream: %s\n", c->changes_count,
            strerror(errno));
    return 1;
  }
  return report(c, &from, &to, memory);
}

int bench_cells(int argc, char **argv) {
  static cells c = {.viewers_count = 2000,
                    .writes = 200,
                    .seconds = 30,
                    .warm_s = 10,
                    .scroll_ms = 10000,
                    .seed = 1,
                    .first_change = UINT64_MAX,
                    .patience_ms = 20000,
                    .encoding = "br"};
  const bench_option options[] = {{"--port", NULL, &c.port, 1, 65535},
                                  {"--pid", NULL, &c.pid, 1, INT32_MAX},
                                  {"--viewers", NULL, &c.viewers_count, 1, 20000},
                                  {"--writes", NULL, &c.writes, 1, 100000},
                                  {"--seconds", NULL, &c.seconds, 1, 3600},
                                  {"--warm", NULL, &c.warm_s, 0, 3600},
                                  {"--scroll-ms", NULL, &c.scroll_ms, 0, 3600000},
                                  {"--together", NULL, &c.is_together, 0, 0},
                                  {"--seed", NULL, &c.seed, 1, UINT32_MAX},
                                  {"--patience-ms", NULL, &c.patience_ms, 1, 3600000},
                                  {"--encoding", &c.encoding, NULL, 0, 0}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  if (!c.port || c.warm_s >= c.seconds || !bench_decoder_knows(c.encoding)) {
    fprintf(stderr, "vestry-bench: cells: --port is required, and --warm must be less than --seconds\n");
    return 2;
  }
  bench_raise_descriptors();
  for (int i = 0; i < SOURCES; i++) c.pressers[i].fd = -1;
  c.epoll = epoll_create1(EPOLL_CLOEXEC);
  c.document = malloc(DOCUMENT_BYTES);
  c.viewers = calloc(c.viewers_count, sizeof *c.viewers);
  c.board = calloc(PARTS * PARTS, sizeof *c.board);
  c.changes = calloc(c.seconds * c.writes + 1, sizeof *c.changes);
  for (uint64_t i = 0; c.viewers && i < c.viewers_count; i++) c.viewers[i].stream.fd = -1;
  status = c.epoll >= 0 && c.document && c.viewers && c.board && c.changes ? run(&c) : 1;
  for (uint64_t i = 0; c.viewers && i < c.viewers_count; i++) bench_stream_finish(&c.viewers[i].stream, true);
  for (uint64_t i = 0; c.changes && i < c.changes_count; i++) free(c.changes[i].lacking);
  for (int i = 0; i < SOURCES; i++) end_presser(&c.pressers[i]);
  free(c.changes);
  free(c.board);
  free(c.viewers);
  free(c.document);
  if (c.epoll >= 0) close(c.epoll);
  return status;
}
