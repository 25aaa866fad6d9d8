/* SPDX-License-Identifier: MIT */
/* Bodies in pieces. The functions that call the application run on a thread of the writer pool, while the connection is
 * suspended. */
#ifndef VSI_MICROHTTPD_STREAMED_BODY_H
#define VSI_MICROHTTPD_STREAMED_BODY_H

#include "adapter/microhttpd/request.h"

typedef enum vsi_microhttpd_turn {
  VSI_MICROHTTPD_GOES_ON,
  VSI_MICROHTTPD_WAITS, /* the connection is suspended, and libmicrohttpd will call again */
  VSI_MICROHTTPD_BREAKS /* the server stops, or too much was discarded after the answer: close the connection */
} vsi_microhttpd_turn;

/* Begin a request whose head is complete. If its route receives pieces, run its guards and begin its writer. */
vsi_microhttpd_turn vsi_microhttpd_streamed_body_begin(vsi_microhttpd_request *request);
/* Take bytes of the body. *len: the number that is left. */
vsi_microhttpd_turn vsi_microhttpd_streamed_body_take(vsi_microhttpd_request *request, const char *bytes, size_t *len);
/* Answer before the end of the body, in pieces or not, because too much of it is unwanted. */
vsi_microhttpd_turn vsi_microhttpd_streamed_body_answer(vsi_microhttpd_request *request);
/* End the writer after the complete body. Call once. */
vsi_microhttpd_turn vsi_microhttpd_streamed_body_close(vsi_microhttpd_request *request);
/* Answer the request, as vestry_serve. */
vestry_err vsi_microhttpd_streamed_body_end(vsi_microhttpd_request *request, vestry_connection **ret_connection);
/* Free a request that is over, and abandon its body if it was in pieces and is not answered. Its connection may be
 * closed already. NULL is accepted. */
void vsi_microhttpd_request_destroy(vsi_microhttpd_request *request);

#endif
