/* SPDX-License-Identifier: MIT */
/* A server's requests of a site, made by hand, and streams that record what they are sent. */
#ifndef TESTS_SERVE_WIRE_H
#define TESTS_SERVE_WIRE_H

#include <pthread.h>
#include <stdatomic.h>

#include "support/site.h"

/* One request to be made and what came of it. Zero is GET / from nobody. */
typedef struct wire {
  const char *method, *path, *query;
  const char *peer; /* NULL: 192.0.2.1 */
  bool datastar;
  vestry_header headers[8]; /* until the first without a name */
  const void *body;
  size_t body_len;
  int64_t announced;     /* 0: body_len; -1: chunked; else what Content-Length claims */
  size_t piece;          /* bytes a read; 0: as many as are asked for */
  vestry_err read_error; /* after the body */
  vestry_err open_error; /* instead of a stream */
  bool gone;             /* the peer takes no answer */
  vestry_io open_io;     /* of the transport's open */
  bool parked;           /* the stream has a thread: the test runs its connection */

  size_t at;                   /* read so far */
  int responds, opens, status; /* status: of the answer, or of the stream's head when it was written */
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

/* Serve it. Returns what vestry_serve does. */
vestry_err wire_serve(site *w, wire *r, vestry_handler_fn handler, void *app);
/* Serve it, and let everything that is ready run. */
void wire_request(site *w, wire *r, vestry_handler_fn handler, void *app);
/* Drop the reference, free what was recorded; after site_close at the latest. The stream must have been released. */
void wire_finish(wire *r);
/* End the site, finish the wires that are named, at least one, and see that no memory is left. */
#define wires_end(s, ...) wires_end_all(s, (wire *[]){__VA_ARGS__}, sizeof((wire *[]){__VA_ARGS__}) / sizeof(wire *))
void wires_end_all(site *s, wire *const *wires, size_t count);
/* The far end hangs up. */
void wire_hang_up(site *w, wire *r);
/* How often text occurs in what was received. */
size_t wire_count(wire *r, const char *text);
void wire_assert_text(wire *r, const char *expected);
/* The head has this line: "name: value". */
bool wire_has_header(wire *r, const char *line);

/* The value of the first header of the answer with this name. false: it has none; the value is empty. */
bool wire_value(const wire *r, const char *name, char *value, size_t room);
/* What a browser sends back for the answer's first Set-Cookie: "name=value". false: it sets none; cookie stays. */
bool wire_keep_cookie(const wire *r, char *cookie, size_t room);

/* A handler whose reply is written down beforehand: app is a plan. Zero: an empty reply. */
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
  void *data; /* of the stream */
  vestry_destroy_fn destroy;
  vestry_err error; /* what the handler returns */
} plan;
vestry_err planned(const vestry_request *req, vestry_reply *reply, void *app);

/* ("room", name) for dispatches. */
#define ROOM(name) VESTRY_KEY("room", name)
#define NOWHERE    ((vestry_scope){NULL, 0})

/* A datastar GET with this plan, served and settled. */
void wire_plan(site *w, wire *r, const plan *p);

#endif
