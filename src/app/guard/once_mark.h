/* SPDX-License-Identifier: MIT */
/* Runs whose transaction marks their submission as done: acts and forms of an application. data/sql/once.c shows that
 * at most one of them is committed. */
#ifndef VSI_GUARD_ONCE_MARK_H
#define VSI_GUARD_ONCE_MARK_H

#include <stdbool.h>

#include "http/routes/routes.h"
#include "vestry/adapter.h"
#include "vestry/app/once.h"

/* Set which routes have such runs, and again_ms of their submissions; before the first request. */
void vsi_once_set_marked(vestry_once *once, bool (*is_marked)(const vsi_route *route), uint64_t again_ms);

/* Writes a mark with this response, which is sealed, if the run still holds the submission, and it has no mark. */
typedef vestry_err (*vsi_once_mark_fn)(void *ctx, const vestry_once_submission *submission, const void *response,
                                       size_t len);

/* Return whether a request is a submission whose transaction marks it. */
bool vsi_once_has_mark(const vestry_request *req);
/* Mark such a submission, at the end of its transaction, with a response, which a repetition gets until the real one is
 * stored; 204 if the response is too large to be stored.
 *  ctx      passed to mark
 *  Returns  OK | NO_MEMORY | IO (no randomness) | the error of mark. After an error, roll the transaction back */
vestry_err vsi_once_mark(const vestry_request *req, const vestry_response *response, vsi_once_mark_fn mark, void *ctx);

#endif
