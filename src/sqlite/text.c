/* SPDX-License-Identifier: MIT */
#include "sqlite/text.h"

#include <ctype.h>
#include <string.h>

#define VALUE "..."

bool vsi_sqlite_text_is_word(char c) {
  return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

const char *vsi_sqlite_text_skip(const char *at) {
  char end = *at == '[' ? ']' : *at;
  if (at[0] == '-' && at[1] == '-') return at + strcspn(at, "\n");
  if (at[0] == '/' && at[1] == '*') {
    const char *close = strstr(at + 2, "*/");
    return close ? close + 2 : at + strlen(at);
  }
  if (*at != '\'' && *at != '"' && *at != '`' && *at != '[') return NULL;
  for (at++; *at; at++) {
    if (*at != end) continue;
    if (end == ']' || at[1] != end) return at + 1;
    at++;
  }
  return at;
}

/* After a number, or a name of a parameter; else after what is shown as it is, from 1 byte on. */
static const char *skip_word(const char *at) {
  at++;
  while (vsi_sqlite_text_is_word(*at)) at++;
  return at;
}

/* What begins here ends at ret_end, and is shown as ret_text: NULL: as it is. */
static void next(const char *at, const char **ret_end, const char **ret_text) {
  const bool is_blob = (*at == 'x' || *at == 'X') && at[1] == '\'';
  const char *end = vsi_sqlite_text_skip(is_blob ? at + 1 : at);
  *ret_text = NULL;
  if (end) {
    const bool is_comment = *at == '-' || *at == '/', is_name = *at == '`' || *at == '[';
    *ret_text = is_comment ? "" : is_name ? NULL : VALUE;
  } else if (isdigit((unsigned char)*at)) {
    end = skip_word(at);
    while (*end == '.') end = skip_word(end);
    *ret_text = VALUE;
  } else if (vsi_sqlite_text_is_word(*at) || strchr("?:@$#", *at)) {
    end = skip_word(at);
  }
  *ret_end = end ? end : at + 1;
}

void vsi_sqlite_text_show(const char *sql, char *shown, size_t room) {
  size_t len = 0;
  while (*sql) {
    const char *end, *text;
    next(sql, &end, &text);
    const size_t bytes = text ? strlen(text) : (size_t)(end - sql);
    if (bytes >= room - len) break;
    memcpy(shown + len, text ? text : sql, bytes);
    len += bytes;
    sql = end;
  }
  shown[len] = '\0';
}

bool vsi_sqlite_text_cites(const char *message) {
  for (const char *at = message; (at = strchr(at, '"')) != NULL; at++) {
    const char first = at[1];
    if (first == '\'' || first == '"' || isdigit((unsigned char)first)) return true;
    if ((first == 'x' || first == 'X') && at[2] == '\'') return true;
  }
  return strstr(message, "string literal") != NULL;
}
