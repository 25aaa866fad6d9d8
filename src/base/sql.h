/* SPDX-License-Identifier: MIT */
/* The text of an application's statements, as far as its quotes and values tell apart. Header only, as base/memory.h
 * is: libraries of several databases use it. */
#ifndef VSI_BASE_SQL_H
#define VSI_BASE_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/ascii.h"

/* Whose SQL it is: they differ in what they quote, and how. */
typedef enum vsi_sql { VSI_SQL_SQLITE, VSI_SQL_POSTGRES } vsi_sql;

/* Of a keyword, a name or a number. */
static inline bool vsi_sql_is_word(char c) {
  return vsi_is_letter(c) || vsi_is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

/* PostgreSQL's comments have comments in them. */
static inline const char *vsi_sql_skip_comment(vsi_sql of, const char *at) {
  size_t depth = 0;
  do {
    const bool opens = at[0] == '/' && at[1] == '*' && (!depth || of == VSI_SQL_POSTGRES);
    const bool closes = at[0] == '*' && at[1] == '/';
    depth = opens ? depth + 1 : closes ? depth - 1 : depth;
    at += opens || closes ? 2 : 1;
  } while (depth && *at);
  return at;
}

/* escapes: a backslash takes what comes after it along. */
static inline const char *vsi_sql_skip_quoted(const char *at, bool escapes) {
  const char end = *at == '[' ? ']' : *at;
  for (at++; *at; at++) {
    if (escapes && *at == '\\' && at[1]) {
      at++;
    } else if (*at == end) {
      if (end == ']' || at[1] != end) return at + 1;
      at++;
    }
  }
  return at;
}

/* $$...$$ and $name$...$name$ of PostgreSQL; NULL: it is a parameter. */
static inline const char *vsi_sql_skip_dollars(const char *at) {
  size_t len = 1;
  while (vsi_sql_is_word(at[len])) len++;
  if (vsi_is_digit(at[1]) || at[len++] != '$') return NULL;
  for (const char *end = at + len; (end = strchr(end, '$')) != NULL; end++)
    if (strncmp(end, at, len) == 0) return end + len;
  return at + strlen(at);
}

/* After a string, a quoted name or a comment that begins here; NULL: none does. In a string of PostgreSQL's a setting
 * says whether a backslash escapes a quote: such a string goes on to the end of the text. */
static inline const char *vsi_sql_skip(vsi_sql of, const char *at) {
  if (at[0] == '-' && at[1] == '-') return at + strcspn(at, "\n");
  if (at[0] == '/' && at[1] == '*') return vsi_sql_skip_comment(of, at);
  if (*at == '$' && of == VSI_SQL_POSTGRES) return vsi_sql_skip_dollars(at);
  const bool is_quote = *at == '\'' || *at == '"' || (of == VSI_SQL_SQLITE && (*at == '`' || *at == '['));
  if (!is_quote) return NULL;
  const char *end = vsi_sql_skip_quoted(at, false);
  if (of == VSI_SQL_SQLITE || *at == '"') return end;
  const char *escape = strstr(at, "\\'");
  return escape && escape < end ? at + strlen(at) : end;
}

/* After a number, a name, or a name of a parameter; else after what is shown as it is, from 1 byte on. */
static inline const char *vsi_sql_skip_word(vsi_sql of, const char *at) {
  at++;
  while (vsi_sql_is_word(*at) || (of == VSI_SQL_POSTGRES && *at == '$')) at++;
  return at;
}

/* After a string with a letter ahead of it, such as x'00'; NULL: none begins here. */
static inline const char *vsi_sql_skip_lettered(vsi_sql of, const char *at) {
  if (!*at || at[1] != '\'' || !strchr(of == VSI_SQL_POSTGRES ? "eExXbB" : "xX", *at)) return NULL;
  return vsi_sql_skip_quoted(at + 1, *at == 'e' || *at == 'E');
}

/* What begins here ends at ret_end, and is shown as ret_text: NULL: as it is. */
static inline void vsi_sql_next(vsi_sql of, const char *at, const char **ret_end, const char **ret_text) {
  const char *lettered = vsi_sql_skip_lettered(of, at), *end = lettered ? lettered : vsi_sql_skip(of, at);
  *ret_text = NULL;
  if (end) {
    const bool is_comment = *at == '-' || *at == '/', is_name = *at == '`' || *at == '[';
    *ret_text = is_comment ? "" : is_name ? NULL : "...";
  } else if (vsi_is_digit(*at)) {
    end = vsi_sql_skip_word(of, at);
    while (*end == '.') end = vsi_sql_skip_word(of, end);
    *ret_text = "...";
  } else if (vsi_sql_is_word(*at) || strchr("?:@$#", *at)) {
    end = vsi_sql_skip_word(of, at);
  }
  *ret_end = end ? end : at + 1;
}

/* What the log may say of a statement: "..." stands for each value, and for names in double quotes: SQLite takes them
 * for strings where there is no such column, and so do people. Comments are left out.
 *  shown  terminated; cut if there is too little room */
static inline void vsi_sql_show(vsi_sql of, const char *sql, char *shown, size_t room) {
  size_t len = 0;
  while (*sql) {
    const char *end, *text;
    vsi_sql_next(of, sql, &end, &text);
    const size_t bytes = text ? strlen(text) : (size_t)(end - sql);
    if (bytes >= room - len) break;
    memcpy(shown + len, text ? text : sql, bytes);
    len += bytes;
    sql = end;
  }
  shown[len] = '\0';
}

#endif
