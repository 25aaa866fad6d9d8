/* SPDX-License-Identifier: MIT */
/* Serves a request that was read: determines the scope, and makes a response or a stream of the reply. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "connection/runner.h"
#include "http/answer.h"
#include "http/encoding.h"
#include "http/receiver.h"
#include "registry/dispatch.h"
#include "serve/hooks.h"
#include "serve/inside.h"

typedef vsi_serving serving;

/* ------------------------------------------------------------------------------------------------ the stream ------ */

/* Get a transport from the adapter, and create a connection over it. */
static vestry_err open_connection(serving *s, const vestry_response *head, vsi_encoding *encoding) {
  const vestry_request *req = &s->request;
  const vestry_transport_ops *ops = NULL;
  void *transport = NULL;
  vestry_err error = req->own->ops->open(req->own->server_request, head, &ops, &transport);
  if (error) return error;
  vsi_stream_given given = {req->scope, &s->reply.hooks, &s->reply.data, s->reply.parts_count > 0};
  error =
      vsi_group_connect(s->v->group, ops, transport, &s->reply.stream, &vsi_stream_context_hooks, &given, &s->opened);
  if (error == VESTRY_CLOSED && vsi_instance_is_draining(s->v)) error = VESTRY_LIMIT; /* drain has begun */
  if (!error) {
    s->stream = vsi_stream_context_of(s->opened);
    s->reply.data = (vsi_data){0}; /* the connection owns it now */
    s->opened->coder = encoding->coder;
    encoding->coder = NULL;
    s->opened->greets = !req->is_datastar;
    if (req->is_datastar && vestry_request_header(req, VSI_SIGNS_HEADER))
      vsi_connection_give_signs(s->opened, s->has_sign);
    return VESTRY_OK;
  }
  ops->end(transport, false, VESTRY_CAUSE_ERROR);
  ops->release(transport);
  return error;
}

/* Open the stream of the reply: the extensions add to it, its coding is chosen, and the adapter gives a transport. */
static vestry_err open_stream(serving *s) {
  if (s->reply.connection) return VESTRY_CLOSED; /* effects for one page must not reach another */
  if (vsi_instance_is_closing(s->v)) return VESTRY_CLOSED;
  if (vsi_instance_is_draining(s->v)) return VESTRY_LIMIT;
  vsi_encoding encoding = {.coder = NULL};
  vestry_err error = VESTRY_OK;
  VSI_EXTENSIONS_EACH(at, &s->v->extensions, open)
  if (!error) error = at->kind->open(at->state, &s->request, &s->reply, &s->has_sign);
  if (!error && VSI_ENCODES) error = vsi_encoding_choose(&s->request, &s->reply, &encoding);
  s->not_acceptable = error == VESTRY_UNSUPPORTED;
  if (error) return error;
  vestry_header *headers = NULL;
  size_t headers_count;
  error = vsi_stream_headers(&s->reply, encoding.coding, encoding.negotiated, &headers, &headers_count);
  if (!error) error = open_connection(s, &(vestry_response){200, headers, headers_count, NULL, 0}, &encoding);
  vsi_free(s->v->host, headers);
  if (VSI_ENCODES) { /* unless the connection owns it */
    vsi_coder_free(encoding.coder);
  }
  return error;
}

/* Give up a stream that must not open. Its hooks run here. */
static void give_up(serving *s, vestry_cause cause) {
  s->stream->given_up = true;
  vsi_connection_abandon(s->opened, cause);
  s->stream = NULL;
  s->opened = vestry_connection_unref(s->opened);
}

/* --------------------------------------------------------------------------------------- finding connections ------ */

static vestry_cause cause_of_refusal(vestry_err refusal) {
  switch (refusal) {
  case VESTRY_EXISTS: return VESTRY_CAUSE_CLOSED;
  case VESTRY_CLOSED: return VESTRY_CAUSE_SHUTDOWN;
  default: return VESTRY_CAUSE_ERROR;
  }
}

/* PHASE_CONNECT: determine the context's targets. These are the connection that the reply names, the connections stored
 * under its key or found by interceptors, or else a new stream. OK | the refusal, which is also recorded. */
