/* SPDX-License-Identifier: MIT */
/* Transactions of an application. If its database is busy or away, an act is answered with LIMIT (503), so that the
 * client repeats it later. */
#include "app/application/call.h"
#include "base/log.h"
#include "data/sql/sql.h"

typedef struct acting {
  vestry_sql_act_fn fn;
  void *ctx;
  bool has_ended;  /* fn has returned OK in the last transaction */
  bool is_refused; /* the server has refused a statement of it */
} acting;

static vestry_err act(vestry_sql_transaction *transaction, void *ctx) {
  acting *of = ctx;
  const vsi_sql_ops *ops = transaction->pool->ops;
  vestry_err error = of->fn(transaction, of->ctx);
  of->has_ended = !error;
  of->is_refused = error && ops->is_refused && ops->is_refused(transaction);
  return error;
}

vestry_err vestry_application_act(vestry_application *app, vestry_sql_act_fn fn, void *ctx) {
  static const bool has_no_mark = false;
  return vsi_application_act(app, fn, ctx, &has_no_mark);
}

vestry_err vsi_application_act(vestry_application *app, vestry_sql_act_fn fn, void *ctx, const bool *has_mark) {
  if (!app) return VESTRY_INVALID;
  vsi_application *a = vsi_application_of(app);
  acting of = {.fn = fn, .ctx = ctx};
  if (!app->pool || !fn)
    return vsi_mistake(a->host, "vestry_application_act", "fn is NULL, or the application has no database");
  vestry_err error = vestry_sql_act(app->pool, a->isolation, act, &of);
  if (!app->pool->ops->is_refused) return error; /* only one transaction writes at a time, and no connection is lost */
  const bool is_lost = error == VESTRY_IO && !of.is_refused && (!of.has_ended || *has_mark || a->acts_repeat);
  return error == VESTRY_BUSY || error == VESTRY_TIMEOUT || is_lost ? VESTRY_LIMIT : error;
}
