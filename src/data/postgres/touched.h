/* SPDX-License-Identifier: MIT */
/* What a record says that its transaction did to rows and to leaves of indexes: all that can change what a query finds.
 * What only moves bytes about (vacuum, pruning, images of pages, locks, upper pages of indexes) is nothing here. */
#ifndef VSI_POSTGRES_TOUCHED_H
#define VSI_POSTGRES_TOUCHED_H

#include "data/postgres/wal.h"

typedef enum vsi_postgres_touch {
  VSI_POSTGRES_INSERTED, /* a row, or a new version of one, into a table */
  VSI_POSTGRES_CHANGED,  /* a row: there is a newer version, or it is deleted */
  VSI_POSTGRES_ENTERED,  /* an entry into a leaf of a B-tree */
  VSI_POSTGRES_MOVED     /* entries of a leaf, or their range, to another leaf; also if the transaction aborts */
} vsi_postgres_touch;

typedef struct vsi_postgres_touched {
  vsi_postgres_touch touch;
  uint32_t database; /* 0: a table of all databases */
  uint32_t relation; /* the number of its file */
  uint32_t block;
  uint32_t to;     /* MOVED: the other block */
  uint16_t offset; /* CHANGED: which row of the block, from 1 */
} vsi_postgres_touched;

enum { VSI_POSTGRES_TOUCHED_MAX = 2 };

/* In the order in which the record did it. OK | MALFORMED (a block or a number that such a record has is missing) */
vestry_err vsi_postgres_touched_read(const vsi_postgres_record *record,
                                     vsi_postgres_touched ret_touched[VSI_POSTGRES_TOUCHED_MAX], size_t *ret_count);

#endif
