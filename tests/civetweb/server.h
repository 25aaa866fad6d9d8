/* SPDX-License-Identifier: MIT */
/* A civetweb server with vestry on its own port. */
#ifndef TESTS_CIVETWEB_SERVER_H
#define TESTS_CIVETWEB_SERVER_H

#include <civetweb.h>

#include "vestry/civetweb.h"
#include "web/server.h"

typedef struct server_settings {
  unsigned threads;    /* 0: 12 */
  unsigned reserve;    /* 0: 4; UINT32_MAX: the adapter's default */
  unsigned queue;      /* connection_queue; 0: 512 */
  unsigned timeout_ms; /* request_timeout_ms; 0: 30,000 */
  bool keep_alive;
  bool raw_paths;                  /* decode_url: no, and all paths are vestry's, like vestry_server_civetweb */
  uint64_t watch_ms, lost_ms;      /* like the adapter's options */
  const char *ports;               /* NULL: 127.0.0.1:0 */
  uint32_t max_per_address;        /* like the adapter's option */
  bool bare;                       /* without the handlers of web/server.h */
  void (*before_mount)(server *s); /* NULL, or called when the server listens and has no adapter yet */
  vestry_options options;          /* all but the host */
} server_settings;

/* settings: NULL: the defaults. */
void server_start(server *s, const server_settings *settings);

extern const server_seam civetweb_seam, civetweb_raw_seam; /* raw: paths are passed on undecoded */

#endif
