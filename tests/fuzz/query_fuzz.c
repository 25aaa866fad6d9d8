/* SPDX-License-Identifier: MIT */
/* Query strings: any bytes. Input: a name, a NUL, the query. */
#include "event/query.h"
#include "fuzz/target.h"
#include "vestry/signals.h"

/* A value must be the same in a large buffer and in one of the exact size, and must not fit into one byte less. */
static void check_value(const char *query, size_t len, const char *name) {
  char *buffer = malloc(len + 1);
  require(buffer != NULL);
  size_t value_len = SIZE_MAX;
  vestry_err error = vsi_query_value(query, len, name, buffer, len + 1, &value_len);
  require(error == VESTRY_OK || error == VESTRY_NOT_FOUND || error == VESTRY_MALFORMED);
  if (!error) {
    require(value_len <= len && buffer[value_len] == '\0');
    char *exact = malloc(value_len + 1);
    require(exact != NULL);
    size_t again_len = 0;
    require(vsi_query_value(query, len, name, exact, value_len + 1, &again_len) == VESTRY_OK);
    require(again_len == value_len && memcmp(buffer, exact, value_len + 1) == 0);
    require(vsi_query_value(query, len, name, exact, value_len, &again_len) == VESTRY_TOO_LARGE);
    free(exact);
  }
  free(buffer);
}

/* The signals of the query equal those of its decoded value. */
static void check_signals(const char *query, size_t len) {
  char *buffer = malloc(len + 1);
  require(buffer != NULL);
  size_t value_len = 0;
  vestry_err found = vsi_query_value(query, len, "datastar", buffer, len + 1, &value_len);
  json_t *signals = NULL, *expected = NULL;
  vestry_signals_error why = {.offset = SIZE_MAX};
  vestry_err error = vsi_signals_parse_query(NULL, query, len, NULL, &signals, &why);
  if (found == VESTRY_MALFORMED) {
    require(error == VESTRY_MALFORMED && why.offset < len && query[why.offset] == '%');
  } else {
    require(vestry_signals_parse(buffer, found ? 0 : value_len, NULL, &expected, NULL) == error);
    if (!error) require(json_equal(signals, expected));
  }
  json_decref(signals);
  json_decref(expected);
  free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
  if (!zero) return 0;
  const char *query = (const char *)zero + 1;
  size_t len = size - (size_t)(query - (const char *)data);
  check_value(query, len, (const char *)data);
  check_signals(query, len);
  return 0;
}
