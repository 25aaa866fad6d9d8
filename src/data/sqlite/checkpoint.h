/* SPDX-License-Identifier: MIT */
/* The bound of a WAL's size. */
#ifndef VSI_SQLITE_CHECKPOINT_H
#define VSI_SQLITE_CHECKPOINT_H

#include "data/sqlite/loan.h"

/* After a commit of this loan, which still has the turn to write: if the WAL is too large, bring it into the database
 * and empty it. Blocks on the disk, and waits for threads that read for a quarter of a second at most. */
void vsi_sqlite_checkpoint(vsi_sqlite_loan *loan);

#endif
