/* SPDX-License-Identifier: MIT */
#include "app/page/say.h"

static vestry_err say(vestry_connection *connection, const vestry_value *state) {
  return vestry_connection_patch_signals(connection, VESTRY_OBJECT("_vestry", state), NULL);
}

void vsi_say_failing(vestry_connection *connection, bool is_failing) {
  (void)say(connection, VESTRY_OBJECT("failing", is_failing));
}

static void leave(vestry_connection *connection, vestry_err error) {
  (void)error; /* a page that cannot be told that it is to go is closed too */
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
}

void vsi_say_over(vestry_connection *connection) {
  leave(connection, say(connection, VESTRY_OBJECT("over", (bool)true)));
}

void vsi_say_go(vestry_connection *connection, const char *url) {
  leave(connection, say(connection, VESTRY_OBJECT("go", url)));
}

void vsi_say_reload(vestry_pages *pages, vestry_connection *connection, uint32_t within_ms) {
  uint32_t after_ms = 1 + vsi_pages_chance(pages, within_ms); /* 0 says nothing */
  leave(connection, say(connection, VESTRY_OBJECT("reload", after_ms)));
}
