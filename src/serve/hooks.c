/* SPDX-License-Identifier: MIT */
/* The steps when a stream has opened and when it has ended: its entries in stores, the hooks of the reply and of the
 * instance, and the effects that the application registered for it. */
#include "serve/hooks.h"

#include <string.h>

#include "base/callback.h"
#include "base/log.h"
#include "connection/connection.h"
#include "instance/stream_entries.h"
#include "registry/dispatch.h"
#include "registry/names.h"
#include "serve/inside.h"

static const vestry_connection_hooks *hooks_of(const vsi_stream_context *stream) {
  static const vestry_connection_hooks none = {.ctx = NULL};
  return stream->has_hooks ? (const vestry_connection_hooks *)stream->tail : &none;
}

/* Dispatch an effect of vestry itself, if the application has registered its name as an effect or an action. */
static void announce(vestry_dispatch_context *context, const char *name, vestry_connection *connection,
                     const char *cause) {
  vestry *v = context->v;
  if (!vsi_names_performed(v->registry, name, strlen(name))) return;
  json_int_t id = (json_int_t)vsi_connection_id(connection);
  json_t *effects = json_pack("[[s, I, s*]]", name, id, cause);
  if (effects)
    vsi_dispatch(context, &(vsi_effects){.list = effects});
  else
    vsi_log_repeated(v->host, &v->repeated, vsi_log_reason(name), VESTRY_LOG_ERROR,
                     "the effect %s of connection %llu was not dispatched: out of memory", name,
                     (unsigned long long)id);
  json_decref(effects);
}

/* The hooks of the reply and of the instance, then the effect "connection", then the parts of extensions. */
static void on_open(vestry_connection *connection, void *ctx) {
  vsi_stream_context *stream = ctx;
  vestry *v = vsi_stream_context_v(stream);
  const vestry_connection_hooks *own = hooks_of(stream);
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  if (own->on_open) own->on_open(connection, own->ctx);
  if (v->hooks.on_open) v->hooks.on_open(connection, v->hooks.ctx);
  vestry_dispatch_context context;
  vestry_dispatch_result result;
  char scope[VESTRY_SCOPE_MAX_BYTES];
  vsi_context_init(&context, v, NULL, NULL, vestry_connection_scope_get(connection, scope), &result);
  if (!vsi_targets_add(&context.targets, connection)) announce(&context, "connection", connection, NULL);
  vsi_dispatch_log(v, &result, "an opened stream");
  vsi_context_finish(&context);
  for (vsi_stream_part *part = vsi_stream_context_parts(stream); part; part = vsi_stream_part_next(part))
    part->ops->opened(part);
  vsi_inside_end(&inside);
}

/* The extensions, the stores, the hooks with the interceptors of PHASE_CLOSE around them, and the effect
 * "sse-closed". */
static void on_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  vsi_stream_context *stream = ctx;
  vestry *v = vsi_stream_context_v(stream);
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  VSI_EXTENSIONS_EACH(at, &v->extensions, ended) at->kind->ended(at->state, stream, connection, cause);
  vsi_stream_entries_end(connection, stream, cause);
  vestry_dispatch_context context;
  vestry_dispatch_result result;
  vsi_context_init(&context, v, NULL, NULL, vsi_stream_last_scope(stream), &result);
  (void)vsi_targets_add(&context.targets, connection); /* the first target needs no memory */
  vsi_context_intercept(&context, VESTRY_PHASE_CLOSE, false, NULL, SIZE_MAX);
  const vestry_connection_hooks *own = hooks_of(stream);
  if (own->on_close) own->on_close(connection, cause, own->ctx);
  if (v->hooks.on_close) v->hooks.on_close(connection, cause, v->hooks.ctx);
  /* A stream that was given up for another was never announced: nothing was dispatched to it. */
  if (!stream->given_up) announce(&context, "sse-closed", connection, vestry_cause_name(cause));
  vsi_context_intercept(&context, VESTRY_PHASE_CLOSE, true, NULL, SIZE_MAX);
  vsi_dispatch_log(v, &result, "an ended stream");
  vsi_context_finish(&context);
  vsi_inside_end(&inside);
}

static vestry_verdict on_error(vestry_connection *connection, vestry_err error, void *ctx) {
  vsi_stream_context *stream = ctx;
  vestry *v = vsi_stream_context_v(stream);
  const vestry_connection_hooks *own = hooks_of(stream), *all = &v->hooks;
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  vestry_verdict first = own->on_error ? own->on_error(connection, error, own->ctx) : VESTRY_VERDICT_DEFAULT;
  vestry_verdict second = all->on_error ? all->on_error(connection, error, all->ctx) : VESTRY_VERDICT_DEFAULT;
  vsi_inside_end(&inside);
  return first ? first : second;
}

static void on_free(const vestry_host *host, void *ctx) {
  vsi_stream_context *stream = ctx;
  vsi_callback_begin();
  if (vsi_stream_context_data(stream)) vsi_data_destroy(vsi_stream_context_data(stream));
  vsi_callback_end();
  for (vsi_stream_part *next, *part = vsi_stream_context_parts(stream); part; part = next) {
    next = vsi_stream_part_next(part);
    part->ops->free(part, host);
  }
  vsi_stream_entries_free(stream, host);
}

static bool on_written(vestry_connection *connection, void *ctx) {
  const vsi_stream_context *stream = ctx;
  bool more = false;
  for (vsi_stream_part *part = vsi_stream_context_parts(stream); part; part = vsi_stream_part_next(part))
    more |= part->ops->written(part, connection);
  const vestry *v = vsi_stream_context_v(stream);
  VSI_EXTENSIONS_EACH(at, &v->extensions, written) more |= at->kind->written(at->state, connection);
  return more;
}

const vsi_connection_hooks vsi_stream_context_hooks = {.bytes = vsi_stream_context_bytes,
                                                       .make = vsi_stream_context_make,
                                                       .on_open = on_open,
                                                       .on_close = on_close,
                                                       .on_error = on_error,
                                                       .on_free = on_free,
                                                       .on_written = on_written};
