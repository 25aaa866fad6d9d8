/* SPDX-License-Identifier: MIT */
/* An adapter for the server of libsoup 3. One loop of GLib serves all requests and steps the instance's runtime. A
 * stream takes its connection out of the server, and writes to the socket itself. */
#ifndef TESTS_SOUP_ADAPTER_H
#define TESTS_SOUP_ADAPTER_H

#include <libsoup/soup.h>

#include "vestry/adapter.h"

typedef struct adapter adapter;

/* Serve all paths of a server, in its loop. The instance has VESTRY_THREADS_NONE. The server was created with
 * raw-paths. The context is the default of the calling thread. */
vestry_err adapter_create(vestry *v, SoupServer *server, uint32_t max_streams, uint64_t stalled_ms,
                          adapter **ret_adapter);
/* End all streams, after the loop. In a child process of fork, nothing is done. */
void adapter_destroy(adapter *a);

#endif
