/* SPDX-License-Identifier: MIT */
/* The limit on the size of a WAL. */
#ifndef VSI_SQLITE_CHECKPOINT_H
#define VSI_SQLITE_CHECKPOINT_H

#include "data/sqlite/pool.h"

/* If the WAL is too large after a commit, copy it into the database and empty it. The connection is still the pool's
 * writer. Blocks on the disk, and waits for threads that read, at most a quarter of a second. */
void vsi_sqlite_checkpoint(vsi_sqlite_conn *conn);

#endif