static vestry_err find_connections(serving *s, vestry_dispatch_context *context) {
  vsi_connecting c = {.v = s->v, .targets = &context->targets, .reply = &s->reply, .store = vsi_reply_store(&s->reply)};
  context->connecting = &c;
  if (s->reply.connection) (void)vsi_targets_add(c.targets, s->reply.connection); /* needs no memory */
  vsi_registration_find(&c);
  vsi_context_intercept(context, VESTRY_PHASE_CONNECT, false, NULL, SIZE_MAX);
  vsi_targets_prune(c.targets);
  if (!c.refusal && !c.targets->count) c.refusal = open_stream(s);
  if (s->opened && !c.refusal) {
    (void)vsi_targets_add(c.targets, s->opened);
    c.opened = s->opened;
  }
  vsi_context_intercept(context, VESTRY_PHASE_CONNECT, true, NULL, SIZE_MAX);
  if (c.opened && !c.refusal && vsi_reply_stays_open(&s->reply, s->v)) vsi_registration_keep(&c, s->request.scope);
  if (c.opened && !c.refusal) c.refusal = vsi_attachments_settle(&s->reply.attachments, c.opened);
  if (s->opened && c.refusal)
    give_up(s, cause_of_refusal(c.refusal));
  else if (s->opened && !c.opened)
    give_up(s, VESTRY_CAUSE_CLOSED); /* for another stream */
  vsi_dispatch_log(s->v, context->result, "the connections of a reply");
  context->connecting = NULL;
  context->phase = VESTRY_PHASE_DISPATCH;
  vsi_context_clear(context->result); /* drop the records of the search */
  return c.refusal;
}

/* -------------------------------------------------------------------------------------- performing the reply ------ */

/* Start the stream after the effects were performed. The caller becomes its owner. */
static vestry_connection *start_stream(serving *s) {
  vestry_connection *connection = s->opened;
  if (!vsi_reply_stays_open(&s->reply, s->v)) vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  vsi_connection_start(connection);
  s->opened = NULL;
  s->stream = NULL;
  return connection;
}

/* Answer a request for whose effects there is no connection. */
static vestry_err answer_refusal(serving *s, vestry_err refusal) {
  bool is_gone = s->reply.connection && refusal == VESTRY_CLOSED;
  if (s->not_acceptable) return vsi_answer_status(&s->request, 406, NULL);
  return is_gone ? vsi_answer_status(&s->request, 410, NULL) : vsi_answer_error(&s->request, refusal);
}

