/* SPDX-License-Identifier: MIT */
#include "ops/observe/show.h"

#include <string.h>

static vestry_err show(vestry_reply *reply, const char *type, const char *text, size_t len) {
  vestry_err error = vestry_reply_header(reply, "Cache-Control", "no-store");
  if (!error) error = vestry_reply_header(reply, "X-Content-Type-Options", "nosniff");
  return error ? error : vestry_reply_body(reply, type, text, len);
}

vestry_err vsi_show_text(vestry_reply *reply, int status, const char *text) {
  vestry_err error = vestry_reply_status(reply, status);
  return error ? error : show(reply, "text/plain; charset=utf-8", text, strlen(text));
}

vestry_err vsi_show_json(vestry_reply *reply, vsi_json_writer *json) {
  vestry_err error = json->text.error;
  if (!error) error = show(reply, "application/json", json->text.data, json->text.len);
  vsi_json_finish(json);
  return error;
}
