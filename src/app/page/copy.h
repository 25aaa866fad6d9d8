/* SPDX-License-Identifier: MIT */
/* A copy of a request that outlives the request of the adapter. A page is rendered from it repeatedly. The copy is one
 * allocation. */
#ifndef VSI_PAGE_COPY_H
#define VSI_PAGE_COPY_H

#include <string.h>

#include "base/refs.h"
#include "http/reply.h"
#include "http/request.h"

typedef struct vsi_request_copy {
  vsi_refs refs;
  uint32_t bytes; /* of this allocation */
  uint32_t scope_len;
  uint16_t tally; /* index of the tally that counts the renders of this copy, in the tallies of the pages; 0: the tally
                     of all others. Set it before other threads see the copy */
  uint8_t pairs_count, headers_count;
  bool is_shared; /* VSI_COPY_SHARED */
  bool has_guest;
  vestry *v;
  struct vsi_session_user *user; /* a reference; NULL: no user is logged in */
  const char *signals;           /* a query with the signals only; "": the client sent none */
  /* In this order: path and query (the target); signals; the parameters of the path, each as name and value; headers,
   * each as name and value; the guest's name (app/session/guest.h), if there is one; scope. Each is terminated, except
   * the scope. */
  char path[];
} vsi_request_copy;

/* The data of a request that a copy contains. */
typedef enum vsi_copy_kind {
  VSI_COPY_PRIVATE, /* scope, user, cookies, signals and the headers that identify user and client */
  VSI_COPY_SHARED   /* only path and query, so that the copies of all clients are equal */
} vsi_copy_kind;

/* Copy a request: its path, the parameters of its route, its query without the client's signals, and the data that the
 * kind names. The body is not copied.
 * ret_copy: one reference, owned by the caller; untouched on failure. Returns OK | NO_MEMORY | the error of the path's
 * parameters. */
vestry_err vsi_request_copy_create(const vestry_request *req, vsi_copy_kind kind, vsi_request_copy **ret_copy);
vsi_request_copy *vsi_request_copy_ref(vsi_request_copy *copy);
void vsi_request_copy_unref(vsi_request_copy *copy); /* NULL is accepted */

static inline const char *vsi_request_copy_query(const vsi_request_copy *copy) {
  return copy->path + strlen(copy->path) + 1;
}
/* Get the bytes that a shared copy is made of: two requests with equal targets have equal shared copies. */
static inline vestry_slice vsi_request_copy_target(const vsi_request_copy *copy) {
  return (vestry_slice){copy->path, (size_t)(copy->signals - copy->path)};
}

/* Call a handler with the copy, as for an ordinary GET. Any thread; concurrent calls are allowed.
 * reply: initialised; contains the data that the handler set.
 * Returns the handler's error | INVALID (the handler returned the error of a reply function that refused its arguments)
 * | NO_MEMORY (also if the reply ran out of memory). */
vestry_err vsi_request_copy_handle(vsi_request_copy *copy, vestry_reply *reply, vestry_handler_fn handler, void *app);

#endif
