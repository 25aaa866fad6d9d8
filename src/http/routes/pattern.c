/* SPDX-License-Identifier: MIT */
#include "http/routes/pattern.h"

#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"

/* Return the segment after a '/'; it ends at the next '/' or at the end of the text. */
static const char *segment_of_path(const char *slash, size_t *ret_len) {
  *ret_len = strcspn(slash + 1, "/");
  return slash + 1;
}

/* In the order of their precedence. */
enum kind { LITERAL, PARAMETER, REST };

static enum kind kind_at(const char *segment, size_t len, vestry_slice *ret_name) {
  if (len < 2 || segment[0] != '{' || segment[len - 1] != '}') return LITERAL;
  bool is_rest = len >= 5 && memcmp(segment + len - 4, "...", 3) == 0;
  *ret_name = (vestry_slice){segment + 1, len - (is_rest ? 5 : 2)};
  return is_rest ? REST : PARAMETER;
}

static bool is_parameter_name(vestry_slice name) {
  const char *text = name.data;
  for (size_t i = 0; i < name.len; i++)
    if (!vsi_is_letter(text[i]) && !vsi_is_digit(text[i]) && text[i] != '_') return false;
  return name.len > 0;
}

/* Return whether a segment can occur in a path; adapters reject the others (vestry_target_read). */
static bool is_plain_segment(const char *segment, size_t len, bool is_last) {
  if (!len) return is_last;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)segment[i] < 0x20 || segment[i] == 0x7f || strchr("\\{}", segment[i])) return false;
  return segment[len - 1] != '.';
}

vestry_err vsi_pattern_check(const char *pattern, bool may_have_rest) {
  if (!pattern || *pattern != '/' || !vsi_is_utf8(pattern, strlen(pattern))) return VESTRY_INVALID;
  vestry_slice names[VESTRY_ROUTE_PARAMETERS_MAX];
  size_t names_count = 0, len;
  for (const char *at = pattern; *at; at += 1 + len) {
    const char *segment = segment_of_path(at, &len);
    vestry_slice name;
    enum kind kind = kind_at(segment, len, &name);
    bool is_last = !segment[len];
    if (kind == LITERAL) {
      if (!is_plain_segment(segment, len, is_last)) return VESTRY_INVALID;
      continue;
    }
    if (!is_parameter_name(name) || (kind == REST && (!is_last || !may_have_rest))) return VESTRY_INVALID;
    for (size_t i = 0; i < names_count; i++)
      if (names[i].len == name.len && memcmp(names[i].data, name.data, name.len) == 0) return VESTRY_INVALID;
    if (names_count == VESTRY_ROUTE_PARAMETERS_MAX) return VESTRY_LIMIT;
    names[names_count++] = name;
  }
  return VESTRY_OK;
}

bool vsi_pattern_fits(const char *pattern, const char *path, bool is_exact, vsi_captures *ret_captures) {
  vsi_captures found;
  found.count = 0;
  size_t len, path_len;
  for (; *pattern; pattern += 1 + len, path += 1 + path_len) {
    if (*path != '/') return false;
    const char *segment = segment_of_path(pattern, &len), *other = segment_of_path(path, &path_len);
    if (!len && !is_exact) return true; /* the pattern ends with a '/': all paths below it match */
    vestry_slice name;
    const enum kind kind = kind_at(segment, len, &name);
    if (kind == LITERAL) {
      if (len != path_len || memcmp(segment, other, len) != 0) return false;
      continue;
    }
    if (kind == PARAMETER && !path_len) return false;
    if (kind == REST) path_len = strlen(other);
    found.values[found.count++] = (vestry_slice){other, path_len};
  }
  if (is_exact && *path) return false;
  if (ret_captures) memcpy(ret_captures, &found, offsetof(vsi_captures, values[found.count]));
  return true;
}

int vsi_pattern_compare(const char *one, const char *other) {
  size_t len, other_len;
  for (; *one && *other; one += 1 + len, other += 1 + other_len) {
    const char *segment = segment_of_path(one, &len), *others = segment_of_path(other, &other_len);
    vestry_slice name;
    const int kind = kind_at(segment, len, &name), order = kind - (int)kind_at(others, other_len, &name);
    if (order) return order;
    if (kind != LITERAL) continue;
    const int by_bytes = memcmp(segment, others, len < other_len ? len : other_len);
    if (by_bytes || len != other_len) return by_bytes ? by_bytes : len < other_len ? -1 : 1;
  }
  return *one - *other;
}

size_t vsi_pattern_names(const char *pattern, char *text, const char *ret_names[VESTRY_ROUTE_PARAMETERS_MAX]) {
  size_t count = 0, len;
  for (const char *at = pattern; *at; at += 1 + len) {
    const char *segment = segment_of_path(at, &len);
    vestry_slice name;
    if (kind_at(segment, len, &name) == LITERAL) continue;
    ret_names[count++] = memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    text += name.len + 1;
  }
  return count;
}
