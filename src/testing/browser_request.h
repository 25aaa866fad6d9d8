/* SPDX-License-Identifier: MIT */
/* Requests of the browser of tests, for its pages. */
#ifndef VSI_TESTING_BROWSER_REQUEST_H
#define VSI_TESTING_BROWSER_REQUEST_H

#include "base/buffer.h"
#include "vestry/testing/browser.h"

enum { VSI_BROWSER_HEADERS = 4 };

/* A request to be sent. */
typedef struct vsi_browser_request {
  const char *method, *url, *type; /* type: of the body; NULL: none */
  vsi_buffer path, query, cookies, body;
  vestry_header more[VSI_BROWSER_HEADERS]; /* borrowed texts */
  size_t more_count;
  bool datastar;
  bool is_repeated; /* if no server accepts it, or its connection ends without a response; with the header X-Once also
                       after 502, 503 and 504 */
} vsi_browser_request;

void vsi_browser_request_init(const vestry_browser *browser, vsi_browser_request *request);
void vsi_browser_request_finish(vsi_browser_request *request);
/* Send it, and store the cookies of the response. Returns as vestry_browser_send. */
vestry_err vsi_browser_request_send(vestry_browser *browser, vsi_browser_request *request,
                                    vestry_memory_exchange **ret_exchange);
/* Append a field of a form to the body, or to the query. */
void vsi_browser_put_field(vsi_buffer *to, const char *name, const char *value);
/* Append signals as the client does: to the query with GET and DELETE, else as the body. OK | NO_MEMORY */
vestry_err vsi_browser_put_signals(vsi_browser_request *request, const json_t *signals);
/* Return the host of a browser. */
const vestry_host *vsi_browser_host(const vestry_browser *browser);
/* Let the instance run all ready work; a server runs by itself. */
void vsi_browser_settle(const vestry_browser *browser);
/* Return whether the browser uses a server through the network, which may end streams. */
bool vsi_browser_is_remote(const vestry_browser *browser);

#endif