/* Perform the reply's effects in one dispatch, for the connections that are found or for a new stream. */
static vestry_err perform(serving *s, vestry_connection **ret_connection) {
  vestry_reply *reply = &s->reply;
  if (reply->has_body) vsi_reply_drop_body(reply);
  /* INVALID even if the key is too large, because the program has chosen the key. After an error of the store, the keys
   * are in a store or scope that the handler did not mean. */
  if (reply->key_error || reply->more_key_error || reply->store_error)
    return vsi_answer_error(&s->request, VESTRY_INVALID);
  vestry_dispatch_context context;
  vsi_context_init(&context, s->v, &s->request, s->request.signals, s->request.scope, &s->result);
  vestry_err error = find_connections(s, &context);
  if (!error) {
    context.fail_fast = reply->fail_fast;
    vsi_dispatch(&context, &(vsi_effects){.items = reply->effects, .count = reply->effects_count});
    vsi_dispatch_log(s->v, &s->result, "a reply");
    if (context.lost && !s->opened) error = reply->connection ? VESTRY_CLOSED : VESTRY_LIMIT;
  }
  vsi_context_finish(&context);
  if (error) return answer_refusal(s, error);
  if (!s->opened) return vsi_answer_nothing(&s->request);
  *ret_connection = start_stream(s);
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- the reply ----- */

vestry_err vsi_serving_refuse_reading(serving *s, vestry_err error, const vestry_signals_error *why) {
  char text[160] = "";
  if (why && why->message[0]) snprintf(text, sizeof text, "signals: %s, at byte %zu", why->message, why->offset);
  if (error == VESTRY_TIMEOUT) {
    vestry_reject(s->v, VESTRY_REFUSAL_DEADLINE);
    return vsi_answer_status(&s->request, 408, NULL);
  }
  if (error == VESTRY_IO) return vsi_answer_status(&s->request, 400, NULL);
  if (*text) return vsi_answer_status(&s->request, error == VESTRY_TOO_LARGE ? 413 : 400, text);
  return vsi_answer_error(&s->request, error);
}

/* Return whether a reply is the response although an error was returned. The reply of a guard is the response with any
 * status. A handler may have begun its reply before it failed, so the reply of a handler is the response only if the
 * reply has a body and the status of an error. */
static bool is_whole(const vestry_reply *reply, bool is_guarded, vestry_err error) {
  if (!reply->status || reply->no_memory || reply->no_room) return false;
  return is_guarded || (reply->status >= 400 && reply->has_body && error != reply->refused);
}

vestry_err vsi_serving_find_scope(serving *s) {
  s->reply.v = s->reply.room.v = s->v;
  s->reply.is_datastar = s->request.is_datastar;
  s->reply.last_event_id = s->own_request.ops->header(s->own_request.server_request, "Last-Event-ID");
  vestry_err error = VESTRY_OK;
  bool is_of_extension = false;
  VSI_EXTENSIONS_EACH(at, &s->v->extensions, find_scope) { /* one at the most */
    error = at->kind->find_scope(at->state, &s->request, &s->reply);
    is_of_extension = true;
  }
  if (!is_of_extension) error = vsi_request_scope(&s->request, &s->reply);
  /* A scope from the application's function may identify a user, and a handler reads it without a call. So the response
   * counts as personal. With a scope from an extension, it counts as personal only if guards or the handler read the
   * user. */
  s->own_request.is_personal = !is_of_extension && (s->own_request.is_personal || s->request.scope.len);
  if (!error) s->reply.scope = s->request.scope;
  return error;
}

/* Show the redirect of a guard to a script that sends files. XMLHttpRequest follows redirects by itself. It reports a
 * redirect to another site, for example to a common log-in, like a broken connection. */
static void show_redirect(serving *s) {
  const bool is_redirect = s->reply.status >= 300 && s->reply.status < 400;
  if (is_redirect && vsi_reply_header_find(&s->reply, "Location") &&
      vestry_request_header(&s->request, VSI_UPLOAD_HEADER))
    s->reply.status = 403;
}

vestry_err vsi_serving_conclude(serving *s, vestry_err error, bool is_guarded, vestry_connection **ret_connection) {
  vestry_reply *reply = &s->reply;
  bool is_response = error && is_whole(reply, is_guarded, error);
  if (error && error == reply->refused) error = VESTRY_INVALID; /* an error of the program, not of the client */
  /* If only the response has no room, the request was performed, and must not be repeated. */
  s->own_request.handled = error == VESTRY_LIMIT && reply->no_room ? VESTRY_OK : error;
  VSI_EXTENSIONS_EACH(at, &s->v->extensions, conclude)
  at->kind->conclude(at->state, &s->request, reply, is_response || !error);
  if (is_response && is_guarded) show_redirect(s);
  if (is_response) return vsi_answer_reply(&s->request, reply);
  if (!error && reply->no_memory) error = VESTRY_NO_MEMORY;
  if (error) return vsi_answer_instead(&s->request, reply, error);
  const bool is_client = s->request.is_datastar || (reply->any_client && !s->own_request.is_head);
  if (is_client && vsi_reply_is_stream(reply)) return perform(s, ret_connection);
  return reply->no_room ? vsi_answer_instead(&s->request, reply, VESTRY_LIMIT) : vsi_answer_reply(&s->request, reply);
}

void vsi_serving_begin_span(vsi_serving *s) {
  vestry_trace said;
  const char *text = s->v->host->tracer ? vestry_request_header(&s->request, "traceparent") : NULL;
  bool goes_on = text && !vsi_trace_read(text, strlen(text), &said);
  vsi_span_begin(&s->span, s->v->host, VESTRY_SPAN_REQUEST, goes_on ? &said : NULL);
}

void vsi_serving_end_span(vsi_serving *s, vestry_err error) {
  vsi_span_end(&s->span, s->request.method, 0, error ? error : s->own_request.handled);
  if (s->own_request.watcher) s->own_request.watcher->over(s->own_request.watcher);
  s->own_request.watcher = NULL;
}

void vsi_serving_init(serving *s, vestry *v, const vestry_request_ops *ops, void *server_request) {
  s->v = v;
  s->opened = NULL;
  s->stream = NULL;
  s->has_sign = s->not_acceptable = false;
  vsi_request_init(&s->request, &s->own_request, v, ops, server_request);
  vsi_reply_init(&s->reply, v->host);
}

void vsi_serving_finish(serving *s) {
  vsi_reply_finish(&s->reply);
  VSI_EXTENSIONS_EACH(at, &s->v->extensions, finish) at->kind->finish(at->state, &s->request);
  vsi_request_finish(&s->request);
}
