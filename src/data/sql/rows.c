/* SPDX-License-Identifier: MIT */
/* Rows as structs: a statement's columns are matched with the members of a struct by name, at the first row. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "data/sql/sql.h"

enum { SHOWN_BYTES = 160 };

/* The rows of one statement. */
typedef struct reading {
  vestry_sql_pool *pool;
  const char *function, *sql;
  vestry_sql_rows into;
  vestry_sql_shape shape;
  size_t count;
  vestry_err error;
  uint16_t at[VESTRY_SQL_SHAPE_MAX]; /* the column of each member; set by the first row */
} reading;

/* ------------------------------------------------------------------------------------------------ refusals -------- */

static vestry_err refuse(const reading *of, vestry_err error, const char *format, ...) VESTRY_PRINTF(3, 4);
static vestry_err refuse(const reading *of, vestry_err error, const char *format, ...) {
  const vsi_call call = vsi_sql_call(of->pool, of->function);
  char shown[SHOWN_BYTES], why[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  vsi_sql_show(of->pool->ops->dialect, of->sql, shown, sizeof shown);
  return vsi_refuse(&call, error, "%s, in the rows of: %s", why, shown);
}

static vestry_err refuse_type(const reading *of, const vestry_sql_column *column, vsi_sql_value kind) {
  static const char *const kinds[] = {[VSI_SQL_NULL] = "null",         [VSI_SQL_INTEGER] = "an integer",
                                      [VSI_SQL_DECIMAL] = "a numeric", [VSI_SQL_REAL] = "a floating-point number",
                                      [VSI_SQL_BOOLEAN] = "a boolean", [VSI_SQL_TEXT] = "a text",
                                      [VSI_SQL_BYTES] = "bytes"};
  static const char *const members[] = {[VESTRY_SQL_INTEGER] = "an integer",
                                        [VESTRY_SQL_UNSIGNED] = "an integer",
                                        [VESTRY_SQL_BOOLEAN] = "a boolean",
                                        [VESTRY_SQL_NUMBER] = "a number",
                                        [VESTRY_SQL_TEXT] = "a text",
                                        [VESTRY_SQL_BORROWED] = "a text",
                                        [VESTRY_SQL_BYTES] = "bytes (BLOB, bytea)"};
  return refuse(of, VESTRY_INVALID, "column \"%s\" is %s, but the member is %s; change one of them, or CAST",
                column->name, kinds[kind], members[column->member]);
}

static vestry_err refuse_size(const reading *of, const vestry_sql_column *column) {
  return refuse(of, VESTRY_TOO_LARGE, "a value of column \"%s\" does not fit into the %" PRIu32 " bytes of its member",
                column->name, column->bytes);
}

/* --------------------------------------------------------------------------------------------------- values ------- */

/* Store an integer of any width. It is in range if it reads back as the same number. */
static bool store_integer(void *to, const vestry_sql_column *column, int64_t value) {
  const bool is_signed = column->member == VESTRY_SQL_INTEGER;
  const unsigned bits = 8 * column->bytes;
  if (bits < 64 && (is_signed ? value < -(INT64_C(1) << (bits - 1)) || value >= INT64_C(1) << (bits - 1)
                              : value >= INT64_C(1) << bits))
    return false;
  if (!is_signed && value < 0) return false;
  switch (column->bytes) {
  case 1: memcpy(to, &(int8_t){(int8_t)value}, 1); break;
  case 2: memcpy(to, &(int16_t){(int16_t)value}, 2); break;
  case 4: memcpy(to, &(int32_t){(int32_t)value}, 4); break;
  default: memcpy(to, &value, 8); break;
  }
  return true;
}

/* Read a decimal number without a fraction. TOO_LARGE | INVALID (a fraction, or not a number) */
static vestry_err read_decimal(const char *text, int64_t *ret_value) {
  char *end;
  errno = 0;
  *ret_value = strtoll(text, &end, 10);
  if (end == text || *end) return VESTRY_INVALID;
  return errno ? VESTRY_TOO_LARGE : VESTRY_OK;
}

static vestry_err take_integer(const reading *of, const vestry_sql_column *column, const vestry_sql_row *row, size_t at,
                               void *to) {
  const bool is_decimal = row->ops->kind(row, at) == VSI_SQL_DECIMAL;
  int64_t value = 0;
  vestry_err error = is_decimal ? read_decimal(row->ops->text(row, at), &value) : VESTRY_OK;
  if (error == VESTRY_INVALID) return refuse_type(of, column, VSI_SQL_DECIMAL);
  if (!is_decimal) value = row->ops->integer(row, at);
  return error || !store_integer(to, column, value) ? refuse_size(of, column) : VESTRY_OK;
}

static vestry_err take_boolean(const reading *of, const vestry_sql_column *column, const vestry_sql_row *row, size_t at,
                               void *to) {
  const int64_t value = row->ops->integer(row, at);
  if (value < 0 || value > 1) return refuse_type(of, column, VSI_SQL_INTEGER);
  *(bool *)to = value == 1;
  return VESTRY_OK;
}

static vestry_err take_number(const reading *of, const vestry_sql_column *column, const vestry_sql_row *row, size_t at,
                              void *to) {
  const double value = row->ops->real(row, at);
  (void)of, (void)column;
  memcpy(to, &value, sizeof value);
  return VESTRY_OK;
}

static vestry_err take_text(const reading *of, const vestry_sql_column *column, const vestry_sql_row *row, size_t at,
                            void *to) {
  const char *text = row->ops->text(row, at);
  if (!text) return VESTRY_NO_MEMORY; /* SQLite converts the encoding */
  const size_t len = strlen(text);
  if (row->ops->bytes(row, at, NULL, 0) != len)
    return refuse(of, VESTRY_INVALID, "a text of column \"%s\" contains a zero character", column->name);
  if (column->member == VESTRY_SQL_BORROWED) {
    memcpy(to, &text, sizeof text);
    return VESTRY_OK;
  }
  if (len >= column->bytes) return refuse_size(of, column);
  memcpy(to, text, len + 1);
  return VESTRY_OK;
}

static vestry_err take_bytes(const reading *of, const vestry_sql_column *column, const vestry_sql_row *row, size_t at,
                             void *to) {
  if (row->ops->bytes(row, at, NULL, 0) != column->bytes)
    return refuse(of, VESTRY_INVALID, "a value of column \"%s\" has another length than its member, %" PRIu32 " bytes",
                  column->name, column->bytes);
  (void)row->ops->bytes(row, at, to, column->bytes);
  return VESTRY_OK;
}

/* How a value is stored in a member, and of which kinds it may be. */
static const struct {
  vestry_err (*take)(const reading *of, const vestry_sql_column *column, const vestry_sql_row *row, size_t at,
                     void *to);
  unsigned kinds; /* bits */
} members[] = {[VESTRY_SQL_INTEGER] = {take_integer, 1 << VSI_SQL_INTEGER | 1 << VSI_SQL_DECIMAL},
               [VESTRY_SQL_UNSIGNED] = {take_integer, 1 << VSI_SQL_INTEGER | 1 << VSI_SQL_DECIMAL},
               [VESTRY_SQL_BOOLEAN] = {take_boolean, 1 << VSI_SQL_BOOLEAN | 1 << VSI_SQL_INTEGER},
               [VESTRY_SQL_NUMBER] = {take_number, 1 << VSI_SQL_REAL | 1 << VSI_SQL_INTEGER | 1 << VSI_SQL_DECIMAL},
               [VESTRY_SQL_TEXT] = {take_text, 1 << VSI_SQL_TEXT | 1 << VSI_SQL_DECIMAL},
               [VESTRY_SQL_BORROWED] = {take_text, 1 << VSI_SQL_TEXT | 1 << VSI_SQL_DECIMAL},
               [VESTRY_SQL_BYTES] = {take_bytes, 1 << VSI_SQL_BYTES}};

static vestry_err take_one(const reading *of, const vestry_sql_column *column, const vestry_sql_row *row, size_t at,
                           char *to) {
  const vsi_sql_value kind = row->ops->kind(row, at);
  if (column->null_offset) *(bool *)(to + column->null_offset - 1) = kind == VSI_SQL_NULL;
  if (kind != VSI_SQL_NULL && !(members[column->member].kinds >> kind & 1)) return refuse_type(of, column, kind);
  if (kind != VSI_SQL_NULL) return members[column->member].take(of, column, row, at, to + column->offset);
  memset(to + column->offset, 0, column->bytes); /* a null pointer is all zeroes, as in the options of this library */
  if (column->null_offset) return VESTRY_OK;
  return refuse(of, VESTRY_INVALID, "column \"%s\" is null; name it as (%s, is_null) in VESTRY_ROW, or use coalesce()",
                column->name, column->name);
}

/* ----------------------------------------------------------------------------------------------------- rows ------- */

/* Find the columns of all members. */
static vestry_err find_columns(reading *of, const vestry_sql_row *row) {
  const size_t count = row->ops->columns_count(row);
  for (size_t i = 0; i < of->shape.columns_count; i++) {
    const char *name = of->shape.columns[i].name;
    size_t found = 0;
    for (size_t at = 0; at < count && at < UINT16_MAX; at++) {
      const char *own = row->ops->name(row, at);
      if (!own) return VESTRY_NO_MEMORY;
      if (vsi_strcasecmp(own, name) != 0) continue;
      of->at[i] = (uint16_t)at;
      found++;
    }
    if (found != 1)
      return refuse(of, VESTRY_INVALID, "%s column \"%s\"; name the columns of the result with AS",
                    found ? "there is more than one" : "there is no", name);
  }
  return VESTRY_OK;
}

static void take_row(const vestry_sql_row *row, void *ctx) {
  reading *of = ctx;
  const bool is_each = of->into.fn;
  if (of->error) return;
  if (!of->count) of->error = find_columns(of, row);
  if (!of->error && !is_each && of->count == of->into.max_count)
    of->error =
        of->count == 1
            ? refuse(of, VESTRY_INVALID, "there is more than one row; add a condition, LIMIT 1, or use VESTRY_ALL_ROWS")
            : refuse(of, VESTRY_TOO_LARGE, "there are more rows than the array has elements; add LIMIT");
  char *to = (char *)of->into.rows + (is_each ? 0 : of->count * of->into.row_bytes);
  for (size_t i = 0; i < of->shape.columns_count && !of->error; i++)
    of->error = take_one(of, &of->shape.columns[i], row, of->at[i], to);
  if (of->error) return;
  of->count++;
  if (is_each) of->error = of->into.fn(to, of->into.ctx);
}

/* Return whether a column describes a member of the struct. A text is borrowed only while its row is there. */
static bool is_valid(const vestry_sql_column *column, const reading *of) {
  const bool is_inside = column->offset <= of->shape.bytes && column->bytes <= of->shape.bytes - column->offset;
  const bool is_known = column->member >= VESTRY_SQL_INTEGER && column->member <= VESTRY_SQL_BYTES;
  return column->name && is_known && is_inside && column->bytes && column->null_offset <= of->shape.bytes &&
         (column->member != VESTRY_SQL_BORROWED || of->into.fn);
}

static vestry_err begin(reading *of, const vestry_sql_rows *given) {
  const vestry_host *host = of->pool->host;
  of->into = given ? *given : (vestry_sql_rows){0};
  of->shape = of->into.shape ? *of->into.shape : (vestry_sql_shape){0};
  if (of->into.ret_count) *of->into.ret_count = 0;
  if (!of->into.rows || of->into.row_bytes != of->shape.bytes || (!of->into.max_count && !of->into.fn) ||
      !of->shape.columns || !of->shape.columns_count || of->shape.columns_count > VESTRY_SQL_SHAPE_MAX)
    return vsi_mistake(host, of->function,
                       "rows is NULL, or points to no struct of this shape, or the shape has no columns, or more than "
                       "VESTRY_SQL_SHAPE_MAX; use the macros of sql.h");
  for (size_t i = 0; i < of->shape.columns_count; i++)
    if (!is_valid(&of->shape.columns[i], of))
      return vsi_mistake(host, of->function,
                         "a column of the shape is not as VESTRY_ROW makes it, or is a const char * without "
                         "VESTRY_EACH_ROW; use an array of char");
  return VESTRY_OK;
}

static vestry_err end(reading *of, vestry_err error) {
  if (error == VESTRY_NOT_FOUND && of->into.is_optional) error = VESTRY_OK;
  if (!error) error = of->error;
  if (!error && !of->count && !of->into.is_optional) error = VESTRY_NOT_FOUND; /* a statement without a result */
  if (!error && of->into.ret_count) *of->into.ret_count = of->count;
  return error;
}

vestry_err vestry_sql_run_rows(vestry_sql_transaction *transaction, const char *sql, const vestry_value *values,
                               const vestry_sql_rows *rows) {
  if (!transaction) return VESTRY_INVALID;
  reading of = {.pool = transaction->pool, .function = "vestry_sql_run_rows", .sql = sql};
  vestry_err error = begin(&of, rows);
  return error ? error : end(&of, vestry_sql_run(transaction, sql, values, take_row, &of));
}

vestry_err vestry_sql_read_rows(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                const vestry_sql_rows *rows) {
  if (!pool) return VESTRY_INVALID;
  reading of = {.pool = pool, .function = "vestry_sql_read_rows", .sql = sql};
  vestry_err error = begin(&of, rows);
  return error ? error : end(&of, vestry_sql_read(pool, sql, values, take_row, &of));
}
