/* SPDX-License-Identifier: MIT */
/* The result of creating the tables of a part, or of bringing them to the current version. */
#include "data/sql/sql.h"

vestry_err vsi_sql_schema_result(const vsi_call *call, const vsi_sql_schema *schema, int64_t version, vestry_err error,
                                 const char *why) {
  if (error && error != VESTRY_NO_MEMORY && schema->is_optional) {
    vsi_log(call->host, VESTRY_LOG_WARN,
            "%s, %s: an index of vestry's is missing, so some statements are slower: %s. To create it, run: %s",
            call->function, call->name, why, schema->steps[schema->version - 1]);
    return VESTRY_OK;
  }
  if (error || version <= schema->version) return error;
  const char *part = schema->part;
  return vsi_refuse(call, VESTRY_IO,
                    "%s%s%s have version %d, but this program supports at most version %d; nothing was changed; use "
                    "the program that wrote them, or a later %s",
                    part ? "vestry's tables (" : "the tables", part ? part : "", part ? ")" : "", (int)version,
                    schema->version, part ? "vestry" : "one");
}
