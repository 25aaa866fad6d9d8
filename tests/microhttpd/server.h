/* SPDX-License-Identifier: MIT */
/* A libmicrohttpd server on a port of its own, with vestry in it. */
#ifndef TESTS_MICROHTTPD_SERVER_H
#define TESTS_MICROHTTPD_SERVER_H

#include <microhttpd.h>

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

/* Whether the libmicrohttpd that is there, if it is strict, refuses by itself heads that can be read in two ways: since
 * 1.0. One that does, and is not, redirects blanks in a target. */
bool server_library_refuses(void);
/* The is_blind_to of a daemon of the program's own. */
struct readings_text;
bool server_is_blind_to_attached(const struct readings_text *text);

extern const server_seam microhttpd_seam, microhttpd_unix_seam;

/* vestry inside a daemon of the program's own, which is started with these flags; what has no route it answers 404. The
 * program's pointer for a request is set for its own. */
typedef struct attached_settings {
  unsigned flags;   /* 0: an internal thread, and the best there is to poll with */
  unsigned threads; /* of a pool; 0: none */
  bool external;    /* no thread of the daemon's: one of the program's runs it */
  bool bare, tls;
  bool lenient;                             /* the daemon is not strict, and vestry is not told that it were */
  vestry_microhttpd_attach_options adapter; /* all but is_strict */
  unsigned silent_s;                        /* the daemon's time-out */
  unsigned memory_bytes;                    /* of a connection of the daemon's; 0: its default */
  vestry_options options;
} attached_settings;

void attached_start(server *s, const attached_settings *settings);
/* Of the program's own requests: all that began, and those whose end it was told of. */
extern _Atomic(unsigned) attached_own_count, attached_own_ended;

extern const server_seam microhttpd_attached_seam;
extern const server_seam microhttpd_lenient_seam; /* attached to a daemon that is not strict */

#endif
