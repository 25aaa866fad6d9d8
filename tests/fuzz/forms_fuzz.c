/* SPDX-License-Identifier: MIT */
/* Forms: any body, in either coding, gives values that are texts, or none. */
#include "fuzz/target.h"
#include "support/test_host.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

static vestry_err look(const vestry_request *req, vestry_reply *reply, void *app) {
  for (size_t i = 0; i < 3; i++) {
    const char *value = vestry_request_value_at(req, VESTRY_IN_FORM, "a", i);
    if (value && strlen(value) > req->body.len) abort();
  }
  int64_t integer;
  (void)vestry_request_get(req, VESTRY_IN_FORM, "n", vestry_into_between(&integer, -5, 5));
  vestry_upload file = {0};
  if (!vestry_request_file(req, "f", &file)) {
    const char *body = req->body.data, *bytes = file.bytes.data;
    if (bytes < body || bytes + file.bytes.len > body + req->body.len) abort();
  }
  return VESTRY_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static vestry *v;
  if (!v && vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v)) abort();
  /* the content type, a NUL, the body */
  const uint8_t *end = memchr(data, '\0', size);
  if (!end) return 0;
  for (const uint8_t *at = data; at < end; at++)
    if (*at < 0x20 || *at == 0x7f) return 0;
  const vestry_header type = {"Content-Type", (const char *)data};
  const vestry_memory_call call = {.method = "POST",
                                   .headers = &type,
                                   .headers_count = 1,
                                   .body = end + 1,
                                   .body_len = size - (size_t)(end + 1 - data)};
  vestry_memory_exchange *made;
  if (vestry_memory_request(v, &call, look, NULL, &made)) abort();
  vestry_memory_destroy(made);
  return 0;
}
