/* SPDX-License-Identifier: MIT */
/* The effects of a record on rows and on leaves of indexes that can change the result of a query. Operations that only
 * move bytes (vacuum, pruning, page images, locks, upper pages of indexes) have none. */
#ifndef VSI_POSTGRES_TOUCHED_H
#define VSI_POSTGRES_TOUCHED_H

#include "data/postgres/wal.h"

typedef enum vsi_postgres_touch {
  VSI_POSTGRES_INSERTED, /* a row, or a new version of a row, inserted into a table */
  VSI_POSTGRES_CHANGED,  /* a row: a newer version exists, or it is deleted */
  VSI_POSTGRES_ENTERED,  /* an entry inserted into a leaf of a B-tree */
  VSI_POSTGRES_MOVED     /* entries of a leaf, or their range, moved to another leaf; also if the transaction aborts */
} vsi_postgres_touch;

typedef struct vsi_postgres_touched {
  vsi_postgres_touch touch;
  uint32_t database; /* 0: a table of all databases */
  uint32_t relation; /* the number of its file */
  uint32_t block;
  uint32_t to;     /* MOVED: the other block */
  uint16_t offset; /* CHANGED: the row of the block, from 1 */
} vsi_postgres_touched;

enum { VSI_POSTGRES_TOUCHED_MAX = 2 };

/* Read the effects of a record, in their order. OK | MALFORMED (a block or number that such a record must have is
 * missing) */
vestry_err vsi_postgres_touched_read(const vsi_postgres_record *record,
                                     vsi_postgres_touched ret_touched[VSI_POSTGRES_TOUCHED_MAX], size_t *ret_count);

#endif
