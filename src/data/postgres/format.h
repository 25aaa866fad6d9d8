/* SPDX-License-Identifier: MIT */
/* The differences between the WAL formats of PostgreSQL's major versions. Everything else that is read here is the same
 * in 13 to 18. */
#ifndef VSI_POSTGRES_FORMAT_H
#define VSI_POSTGRES_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct vsi_postgres_format {
  unsigned major;
  uint16_t magic;           /* the first number of each page */
  uint8_t compressed;       /* flags that mark the image of a page as compressed */
  uint8_t statistics_bytes; /* size of an entry of dropped statistics at the end of a transaction; 0: there are none */
  uint8_t locks_all;        /* first minor version whose bitmap scans lock all rows that they count */
} vsi_postgres_format;

/* Return the format of a version; static. NULL: an unknown version, in whose WAL the same bytes may have another
 * meaning. */
const vsi_postgres_format *vsi_postgres_format_of(unsigned major);
/* Return whether a server of that version (150013: 15.13) locks everything that it reads. In earlier versions, a bitmap
 * scan that needs no column locks no rows on pages that are all-visible. */
bool vsi_postgres_format_locks_all(unsigned version);
/* Return the version whose pages begin with that number, for messages; 0: unknown. */
unsigned vsi_postgres_format_major(uint16_t magic);

#endif
