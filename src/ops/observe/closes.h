/* SPDX-License-Identifier: MIT */
/* The last closes of an instance. */
#ifndef VSI_OBSERVE_CLOSES_H
#define VSI_OBSERVE_CLOSES_H

#include "instance/instance.h"
#include "vestry/ops/observe.h"

typedef struct vsi_closes vsi_closes;

enum { VSI_CLOSES_MOST = 1000000 };

/* Note closes from here on. count: so many are kept; 0: the default. OK | INVALID (count) | NO_MEMORY */
vestry_err vsi_closes_create(vestry *v, size_t count, vsi_closes **ret_closes);
/* Waits for threads that are just noting one. NULL is accepted. */
void vsi_closes_destroy(vsi_closes *closes);

/* As vestry_observe_closes and vestry_observe_close_counts, whose arguments were checked. consoles: how many of them
 * were consoles' and tails'; NULL: that is not asked. */
void vsi_closes_look(vsi_closes *closes, const vestry_close_query *query, vestry_close_info_fn fn, void *ctx,
                     uint64_t *ret_next);
/* The close of one stream. OK | NOT_FOUND: it is not among those that are kept */
vestry_err vsi_closes_find(vsi_closes *closes, uint64_t id, vestry_close_info *ret_info);
void vsi_closes_count(vsi_closes *closes, uint64_t counts[VESTRY_CAUSES_MAX], uint64_t consoles[VESTRY_CAUSES_MAX]);

#endif
