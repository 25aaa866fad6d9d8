/* SPDX-License-Identifier: MIT */
#include "payload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { FRAME_BYTES = 128, PLACES = 10 };

/* Write the opening tag of a page, which has the same length in every round; returns the position of the rows. */
static int open_page(char *to, uint64_t round) {
  return sprintf(to, "<div id=\"page\" data-n=\"%08" PRIu64 "\">", round);
}

static void fill_page(payload *p) {
  static const char *const words[] = {"open", "closed", "waiting", "shipped", "paid", "overdue", "new", "draft"};
  static const char row_format[] = "<p id=\"r%zu\"><b>%" PRIu32 "</b><i>%s</i><b>%" PRIu32 "</b></p>";
  p->len = (size_t)open_page(p->body, 0);
  while (p->len + sizeof "</div>" - 1 < p->bytes) {
    char row[160];
    int len = snprintf(row, sizeof row, row_format, p->len, (unsigned)bench_random(&p->random) % 100000,
                       words[(unsigned)bench_random(&p->random) % 8], (unsigned)bench_random(&p->random) % 10000);
    size_t left = p->bytes - p->len - (sizeof "</div>" - 1);
    size_t part = (size_t)len < left ? (size_t)len : left;
    if (part < (size_t)len) memset(row, ' ', part); /* no incomplete row */
    memcpy(p->body + p->len, row, part);
    p->len += part;
  }
  p->len += (size_t)sprintf(p->body + p->len, "</div>");
}

/* Replace letters by letters and digits by digits, so that the page stays valid. */
static void change_page(payload *p, size_t from) {
  size_t len = p->change_bytes / PLACES, room = p->len - from - (sizeof "</div>" - 1);
  for (int place = 0; place < PLACES; place++) {
    size_t at = from + (unsigned)bench_random(&p->random) % (room - len);
    for (size_t changed = 0; changed < len && at < p->len - sizeof "</div>"; at++)
      if (p->body[at] >= '0' && p->body[at] <= '9') {
        p->body[at] = (char)('0' + (unsigned)bench_random(&p->random) % 10);
        changed++;
      }
  }
}

bool payload_create(payload *p) {
  if (p->change_bytes && p->bytes < FRAME_BYTES + 2 * p->change_bytes) p->bytes = FRAME_BYTES + 2 * p->change_bytes;
  p->body = calloc(1, p->bytes + FRAME_BYTES);
  if (p->body && p->change_bytes) fill_page(p);
  return p->body != NULL;
}

void payload_destroy(payload *p) {
  free(p->body);
  p->body = NULL;
}

static void make_signals(payload *p, uint64_t round) {
  p->len = (size_t)sprintf(p->body, "{\"n\":%" PRIu64 ",\"p\":\"", round);
  while (p->len + 2 < p->bytes) p->body[p->len++] = 'x';
  p->len += (size_t)sprintf(p->body + p->len, "\"}");
}

static void make_page(payload *p, uint64_t round) {
  char tag[64];
  size_t len = (size_t)open_page(tag, round);
  memcpy(p->body, tag, len);
  change_page(p, len);
}

bool payload_make(payload *p, uint64_t round, readers_round *ret_round) {
  if (p->change_bytes)
    make_page(p, round);
  else
    make_signals(p, round);
  if (ret_round->capacity < p->len + FRAME_BYTES) {
    char *line = realloc(ret_round->line, p->len + FRAME_BYTES);
    if (!line) return false;
    ret_round->line = line;
    ret_round->capacity = p->len + FRAME_BYTES;
  }
  const char *before = p->change_bytes ? "data: elements " : "data: signals {\"v\":";
  const char *behind = p->change_bytes ? "" : "}";
  if (p->is_socketio) before = "data: 42[\"v\",", behind = "]";
  ret_round->len = (size_t)sprintf(ret_round->line, "%s%.*s%s", before, (int)p->len, p->body, behind);
  return true;
}

size_t payload_message(char *to, uint64_t number, uint64_t *random) {
  static const char *const names[] = {"ada", "grace", "linus", "barbara", "edsger", "donald"};
  static const char *const words[] = {"the", "stream", "is",    "open", "again", "and",  "nobody", "knows", "why",
                                      "it",  "was",    "never", "shut", "so",    "what", "do",     "we",    "say"};
  const char *name = names[bench_random(random) % 6];
  const unsigned hour = (unsigned)bench_random(random) % 24, minute = (unsigned)bench_random(random) % 60;
  int len = sprintf(to, "<li id=\"message-%" PRIu64 "\" class=\"message\"><b>%s</b> <time>%02u:%02u</time> ", number,
                    name, hour, minute);
  for (unsigned i = 4 + (unsigned)bench_random(random) % 8; i; i--)
    len += sprintf(to + len, "%s ", words[bench_random(random) % 18]);
  return (size_t)(len + sprintf(to + len, "</li>"));
}
