/* SPDX-License-Identifier: MIT */
/* What differs in the WAL of PostgreSQL's major versions. All else that is read here is the same in 13 to 18. */
#ifndef VSI_POSTGRES_FORMAT_H
#define VSI_POSTGRES_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct vsi_postgres_format {
  unsigned major;
  uint16_t magic;           /* the first number of each page */
  uint8_t compressed;       /* an image of a page is compressed if it has one of these flags */
  uint8_t statistics_bytes; /* of each entry of dropped statistics at the end of a transaction; 0: there are none */
  uint8_t locks_all;        /* the first minor version whose bitmap scans lock all rows that they count */
} vsi_postgres_format;

/* Static; NULL for a version that is not known here: its WAL may say other things by the same bytes. */
const vsi_postgres_format *vsi_postgres_format_of(unsigned major);
/* Whether a server of that version (150013: 15.13) locks all that it reads. Before, a bitmap scan that wants no column
 * takes no lock of rows on pages that are all visible. */
bool vsi_postgres_format_locks_all(unsigned version);
/* The version whose pages begin with that number, for messages; 0: none that is known. */
unsigned vsi_postgres_format_major(uint16_t magic);

#endif
