/* SPDX-License-Identifier: MIT */
/* What every adapter must do, whatever its server: run once for each. A seam is an adapter with a client at its far
 * end. Everything waits for what it asks for, and fails the test when that does not come. */
#ifndef TESTS_TESTING_CONTRACT_H
#define TESTS_TESTING_CONTRACT_H

#include "vestry/adapter.h"

typedef struct contract_ask {
  const char *method, *path; /* NULL: GET, / */
  const char *query;         /* NULL: none */
  bool datastar;
  const vestry_header *headers;
  size_t headers_count;
  const void *body;
  size_t body_len;
  bool no_length; /* the body is sent without its length */
  bool breaks;    /* the body is promised to be longer than it is */
} contract_ask;

typedef struct contract_seam {
  const char *name;
  /* An instance behind a server with room for so many streams. options: all but host, runtime and threads. */
  void *(*start)(const vestry_options *options, unsigned room);
  vestry *(*instance)(void *server);
  /* Stop, with whatever is still open; after it no hook runs. Then free, and check that nothing is left. */
  void (*stop)(void *server);
  void (*destroy)(void *server);
  /* Let everything run that is ready, and let time pass. */
  void (*settle)(void *server);
  void (*pass_ms)(void *server, uint64_t ms);

  void *(*ask)(void *server, const contract_ask *ask); /* sends; an exchange */
  int (*status)(void *exchange);
  const char *(*header)(void *exchange, const char *name); /* NULL: none */
  void (*expect)(void *exchange, const char *text);        /* the text comes, in the body */
  vestry_slice (*body)(void *exchange);                    /* of an answer, whole; of a stream, so far */
  bool (*end)(void *exchange);                             /* the stream ends: cleanly? */
  void (*hang_up)(void *exchange);
  void (*forget)(void *exchange); /* hang up if need be, and free */

  bool closes_broken;   /* a request whose body breaks off is not answered: the server closes the connection */
  bool no_peer_address; /* the peer's is "" */
} contract_seam;

/* Returns the number of failed tests. */
int contract_run(const contract_seam *seam);

#endif
