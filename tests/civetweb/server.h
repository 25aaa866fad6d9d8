/* SPDX-License-Identifier: MIT */
/* A civetweb server with vestry on its own port. */
#ifndef TESTS_CIVETWEB_SERVER_H
#define TESTS_CIVETWEB_SERVER_H

#include <civetweb.h>

#include "support/patience.h"
#include "testing/contract/check.h"
#include "testing/contract/server.h"
#include "vestry/civetweb.h"

typedef struct server_settings {
  unsigned threads;    /* 0: 12 */
  unsigned reserve;    /* 0: 4; UINT32_MAX: the adapter's default */
  unsigned queue;      /* connection_queue; 0: 512 */
  unsigned timeout_ms; /* request_timeout_ms; 0: 30,000 */
  bool keep_alive;
  bool raw_paths;                      /* decode_url: no, and all paths are vestry's, like vestry_server_civetweb */
  uint64_t watch_ms, lost_ms;          /* like the adapter's options */
  const char *ports;                   /* NULL: 127.0.0.1:0 */
  uint32_t max_per_address;            /* like the adapter's option */
  bool bare;                           /* without the handlers of testing/contract/server.h */
  void (*before_mount)(uint16_t port); /* NULL, or called when the server listens and has no adapter yet */
  vestry_options options;              /* all but the host */
} server_settings;

/* A running server, and the adapter in it. */
typedef struct civetweb_server {
  vestry *v;
  vestry_server *web;         /* NULL: destroyed already */
  struct mg_context *context; /* NULL: stopped already */
} civetweb_server;

/* settings: NULL: the defaults. */
void server_start(vsi_server *s, const server_settings *settings);
static inline civetweb_server *civetweb_of(const vsi_server *s) {
  return s->running;
}

extern const vestry_contract_adapter civetweb_contract, civetweb_raw_contract; /* raw: paths are passed on undecoded */

#endif
