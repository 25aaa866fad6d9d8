/* SPDX-License-Identifier: MIT */
/* The suite `requests` runs over a seam: an adapter with a client at its other end. All functions wait for their
 * result, and fail the case if it does not arrive. The memory adapter has a seam, too. */
#ifndef VSI_TESTING_CONTRACT_SEAM_H
#define VSI_TESTING_CONTRACT_SEAM_H

#include "testing/contract/check.h"
#include "vestry/adapter.h"

typedef struct vsi_contract_call {
  const char *method, *path; /* NULL: GET, / */
  const char *query;         /* NULL: none */
  bool datastar;
  const vestry_header *headers;
  size_t headers_count;
  const void *body;
  size_t body_len;
  bool no_length; /* the body is sent without its length */
  bool breaks;    /* the body is shorter than announced */
} vsi_contract_call;

typedef struct vsi_contract_seam {
  /* Create an instance behind a server with room for this many streams. options: all but host, runtime and threads. */
  void *(*start)(const vestry_options *options, unsigned room);
  vestry *(*instance)(void *server);
  /* Stop, even with open streams; after it no hook runs. Then free, and check that nothing is leaked. */
  void (*stop)(void *server);
  void (*destroy)(void *server);
  /* Run all ready work; let time pass. */
  void (*settle)(void *server);
  void (*pass_ms)(void *server, uint64_t ms);

  void *(*ask)(void *server, const vsi_contract_call *call); /* send a request, and return an exchange */
  int (*status)(void *exchange);
  const char *(*header)(void *exchange, const char *name); /* NULL: none */
  void (*expect)(void *exchange, const char *text);        /* wait for the text in the body */
  vestry_slice (*body)(void *exchange);                    /* of a response, whole; of a stream, as received so far */
  bool (*end)(void *exchange); /* wait for the end of the stream, and return whether it is clean */
  void (*hang_up)(void *exchange);
  void (*forget)(void *exchange); /* hang up if necessary, and free */

  bool closes_broken;   /* a request with an incomplete body gets no response: the server closes the connection */
  bool no_peer_address; /* the peer address is "" */
} vsi_contract_seam;

/* The seam of the suite's cases; set it before the suite runs. */
extern const vsi_contract_seam *vsi_seam;
/* Return the seam of the server under test, with a client over a socket. */
const vsi_contract_seam *vsi_socket_seam(void);

#endif
