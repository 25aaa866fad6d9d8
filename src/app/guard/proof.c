/* SPDX-License-Identifier: MIT */
#include "app/guard/proof.h"

#include <string.h>

#include "http/routes/routes.h"
#include "instance/instance.h"

bool vsi_request_is_safe(const vestry_request *req) {
  static const char *const safe[] = {"GET", "HEAD", "OPTIONS", "QUERY", "TRACE"};
  for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
    if (strcmp(req->method, safe[i]) == 0) return true;
  return false;
}

vestry_err vsi_proof_find(const vestry_request *req, const char *header, const char *name, const char **ret_text,
                          vsi_proof_place *ret_place) {
  const char *text = vestry_request_header(req, header);
  vsi_proof_place place = VSI_PROOF_HEADER;
  if (!text) {
    text = vestry_request_value(req, VESTRY_IN_FORM, name);
    if (req->own->values[VESTRY_IN_FORM].error == VESTRY_NO_MEMORY) return VESTRY_NO_MEMORY;
    place = VSI_PROOF_FIELD;
  }
  bool has_query = strcmp(req->method, "GET") == 0 || strcmp(req->method, "DELETE") == 0;
  if (!text && !has_query) {
    text = json_string_value(json_object_get(req->signals, name));
    place = VSI_PROOF_SIGNAL;
  }
  if (!text) return VESTRY_NOT_FOUND;
  *ret_text = text;
  *ret_place = place;
  return VESTRY_OK;
}

/* The application's own page. */
static bool fill_page(const vestry_request *req, vestry_reply *reply, int status) {
  void *app;
  vestry_handler_fn page = req->is_datastar ? NULL : vsi_routes_page(req->v->routes, status, &app);
  if (!page) return false;
  vestry_request *asks = (vestry_request *)(uintptr_t)req; /* what serves it made it */
  asks->error = status;
  vestry_err error = page(req, reply, app);
  asks->error = 0;
  return !error && !reply->refused && reply->has_body;
}

vestry_err vsi_refuse(const vestry_request *req, vestry_reply *reply, int status, const char *sentence) {
  vestry_err error = vestry_reply_status(reply, status);
  if (!error && fill_page(req, reply, status)) return VESTRY_FAILED;
  if (!error && req->is_datastar)
    error = vestry_reply_body(reply, "text/plain; charset=utf-8", sentence, strlen(sentence));
  else if (!error)
    error = vestry_reply_bodyf(reply,
                               "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                               "<meta name=\"viewport\" content=\"width=device-width\"><title>%d</title>"
                               "<p>%s</p></html>",
                               status, sentence);
  if (!error) error = vestry_reply_header(reply, "Cache-Control", "no-store");
  return error ? error : VESTRY_FAILED;
}
