/* SPDX-License-Identifier: MIT */
/* A libmicrohttpd server with vestry on its own port. */
#ifndef TESTS_MICROHTTPD_SERVER_H
#define TESTS_MICROHTTPD_SERVER_H

#include <microhttpd.h>

#include "microhttpd/library.h"
#include "support/patience.h"
#include "testing/contract/check.h"
#include "testing/contract/server.h"
#include "vestry/microhttpd.h"

typedef struct server_settings {
  vestry_microhttpd_options adapter; /* address NULL: 127.0.0.1; threads_count 0: 2 */
  bool bare;                         /* without the handlers of testing/contract/server.h */
  /* on its own UNIX socket instead of address and port; clients connect to it as well */
  bool unix_socket;
  bool tls;               /* with its own key and certificate; clients use TLS as well */
  vestry_options options; /* all but the host */
} server_settings;

/* settings: NULL: the defaults. */
void server_start(vsi_server *s, const server_settings *settings);
/* The adapter in it. */
vestry_server *server_web(const vsi_server *s);

/* A free path in a folder of this process; valid until the next call. */
const char *server_free_path(void);

/* Return the number of descriptors of this process, plus a constant; wait until there are this many. libmicrohttpd
 * closes its copy of a handed-over socket at its next check. */
unsigned server_descriptors(void);
void server_wait_descriptors(unsigned count);

/* Servers of vestry, with TLS as well: set vsi_client_tls_ops_offered. */
vestry_contract_adapter microhttpd_contract(void);
vestry_contract_adapter microhttpd_unix_contract(void);

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

void attached_start(vsi_server *s, const attached_settings *settings);
/* Stop the program's daemon, which is the order that the guide does not recommend. */
void attached_stop_daemon(vsi_server *s);
/* The program's own requests: all that began, and those whose end was reported. */
extern _Atomic(unsigned) attached_own_count, attached_own_ended;

/* Run suites in daemons with these settings; bounds of streams and times come from each case. lenient: the daemon is
 * not strict. */
unsigned attached_contract_run(const char *name, const attached_settings *settings, const char *suites);
/* is_blind_to for a daemon of the program. */
bool server_is_blind_to_attached(const char *text, size_t len);

#endif
