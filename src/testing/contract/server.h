/* SPDX-License-Identifier: MIT */
/* A server under test, with an instance whose host counts memory and log lines. Its handlers are simple: a stream that
 * stays open, and an echo. */
#ifndef VSI_TESTING_CONTRACT_SERVER_H
#define VSI_TESTING_CONTRACT_SERVER_H

#include <stdatomic.h>

#include "testing/contract/recorder.h"
#include "vestry/testing/contract.h"

/* The adapter under test, with defaults for what it leaves out. */
extern vestry_contract_adapter vsi_adapter;

/* A host with a real clock and real randomness. */
typedef struct vsi_server_host {
  vestry_host host;
  _Atomic(long) live;      /* allocations that were not freed */
  _Atomic(long) fail_in;   /* the allocation after this number fails; below 0: none */
  _Atomic(long) log_lines; /* above DEBUG */
  char last_log[1024];     /* not synchronized: read it when no other thread runs */
} vsi_server_host;

typedef struct vsi_server {
  vsi_server_host th;
  vestry *v;
  void *running; /* of the adapter's start; NULL: destroyed already */
  uint16_t port;
  vsi_recorder recorder; /* of the streams of the handlers below */
} vsi_server;

/* For all servers: how far their clock is ahead of the real one, and the number of logged debug lines. */
extern _Atomic(uint64_t) vsi_server_clock_ahead_ns;
/* Stop the host's clock at its current value (vsi_server_clock_ahead_ns still applies), or let it run again. */
void vsi_server_hold_clock(bool hold);
extern _Atomic(long) vsi_server_debug_lines;

/* Unless a test is about time-outs, servers wait for a client that a busy machine delays. A response that needs no such
 * wait arrives within this time, however busy the machine is. If two times are closer together, use CHECK_BELOW_S. */
enum { VSI_PROMPT_S = 120 };

/* Create the instance with these options, all but the host and the number of threads, and the recorder. */
void vsi_server_begin(vsi_server *s, const vestry_options *options);
/* GET and PUT /stream, GET and POST /echo. */
void vsi_server_mount(vsi_server *s);
/* Start the server of an instance. NULL: the defaults. */
void vsi_server_run(vsi_server *s, const vestry_contract_settings *settings);
/* Begin, mount and run. */
void vsi_server_start(vsi_server *s, const vestry_contract_settings *settings, const vestry_options *options);

/* Stop in the order of a program's end. Checks that the stop is in time, the counters add up, and no memory leaks. */
void vsi_server_stop(vsi_server *s);
/* The parts of vsi_server_stop, for cases that act in between. */
void vsi_server_stop_adapter(vsi_server *s);
void vsi_server_finish(vsi_server *s);
/* Return the number of open streams. */
uint32_t vsi_server_streams(vsi_server *s);
vestry_stats vsi_server_stats(const vsi_server *s);

/* GET and PUT /stream: a stream that stays open. */
vestry_err vsi_server_open_stream(const vestry_request *req, vestry_reply *reply, void *app);
/* Return whether the adapter has the optional function respond_body. Sends a request. */
bool vsi_server_has_body_function(vsi_server *s);

/* GET, POST /echo: answers with the body, or "nothing". */
vestry_err vsi_server_echo(const vestry_request *req, vestry_reply *reply, void *app);

struct vsi_client;
/* Request a stream and wait until it is open. Returns its connection, borrowed. */
vestry_connection *vsi_server_open(vsi_server *s, struct vsi_client *c);
/* Wait for the end of a connection, and return its cause. */
vestry_cause vsi_server_cause(vsi_server *s, const vestry_connection *connection);
void vsi_server_patch(vestry_connection *connection, const char *json);
/* Open a stream to a client that stopped reading in the middle of an event, which patches elements with a text of
 * VSI_STALLING_BYTES. Returns its connection, borrowed. The server closes the socket after the stream. The options must
 * allow the connection to queue VSI_STALLING_QUEUE_BYTES. */
vestry_connection *vsi_server_open_stalled(vsi_server *s, struct vsi_client *c);
enum { VSI_STALLING_BYTES = 8 << 20, VSI_STALLING_QUEUE_BYTES = VSI_STALLING_BYTES + 65536 };
void vsi_server_assert_stalling_text(const char *text);
/* Check that the server answers a request on a separate connection. */
void vsi_server_assert_serves(vsi_server *s);
/* Send a request with these bytes, return the status of its response, and check that the server still serves. */
int vsi_server_status_of(vsi_server *s, const char *request);

#endif
