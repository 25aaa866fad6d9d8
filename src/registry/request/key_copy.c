#include "registry/request/key_copy.h"

#include <string.h>

#include "base/memory.h"
#include "store/key.h"

/* Parts and bytes below a part. Bounded: the key has been measured, so it is shallow and its encoding short. */
static void count_part(const vestry_key *key, size_t *parts, size_t *bytes) {
  if (key->type == VESTRY_KEY_TUPLE) {
    *parts += key->len;
    for (size_t i = 0; i < key->len; i++) count_part(&key->parts[i], parts, bytes);
  } else if (key->type != VESTRY_KEY_INTEGER) {
    *bytes += key->len;
  }
}

static void copy_part(const vestry_key *from, vestry_key *to, vestry_key **parts, char **bytes) {
  *to = *from;
  if (from->type == VESTRY_KEY_TUPLE) {
    vestry_key *own = *parts;
    *parts += from->len;
    to->parts = own;
    for (size_t i = 0; i < from->len; i++) copy_part(&from->parts[i], &own[i], parts, bytes);
  } else if (from->type != VESTRY_KEY_INTEGER) {
    if (from->len) memcpy(*bytes, from->data, from->len);
    to->data = *bytes;
    *bytes += from->len;
  }
}

vestry_err vsi_key_copy(const vestry_host *host, const vestry_key *key, vestry_key **ret_copy) {
  size_t encoded_len;
  vestry_err error = vsi_key_measure(key, &encoded_len);
  if (error) return error;
  size_t parts_count = 1, bytes_count = 0;
  count_part(key, &parts_count, &bytes_count);
  vestry_key *copy = vsi_alloc(host, parts_count * sizeof *copy + bytes_count);
  if (!copy) return VESTRY_NO_MEMORY;
  vestry_key *parts = copy + 1;
  char *bytes = (char *)(copy + parts_count);
  copy_part(key, copy, &parts, &bytes);
  *ret_copy = copy;
  return VESTRY_OK;
}
