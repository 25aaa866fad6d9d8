/* SPDX-License-Identifier: MIT */
#include "data/sqlite/text.h"

#include <ctype.h>
#include <string.h>

#include "base/ascii.h"

bool vsi_sqlite_text_cites(const char *message) {
  for (const char *at = message; (at = strchr(at, '"')) != NULL; at++) {
    const char first = at[1];
    if (first == '\'' || first == '"' || vsi_is_digit(first)) return true;
    if ((first == 'x' || first == 'X') && at[2] == '\'') return true;
  }
  return strstr(message, "string literal") != NULL;
}

const char *vsi_sqlite_text_rest(const char *sql) {
  for (;;) {
    while (isspace((unsigned char)*sql) || *sql == ';') sql++;
    if (sql[0] == '-' && sql[1] == '-') {
      sql += strcspn(sql, "\n");
    } else if (sql[0] == '/' && sql[1] == '*') {
      const char *end = strstr(sql + 2, "*/");
      sql = end ? end + 2 : sql + strlen(sql);
    } else {
      return sql;
    }
  }
}
