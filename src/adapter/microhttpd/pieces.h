/* SPDX-License-Identifier: MIT */
/* Bodies that come in pieces. What calls the application is done by a thread of the writers', while the connection is
 * suspended. */
#ifndef VSI_MICROHTTPD_PIECES_H
#define VSI_MICROHTTPD_PIECES_H

#include "adapter/microhttpd/request.h"

typedef enum vsi_microhttpd_turn {
  VSI_MICROHTTPD_GOES_ON,
  VSI_MICROHTTPD_WAITS, /* the connection is suspended, and libmicrohttpd asks again */
  VSI_MICROHTTPD_BREAKS /* the server stops, or enough is enough: the connection is to be closed */
} vsi_microhttpd_turn;

/* A request's head is there: if its route takes pieces, its guards look and its writer begins. */
vsi_microhttpd_turn vsi_microhttpd_pieces_begin(vsi_microhttpd_request *request);
/* Take some of the body. *len: what is left of it */
vsi_microhttpd_turn vsi_microhttpd_pieces_take(vsi_microhttpd_request *request, const char *bytes, size_t *len);
/* The body is whole: its writer ends. Once */
vsi_microhttpd_turn vsi_microhttpd_pieces_close(vsi_microhttpd_request *request);
/* The request is answered. As vestry_serve */
vestry_err vsi_microhttpd_pieces_end(vsi_microhttpd_request *request, vestry_connection **ret_connection);
/* A request is over, whether its body came in pieces or not: what is not answered is broken off. It is freed; its
 * connection may have gone. NULL is accepted. */
void vsi_microhttpd_request_destroy(vsi_microhttpd_request *request);

#endif
