/* SPDX-License-Identifier: MIT */
/* The table of the WAL formats of all supported major versions. */
#include "data/postgres/format.h"

#include <stddef.h>

enum { COMPRESSED_13 = 0x02, COMPRESSED_15 = 0x04 | 0x08 | 0x10 /* PGLZ, LZ4, Zstandard */ };

static const vsi_postgres_format formats[] = {{13, 0xD106, COMPRESSED_13, 0, 21},  {14, 0xD10D, COMPRESSED_13, 0, 18},
                                              {15, 0xD110, COMPRESSED_15, 12, 13}, {16, 0xD113, COMPRESSED_15, 12, 9},
                                              {17, 0xD116, COMPRESSED_15, 12, 5},  {18, 0xD118, COMPRESSED_15, 16, 0}};

const vsi_postgres_format *vsi_postgres_format_of(unsigned major) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].major == major) return &formats[i];
  return NULL;
}

bool vsi_postgres_format_locks_all(unsigned version) {
  const vsi_postgres_format *format = vsi_postgres_format_of(version / 10000);
  return format && version % 10000 >= format->locks_all;
}

unsigned vsi_postgres_format_major(uint16_t magic) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].magic == magic) return formats[i].major;
  return 0;
}
