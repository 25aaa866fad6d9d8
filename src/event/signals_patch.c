/* SPDX-License-Identifier: MIT */
/* Signals patches: from text and from values, and removals. */
#include <stdlib.h>
#include <string.h>

#include "base/field.h"
#include "base/memory.h"
#include "event/layout.h"
#include "json/json.h"
#include "json/write.h"

/* A patch is given as text, or as a value. A value is written directly, because it needs no check and has no line
 * breaks. */
typedef struct patch {
  vestry_signals_options options;
  const char *json; /* of a patch given as text */
  size_t len;
  const vestry_value *signals;
  vestry_err *error; /* receives the error of writing the value, which is the same in both passes */
} patch;

static void patch_layout(vsi_writer *writer, const void *ctx) {
  const patch *p = ctx;
  vsi_put_head(writer, VSI_SIGNALS_EVENT, &p->options.event);
  if (p->options.only_if_missing) vsi_put_str(writer, "data: onlyIfMissing true\n");
  vsi_put_str(writer, "data: signals ");
  if (p->signals)
    *p->error = vsi_json_put_value(writer, p->signals);
  else
    vsi_put_lines(writer, p->json, p->len, "data: signals ");
  vsi_put(writer, "\n\n", 2);
}

static vestry_err take_options(patch *p, const vestry_signals_options *options) {
  p->options = options ? *options : (vestry_signals_options){0};
  if (!vsi_is_one_line(p->options.event.id)) return VESTRY_INVALID;
  /* of several patches that are merged only if a signal is missing, the first one has an effect */
  if (p->options.state && p->options.only_if_missing) return VESTRY_INVALID;
  return vsi_state_check(p->options.state, &p->options.event);
}

static vestry_err build(const vestry_host *host, const patch *p, vestry_event **ret_event) {
  return vsi_event_build_state(host, vsi_state_slice(p->options.state), patch_layout, p, ret_event);
}

/* The browser parses the text, so the accepted grammar is exactly that of JSON.parse. Only the nesting is bounded,
 * because the client merges recursively. */
static const vsi_json_limits limits = {.max_depth = VSI_JSON_MAX_DEPTH, .max_count = UINT32_MAX};

