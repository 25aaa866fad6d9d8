#include "adapter/microhttpd/answer.h"

#include <errno.h>

#include "adapter/microhttpd/socket.h"

vestry_err vsi_microhttpd_add_headers(struct MHD_Response *to, const vestry_response *response) {
  for (size_t i = 0; i < response->headers_count; i++) {
    errno = 0;
    if (MHD_add_response_header(to, response->headers[i].name, response->headers[i].value) == MHD_NO)
      return errno == ENOMEM ? VESTRY_NO_MEMORY : VESTRY_INVALID;
  }
  return VESTRY_OK;
}

static vestry_err answer(vsi_microhttpd_request *request, const vestry_response *response, bool closes) {
  bool has_body = response->status != 204 && response->status != 304; /* RFC 9110, 6.4.1 */
  size_t len = has_body ? response->body_len : 0;
  const void *body = len ? response->body : "";
  struct MHD_Response *made = MHD_create_response_from_buffer(len, (void *)(uintptr_t)body,
                                                              len ? MHD_RESPMEM_MUST_COPY : MHD_RESPMEM_PERSISTENT);
  if (!made) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_microhttpd_add_headers(made, response);
  if (!error && (closes || request->socket->is_spent) &&
      MHD_add_response_header(made, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_NO)
    error = VESTRY_NO_MEMORY;
  if (!error && MHD_queue_response(request->conn, (unsigned)response->status, made) == MHD_NO) error = VESTRY_IO;
  MHD_destroy_response(made); /* while it is being sent, libmicrohttpd holds it */
  return error;
}

vestry_err vsi_microhttpd_respond(void *server_request, const vestry_response *response) {
  return answer(server_request, response, false);
}

vestry_err vsi_microhttpd_refuse(vsi_microhttpd_request *request, int status, const char *name, const char *value,
                                 bool closes) {
  const vestry_header header = {name, value};
  const vestry_response response = {.status = status, .headers = &header, .headers_count = name ? 1 : 0};
  return answer(request, &response, closes);
}
