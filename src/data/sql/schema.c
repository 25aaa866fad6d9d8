/* SPDX-License-Identifier: MIT */
/* The statements in the steps of a part's schema, and which of them are due. Another client may have deleted a row of
 * vestry_schema, or dropped a table or an index whose row remained. Then only the statements run whose object or column
 * does not exist, because a role that owns only some of the tables may not alter the others. */
#include "base/assert.h"
#include "data/sql/sql.h"

/* Return the length of a statement. No literal in a step contains a semicolon, and only triggers contain statements. */
static size_t statement_len(const char *at) {
  const char *end = strncmp(at, "CREATE TRIGGER ", strlen("CREATE TRIGGER ")) == 0 ? strstr(at, "; END") : NULL;
  return end ? (size_t)(end - at) + strlen("; END") : strcspn(at, ";");
}

/* Copy a name. Returns where the statement continues. */
static const char *read_name(const char *at, char name[VSI_SQL_NAME_BYTES]) {
  const size_t len = strcspn(at, " (;");
  snprintf(name, VSI_SQL_NAME_BYTES, "%.*s", (int)len, at);
  return at + len;
}

static void read_names(vsi_sql_statement *at) {
  enum { INDEX = 1, ALTER = 4 };
  static const char *const kinds[] = {"CREATE TABLE ", [INDEX] = "CREATE INDEX ", "CREATE UNIQUE INDEX ",
                                      "CREATE TRIGGER ", [ALTER] = "ALTER TABLE "};
  static const char add[] = " ADD COLUMN ";
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const size_t len = strlen(kinds[i]);
    if (strncmp(at->sql, kinds[i], len) != 0) continue;
    const char *rest = read_name(at->sql + len, at->name);
    at->is_index = i == INDEX;
    VSI_ASSERT(i != ALTER || strncmp(rest, add, strlen(add)) == 0);
    if (i == ALTER) (void)read_name(rest + strlen(add), at->column);
  }
}

bool vsi_sql_next_statement(const vsi_sql_schema *schema, vsi_sql_statement *at) {
  const char *next = at->sql ? at->sql + at->len : "";
  const int number = at->sql ? at->number + 1 : 0;
  int step = at->step;
  next += strspn(next, "; ");
  while (!*next) {
    if (step == schema->version) return false;
    next = schema->steps[step++];
  }
  *at = (vsi_sql_statement){.sql = next, .len = statement_len(next), .number = number, .step = step};
  read_names(at);
  return true;
}

void vsi_sql_note_object(vsi_sql_found *found, const vsi_sql_statement *at, bool is_there) {
  VSI_ASSERT(at->number < 64);
  if (is_there) {
    found->is_lost |= !found->version;
    return;
  }
  found->missing |= UINT64_C(1) << at->number;
  found->is_dropped |= at->step <= found->version;
}

bool vsi_sql_is_due(const vsi_sql_found *found, const vsi_sql_statement *at) {
  return *at->name ? found->missing >> at->number & 1 : at->step > found->version && !found->is_lost;
}

bool vsi_sql_has_due(const vsi_sql_found *found, const vsi_sql_schema *schema, bool only_indexes) {
  bool has_due = false;
  for (vsi_sql_statement at = {0}; vsi_sql_next_statement(schema, &at);) {
    if (!vsi_sql_is_due(found, &at)) continue;
    if (only_indexes && !at.is_index) return false;
    has_due = true;
  }
  return has_due;
}

void vsi_sql_log_repaired(const vsi_call *call, const vsi_sql_schema *schema, const vsi_sql_found *found) {
  if (found->is_lost)
    vsi_log(call->host, VESTRY_LOG_WARN,
            "%s, %s: vestry_schema had no version of vestry's tables (%s), although they exist; it was written again",
            call->function, call->name, schema->part);
  if (found->is_dropped)
    vsi_log(
        call->host, VESTRY_LOG_WARN,
        "%s, %s: a table, a column or an index of vestry's (%s) was missing, although vestry_schema has its version. "
        "It was created again; the rows of a table are lost",
        call->function, call->name, schema->part);
}

void vsi_sql_log_missing_indexes(const vsi_call *call, const vsi_sql_schema *schema, const vsi_sql_found *found,
                                 const char *why) {
  for (vsi_sql_statement at = {0}; vsi_sql_next_statement(schema, &at);)
    if (vsi_sql_is_due(found, &at))
      vsi_log(call->host, VESTRY_LOG_WARN,
              "%s, %s: vestry's index %s is missing, so some statements are slower. It was not created: %s. To create "
              "it, run: %.*s",
              call->function, call->name, at.name, why, (int)at.len, at.sql);
}
