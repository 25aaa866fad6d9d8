/* A libmicrohttpd server on a port of its own, with vestry in it. */
#ifndef TESTS_MICROHTTPD_SERVER_H
#define TESTS_MICROHTTPD_SERVER_H

#include "vestry/microhttpd.h"
#include "web/server.h"

typedef struct server_settings {
  vestry_microhttpd_options adapter; /* address NULL: 127.0.0.1; threads_count 0: 2 */
  bool bare;                         /* without the handlers of web/server.h */
  bool tls;                          /* with a key and certificate of its own; clients use TLS too */
  vestry_options options;            /* all but the host */
} server_settings;

/* settings: NULL: the defaults. */
void server_start(server *s, const server_settings *settings);

extern const server_seam microhttpd_seam;

#endif
