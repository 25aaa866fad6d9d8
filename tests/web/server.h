/* SPDX-License-Identifier: MIT */
/* A web server with vestry on its own port, used by the tests of each adapter. Helpers for a single adapter are in its
 * own server.h. */
#ifndef TESTS_WEB_SERVER_H
#define TESTS_WEB_SERVER_H

#include "support/patience.h"
#include "support/test_host.h"
#include "testing/recorder.h"
#include "vestry/adapter.h"
#include "vestry/routes.h"

typedef struct server {
  const struct server_seam *seam;
  test_host th; /* counts memory and log; its clock and randomness are real */
  vestry *v;
  void *adapter; /* created by the seam: a vestry_civetweb, a vestry_server */
  void *context; /* the server that contains the adapter, if it is embedded: an mg_context */
  uint16_t port;
  recorder recorder; /* of the streams of the handlers below */
} server;

/* For all servers: how far their clock is ahead of the real one, and the number of logged debug lines. */
extern _Atomic(uint64_t) server_clock_ahead_ns;
/* Stop the host's clock at its current value (server_clock_ahead_ns still applies), or let it run again. */
void server_hold_clock(bool hold);
extern _Atomic(long) server_debug_lines;

/* Unless a test is about time-outs, servers wait PATIENCE_S for a client that a busy machine delays. An answer that
 * needs no such wait arrives within PROMPT_S, however busy the machine is. If two times are closer together, use
 * BELOW_S of support/tries.h. */
enum { PROMPT_S = 120 };

/* Settings that each adapter supports. */
typedef struct web_settings {
  unsigned room;       /* number of streams; 0: a default */
  const char *address; /* NULL: 127.0.0.1 */
  uint64_t lost_ms;    /* like the adapter's option */
  uint64_t watch_ms;   /* like the adapter's option, if it polls for lost peers */
  uint64_t stalled_ms; /* how long a reader may stall; 0: half a minute, or the heartbeat */
  unsigned silent_s;   /* how long a request may be unfinished, if this can be set; 0: PATIENCE_S */
  bool keep_alive;     /* connections outlive their request; if this cannot be set, they always do */
  bool tls;            /* clients use TLS as well; only with has_tls */
  vestry_options options;
} web_settings;

struct readings_text;

/* An adapter. */
typedef struct server_seam {
  const char *name;
  /* Call server_begin and server_mount, and start the server. settings: NULL: the defaults. */
  void (*start)(server *s, const web_settings *settings);
  /* The adapter's functions. */
  vestry_err (*stop)(server *s, uint64_t timeout_ms);
  void (*room)(server *s, uint32_t *ret_streams, uint32_t *ret_capacity);
  void (*destroy)(server *s); /* the server as well; members that were destroyed already are NULL */
  bool has_tls;
  bool always_keeps;    /* keeps connections, whatever keep_alive is */
  bool closes_streams;  /* the connection of a stream closes after it, as its head announces */
  bool waits_for_none;  /* neither stalled nor silent clients delay a stop */
  bool has_own_paths;   /* requests outside of vestry's handlers are answered by the server: 404 */
  bool has_own_targets; /* …as are targets with spaces and connections without a head, because the adapter is inside a
                          daemon of the application */
  bool takes_feeds;     /* a bare LF ends a line, which RFC 9112, section 2.2, permits */
  /* Whether the installed library drops a query with an invalid escape, so that the request is refused. NULL: no. */
  bool (*breaks_queries)(void);
  /* Whether the library reads a text differently without a trace; docs/security.md lists the cases. NULL: never. */
  bool (*is_blind_to)(const struct readings_text *text);
  bool decodes_paths;     /* before vestry sees them, which therefore cannot check everything */
  bool waits_for_writers; /* a file writer that blocks holds the thread of other requests */
  bool closes_broken;     /* a request with a truncated body gets no answer: the server closes the connection */
  bool answers_directly;  /* without TLS, the adapter itself answers large bodies, on threads of file writers */
  /* the server's own parser refuses first: 413 for an invalid length, and the head of such an answer may come twice */
  bool refuses_itself;
  /* whether the installed library itself refuses most ambiguous heads, not only some; NULL: no */
  bool (*refuses_most)(void);
  bool (*redirects_blanks)(void); /* …whether it redirects a target with spaces before vestry sees it */
  bool no_stalled;                /* a stalled reader is detected by its full queue, not by time */
  double stops_s;                 /* a stop and the end of the server take less time, by BELOW_S */
} server_seam;

/* ---- for the start function of a seam ---------------------------------------------------------------------------- */

/* Set up everything but the server and the adapter. options: all but the host. */
void server_begin(server *s, const server_seam *seam, const vestry_options *options);
/* GET and PUT /stream, GET and POST /echo. */
void server_mount(server *s);

/* ---- for tests --------------------------------------------------------------------------------------------------- */

/* Stop in the order of a program's end. Checks that the stop is in time, the counters add up, and no memory leaks. */
void server_stop(server *s);
/* The parts of server_stop, for tests that act in between. */
void server_stop_adapter(server *s);
void server_finish(server *s);

/* GET and PUT /stream: a stream that stays open. */
vestry_err server_open_stream(const vestry_request *req, vestry_reply *reply, void *app);
/* GET, POST /echo: answers with the body, or "nothing". */
vestry_err server_echo(const vestry_request *req, vestry_reply *reply, void *app);

struct client;
/* Request a stream and wait until it is open. Returns its connection, borrowed. */
vestry_connection *server_open(server *s, struct client *c);
/* Wait for the end of a connection, and return its cause. */
vestry_cause server_cause(server *s, const vestry_connection *connection);
void server_patch(vestry_connection *connection, const char *json);
/* Open a stream to a client that stopped reading in the middle of an event, which patches elements with a text of
 * STALLING_BYTES. Returns its connection, borrowed. The server closes the socket after the stream. The options must
 * allow the connection to queue STALLING_QUEUE_BYTES. */
vestry_connection *server_open_stalled(server *s, struct client *c);
enum { STALLING_BYTES = 8 << 20, STALLING_QUEUE_BYTES = STALLING_BYTES + 65536 };
void server_assert_stalling_text(const char *text);
/* Check that the server answers a request on a separate connection. */
void server_assert_serves(server *s);
/* Send a request with these bytes, return the status of its answer, and check that the server still serves. */
int server_status_of(server *s, const char *request);

/* Seconds of the monotonic clock. */
double seconds_now(void);

#endif
