/* SPDX-License-Identifier: MIT */
/* A libmicrohttpd server with vestry on its own port. */
#ifndef TESTS_MICROHTTPD_SERVER_H
#define TESTS_MICROHTTPD_SERVER_H

#include <microhttpd.h>

#include "vestry/microhttpd.h"
#include "web/server.h"

typedef struct server_settings {
  vestry_microhttpd_options adapter; /* address NULL: 127.0.0.1; threads_count 0: 2 */
  bool bare;                         /* without the handlers of web/server.h */
  /* on its own UNIX socket instead of address and port; clients connect to it as well */
  bool unix_socket;
  bool tls;               /* with its own key and certificate; clients use TLS as well */
  vestry_options options; /* all but the host */
} server_settings;

/* settings: NULL: the defaults. */
void server_start(server *s, const server_settings *settings);

/* A free path in a folder of this process; valid until the next call. */
const char *server_free_path(void);

/* Return the number of descriptors of this process, plus a constant; wait until there are this many. libmicrohttpd
 * closes its copy of a handed-over socket at its next check. */
unsigned server_descriptors(void);
void server_wait_descriptors(unsigned count);

/* Whether the loaded libmicrohttpd, if strict, refuses ambiguous heads by itself: since 1.0. If it does and is not
 * strict, it redirects spaces in a target. */
bool server_library_refuses(void);
/* is_blind_to for a daemon of the program. */
struct readings_text;
bool server_is_blind_to_attached(const struct readings_text *text);

extern const server_seam microhttpd_seam, microhttpd_unix_seam;

/* vestry inside a daemon of the program, which is started with these flags and answers 404 to requests without a route.
 * The program sets its own pointer for its requests. */
typedef struct attached_settings {
  unsigned flags;   /* 0: an internal thread with the best available polling */
  unsigned threads; /* of a pool; 0: none */
  bool external;    /* no thread of the daemon: a thread of the program runs it */
  bool bare, tls;
  bool lenient;                             /* the daemon is not strict, and vestry knows it */
  vestry_microhttpd_attach_options adapter; /* all but is_strict */
  unsigned silent_s;                        /* the daemon's time-out */
  unsigned memory_bytes;                    /* memory per connection of the daemon; 0: its default */
  vestry_options options;
} attached_settings;

void attached_start(server *s, const attached_settings *settings);
/* The program's own requests: all that began, and those whose end was reported. */
extern _Atomic(unsigned) attached_own_count, attached_own_ended;

extern const server_seam microhttpd_attached_seam;
extern const server_seam microhttpd_lenient_seam; /* attached to a daemon that is not strict */

#endif
