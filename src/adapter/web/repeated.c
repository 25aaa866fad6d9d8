/* SPDX-License-Identifier: MIT */
#include "adapter/web/repeated.h"

#include <string.h>

#include "base/ascii.h"
#include "base/memory.h"
#include "http/request.h"

static const char separator[] = ", ";
enum { SEPARATOR_LEN = sizeof separator - 1 };

struct vsi_web_joined {
  struct vsi_web_joined *next;
  const char *value;
  char name[]; /* and the value after it */
};

/* Return whether a proxy reports the client by this header. Browsers themselves send Cookie, though once. */
static bool reports_client(const char *name) {
  static const char *const names[] = {"Forwarded",        "X-Real-IP",         "X-Forwarded-For",
                                      "X-Forwarded-Host", "X-Forwarded-Proto", NULL};
  if (vsi_is_listed(name, names)) return true;
  return vsi_is_listed(name, vsi_user_headers) && vsi_strcasecmp(name, "Cookie") != 0;
}

void vsi_web_lines_see(vsi_web_lines *lines, const char *name, const char *value) {
  if (vsi_strcasecmp(name, lines->name) != 0) return;
  const size_t before = lines->count++ ? SEPARATOR_LEN : 0, len = strlen(value);
  if (lines->to) {
    memcpy(lines->to + lines->len, separator, before);
    memcpy(lines->to + lines->len + before, value, len + 1);
  }
  lines->len += before + len;
}

const char *vsi_web_header_of(vsi_web_joined **joined, const vestry_host *host, const char *name, const char *first,
                              void (*each)(void *server_request, vsi_web_lines *lines), void *server_request) {
  if (!first || !reports_client(name)) return first;
  for (const vsi_web_joined *at = *joined; at; at = at->next)
    if (vsi_strcasecmp(at->name, name) == 0) return at->value;
  vsi_web_lines lines = {.name = name};
  each(server_request, &lines);
  if (lines.count < 2) return first;
  const size_t name_room = strlen(name) + 1;
  vsi_web_joined *made = vsi_alloc(host, sizeof *made + name_room + lines.len + 1);
  if (!made) return separator;
  lines = (vsi_web_lines){.name = memcpy(made->name, name, name_room), .to = made->name + name_room};
  each(server_request, &lines);
  made->value = lines.to;
  made->next = *joined;
  *joined = made;
  return made->value;
}

void vsi_web_joined_free(vsi_web_joined **joined, const vestry_host *host) {
  VSI_LIST_FREE(host, *joined);
}
