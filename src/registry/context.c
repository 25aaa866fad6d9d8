/* What effects and interceptors may ask of the dispatch they run in. */
#include "registry/context.h"

#include <stdio.h>
#include <string.h>

/* Finding connections again can meet the same race again; so often it is no race. */
enum { RECONNECTS_MAX = 4 };

void vsi_context_init(vestry_dispatch_context *context, vestry *v, const vestry_request *request, vestry_scope scope,
                      vestry_dispatch_result *result) {
  memset(context, 0, sizeof *context);
  memset(result, 0, sizeof *result);
  context->v = v;
  context->request = request;
  context->scope = scope;
  context->result = result;
  context->phase = VESTRY_PHASE_DISPATCH;
  vsi_targets_init(&context->targets, v->host);
}

void vsi_context_finish(vestry_dispatch_context *context) {
  vsi_targets_finish(&context->targets);
}

vestry *vestry_context_instance(const vestry_dispatch_context *context) {
  return context->v;
}

const vestry_request *vestry_context_request(const vestry_dispatch_context *context) {
  return context->request;
}

vestry_scope vestry_context_scope(const vestry_dispatch_context *context) {
  return context->scope;
}

vestry_connection *const *vestry_context_connections(const vestry_dispatch_context *context, size_t *ret_count) {
  *ret_count = context->targets.count;
  return context->targets.items;
}

const vestry_reply *vestry_context_reply(const vestry_dispatch_context *context) {
  return context->phase == VESTRY_PHASE_CONNECT ? context->reply : NULL;
}

vestry_connection *vestry_context_opened(const vestry_dispatch_context *context) {
  return context->phase == VESTRY_PHASE_CONNECT && context->is_after && !context->refusal ? context->opened : NULL;
}

vestry_err vestry_context_target(vestry_dispatch_context *context, vestry_connection *connection) {
  if (context->phase != VESTRY_PHASE_CONNECT || !connection) return VESTRY_INVALID;
  if (!vestry_connection_is_open(connection)) return VESTRY_CLOSED;
  vestry_err error = vsi_targets_add(&context->targets, connection);
  if (error || !context->opened) return error;
  /* In favour of this one: the opened stream is the first target. Its own reference is the server's (serve.c). */
  vestry_connection_unref(context->targets.items[0]);
  context->targets.count--;
  memmove(context->targets.items, context->targets.items + 1, context->targets.count * sizeof *context->targets.items);
  context->opened = NULL;
  return VESTRY_OK;
}

vestry_err vestry_context_refuse(vestry_dispatch_context *context, vestry_err error) {
  if (context->phase != VESTRY_PHASE_CONNECT || error == VESTRY_OK) return VESTRY_INVALID;
  if (!context->refusal) context->refusal = error;
  return VESTRY_OK;
}

vestry_err vestry_context_fail(vestry_dispatch_context *context, vestry_err error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(context->detail, sizeof context->detail, format, arguments);
  va_end(arguments);
  return error;
}

/* One round over the connections from `first` on. Returns as vestry_context_send. */
static vestry_err send_from(vestry_dispatch_context *context, size_t first, vestry_event *event) {
  vestry_err failure = VESTRY_OK;
  bool accepted = false;
  for (size_t i = first; i < context->targets.count; i++) {
    vestry_err error = vestry_connection_send(context->targets.items[i], event);
    if (!error)
      accepted = true;
    else if (error != VESTRY_CLOSED && !failure)
      failure = error;
  }
  context->accepted |= accepted;
  if (failure) return failure;
  return accepted ? VESTRY_OK : VESTRY_CLOSED;
}

vestry_err vestry_context_send(vestry_dispatch_context *context, vestry_event *event) {
  vestry_err error = send_from(context, 0, event);
  for (int i = 0; error == VESTRY_CLOSED && !context->accepted && context->reconnect && i < RECONNECTS_MAX; i++) {
    /* The closed ones stay in the list: an effect may hold what vestry_context_connections gave it. */
    size_t first = context->targets.count;
    if (context->reconnect(context, context->reconnect_ctx)) {
      context->reconnect = NULL;
      break;
    }
    context->result->connections_count = (uint32_t)context->targets.count;
    error = send_from(context, first, event);
  }
  if (error == VESTRY_CLOSED && !context->accepted) context->lost = true;
  return error;
}
