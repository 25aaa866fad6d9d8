/* SPDX-License-Identifier: MIT */
/* The statements in the steps of a part's schema, and which of them are due. Another client may have deleted a row of
 * vestry_schema, or dropped a table or an index whose row remained. Then the statements of all steps are run one by
 * one, except for those whose objects exist. */
#include "base/assert.h"
#include "data/sql/sql.h"

/* Return the length of a statement. No literal in a step contains a semicolon, and only triggers contain statements. */
static size_t statement_len(const char *at) {
  const char *end = strncmp(at, "CREATE TRIGGER ", strlen("CREATE TRIGGER ")) == 0 ? strstr(at, "; END") : NULL;
  return end ? (size_t)(end - at) + strlen("; END") : strcspn(at, ";");
}

static void read_name(vsi_sql_statement *at) {
  static const char *const kinds[] = {"CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX ", "CREATE TRIGGER "};
  at->name[0] = '\0';
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const size_t len = strlen(kinds[i]);
    if (strncmp(at->sql, kinds[i], len) != 0) continue;
    const char *name = at->sql + len;
    snprintf(at->name, sizeof at->name, "%.*s", (int)strcspn(name, " ("), name);
    at->is_index = i == 1;
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
  read_name(at);
  return true;
}

void vsi_sql_note_object(vsi_sql_found *found, const vsi_sql_statement *at, bool is_there) {
  VSI_ASSERT(at->number < 64);
  if (is_there) {
    found->is_lost |= !found->version;
    return;
  }
  found->missing |= UINT64_C(1) << at->number;
  if (at->step > found->version) return;
  found->is_dropped = true;
  found->lacks_table |= !at->is_index;
}

bool vsi_sql_is_due(const vsi_sql_found *found, const vsi_sql_statement *at) {
  if (*at->name) return found->missing >> at->number & 1;
  if (at->step > found->version && !found->is_lost) return true;
  return (found->is_lost || found->lacks_table) && strncmp(at->sql, "INSERT", strlen("INSERT")) != 0;
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
    vsi_log(call->host, VESTRY_LOG_WARN,
            "%s, %s: a table or an index of vestry's (%s) was missing, although vestry_schema has its version. It was "
            "created again; the rows of a table are lost",
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
