/* SPDX-License-Identifier: MIT */
#include "serve/wire.h"

#include <stdlib.h>
#include <strings.h>

/* ------------------------------------------------------------------------------------------------ a server -------- */

static const char *wire_method(void *server_request) {
  const wire *r = server_request;
  return r->method ? r->method : "GET";
}

static const char *wire_path(void *server_request) {
  const wire *r = server_request;
  return r->path ? r->path : "/";
}

static const char *wire_query(void *server_request) {
  return ((const wire *)server_request)->query;
}

static const char *wire_header(void *server_request, const char *name) {
  const wire *r = server_request;
  assert_false(r->freed);
  if (r->datastar && strcasecmp(name, "datastar-request") == 0) return "true";
  for (size_t i = 0; i < sizeof r->headers / sizeof *r->headers && r->headers[i].name; i++)
    if (strcasecmp(r->headers[i].name, name) == 0) return r->headers[i].value;
  return NULL;
}

static const char *wire_peer(void *server_request) {
  const wire *r = server_request;
  assert_false(r->freed);
  return r->peer ? r->peer : "192.0.2.1";
}

static int64_t wire_body_length(void *server_request) {
  const wire *r = server_request;
  assert_false(r->freed);
  return r->announced ? r->announced : (int64_t)r->body_len;
}

static vestry_err wire_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
  wire *r = server_request;
  size_t len = r->body_len - r->at;
  if (len == 0 && r->read_error) return r->read_error;
  if (len > capacity) len = capacity;
  if (r->piece && len > r->piece) len = r->piece;
  if (len) memcpy(buffer, (const char *)r->body + r->at, len);
  r->at += len;
  *ret_len = len;
  return VESTRY_OK;
}

static void record(wire *r, const void *data, size_t len) {
  pthread_mutex_lock(&r->lock);
  r->text = realloc(r->text, r->text_len + len + 1);
  if (len) memcpy(r->text + r->text_len, data, len);
  r->text_len += len;
  r->text[r->text_len] = '\0';
  pthread_mutex_unlock(&r->lock);
}

static void record_head(wire *r, const vestry_response *response) {
  r->head[0] = '\0';
  for (size_t i = 0; i < response->headers_count; i++) {
    size_t len = strlen(r->head);
    snprintf(r->head + len, sizeof r->head - len, "%s: %s\n", response->headers[i].name, response->headers[i].value);
  }
}

static vestry_err wire_respond(void *server_request, const vestry_response *response) {
  wire *r = server_request;
  assert_false(r->freed);
  r->responds++;
  assert_int_equal(r->ends, r->opens); /* an abandoned stream has ended before the answer */
  if (r->gone) return VESTRY_IO;
  r->status = response->status;
  record_head(r, response);
  record(r, response->body, response->body_len);
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------ streams --------- */

static vestry_io stream_open(void *transport) {
  wire *r = transport;
  if (r->open_io == VESTRY_IO_OK) {
    r->head_written = true;
    r->status = 200;
  }
  return r->open_io;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  wire *r = transport;
  r->writes++;
  *ret_written = 0;
  if (r->write_io == VESTRY_IO_OK)
    for (size_t i = 0; i < count; i++) record(r, slices[i].data, slices[i].len);
  return r->write_io;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  wire *r = transport;
  r->ends++;
  r->clean = clean;
  r->cause = cause;
}

static void stream_release(void *transport) {
  wire *r = transport;
  assert_int_equal(r->ends, 1);
  r->releases++;
}

static void stream_wake(void *transport) {
  ((wire *)transport)->wakes++;
}

static const vestry_transport_ops pooled_ops = {
    .open = stream_open, .write = stream_write, .end = stream_end, .release = stream_release, .name = "wire"};
static const vestry_transport_ops dedicated_ops = {.open = stream_open,
                                                   .write = stream_write,
                                                   .end = stream_end,
                                                   .release = stream_release,
                                                   .wake = stream_wake,
                                                   .name = "wire"};

static vestry_err wire_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                            void **ret_transport) {
  wire *r = server_request;
  if (r->open_error) return r->open_error;
  r->opens++;
  assert_int_equal(r->opens, 1);
  assert_int_equal(head->status, 200);
  record_head(r, head);
  *ret_ops = r->dedicated ? &dedicated_ops : &pooled_ops;
  *ret_transport = r;
  return VESTRY_OK;
}

static void wire_each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value),
                             void *ctx) {
  const wire *r = server_request;
  assert_false(r->freed);
  for (size_t i = 0; i < sizeof r->headers / sizeof *r->headers && r->headers[i].name; i++)
    line(ctx, r->headers[i].name, r->headers[i].value);
}

const vestry_request_ops wire_ops = {
    .method = wire_method,
    .path = wire_path,
    .query = wire_query,
    .header = wire_header,
    .peer = wire_peer,
    .body_length = wire_body_length,
    .read = wire_read,
    .respond = wire_respond,
    .open = wire_open,
    .each_header = wire_each_header,
};

