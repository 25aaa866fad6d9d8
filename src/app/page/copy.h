/* SPDX-License-Identifier: MIT */
/* A request that outlives the adapter's: what a page is rendered from again and again. In one allocation. */
#ifndef VSI_PAGE_COPY_H
#define VSI_PAGE_COPY_H

#include "http/reply.h"
#include "http/request.h"

typedef struct vsi_request_copy vsi_request_copy;

/* Whose request it is. */
typedef enum vsi_copy_kind {
  VSI_COPY_PRIVATE, /* scope, user, cookies, signals and the headers that pages ask for */
  VSI_COPY_SHARED   /* path and query alone: nothing by which one client differs from another */
} vsi_copy_kind;

/* Copy a request: its path, its route's parameters, its query without the client's signals, and what the kind says. The
 * body is left out. ret_copy: one reference, the caller's; untouched on failure. OK | NO_MEMORY | what the values of
 * the path say. */
vestry_err vsi_request_copy_create(const vestry_request *req, vsi_copy_kind kind, vsi_request_copy **ret_copy);
vsi_request_copy *vsi_request_copy_ref(vsi_request_copy *copy);
void vsi_request_copy_unref(vsi_request_copy *copy); /* NULL is accepted */

/* What a shared copy may know, as bytes: two requests of which these are equal have equal shared copies. */
vestry_slice vsi_request_copy_target(const vsi_request_copy *copy);
const char *vsi_request_copy_path(const vsi_request_copy *copy);
const char *vsi_request_copy_query(const vsi_request_copy *copy);
size_t vsi_request_copy_bytes(const vsi_request_copy *copy);
/* By which tally of the pages' what is rendered from it is counted; 0: by that of all others. To be set before others
 * see it. */
uint16_t vsi_request_copy_tally(const vsi_request_copy *copy);
void vsi_request_copy_set_tally(vsi_request_copy *copy, uint16_t tally);

/* Call a handler with it, as for an ordinary GET. Any thread, several at once.
 * reply: initialised; holds afterwards what the handler filled in. Returns what the handler says. */
vestry_err vsi_request_copy_handle(vsi_request_copy *copy, vestry_reply *reply, vestry_handler_fn handler, void *app);

#endif
