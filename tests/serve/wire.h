/* SPDX-License-Identifier: MIT */
/* Requests of a simulated server, and streams that record the bytes written to them. */
#ifndef TESTS_SERVE_WIRE_H
#define TESTS_SERVE_WIRE_H

#include <pthread.h>
#include <stdatomic.h>

#include "channel/broadcast.h"
#include "support/site.h"

/* One request and its result. Zero is GET / without a user. */
typedef struct wire {
  const char *method, *path, *query;
  const char *peer; /* NULL: 192.0.2.1 */
  bool datastar;
  vestry_header headers[8]; /* until the first without a name */
  const void *body;
  size_t body_len;
  int64_t announced;     /* 0: body_len; -1: chunked; else what Content-Length claims */
  size_t piece;          /* bytes per read; 0: as many as requested */
  vestry_err read_error; /* after the body */
  vestry_err open_error; /* instead of a stream */
  bool gone;             /* the peer accepts no answer */
  vestry_io open_io;     /* of the transport's open */
  bool dedicated;        /* the stream has a thread: the test runs its connection */
  bool freed;            /* the server has freed the request: a look at it fails the test */

  size_t at;                   /* read so far */
  int responds, opens, status; /* status of the answer, or of the stream's head when it was written */
  char head[4096];             /* "name: value\n" … of either */
  char *text;                  /* body or stream so far, terminated; malloc */
  size_t text_len, writes;
  int ends, releases, wakes;
  bool head_written, clean;
  vestry_cause cause;
  vestry_io write_io; /* of the transport's write */
  pthread_mutex_t lock;
  vestry_connection *connection; /* a reference; NULL: answered */
} wire;

extern const vestry_request_ops wire_ops;

/* Serve the request. Returns the result of vestry_serve. */
vestry_err wire_serve(site *w, wire *r, vestry_handler_fn handler, void *app);
/* Serve the request, and run everything that is ready. */
void wire_request(site *w, wire *r, vestry_handler_fn handler, void *app);
/* Drop the reference and free the recorded bytes; at the latest after site_close. The stream must have been
 * released. */
void wire_finish(wire *r);
/* End the site, finish the given wires (at least one), and check that no memory leaks. */
#define wires_end(s, ...) wires_end_all(s, (wire *[]){__VA_ARGS__}, sizeof((wire *[]){__VA_ARGS__}) / sizeof(wire *))
void wires_end_all(site *s, wire *const *wires, size_t count);
void wires_end_array(site *s, wire *wires, size_t count);
/* Simulate a hang-up of the client. */
void wire_hang_up(site *w, wire *r);
/* Count the occurrences of text in the received bytes. */
size_t wire_count(wire *r, const char *text);
void wire_assert_text(wire *r, const char *expected);
/* true if the head has this line: "name: value". */
bool wire_has_header(wire *r, const char *line);

/* Copy the value of the answer's first header with this name. false: there is none, and the value is empty. */
bool wire_value(const wire *r, const char *name, char *value, size_t room);
/* Copy the cookie that a browser returns after the answer's first Set-Cookie: "name=value". false: the answer sets
 * none, and cookie stays. */
bool wire_keep_cookie(const wire *r, char *cookie, size_t room);

/* The reply of the handler `planned`; app points to the plan. Zero: an empty reply. */
typedef struct plan {
  const char *key; /* key ("room", key); NULL: none */
  struct {
    const char *key, *scope; /* ("room", key); NULL: no more. Scope NULL: the request's */
    size_t many_count;
  } more[VESTRY_REPLY_KEYS_MAX + 1];
  bool keep;
  vestry_keep_policy policy;
  size_t many_count;
  int auto_close;      /* 0: unset, 1: on, -1: off */
  const char *effects; /* JSON: a list of effects; NULL: none */
  int status;
  const char *body; /* HTML */
  vestry_header header;
  vestry_connection *connection;
  vestry_connection_hooks hooks;
  vestry_connection_options stream;
  void *data; /* attached to the stream */
  vestry_destroy_fn destroy;
  vestry_err error; /* what the handler returns */
} plan;
vestry_err planned(const vestry_request *req, vestry_reply *reply, void *app);

/* ("room", name) for dispatches. */
#define ROOM(name) VESTRY_KEY("room", name)
#define NOWHERE    ((vestry_scope){NULL, 0})

/* Serve and settle a Datastar GET with this plan. */
void wire_plan(site *w, wire *r, const plan *p);

/* Get the counters of the channel of a key. */
static inline vestry_err channel_stats_get(vestry *v, vestry_scope scope, const vestry_key *key,
                                           vsi_channel_stats *ret_stats) {
  vsi_channel *channel;
  vestry_err error = vsi_name_find(v, scope, key, &channel);
  if (error) return error;
  vsi_channel_stats_get(channel, ret_stats);
  vsi_channel_unref(channel);
  return VESTRY_OK;
}

#endif
