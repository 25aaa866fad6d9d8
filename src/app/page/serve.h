/* SPDX-License-Identifier: MIT */
/* Serving a page: documents to browsers, streams to their clients. */
#ifndef VSI_PAGE_SERVE_H
#define VSI_PAGE_SERVE_H

#include <stdbool.h>

#include "app/page/pages.h"

/* Check a stream after events may have been written, as on_written (connection/connection.h). state: not used. */
bool vsi_page_written(void *state, vestry_connection *connection);

/* A description of the stream of a page, for operators. */

/* Receives the path of a page, then each topic of the page and of its parts. Called under the lock of the pages, so the
 * functions may only copy. */
typedef struct vsi_page_sink {
  void (*path)(const char *path, void *ctx);
  void (*topic)(const char *name, size_t len, void *ctx);
  void *ctx;
} vsi_page_sink;

/* Describe the page to which a stream belongs. Returns whether it is a page of `pages`. Any thread that
 * holds a reference. */
VESTRY_API bool vsi_page_explain(vestry_pages *pages, vestry_connection *connection, const vsi_page_sink *sink);

#endif
