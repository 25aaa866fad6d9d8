/* SPDX-License-Identifier: MIT */
/* A web server on a port of its own, with vestry in it, as every adapter's tests have it. What one adapter has more is
 * in its own server.h. */
#ifndef TESTS_WEB_SERVER_H
#define TESTS_WEB_SERVER_H

#include "support/patience.h"
#include "support/test_host.h"
#include "testing/witness.h"
#include "vestry/adapter.h"
#include "vestry/routes.h"

typedef struct server {
  const struct server_seam *seam;
  test_host th; /* counts memory and log; its clock and randomness are real */
  vestry *v;
  void *adapter; /* the seam's: a vestry_civetweb, a vestry_server */
  void *context; /* the server, where the adapter was put into one: an mg_context */
  uint16_t port;
  witness witness; /* of the streams of the handlers below */
} server;

/* Of all servers: their clock is so much ahead of the real one; so many lines were logged for who looks for them. */
extern _Atomic(uint64_t) server_clock_ahead_ns;
/* Let the host's clock stand where it is, but for that, or go on. */
void server_hold_clock(bool hold);
extern _Atomic(long) server_debug_lines;

/* Servers wait PATIENCE_S for a client that a busy machine holds up, unless a test is about that. An answer that needs
 * no such wait comes within PROMPT_S, however busy the machine is. Where the two times lie closer together, there is
 * BELOW_S of support/tries.h. */
enum { PROMPT_S = 120 };

/* What can be asked of any of them. */
typedef struct web_settings {
  unsigned room;       /* for so many streams; 0: for some */
  const char *address; /* NULL: 127.0.0.1 */
  uint64_t lost_ms;    /* as the adapter's */
  uint64_t watch_ms;   /* as the adapter's, if it has to look for peers that have gone */
  uint64_t stalled_ms; /* so long a reader may stall; 0: half a minute, or the heartbeat */
  unsigned silent_s;   /* so long a request may be unfinished, where that is a setting; 0: PATIENCE_S */
  bool keep_alive;     /* connections outlive their request; where that is no setting, they always do */
  bool tls;            /* clients use it too; only where there is has_tls */
  vestry_options options;
} web_settings;

struct readings_text;

/* An adapter. */
typedef struct server_seam {
  const char *name;
  /* server_begin, server_mount, the server. settings: NULL: the defaults. */
  void (*start)(server *s, const web_settings *settings);
  /* The adapter's functions. */
  vestry_err (*stop)(server *s, uint64_t timeout_ms);
  void (*room)(server *s, uint32_t *ret_streams, uint32_t *ret_capacity);
  void (*destroy)(server *s); /* the server too; what was destroyed already is NULL */
  bool has_tls;
  bool always_keeps;   /* connections, whatever keep_alive says */
  bool closes_streams; /* the connection of a stream closes behind it, and its head says so */
  bool waits_for_none; /* neither clients that stall nor clients that say nothing hold a stop up */
  bool has_own_paths;  /* what reaches none of vestry's handlers is the server's own affair: 404 */
  bool
      has_own_targets; /* …nor a target with blanks in it, nor a connection without a head: it is inside a daemon of the
                           application's, whose these are */
  bool takes_feeds;    /* a bare LF ends a line, as a server may let it (RFC 9112, section 2.2) */
  /* Whether the library that is there leaves nothing of a query in which an escape is none: it is refused then. NULL:
   * it does not. */
  bool (*breaks_queries)(void);
  /* Whether a text was read differently by the library in a way that leaves no trace; docs/security.md has them. NULL:
   * there is none. */
  bool (*is_blind_to)(const struct readings_text *text);
  bool decodes_paths;     /* before vestry sees them, which then cannot know all */
  bool waits_for_writers; /* a writer of files that blocks holds the thread of others */
  bool closes_broken;     /* a request whose body breaks off is not answered: the server closes the connection */
  bool answers_early;     /* …but that of a large body which is not wanted any more; without TLS */
  bool refuses_itself;    /* the server's own parser refuses first: 413 if a length is no number of its, and the head of
                          such an answer may come twice */
  bool (*refuses_most)(void); /* whether the library that is there refuses by itself most heads that can be read in two
                                 ways, and not only some; NULL: it does not */
  bool (*redirects_blanks)(void); /* …whether it answers blanks in a target with a redirect before vestry sees them */
  bool no_stalled;                /* a reader that stalls is not found by time, but when its queue is full */
  double stops_s;                 /* a stop takes less, and the end of the server with it, by BELOW_S */
} server_seam;

/* ---- for the start of a seam ------------------------------------------------------------------------------------- */

/* All but the server and the adapter. options: all but the host. */
void server_begin(server *s, const server_seam *seam, const vestry_options *options);
/* GET and PUT /stream, GET and POST /echo. */
void server_mount(server *s);

/* ---- for tests --------------------------------------------------------------------------------------------------- */

/* In the order of a program's end; checks that it is in time, that the counters add up and that no memory is left. */
void server_stop(server *s);
/* The parts of server_stop, for tests that step in between. */
void server_stop_adapter(server *s);
void server_finish(server *s);

/* GET and PUT /stream: a stream that stays open. */
vestry_err server_open_stream(const vestry_request *req, vestry_reply *reply, void *app);
/* GET, POST /echo: what was in the body, or "nothing". */
vestry_err server_echo(const vestry_request *req, vestry_reply *reply, void *app);

struct client;
/* Ask for a stream and wait until it is open; its connection, borrowed. */
vestry_connection *server_open(server *s, struct client *c);
/* Wait for the end of a connection; its cause. */
vestry_cause server_cause(server *s, const vestry_connection *connection);
void server_patch(vestry_connection *connection, const char *json);
/* A stream to a client that stopped reading in the middle of an event, which patches elements with a text of
 * STALLING_BYTES; its connection, borrowed. The server closes the socket behind the stream. The connections must be
 * allowed to queue STALLING_QUEUE_BYTES. */
vestry_connection *server_open_stalled(server *s, struct client *c);
enum { STALLING_BYTES = 32 << 20, STALLING_QUEUE_BYTES = STALLING_BYTES + 65536 };
void server_assert_stalling_text(const char *text);
/* It answers a request, on a connection of its own. */
void server_assert_serves(server *s);
/* Ask with these bytes; the status. Whatever it is, the server goes on. */
int server_status_of(server *s, const char *request);

/* Seconds of the monotonic clock. */
double seconds_now(void);

#endif
