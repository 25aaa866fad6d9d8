/* SPDX-License-Identifier: MIT */
/* Bytes in PostgreSQL's text format: \x and two hexadecimal digits each. */
#ifndef VSI_POSTGRES_BYTEA_H
#define VSI_POSTGRES_BYTEA_H

#include <string.h>

#include "base/hex.h"

#define VSI_POSTGRES_BYTEA_BYTES(len) (2 + 2 * (len) + 1) /* size of the text with its NUL */

/* Write bytes as text. Returns text. */
static inline char *vsi_postgres_bytea_write(char *text, const void *bytes, size_t len) {
  text[0] = '\\';
  text[1] = 'x';
  vsi_hex_write(text + 2, bytes, len);
  return text;
}

/* Return whether a text has this format. NULL: no. */
static inline bool vsi_postgres_bytea_is(const char *text) {
  return text && text[0] == '\\' && text[1] == 'x';
}

/* Return the number of bytes in a text of this format. */
static inline size_t vsi_postgres_bytea_len(const char *text) {
  return (strlen(text) - 2) / 2;
}

static inline void vsi_postgres_bytea_read(void *bytes, const char *text, size_t len) {
  vsi_hex_read(bytes, text + 2, len);
}

#endif
