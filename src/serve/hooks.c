/* SPDX-License-Identifier: MIT */
/* What happens when a stream has opened and when it has ended: the keeper, the reply's hooks and the instance's, and
 * the effects that the application registered for it. */
#include "serve/hooks.h"

#include <string.h>

#include "base/log.h"
#include "connection/connection.h"
#include "registry/dispatch.h"
#include "registry/names.h"
#include "serve/keeper.h"

static const vestry_connection_hooks *hooks_of(const vsi_life *life) {
  static const vestry_connection_hooks none = {.ctx = NULL};
  return life->has_hooks ? (const vestry_connection_hooks *)life->tail : &none;
}

/* Dispatch one of vestry's own effects, if the application has registered it, as an effect or as an action. */
static void announce(vestry_dispatch_context *context, const char *name, vestry_connection *connection,
                     const char *cause) {
  vestry *v = context->v;
  if (!vsi_names_performed(v->registry, name, strlen(name))) return;
  json_int_t id = (json_int_t)vsi_connection_id(connection);
  json_t *effects = json_pack("[[s, I, s*]]", name, id, cause);
  if (effects)
    vsi_dispatch(context, &(vsi_effects){.list = effects});
  else
    vsi_log(v->host, VESTRY_LOG_ERROR, "%s of connection %llu: out of memory", name, (unsigned long long)id);
  json_decref(effects);
}

static void on_open(vestry_connection *connection, void *ctx) {
  vsi_life *life = ctx;
  vestry *v = life->v;
  const vestry_connection_hooks *own = hooks_of(life);
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  if (own->on_open) own->on_open(connection, own->ctx);
  if (v->hooks.on_open) v->hooks.on_open(connection, v->hooks.ctx);
  vestry_dispatch_context context;
  vestry_dispatch_result result;
  vsi_context_init(&context, v, NULL, NULL, vsi_life_scope(life), &result);
  if (!vsi_targets_add(&context.targets, connection)) announce(&context, "connection", connection, NULL);
  vsi_dispatch_log(v, &result, "an opened stream");
  vsi_context_finish(&context);
  for (vsi_stream_part *part = vsi_life_first(life); part; part = vsi_stream_part_next(part)) part->ops->opened(part);
  vsi_inside_end(&inside);
}

static void on_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  vsi_life *life = ctx;
  vestry *v = life->v;
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  if (vsi_lookouts_are_there(&v->lookouts)) vsi_lookouts_tell_all_ended(&v->lookouts, life, connection, cause);
  /* seq_cst, then the handle is loaded: pairs with the keeper, which stores the handle, then loads this. */
  atomic_store_explicit(&life->ended, true, memory_order_seq_cst);
  vestry_dispatch_context context;
  vestry_dispatch_result result;
  vsi_context_init(&context, v, NULL, NULL, vsi_life_scope(life), &result);
  context.life = life;
  (void)vsi_targets_add(&context.targets, connection); /* the first needs no memory */
  vsi_keeper_remove(life, cause);
  vsi_context_intercept(&context, VESTRY_PHASE_CLOSE, false, NULL);
  const vestry_connection_hooks *own = hooks_of(life);
  if (own->on_close) own->on_close(connection, cause, own->ctx);
  if (v->hooks.on_close) v->hooks.on_close(connection, cause, v->hooks.ctx);
  /* A stream that was given up for another was never told of: nothing was dispatched to it. */
  if (!life->given_up) announce(&context, "sse-closed", connection, vestry_cause_name(cause));
  vsi_context_intercept(&context, VESTRY_PHASE_CLOSE, true, NULL);
  vsi_dispatch_log(v, &result, "an ended stream");
  vsi_context_finish(&context);
  vsi_inside_end(&inside);
}

static vestry_verdict on_error(vestry_connection *connection, vestry_err error, void *ctx) {
  vsi_life *life = ctx;
  const vestry_connection_hooks *own = hooks_of(life), *all = &life->v->hooks;
  vsi_inside inside;
  vsi_inside_begin(&inside, life->v);
  vestry_verdict first = own->on_error ? own->on_error(connection, error, own->ctx) : VESTRY_VERDICT_DEFAULT;
  vestry_verdict second = all->on_error ? all->on_error(connection, error, all->ctx) : VESTRY_VERDICT_DEFAULT;
  vsi_inside_end(&inside);
  return first ? first : second;
}

static void on_free(const vestry_host *host, void *ctx) {
  vsi_life *life = ctx;
  if (vsi_life_data(life)) vsi_data_destroy(vsi_life_data(life));
  for (vsi_stream_part *next, *part = vsi_life_first(life); part; part = next) {
    next = vsi_stream_part_next(part);
    part->ops->free(part, host);
  }
  vsi_life_unref(life, host);
}

static bool on_written(vestry_connection *connection, void *ctx) {
  const vsi_life *life = ctx;
  bool more = false;
  for (vsi_stream_part *part = vsi_life_first(life); part; part = vsi_stream_part_next(part))
    more |= part->ops->written(part, connection);
  VSI_EXTENSIONS_EACH(at, &life->v->extensions, written) more |= at->kind->written(at->state, connection);
  return more;
}

const vsi_connection_hooks vsi_life_hooks = {.has_life = true,
                                             .on_open = on_open,
                                             .on_close = on_close,
                                             .on_error = on_error,
                                             .on_free = on_free,
                                             .on_written = on_written};
