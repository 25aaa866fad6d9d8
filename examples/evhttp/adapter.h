/* SPDX-License-Identifier: MIT */
/* vestry in a server of libevent (evhttp). The guide explains the adapter: docs/guide/adapters.md */
#ifndef EXAMPLES_EVHTTP_ADAPTER_H
#define EXAMPLES_EVHTTP_ADAPTER_H
#include <event2/event.h>
#include <event2/http.h>

#include "vestry/adapter.h"

typedef struct adapter adapter;

/* Serve the routes of an instance with VESTRY_THREADS_NONE: one loop serves all requests, writes all streams and fires
 * all timers. stalled_ms: how long the peer of a stream may read nothing. Call this before the loop runs. */
vestry_err adapter_create(vestry *v, struct event_base *base, struct evhttp *http, uint32_t max_streams,
                          unsigned stalled_ms, adapter **ret_adapter);
/* End all streams, and free the adapter; in a child process of fork, do nothing. Call this after the loop, and before
 * evhttp_free. To stop earlier, call vestry_close: requests get 503, and the streams end while the loop runs. */
void adapter_destroy(adapter *a);
#endif
