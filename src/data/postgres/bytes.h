/* SPDX-License-Identifier: MIT */
/* A reader for binary data in a server's memory format. If the data end too early, a number is 0 and `is_short` is set,
 * so callers check it once at the end. The server's byte order must be that of this machine; the first number of each
 * page of the WAL shows it, and a page with another order is rejected (wal.c). */
#ifndef VSI_POSTGRES_BYTES_H
#define VSI_POSTGRES_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct vsi_postgres_bytes {
  const unsigned char *at;
  size_t len; /* bytes that are left */
  bool is_short;
} vsi_postgres_bytes;

/* Take bytes; NULL: there are not enough. */
static inline const unsigned char *vsi_postgres_take(vsi_postgres_bytes *bytes, size_t len) {
  if (len > bytes->len) {
    bytes->is_short = true;
    bytes->len = 0;
    return NULL;
  }
  const unsigned char *at = bytes->at;
  bytes->at += len;
  bytes->len -= len;
  return at;
}

/* Take `count` items of `size` bytes; NULL: there are not enough. */
static inline const unsigned char *vsi_postgres_take_items(vsi_postgres_bytes *bytes, uint32_t count, size_t size) {
  if (count <= bytes->len / size) return vsi_postgres_take(bytes, count * size);
  return vsi_postgres_take(bytes, SIZE_MAX);
}

static inline uint16_t vsi_postgres_load_u16(const unsigned char *at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}
static inline uint32_t vsi_postgres_load_u32(const unsigned char *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}
static inline uint64_t vsi_postgres_load_u64(const unsigned char *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static inline uint8_t vsi_postgres_take_u8(vsi_postgres_bytes *bytes) {
  const unsigned char *at = vsi_postgres_take(bytes, 1);
  return at ? *at : 0;
}
static inline uint16_t vsi_postgres_take_u16(vsi_postgres_bytes *bytes) {
  const unsigned char *at = vsi_postgres_take(bytes, 2);
  return at ? vsi_postgres_load_u16(at) : 0;
}
static inline uint32_t vsi_postgres_take_u32(vsi_postgres_bytes *bytes) {
  const unsigned char *at = vsi_postgres_take(bytes, 4);
  return at ? vsi_postgres_load_u32(at) : 0;
}

#endif
