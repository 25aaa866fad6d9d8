/* SPDX-License-Identifier: MIT */
/* Calls of an application's functions: their error, their memory, and their database. A row and its texts are copied
 * into the memory of the call, so that they outlive the statement, and a function needs no callback for each row. */
#include "app/application/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "data/jobs/state.h"
#include "data/sql/sql.h"
#include "http/reply.h"
#include "http/request.h"
#include "vestry/app/session.h"

enum { BLOCK_BYTES = 4096, ALIGNMENT = 16, KEY_BYTES = 48, WHY_BYTES = 256, ROW_HEAD_BYTES = 2 * sizeof(void *) };

/* ------------------------------------------------------------------------------------------ beginning, end -------- */

struct vsi_entry_call_block {
  struct vsi_entry_call_block *next;
  size_t used, capacity; /* of the memory behind this struct, which is aligned */
};
enum { BLOCK_HEAD = (sizeof(struct vsi_entry_call_block) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT };

static const vestry_host *host_of(const vsi_entry_call *call) {
  return vsi_application_of(call->entry->app)->host;
}

void vsi_entry_call_begin(vsi_entry_call *call, const vsi_mounted *entry, const vestry_request *req,
                          vestry_reply *reply) {
  *call = (vsi_entry_call){.entry = entry, .req = req, .reply = reply};
  call->is = (vestry_call){.app = entry->app,
                           .own = vsi_application_of(entry->app)->own,
                           .req = req,
                           .reply = reply,
                           .me = vestry_value_null()};
  if (!req) return;
  call->is.user = vestry_session_user(req);
  call->is.guest = vestry_guest_id(req);
  if (req->scope.len) call->is.me = vestry_value_bytes(req->scope.data, req->scope.len);
}

void vsi_entry_call_again(vsi_entry_call *call, vestry_sql_transaction *transaction) {
  json_decref(call->signals);
  call->signals = NULL;
  call->url = call->said = NULL;
  call->is.transaction = transaction;
  call->is.error = VESTRY_OK;
}

vestry_err vsi_entry_call_end(vsi_entry_call *call) {
  for (struct vsi_entry_call_block *next, *at = call->blocks; at; at = next) {
    next = at->next;
    vsi_free(host_of(call), at);
  }
  json_decref(call->signals);
  json_decref(call->wrong);
  return call->is.error;
}

void *vsi_entry_call_alloc(vsi_entry_call *call, size_t bytes) {
  struct vsi_entry_call_block *block = call->blocks;
  const size_t wanted = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (!block || block->capacity - block->used < wanted) {
    const size_t capacity = wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES;
    block = wanted < bytes ? NULL : vsi_calloc(host_of(call), 1, BLOCK_HEAD + capacity);
    if (!block) return vestry_call_fail(&call->is, VESTRY_NO_MEMORY), NULL;
    block->capacity = capacity;
    block->next = call->blocks;
    call->blocks = block;
  }
  void *made = (char *)block + BLOCK_HEAD + block->used;
  block->used += wanted;
  return made;
}

static char *copy_text(vsi_entry_call *call, const char *text) {
  const size_t len = strlen(text) + 1;
  char *made = vsi_entry_call_alloc(call, len);
  return made ? memcpy(made, text, len) : NULL;
}

char *vsi_entry_call_print(vsi_entry_call *call, const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  const int len = vsnprintf(NULL, 0, format, arguments);
  char *text = len < 0 ? NULL : vsi_entry_call_alloc(call, (size_t)len + 1);
  if (text) vsnprintf(text, (size_t)len + 1, format, again);
  va_end(again);
  if (len < 0) vestry_call_fail(&call->is, VESTRY_INVALID);
  return text;
}

void vsi_entry_call_mistake(vestry_call *call, const char *function, const char *why) {
  vestry_call_fail(call, vsi_mistake(host_of(vsi_entry_call_of(call)), function, why));
}

void vestry_call_fail(vestry_call *call, vestry_err error) {
  if (!call->error) call->error = error;
}

/* ------------------------------------------------------------------------------------------------ requests -------- */

/* Return whether the entry answers after its function: after the commit, if it has a transaction. */
static bool is_answered_later(const vsi_entry_call *call) {
  return call->entry->is.kind == VESTRY_ENTRY_FORM || call->entry->is.kind == VESTRY_ENTRY_ACT;
}

void vestry_call_refuse(vestry_call *is, const char *format, ...) {
  vsi_entry_call *call = vsi_entry_call_of(is);
  va_list arguments;
  if (is->error) return;
  if (!is_answered_later(call)) {
    vsi_entry_call_mistake(is, "vestry_call_refuse", "only a form or an act can be refused");
    return;
  }
  va_start(arguments, format);
  call->said = vsi_entry_call_print(call, format, arguments);
  va_end(arguments);
  call->url = NULL; /* an earlier vestry_call_go was for the success that did not come */
  vestry_call_fail(is, VESTRY_FAILED);
}

void vestry_call_go(vestry_call *is, const char *format, ...) {
  vsi_entry_call *call = vsi_entry_call_of(is);
  va_list arguments;
  if (is->error) return;
  if (!call->reply) {
    vsi_entry_call_mistake(is, "vestry_call_go", "a job or a part has no browser");
    return;
  }
  va_start(arguments, format);
  call->url = vsi_entry_call_print(call, format, arguments);
  va_end(arguments);
  if (!is_answered_later(call) && !is->error) vestry_call_fail(is, vestry_reply_redirect(is->reply, 303, call->url));
}

void vestry_call_signals(vestry_call *is, const vestry_value *signals) {
  vsi_entry_call *call = vsi_entry_call_of(is);
  if (is->error) return;
  if (!call->reply) {
    vsi_entry_call_mistake(is, "vestry_call_signals", "a job or a part has no page that waits for signals");
    return;
  }
  if (!is_answered_later(call)) {
    vestry_call_fail(is, vestry_reply_patch_signals(is->reply, signals));
    return;
  }
  json_decref(call->signals);
  call->signals = NULL;
  vestry_call_fail(is, vestry_value_to_json(signals, &call->signals));
}

vestry_err vsi_entry_call_patch(vsi_entry_call *call) {
  return vsi_reply_is_stream(call->reply) ? vestry_reply_patch_signals(call->reply, VESTRY_VALUES(call->signals))
                                          : vestry_reply_json(call->reply, call->signals);
}

vestry_err vsi_entry_call_say(vsi_entry_call *call) {
  json_decref(call->signals); /* they were for the success that did not come */
  call->signals = NULL;
  vestry_err error =
      vestry_value_to_json(VESTRY_OBJECT("_said", VESTRY_OBJECT("act", (const char *)call->said)), &call->signals);
  return error ? error : vsi_entry_call_patch(call);
}

int64_t vestry_call_came_ms(vestry_call *call) {
  const vestry_host *host = host_of(vsi_entry_call_of(call));
  if (!call->req || call->render) return 0; /* a page is rendered again, long after its request */
  const int64_t now_ms = vestry_clock_ms(vsi_application_of(call->app)->document.clock);
  return now_ms - (int64_t)((host->now_ns(host->ctx) - call->req->own->came_ns) / 1000000);
}

/* Log that the path of an entry does not have a parameter. Guards and pages of errors see paths of other entries. */
static void miss_parameter(vestry_call *call, const char *name) {
  char why[WHY_BYTES];
  const vestry_entry *entry = &vsi_entry_call_of(call)->entry->is;
  if (entry->kind == VESTRY_ENTRY_GUARD || entry->kind == VESTRY_ENTRY_ERROR_DOCUMENT) return;
  snprintf(why, sizeof why, "the path of the entry has no parameter \"%.60s\"", name);
  vsi_entry_call_mistake(call, "vestry_call_get", why);
}

bool vestry_call_get(vestry_call *call, vestry_in in, const char *name, vestry_into into) {
  if (call->error) return false;
  vestry_err error = call->req ? vestry_request_get(call->req, in, name, into) : VESTRY_INVALID;
  if (error == VESTRY_NOT_FOUND && in == VESTRY_IN_PATH) miss_parameter(call, name);
  if (error == VESTRY_MALFORMED && in == VESTRY_IN_PATH) error = VESTRY_NOT_FOUND;
  vestry_call_fail(call, error);
  return !error;
}

int64_t vestry_call_path(vestry_call *call, const char *name) {
  int64_t value = 0;
  if (!call->req && !call->error)
    vsi_entry_call_mistake(call, "vestry_call_path", "a job or a part has no path; use call->key");
  return vestry_call_get(call, VESTRY_IN_PATH, name, VESTRY_INTO(&value)) ? value : 0;
}

bool vestry_call_signal(vestry_call *call, const char *path, vestry_into into) {
  if (call->error) return false;
  vestry_err error = call->req ? vestry_signals_get(call->req->signals, path, into, NULL) : VESTRY_INVALID;
  vestry_call_fail(call, error);
  return !error;
}

/* ------------------------------------------------------------------------------------------------ database -------- */

/* The rows of a statement, which are copied as they arrive. */
typedef struct reading {
  vsi_entry_call *call;
  const vestry_sql_shape *shape;
  void **last; /* the link to the next row */
  vestry_rows rows;
} reading;

static bool can_read(vestry_call *call, const char *function) {
  if (call->error) return false;
  if (call->app->pool) return true;
  vsi_entry_call_mistake(call, function, "the application has no database; set options.database");
  return false;
}

/* Run a statement. false: it has returned no row, or the call has failed */
static bool run(vestry_call *call, const char *function, const char *sql, const vestry_value *values,
                vestry_sql_row_fn row, void *ctx) {
  if (!can_read(call, function)) return false;
  vestry_err error = call->transaction ? vestry_sql_run(call->transaction, sql, values, row, ctx)
                                       : vestry_sql_read(call->app->pool, sql, values, row, ctx);
  if (error != VESTRY_NOT_FOUND) vestry_call_fail(call, error);
  return !error;
}

bool vestry_call_run(vestry_call *call, const char *sql, const vestry_value *values) {
  return run(call, "vestry_call_run", sql, values, NULL, NULL);
}

typedef struct first {
  int64_t value;
  bool has_row;
} first;

static void take_first(const vestry_sql_row *row, void *ctx) {
  first *of = ctx;
  if (!of->has_row) of->value = vestry_sql_integer(row, 0);
  of->has_row = true;
}

int64_t vestry_call_integer(vestry_call *call, const char *sql, const vestry_value *values) {
  first of = {0};
  return run(call, "vestry_call_integer", sql, values, take_first, &of) ? of.value : 0;
}

typedef struct first_text {
  vsi_entry_call *call;
  const char *value;
  bool has_row;
} first_text;

static void take_first_text(const vestry_sql_row *row, void *ctx) {
  first_text *of = ctx;
  if (of->has_row) return;
  of->has_row = true;
  if (row->ops->kind(row, 0) == VSI_SQL_NULL) return;
  const char *text = vestry_sql_text(row, 0);
  if (text) of->value = copy_text(of->call, text);
  if (!of->value) vestry_call_fail(&of->call->is, VESTRY_NO_MEMORY);
}

const char *vestry_call_text(vestry_call *call, const char *sql, const vestry_value *values) {
  first_text of = {.call = vsi_entry_call_of(call)};
  return run(call, "vestry_call_text", sql, values, take_first_text, &of) && !call->error ? of.value : NULL;
}

/* Copy a row behind its link, and the texts to which it points. */
static vestry_err keep_row(void *row, void *ctx) {
  reading *of = ctx;
  void **kept = vsi_entry_call_alloc(of->call, ROW_HEAD_BYTES + of->shape->bytes);
  if (!kept) return VESTRY_NO_MEMORY;
  char *copy = (char *)kept + ROW_HEAD_BYTES;
  memcpy(copy, row, of->shape->bytes);
  for (size_t i = 0; i < of->shape->columns_count; i++) {
    const char *text;
    const vestry_sql_column *column = &of->shape->columns[i];
    if (column->member != VESTRY_SQL_BORROWED) continue;
    memcpy(&text, copy + column->offset, sizeof text);
    if (text && !(text = copy_text(of->call, text))) return VESTRY_NO_MEMORY;
    memcpy(copy + column->offset, &text, sizeof text);
  }
  *of->last = kept;
  of->last = kept;
  of->rows.count++;
  return VESTRY_OK;
}

vestry_rows vestry_call_rows(vestry_call *call, const vestry_sql_shape *shape, const char *sql,
                             const vestry_value *values) {
  reading of = {.call = vsi_entry_call_of(call), .shape = shape};
  if (!can_read(call, "vestry_call_rows")) return of.rows;
  if (!shape)
    return vsi_entry_call_mistake(call, "vestry_call_rows", "shape is NULL; make it by VESTRY_STRUCT"), of.rows;
  of.last = &of.rows.next;
  void *row = vsi_entry_call_alloc(of.call, shape->bytes);
  const vestry_sql_rows into = {
      .shape = shape, .rows = row, .row_bytes = shape->bytes, .is_optional = true, .fn = keep_row, .ctx = &of};
  if (row)
    vestry_call_fail(call, call->transaction ? vestry_sql_run_rows(call->transaction, sql, values, &into)
                                             : vestry_sql_read_rows(call->app->pool, sql, values, &into));
  return call->error ? (vestry_rows){.count = 0, .next = NULL} : of.rows;
}

void *vestry_call_row(vestry_call *call, const vestry_sql_shape *shape, const char *sql, const vestry_value *values) {
  vestry_rows rows = vestry_call_rows(call, shape, sql, values);
  if (rows.count < 2) return vestry_next(&rows);
  vsi_entry_call_mistake(call, "vestry_call_row",
                         "there is more than one row; add a condition or LIMIT 1, or use "
                         "vestry_call_rows");
  return NULL;
}

static const vestry_sql_shape choice_shape = VESTRY_ROW(vestry_choice, value, label);

const vestry_choice *vestry_call_choices(vestry_call *call, const char *sql, const vestry_value *values) {
  vestry_rows rows = vestry_call_rows(call, &choice_shape, sql, values);
  vestry_choice *made = vsi_entry_call_alloc(vsi_entry_call_of(call), (rows.count + 1) * sizeof *made), *to = made;
  for (const vestry_choice *at; made && (at = vestry_next(&rows));) *to++ = *at;
  return call->error ? NULL : made;
}

void vestry_call_enqueue(vestry_call *call, const char *kind, int64_t key, int64_t at_ms) {
  char payload[KEY_BYTES], unique[KEY_BYTES], why[WHY_BYTES];
  if (call->error) return;
  if (!call->app->jobs || !call->transaction) {
    vsi_entry_call_mistake(call, "vestry_call_enqueue",
                           "the call has no transaction, or the application no jobs; set options.jobs");
    return;
  }
  if (!kind || !vsi_jobs_have_kind(call->app->jobs, kind)) {
    snprintf(why, sizeof why,
             "no VESTRY_JOB of the table has the kind \"%.60s\"; add it, or enqueue a job that only another program "
             "runs by vestry_jobs_enqueue",
             kind ? kind : "");
    vsi_entry_call_mistake(call, "vestry_call_enqueue", why);
    return;
  }
  snprintf(payload, sizeof payload, "%" PRId64, key);
  snprintf(unique, sizeof unique, "%" PRId64 " %" PRId64, key, at_ms);
  const vestry_job_order order = {
      .kind = kind, .payload = {payload, strlen(payload)}, .key = at_ms ? unique : NULL, .not_before_ms = at_ms};
  vestry_err error = vestry_jobs_enqueue(call->app->jobs, call->transaction, &order, NULL);
  if (error != VESTRY_EXISTS) vestry_call_fail(call, error);
}
