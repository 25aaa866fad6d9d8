/* SPDX-License-Identifier: MIT */
/* Paths of signals. Removal: for any paths, the event is an object in which each path, or a prefix of it, ends at a
 * null, and there are no other nulls. Reading: any path in any signals is found, or rejected with a message.
 * Input: paths, each ended by a NUL, and then JSON text. */
#include "event/layout.h"
#include "fuzz/target.h"
#include "vestry/event.h"
#include "vestry/signals.h"

enum { MAX_PATHS = 16 };

static size_t count_nulls(const json_t *value) {
  size_t nulls = 0;
  const char *name;
  json_t *inner;
  if (json_is_null(value)) return 1;
  require(json_is_object(value) && json_object_size(value));
  json_object_foreach((json_t *)(uintptr_t)value, name, inner) nulls += count_nulls(inner);
  return nulls;
}

static void check_removed(const json_t *object, const char *path) {
  while (json_is_object(object)) {
    size_t len = strcspn(path, ".");
    object = json_object_getn(object, path, len);
    path += len + (path[len] == '.');
  }
  require(json_is_null(object));
}

static void try_remove(const char *const *paths, size_t count) {
  vestry_event *event = NULL;
  vestry_err error = vsi_event_remove_signals(NULL, paths, count, NULL, &event);
  require(error == VESTRY_OK || error == VESTRY_INVALID || error == VESTRY_TOO_LARGE);
  if (error) return;
  static const char head[] = "event: datastar-patch-signals\ndata: signals ";
  vestry_slice bytes = vestry_event_bytes(event);
  require(bytes.len > sizeof head && memcmp(bytes.data, head, sizeof head - 1) == 0);
  size_t len = bytes.len - (sizeof head - 1) - 2;
  json_t *object = json_loadb((const char *)bytes.data + sizeof head - 1, len, JSON_REJECT_DUPLICATES, NULL);
  require(json_is_object(object));
  require(count_nulls(object) <= count);
  for (size_t i = 0; i < count; i++) check_removed(object, paths[i]);
  json_decref(object);
  vestry_event_unref(event);
}

static void check_refused(vestry_err error, const char *path, const vestry_signals_error *why) {
  require(error == VESTRY_NOT_FOUND || error == VESTRY_INVALID || error == VESTRY_MALFORMED);
  require(why->offset <= strlen(path) && why->message[0] && memchr(why->message, '\0', sizeof why->message));
}

static void try_read(const json_t *signals, const char *path) {
  vestry_signals_error why = {.offset = SIZE_MAX};
  json_t *value = NULL;
  vestry_err error = vestry_signals_get(signals, path, VESTRY_INTO(&value), &why);
  if (error) check_refused(error, path, &why);
  require(!error == (value != NULL));
  const char *text = NULL;
  error = vestry_signals_get(signals, path, VESTRY_INTO(&text), &why);
  if (error) check_refused(error, path, &why);
  require(!error == json_is_string(value));
  int64_t integer = 0;
  error = vestry_signals_get(signals, path, vestry_into_between(&integer, -100, 100), &why);
  if (error) check_refused(error, path, &why);
  require(!error ==
          (json_is_integer(value) && json_integer_value(value) == integer && integer >= -100 && integer <= 100));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *at = (const char *)data, *end = at + size, *paths[MAX_PATHS];
  size_t count = 0;
  for (const char *zero; count < MAX_PATHS && at < end && (zero = memchr(at, 0, (size_t)(end - at))); at = zero + 1)
    paths[count++] = at;
  if (!count) return 0;
  try_remove(paths, count);
  json_t *signals = NULL;
  if (vestry_signals_parse(at, (size_t)(end - at), NULL, &signals, NULL)) return 0;
  for (size_t i = 0; i < count; i++) try_read(signals, paths[i]);
  json_decref(signals);
  return 0;
}
