/* SPDX-License-Identifier: MIT */
/* The last closes of an instance. */
#ifndef VSI_OBSERVE_CLOSES_H
#define VSI_OBSERVE_CLOSES_H

#include "instance/instance.h"
#include "vestry/ops/observe.h"

typedef struct vsi_closes vsi_closes;

enum { VSI_CLOSES_MOST = 1000000 };

/* Begin to record closes. count: maximum number of records; 0: the default. OK | INVALID (count) | NO_MEMORY */
vestry_err vsi_closes_create(vestry *v, size_t count, vsi_closes **ret_closes);
/* Wait for threads that are recording, and free. NULL is accepted. */
void vsi_closes_destroy(vsi_closes *closes);

/* look: as vestry_observe_closes, with checked arguments. count: as vestry_observe_close_counts; consoles: the part of
 * the counts that are streams of consoles and tails; NULL: not needed. */
void vsi_closes_look(vsi_closes *closes, const vestry_close_query *query, vestry_close_info_fn fn, void *ctx,
                     uint64_t *ret_next);
/* Get the close of one stream. OK | NOT_FOUND (not recorded, or overwritten) */
vestry_err vsi_closes_find(vsi_closes *closes, uint64_t id, vestry_close_info *ret_info);
void vsi_closes_count(vsi_closes *closes, uint64_t counts[VESTRY_CAUSES_MAX], uint64_t consoles[VESTRY_CAUSES_MAX]);

#endif
