/* SPDX-License-Identifier: MIT */
#include "request.h"

#include <string.h>

static const char *method_of(void *request) {
  return ((const bench_request *)request)->method;
}

static const char *path_of(void *request) {
  return ((const bench_request *)request)->path;
}

static const char *no_query(void *request) {
  (void)request;
  return NULL;
}

static const char *header_of(void *request, const char *name) {
  const bench_request *of = request;
  return of->header && strcmp(name, of->header) == 0 ? of->value : NULL;
}

static const char *peer_of(void *request) {
  return ((const bench_request *)request)->peer;
}

static int64_t no_length(void *request) {
  (void)request;
  return 0;
}

static vestry_err read_nothing(void *request, void *buffer, size_t capacity, size_t *ret_len) {
  (void)request, (void)buffer, (void)capacity;
  *ret_len = 0;
  return VESTRY_OK;
}

static vestry_err respond(void *request, const vestry_response *response) {
  ((bench_request *)request)->status = response->status;
  return VESTRY_OK;
}

static vestry_err open_nothing(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport) {
  (void)request, (void)head, (void)ret_ops, (void)ret_transport;
  return VESTRY_UNSUPPORTED;
}

const vestry_request_ops bench_request_ops = {.method = method_of,
                                              .path = path_of,
                                              .query = no_query,
                                              .header = header_of,
                                              .peer = peer_of,
                                              .body_length = no_length,
                                              .read = read_nothing,
                                              .respond = respond,
                                              .open = open_nothing};
