/* SPDX-License-Identifier: MIT */
/* What is known of a stream of a page, for people who look at it. */
#ifndef VSI_PAGE_EXPLAIN_H
#define VSI_PAGE_EXPLAIN_H

#include "app/page/pages.h"
#include "vestry/connection.h"

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
