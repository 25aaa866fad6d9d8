/* SPDX-License-Identifier: MIT */
#include "channel/log_tab.h"

#include <string.h>

#include "support/test.h"

vestry_err log_write(vestry *v, const vestry_key *key, uint64_t line) {
  char html[40];
  vestry_event *event = NULL;
  const vestry_elements_options append = {.selector = "#log", .mode = VESTRY_PATCH_APPEND};
  int len = snprintf(html, sizeof html, "<i>%llu</i>", (unsigned long long)line);
  vestry_err error = vestry_event_elements(NULL, html, (size_t)len, &append, &event);
  if (!error) error = vestry_broadcast(v, (vestry_scope){NULL, 0}, key, event, NULL);
  vestry_event_unref(event);
  return error;
}

vestry_err log_send_state(vestry_connection *connection, uint64_t last) {
  char html[60];
  int len = snprintf(html, sizeof html, "<p id=\"log\">%llu</p>", (unsigned long long)last);
  return vestry_connection_patch_elements(connection, html, (size_t)len, NULL);
}

void log_tab_try(log_tab *t, vestry *v, vestry_handler_fn handler, void *app) {
  const vestry_header header = {"Last-Event-ID", t->given ? t->given : t->id};
  const vestry_memory_call call = {.datastar = true, .headers = &header, .headers_count = t->given || t->id[0] ? 1 : 0};
  t->awaits |= !call.headers_count;
  t->given = NULL;
  t->read = 0;
  t->stream = NULL;
  (void)vestry_memory_request(v, &call, handler, app, &t->stream);
}

void log_tab_connect(log_tab *t, vestry *v, vestry_handler_fn handler, void *app) {
  log_tab_try(t, v, handler, app);
  assert_non_null(t->stream);
}

static bool begins(const char *line, const char *with) {
  return strncmp(line, with, strlen(with)) == 0;
}

static void apply_line(log_tab *t, uint64_t line) {
  if (line == t->last && line == t->unclaimed) {
    t->twice++;
  } else if (line != t->last + 1) {
    t->wrong++;
    t->broken += !t->awaits;
  }
  t->last = line;
  t->unclaimed = line;
}

/* Process a complete line, without its line end. */
static void take(log_tab *t, const char *line, size_t len, uint64_t *ret_line, uint64_t *ret_state) {
  unsigned long long number;
  char text[300];
  assert_true(len < sizeof text);
  memcpy(text, line, len);
  text[len] = '\0';
  if (begins(text, "id: ")) {
    assert_true(strlen(text + 4) < sizeof t->id);
    memcpy(t->id, text + 4, strlen(text + 4) + 1);
    t->unclaimed = 0;
    t->awaits |= strcmp(t->id, "gap") == 0;
  } else if (sscanf(text, "data: elements <i>%llu</i>", &number) == 1) {
    *ret_line = number;
  } else if (sscanf(text, "data: elements <p id=\"log\">%llu</p>", &number) == 1) {
    *ret_state = number + 1; /* it may be 0 */
  } else if (!len && *ret_line) {
    apply_line(t, *ret_line);
    *ret_line = 0;
  } else if (!len && *ret_state) {
    t->last = *ret_state - 1;
    t->wrong = 0;
    t->unclaimed = 0;
    t->awaits = false;
    *ret_state = 0;
  }
}

void log_tab_read(log_tab *t, size_t most) {
  vestry_slice all = vestry_memory_look(t->stream).received;
  const char *text = all.data, *end = text + (all.len < most ? all.len : most);
  uint64_t line = 0, state = 0;
  const char *block = text + t->read;
  for (const char *at = block, *stop; at < end && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
    take(t, at, (size_t)(stop - at), &line, &state);
    if (stop == at) block = stop + 1; /* the next read begins at a block */
  }
  if ((size_t)(block - text) > t->read) t->read = (size_t)(block - text);
}

void log_tab_cut(log_tab *t) {
  vestry_memory_destroy(t->stream);
  t->stream = NULL;
}

void log_tab_end(log_tab *t) {
  if (t->stream) log_tab_cut(t);
}