vestry_err vestry_event_signals_text(const vestry_host *host, const char *json, size_t len,
                                     const vestry_signals_options *options, vestry_event **ret_event) {
  if (!json && len) return VESTRY_INVALID;
  patch p = {.json = json, .len = len};
  vestry_err error = take_options(&p, options);
  if (error) return error;
  if (len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vsi_json_fault fault;
  error = vsi_json_check(json, len, &limits, VSI_JSON_ROOT_OBJECT, &fault);
  if (error == VESTRY_MALFORMED) error = VESTRY_INVALID; /* an error of the program, not of a client */
  return error ? error : build(host, &p, ret_event);
}

vestry_err vestry_event_signals(const vestry_host *host, const vestry_value *signals,
                                const vestry_signals_options *options, vestry_event **ret_event) {
  if (!signals ||
      (signals->type == VESTRY_VALUE_JSON ? !json_is_object(signals->json) : signals->type != VESTRY_VALUE_OBJECT))
    return VESTRY_INVALID;
  vestry_err written = VESTRY_OK;
  patch p = {.signals = signals, .error = &written};
  vestry_event *event = NULL;
  vestry_err error = take_options(&p, options);
  if (!error) error = build(host, &p, &event);
  if (!error && !written) {
    *ret_event = event;
    return VESTRY_OK;
  }
  vestry_event_unref(event);
  return written ? written : error;
}

vestry_err vsi_event_signals_value(const vestry_host *host, const json_t *signals,
                                   const vestry_signals_options *options, vestry_event **ret_event) {
  const vestry_value value = vestry_value_json((json_t *)(uintptr_t)signals); /* it is not modified */
  return vestry_event_signals(host, &value, options, ret_event);
}

/* ----------------------------------------------------------------------------------------------- removing ---- */

/* The paths are converted into one JSON object of nulls. */

/* Check a path. OK | INVALID (an empty name) | TOO_LARGE (too deep). */
static vestry_err check_path(const char *path) {
  if (!path) return VESTRY_INVALID;
  size_t names = 1;
  for (const char *at = path;; at++) {
    if ((*at == '.' || !*at) && (at == path || at[-1] == '.')) return VESTRY_INVALID;
    if (!*at) return names <= VSI_JSON_MAX_DEPTH ? VESTRY_OK : VESTRY_TOO_LARGE;
    if (*at == '.') names++;
  }
}

/* Return the rank of a byte for sorting: the end comes first, then a dot, then all other bytes. So a path directly
 * precedes those that begin with it, and paths with the same first names are adjacent. */
static int rank(char c) {
  return c == '\0' ? 0 : c == '.' ? 1 : 2 + (unsigned char)c;
}

static int compare_paths(const void *a, const void *b) {
  const char *left = *(const char *const *)a, *right = *(const char *const *)b;
  while (*left && *left == *right) {
    left++;
    right++;
  }
  return rank(*left) - rank(*right);
}

/* Return the length in bytes of the complete names that two paths share at their beginning, with the dot after them. */
static size_t common_len(const char *a, const char *b) {
  size_t len = 0;
  for (size_t i = 0; a[i] && a[i] == b[i]; i++)
    if (a[i] == '.') len = i + 1;
  return len;
}

static size_t dots_of(const char *path) {
  size_t dots = 0;
  for (; *path; path++) dots += *path == '.';
  return dots;
}

/* Return whether `path` equals `shorter` or lies inside it. */
static bool begins_with(const char *path, const char *shorter) {
  size_t len = strlen(shorter);
  return strncmp(path, shorter, len) == 0 && (!path[len] || path[len] == '.');
}

/* Append the names of a path from `from` on, each nested in the previous name. */
static void append_names(vsi_buffer *json, const char *from) {
  for (;;) {
    size_t len = strcspn(from, ".");
    vsi_literal_append(json, from, len);
    if (!from[len]) break;
    vsi_buffer_append_str(json, ":{");
    from += len + 1;
  }
  vsi_buffer_append_str(json, ":null");
}

static void append_object(vsi_buffer *json, const char *const *paths, size_t count) {
  const char *last = NULL; /* the last appended path */
  vsi_buffer_append_char(json, '{');
  for (size_t i = 0; i < count && json->len <= VESTRY_EVENT_MAX_BYTES; i++) {
    size_t common = 0;
    if (last) {
      if (begins_with(paths[i], last)) continue; /* the null of `last` removes this path, too */
      common = common_len(last, paths[i]);
      for (size_t open = dots_of(last + common); open; open--) vsi_buffer_append_char(json, '}');
      vsi_buffer_append_char(json, ',');
    }
    append_names(json, paths[i] + common);
    last = paths[i];
  }
  for (size_t open = dots_of(last); open; open--) vsi_buffer_append_char(json, '}');
  vsi_buffer_append_char(json, '}');
}

vestry_err vestry_event_remove_signals(const vestry_host *host, const char *const *paths, size_t count,
                                       const vestry_signals_options *options, vestry_event **ret_event) {
  const vestry_signals_options own = options ? *options : (vestry_signals_options){0};
  vestry_err error = VESTRY_OK;
  if (!paths || !count || own.only_if_missing) return VESTRY_INVALID;
  for (size_t i = 0; i < count && !error; i++) error = check_path(paths[i]);
  if (error) return error;
  if (count > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE; /* each path has at least one byte of JSON */
  host = vsi_host(host);
  const char **sorted = vsi_calloc(host, count, sizeof *sorted);
  if (!sorted) return VESTRY_NO_MEMORY;
  memcpy(sorted, paths, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, compare_paths);
  vsi_buffer json;
  vsi_buffer_init(&json, host);
  append_object(&json, sorted, count);
  error = json.error;
  if (!error) error = vestry_event_signals_text(host, json.data, json.len, &own, ret_event);
  vsi_buffer_finish(&json);
  vsi_free(host, sorted);
  return error;
}