/* ------------------------------------------------------------------------------------------------ requests -------- */

vestry_err wire_serve(site *w, wire *r, vestry_handler_fn handler, void *app) {
  pthread_mutex_init(&r->lock, NULL);
  record(r, "", 0);
  vestry_err error = vestry_serve(w->v, &wire_ops, r, handler, app, &r->connection);
  /* Exactly one of the two results: an answer or a stream. */
  assert_int_equal(r->responds, r->connection ? 0 : 1);
  if (r->connection) assert_int_equal(r->opens, 1);
  return error;
}

void wire_request(site *w, wire *r, vestry_handler_fn handler, void *app) {
  assert_int_equal(wire_serve(w, r, handler, app), VESTRY_OK);
  site_settle(w);
}

void wire_plan(site *w, wire *r, const plan *p) {
  r->datastar = true;
  wire_request(w, r, planned, (void *)p);
}

void wire_finish(wire *r) {
  r->connection = vestry_connection_unref(r->connection);
  assert_int_equal(r->releases, r->opens);
  free(r->text);
  r->text = NULL;
  pthread_mutex_destroy(&r->lock);
}

void wires_end_all(site *s, wire *const *wires, size_t count) {
  site_close(s);
  for (size_t i = 0; i < count; i++) wire_finish(wires[i]);
  test_host_assert_clean(&s->th);
}

void wires_end_array(site *s, wire *wires, size_t count) {
  site_close(s);
  for (size_t i = 0; i < count; i++) wire_finish(&wires[i]);
  test_host_assert_clean(&s->th);
}

void wire_hang_up(site *w, wire *r) {
  vestry_connection_close(r->connection, VESTRY_CAUSE_HANGUP);
  site_settle(w);
}

size_t wire_count(wire *r, const char *text) {
  size_t count = 0;
  pthread_mutex_lock(&r->lock);
  for (const char *at = r->text; (at = strstr(at, text)) != NULL; at++) count++;
  pthread_mutex_unlock(&r->lock);
  return count;
}

void wire_assert_text(wire *r, const char *expected) {
  assert_string_equal(r->text, expected);
}

bool wire_has_header(wire *r, const char *line) {
  char wanted[512];
  snprintf(wanted, sizeof wanted, "%s\n", line);
  const char *at = strstr(r->head, wanted);
  return at && (at == r->head || at[-1] == '\n');
}

bool wire_value(const wire *r, const char *name, char *value, size_t room) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "%s: ", name);
  const char *at = strstr(r->head, wanted);
  if (at) at += strlen(wanted);
  snprintf(value, room, "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
  return at != NULL;
}

bool wire_keep_cookie(const wire *r, char *cookie, size_t room) {
  char set[sizeof r->head];
  if (!wire_value(r, "Set-Cookie", set, sizeof set)) return false;
  snprintf(cookie, room, "%.*s", (int)strcspn(set, ";"), set);
  return true;
}

/* ------------------------------------------------------------------------------------------------ replies --------- */

vestry_err planned(const vestry_request *req, vestry_reply *reply, void *app) {
  const plan *p = app;
  vestry_err error = VESTRY_OK;
  if (p->key) error = vestry_reply_key(reply, ROOM(p->key));
  for (size_t i = 0; !error && i < VESTRY_REPLY_KEYS_MAX + 1 && p->more[i].key; i++) {
    const char *in = p->more[i].scope;
    const vestry_scope scope = {in, in ? strlen(in) : 0};
    error = vestry_reply_add_key(reply, in ? scope : req->scope, ROOM(p->more[i].key), p->more[i].many_count);
  }
  if (!error && (p->keep || p->auto_close < 0))
    error = vestry_reply_keep(reply, p->keep ? p->policy : VESTRY_KEEP_REUSE, p->many_count);
  if (!error && p->status) error = vestry_reply_status(reply, p->status);
  if (!error && p->header.name) error = vestry_reply_header(reply, p->header.name, p->header.value);
  if (!error && p->body) error = vestry_reply_body(reply, NULL, p->body, strlen(p->body));
  if (!error && p->connection) error = vestry_reply_connection(reply, p->connection);
  const vestry_stream_options stream = {.connection = error ? NULL : &p->stream,
                                        .hooks = &p->hooks,
                                        .auto_close = p->auto_close > 0,
                                        .data = p->data,
                                        .destroy = p->destroy};
  vestry_err refused = vestry_reply_stream(reply, &stream);
  if (!error) error = refused;
  if (p->effects) {
    json_t *effects = json_loads(p->effects, 0, NULL);
    assert_true(json_is_array(effects));
    for (size_t i = 0; !error && i < json_array_size(effects); i++)
      error = vestry_reply_effect(reply, VESTRY_VALUES(json_array_get(effects, i)));
    json_decref(effects);
  }
  return error ? error : p->error;
}
