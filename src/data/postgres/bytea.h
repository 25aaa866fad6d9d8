/* SPDX-License-Identifier: MIT */
/* Bytes as PostgreSQL writes them in text: \x and two digits each. */
#ifndef VSI_POSTGRES_BYTEA_H
#define VSI_POSTGRES_BYTEA_H

#include <string.h>

#include "base/hex.h"

#define VSI_POSTGRES_BYTEA_BYTES(len) (2 + 2 * (len) + 1) /* of the text, terminated */

/* Returns text. */
static inline char *vsi_postgres_bytea_write(char *text, const void *bytes, size_t len) {
  text[0] = '\\';
  text[1] = 'x';
  vsi_hex_write(text + 2, bytes, len);
  return text;
}

/* Whether a text is one. NULL is none. */
static inline bool vsi_postgres_bytea_is(const char *text) {
  return text && text[0] == '\\' && text[1] == 'x';
}

/* How many bytes a text says that is one. */
static inline size_t vsi_postgres_bytea_len(const char *text) {
  return (strlen(text) - 2) / 2;
}

static inline void vsi_postgres_bytea_read(void *bytes, const char *text, size_t len) {
  vsi_hex_read(bytes, text + 2, len);
}

#endif
