/* SPDX-License-Identifier: MIT */
/* Ends of submissions that the storage did not take: they are written later, and their submissions are not lost
 * meanwhile. */
#ifndef VSI_GUARD_ONCE_OWED_H
#define VSI_GUARD_ONCE_OWED_H

#include "app/guard/once_stored.h"
#include "app/guard/once_table.h"

/* The end of this record's run could not be written: it is kept, unless too many are. Logs what is dropped for it.
 *  is_undone  it was not done, or has not begun: it is to be forgotten, else finished */
void vsi_once_owed_add(vsi_once_record *record, bool is_undone);
/* Write some, the oldest first, until one fails: before the storage is asked for a submission. Blocks as that does. */
void vsi_once_owed_pay(vsi_once_table *table, const vsi_once_storage *storage);
/* If this submission was not done, and that could not be written yet: the new run goes on under the name of that run,
 * which has the submission in the storage. */
void vsi_once_owed_take_over(vsi_once_table *table, vsi_once_sealed *run);
/* Drop all. */
void vsi_once_owed_finish(vsi_once_table *table);

#endif
