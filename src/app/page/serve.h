/* SPDX-License-Identifier: MIT */
/* Serving a page: the document to a browser, the stream to its client. */
#ifndef VSI_PAGE_SERVE_H
#define VSI_PAGE_SERVE_H

#include <stdbool.h>

#include "app/page/fragment.h"
#include "app/page/pages.h"

/* Something may have been written to a stream; as on_written (connection/connection.h). */
bool vsi_page_written(vestry_connection *connection);

/* The viewer of these pages that a stream is; NULL: it is none, or not any more. ret_fragment: that of its own of a
 * private page; NULL: the page is shared, and the first of its subscriptions is of it. With the lock, which keeps it.
 * Any thread. */
vsi_viewer *vsi_page_viewer(vestry_pages *pages, vestry_connection *connection, vsi_fragment **ret_fragment);

/* What is known of a stream of a page, for people who look at it. */

/* Told where a page is from, then of its topics and those of its parts, one by one; under the lock of pages: it copies,
 * and does nothing else. */
typedef struct vsi_page_told {
  void (*path)(const char *path, void *ctx);
  void (*topic)(const char *name, size_t len, void *ctx);
  void *ctx;
} vsi_page_told;

/* Tell of the page whose stream a connection is, if it is one of these. Returns whether it is. Any thread that holds a
 * reference. */
VESTRY_API bool vsi_page_explain(vestry_pages *pages, vestry_connection *connection, const vsi_page_told *told);

#endif
