/* A libmicrohttpd server on a port of its own, with vestry in it. */
#ifndef TESTS_MICROHTTPD_SERVER_H
#define TESTS_MICROHTTPD_SERVER_H

#include "adapter/witness.h"
#include "support/test_host.h"
#include "vestry/microhttpd.h"

typedef struct server_settings {
  vestry_microhttpd_options adapter; /* address NULL: 127.0.0.1; threads_count 0: 2 */
  bool bare;                         /* without the handlers below */
  bool tls;                          /* with a key and certificate of its own; clients use TLS too */
  vestry_options options;            /* all but the host */
} server_settings;

typedef struct server {
  test_host th; /* counts memory and log; its clock and randomness are real */
  vestry *v;
  vestry_microhttpd *adapter;
  uint16_t port;
  witness witness; /* of the streams of the handlers below */
} server;

/* settings: NULL: the defaults. */
void server_start(server *s, const server_settings *settings);
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

/* Seconds of the monotonic clock. */
double seconds_now(void);

#endif
