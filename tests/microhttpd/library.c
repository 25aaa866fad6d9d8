/* SPDX-License-Identifier: MIT */
#include "microhttpd/library.h"

#include <string.h>

#include "adapter/microhttpd/head.h"
#include "support/test.h"

bool server_library_refuses(void) {
  static const vestry_host host = {.log = NULL};
  static vsi_microhttpd_capabilities capabilities;
  static bool is_known;
  if (!is_known) assert_int_equal(vsi_microhttpd_capabilities_find(&host, &capabilities), VESTRY_OK);
  is_known = true;
  return capabilities.refuses_odd;
}

/* In 0.9.75 a line that begins with a colon or a NUL ends a head; together with a bare LF it looks like an empty line,
 * and a NUL before an LF like a CR. */
bool server_is_blind_to(const char *text, size_t len) {
  return !server_library_refuses() &&
         (memmem(text, len, "\n:", 2) || memmem(text, len, "\n", 2) || memmem(text, len, "\0\n", 2));
}
