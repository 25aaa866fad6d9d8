/* SPDX-License-Identifier: MIT */
/* Serving a page: the document to a browser, the stream to its client. */
#ifndef VSI_PAGE_SERVE_H
#define VSI_PAGE_SERVE_H

#include <stdbool.h>

#include "vestry/connection.h"

/* Something may have been written to a stream; as on_written (connection/connection.h). */
bool vsi_page_written(vestry_connection *connection);

#endif
