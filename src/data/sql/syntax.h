/* SPDX-License-Identifier: MIT */
/* The text of an application's SQL statements, parsed as far as quotes and values require. Header only, because
 * the libraries of both databases use it. */
#ifndef VSI_SQL_SYNTAX_H
#define VSI_SQL_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/ascii.h"

/* The SQL dialect. Dialects differ in their quotes, and in the texts of some statements. */
typedef enum vsi_sql_dialect { VSI_SQL_SQLITE, VSI_SQL_POSTGRES, VSI_SQL_DIALECTS } vsi_sql_dialect;

/* Return whether the character belongs to a keyword, a name or a number. */
static inline bool vsi_sql_is_word(char c) {
  return vsi_is_letter(c) || vsi_is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Return the end of a comment; comments of PostgreSQL can be nested. */
static inline const char *vsi_sql_skip_comment(vsi_sql_dialect of, const char *at) {
  size_t depth = 0;
  do {
    const bool opens = at[0] == '/' && at[1] == '*' && (!depth || of == VSI_SQL_POSTGRES);
    const bool closes = at[0] == '*' && at[1] == '/';
    depth = opens ? depth + 1 : closes ? depth - 1 : depth;
    at += opens || closes ? 2 : 1;
  } while (depth && *at);
  return at;
}

/* Return the end of a quoted text. */
static inline const char *vsi_sql_skip_quoted(const char *at) {
  const char end = *at == '[' ? ']' : *at;
  for (at++; *at; at++) {
    if (*at != end) continue;
    if (end == ']' || at[1] != end) return at + 1;
    at++;
  }
  return at;
}

/* Return the end of a string, a quoted name or a comment that begins here; NULL: none does. In a string of PostgreSQL,
 * a setting, or an E in front, determines whether a backslash escapes a quote. So a string in which this matters
 * extends to the end of the text, as does one between dollars. */
static inline const char *vsi_sql_skip(vsi_sql_dialect of, const char *at) {
  if (at[0] == '-' && at[1] == '-') return at + strcspn(at, "\n");
  if (at[0] == '/' && at[1] == '*') return vsi_sql_skip_comment(of, at);
  if (*at == '$' && of == VSI_SQL_POSTGRES) return vsi_is_digit(at[1]) ? NULL : at + strlen(at);
  const bool is_quote = *at == '\'' || *at == '"' || (of == VSI_SQL_SQLITE && (*at == '`' || *at == '['));
  if (!is_quote) return NULL;
  const char *end = vsi_sql_skip_quoted(at);
  if (of == VSI_SQL_SQLITE || *at == '"') return end;
  const char *escape = strstr(at, "\\'");
  return escape && escape < end ? at + strlen(at) : end;
}

/* Return the end of a number, a name, or a parameter's name. The first byte is skipped in any case, so for other text
 * the result is at least one byte further. */
static inline const char *vsi_sql_skip_word(const char *at) {
  at++;
  while (vsi_sql_is_word(*at) || *at == '$') at++;
  return at;
}

/* Find the token that begins at `at`. ret_end: its end; ret_text: the text that replaces it in the log, or NULL if it
 * is shown unchanged. */
static inline void vsi_sql_next(vsi_sql_dialect of, const char *at, const char **ret_end, const char **ret_text) {
  const char *end = vsi_sql_skip(of, at);
  *ret_text = NULL;
  if (end) {
    const bool is_comment = *at == '-' || *at == '/', is_name = *at == '`' || *at == '[';
    *ret_text = is_comment ? "" : is_name ? NULL : "...";
  } else if (vsi_is_digit(*at)) {
    end = vsi_sql_skip_word(at);
    while (*end == '.') end = vsi_sql_skip_word(end);
    *ret_text = "...";
  } else if (vsi_sql_is_word(*at) || strchr("?:@$#", *at)) {
    end = vsi_sql_skip_word(at);
  }
  *ret_end = end ? end : at + 1;
}

/* Write the form of a statement that may be logged. "..." replaces each value. It also replaces each name in double
 * quotes, because SQLite takes such a name for a string if there is no such column, and applications rely on this.
 * Comments are omitted.
 * ret_shown  terminated; cut if there is too little room */
static inline void vsi_sql_show(vsi_sql_dialect of, const char *sql, char *ret_shown, size_t room) {
  size_t len = 0;
  while (*sql) {
    const char *end, *text;
    vsi_sql_next(of, sql, &end, &text);
    const size_t bytes = text ? strlen(text) : (size_t)(end - sql);
    if (bytes >= room - len) break;
    memcpy(ret_shown + len, text ? text : sql, bytes);
    len += bytes;
    sql = end;
  }
  ret_shown[len] = '\0';
}

#endif
