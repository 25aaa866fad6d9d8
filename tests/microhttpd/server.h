/* A libmicrohttpd server on a port of its own, with vestry in it. */
#ifndef TESTS_MICROHTTPD_SERVER_H
#define TESTS_MICROHTTPD_SERVER_H

#include "vestry/microhttpd.h"
#include "web/server.h"

typedef struct server_settings {
  vestry_microhttpd_options adapter; /* address NULL: 127.0.0.1; threads_count 0: 2 */
  bool bare;                         /* without the handlers of web/server.h */
  bool unix_socket;                  /* on one of its own, instead of address and port; clients connect there too */
  bool tls;                          /* with a key and certificate of its own; clients use TLS too */
  vestry_options options;            /* all but the host */
} server_settings;

/* settings: NULL: the defaults. */
void server_start(server *s, const server_settings *settings);

/* A path that is free, in a folder of this process; valid until the next call. */
const char *server_free_path(void);

/* How many descriptors this process has, by a fixed sum too many; wait until it has so many. libmicrohttpd closes what
 * it keeps of a socket that was handed over when it comes by. */
unsigned server_descriptors(void);
void server_wait_descriptors(unsigned count);

extern const server_seam microhttpd_seam, microhttpd_unix_seam;

#endif
