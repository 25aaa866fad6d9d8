/* SPDX-License-Identifier: MIT */
/* Copies of requests: for any query, a shared copy has no signals, a private copy has those of the request, and all
 * other data is unchanged. Input: the query. */
#include "app/page/copy.h"
#include "event/query.h"
#include "fuzz/target.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

static bool has_signals(const char *query) {
  vestry_slice value;
  return !vsi_query_find(query, strlen(query), "datastar", &value);
}

/* Compare the parameters except the signals, one by one, without empty ones. */
static void check_others(const char *query, const char *copied) {
  for (;;) {
    vestry_slice value;
    query += strspn(query, "&");
    size_t len = strcspn(query, "&");
    if (len && !vsi_query_find(query, len, "datastar", &value)) {
      query += len;
      continue;
    }
    require(strcspn(copied, "&") == len && memcmp(query, copied, len) == 0);
    if (!len) break;
    query += len;
    copied += len;
    copied += *copied == '&';
  }
  require(!*copied);
}

static vestry_err look(const vestry_request *req, vestry_reply *reply, void *app) {
  require(!has_signals(req->query));
  return VESTRY_OK;
}

static vestry_err handle(const vestry_request *req, vestry_reply *reply, void *app) {
  for (vsi_copy_kind kind = VSI_COPY_PRIVATE; kind <= VSI_COPY_SHARED; kind++) {
    vsi_request_copy *copy;
    vestry_reply own;
    require(!vsi_request_copy_create(req, kind, &copy));
    const char *copied = vsi_request_copy_query(copy);
    check_others(req->query, copied);
    vestry_slice target = vsi_request_copy_target(copy);
    require(target.len == strlen(copy->path) + strlen(copied) + 2);
    vsi_reply_init(&own, vestry_parts_of(req->v)->host);
    vestry_err error = vsi_request_copy_handle(copy, &own, look, NULL);
    json_t *expected = NULL;
    vestry_err wanted = VESTRY_OK;
    if (kind == VSI_COPY_PRIVATE && has_signals(req->query))
      wanted = vsi_signals_parse_query(NULL, req->query, strlen(req->query), NULL, &expected, NULL);
    require(!error == !wanted);
    json_decref(expected);
    vsi_reply_finish(&own);
    vsi_request_copy_unref(copy);
  }
  return VESTRY_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static vestry *v;
  if (!v) require(!vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v));
  char *query = malloc(size + 1);
  require(query != NULL);
  if (size) memcpy(query, data, size);
  query[size] = '\0';
  vestry_memory_exchange *exchange;
  require(!vestry_memory_request(v, &(vestry_memory_call){.query = query}, handle, NULL, &exchange));
  vestry_memory_destroy(exchange);
  free(query);
  return 0;
}
