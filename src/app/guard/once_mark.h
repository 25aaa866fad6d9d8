/* SPDX-License-Identifier: MIT */
/* Runs whose transaction marks their submission as done: acts and forms of an application. data/sql/once.c shows that
 * at most one of them is committed. */
#ifndef VSI_GUARD_ONCE_MARK_H
#define VSI_GUARD_ONCE_MARK_H

#include <stdbool.h>

#include "http/routes/trie.h"
#include "vestry/app/once.h"

/* Set which routes have such runs, and again_ms of their submissions; before the first request. */
void vsi_once_set_marked(vestry_once *once, bool (*is_marked)(const vsi_route *route), uint64_t again_ms);

/* Writes a mark with this response, which is sealed, if the run still holds the submission, and it has no mark. */
typedef vestry_err (*vsi_once_mark_fn)(void *ctx, const vestry_once_submission *submission, const void *response,
                                       size_t len);

/* Mark the submission of a request, at the end of its transaction, with the response 204, which a repetition gets until
 * the real one is stored.
 *  ctx           passed to mark
 *  ret_has_mark  receives false also if the request is no submission, or its run has no mark
 *  Returns  OK | NO_MEMORY | IO (no randomness) | the error of mark. After an error, roll the transaction back */
vestry_err vsi_once_mark(const vestry_request *req, vsi_once_mark_fn mark, void *ctx, bool *ret_has_mark);

#endif
