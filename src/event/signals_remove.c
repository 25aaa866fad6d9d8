/* SPDX-License-Identifier: MIT */
/* Removing signals: paths are converted into one JSON object of nulls. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "event/layout.h"
#include "json/json.h"
#include "json/write.h"

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
  vestry_signals_options own = {0};
  vestry_err error = VSI_OPTIONS_TAKE(vestry_signals_options, own, options);
  if (error) return error;
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
