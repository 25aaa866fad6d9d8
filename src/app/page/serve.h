/* SPDX-License-Identifier: MIT */
/* Serving a page: the document to a browser, the stream to its client. */
#ifndef VSI_PAGE_SERVE_H
#define VSI_PAGE_SERVE_H

#include <stdbool.h>

#include "app/page/view.h"

/* Something may have been written to a stream; as on_written (connection/connection.h). */
bool vsi_page_written(vestry_connection *connection);

/* The viewer of these pages that a stream is; NULL: it is none, or not any more. ret_view: that of its own of a private
 * page; NULL: the page is shared, and the first of its seats is of it. With the lock, which keeps it. Any thread. */
vsi_viewer *vsi_page_viewer(vestry_pages *pages, vestry_connection *connection, vsi_view **ret_view);

#endif
