/* SPDX-License-Identifier: MIT */
/* vestry-bench format: the speed of formatting events. Elements and signals of a given size and number of lines are
 * formatted and dropped repeatedly on one thread; before that, the result is checked byte by byte. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "vestry/event.h"

typedef struct subject {
  const char *name, *head, *prefix; /* first line of the event; prefix of each line of the text */
  vestry_err (*make)(const char *text, size_t len, vestry_event **ret_event);
  void (*write)(char *text, size_t len, size_t lines);
} subject;

/* ------------------------------------------------------------------------------------------------ the texts ---- */

/* Write rows of a table, split into lines of equal length. */
static void write_html(char *text, size_t len, size_t lines) {
  static const char row[] = "<tr class=\"row\"><td>4711</td><td>Miller &amp; Sons, Ltd.</td></tr>";
  for (size_t i = 0; i < len; i++) text[i] = row[i % (sizeof row - 1)];
  for (size_t i = 1; i < lines; i++) text[i * len / lines] = '\n';
}

/* Write an object with typical names, numbers and texts; a line ends after the first member that reaches its share of
 * the bytes. White space fills the rest. */
static void write_json(char *text, size_t len, size_t lines) {
  char *at = text, *end = text + len - 1;
  size_t line = 1;
  *at++ = '{';
  for (unsigned i = 0;; i++) {
    char member[96];
    int member_len = snprintf(member, sizeof member, "%s\"row%u\":{\"count\":%u,\"name\":\"Miller & Sons, Ltd.\"}",
                              i ? "," : "", i, i * 37 % 1000);
    if (end - at < member_len + 1) break;
    memcpy(at, member, (size_t)member_len);
    at += member_len;
    if (line < lines && (size_t)(at - text) >= line * len / lines) {
      *at++ = '\n';
      line++;
    }
  }
  memset(at, ' ', (size_t)(end - at));
  *end = '}';
}

static vestry_err make_elements(const char *text, size_t len, vestry_event **ret_event) {
  return vestry_event_elements(NULL, text, len, NULL, ret_event);
}

static vestry_err make_signals(const char *text, size_t len, vestry_event **ret_event) {
  return vestry_event_signals_text(NULL, text, len, NULL, ret_event);
}

static const subject subjects[] = {
    {"elements", "event: datastar-patch-elements\n", "data: elements ", make_elements, write_html},
    {"signals", "event: datastar-patch-signals\n", "data: signals ", make_signals, write_json},
};

/* ------------------------------------------------------------------------------------------------- checking ---- */

/* Skip the expected text. */
static bool expect(const char **at, const char *end, const char *expected) {
  size_t len = strlen(expected);
  if ((size_t)(end - *at) < len || memcmp(*at, expected, len) != 0) return false;
  *at += len;
  return true;
}

/* Return whether the event contains the text, line by line. */
static bool is_right(const subject *s, const char *text, size_t len, const vestry_event *event) {
  vestry_slice bytes = vestry_event_bytes(event);
  const char *at = bytes.data, *end = at + bytes.len;
  if (!expect(&at, end, s->head) || !expect(&at, end, s->prefix)) return false;
  for (size_t i = 0; i < len; i++) {
    if (at == end || *at++ != text[i]) return false;
    if (text[i] == '\n' && !expect(&at, end, s->prefix)) return false;
  }
  return expect(&at, end, "\n\n") && at == end;
}

static size_t lines_of(const char *text, size_t len) {
  size_t lines = 1;
  for (size_t i = 0; i < len; i++) lines += text[i] == '\n';
  return lines;
}

/* ------------------------------------------------------------------------------------------------ measuring ---- */

enum { ROUNDS = 5 };

/* Return the nanoseconds for an event: the best of several rounds, because disturbances only increase the time. */
static double measure(const subject *s, const char *text, size_t len, uint64_t round_ns, uint64_t *ret_events) {
  double best = 0;
  *ret_events = 0;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t events = 0, begin = bench_now_ns(), now;
    do {
      for (int i = 0; i < 64; i++) {
        vestry_event *event = NULL;
        if (s->make(text, len, &event)) return 0;
        vestry_event_unref(event);
      }
      events += 64;
      now = bench_now_ns();
    } while (now - begin < round_ns);
    double ns = (double)(now - begin) / (double)events;
    if (!round || ns < best) best = ns;
    *ret_events += events;
  }
  return best;
}

static int run(const subject *s, size_t len, size_t lines, uint64_t round_ns) {
  char *text = malloc(len);
  if (!text) return 1;
  s->write(text, len, lines);
  vestry_event *event = NULL;
  vestry_err error = s->make(text, len, &event);
  bool right = !error && is_right(s, text, len, event);
  size_t event_bytes = error ? 0 : vestry_event_bytes(event).len;
  vestry_event_unref(event);
  uint64_t events = 0;
  double ns = right ? measure(s, text, len, round_ns, &events) : 0;
  if (ns > 0)
    printf("vestry format %s bytes=%zu lines=%zu event_bytes=%zu gb_per_s=%.2f ns_per_event=%.0f events=%" PRIu64 "\n",
           s->name, len, lines_of(text, len), event_bytes, (double)len / ns, ns, events);
  else
    fprintf(stderr, "vestry-bench: %s: %s\n", s->name, error ? vestry_strerror(error) : "the event is wrong");
  free(text);
  return ns > 0 ? 0 : 1;
}

int bench_format(int argc, char **argv) {
  uint64_t bytes = 10000, lines = 100, round_ms = 200;
  const bench_option options[] = {
      {"--bytes", NULL, &bytes, 2, VESTRY_EVENT_MAX_BYTES / 2},
      {"--lines", NULL, &lines, 1, 1000000},
      {"--round-ms", NULL, &round_ms, 1, 60000},
  };
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  if (lines > bytes) lines = bytes;
  for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
    status |= run(&subjects[i], (size_t)bytes, (size_t)lines, round_ms * 1000000);
  return status;
}
