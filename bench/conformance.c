/* SPDX-License-Identifier: MIT */
/* vestry-conformance [--port 7331 | --unix-socket PATH] [--adapter civetweb|microhttpd|h2 [--no-tls]]: the server under
 * test for the official Datastar SDK suite.
 *
 * /test accepts GET, DELETE, POST, PUT and PATCH from any client, with or without the header Datastar-Request. The
 * signals of the request contain the case: the server runs the events of its array in order and then ends the stream.
 * The effects of vestry have the same options under the same names: the program removes the type and the payload from
 * an event, and the remaining members are the options of the effect. --port 0 selects a free port, and the printed line
 * contains its number. */
#include <stdio.h>
#include <string.h>

#include <vestry/vestry.h>

#include "bench.h"
#include "server.h"

enum { DEFAULT_PORT = 7331, THREADS = 8, MAX_STREAMS = 256, MEMORY_BYTES = 65536 };

/* An event of a case, by its type: the effect, and the members that may contain its payload; the first existing one
 * counts. The other members are options. */
static const struct kind {
  const char *type, *effect, *payloads[2];
} kinds[] = {{"patchElements", "patch-elements", {"elements", NULL}},
             {"patchSignals", "patch-signals", {"signals-raw", "signals"}},
             {"executeScript", "execute-script", {"script", NULL}}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of(json_t *event) {
  const char *type = json_string_value(json_object_get(event, "type"));
  for (int i = 0; type && i < KINDS; i++)
    if (strcmp(kinds[i].type, type) == 0) return &kinds[i];
  return NULL;
}

/* Return ["effect", payload, options]; a new reference, or NULL: no memory. A removal has no payload. */
static json_t *effect_of(const struct kind *kind, json_t *event) {
  json_t *payload = NULL, *options = json_copy(event);
  json_object_del(options, "type");
  for (int i = 0; i < 2 && kind->payloads[i]; i++) {
    if (!payload) payload = json_object_get(event, kind->payloads[i]);
    json_object_del(options, kind->payloads[i]);
  }
  return json_pack("[s,o,o]", kind->effect, payload ? json_incref(payload) : json_string(""), options);
}

/* Read the case; a new reference. vestry reads signals only for Datastar's client, so those of other clients are read
 * here. */
static vestry_err read_case(const vestry_request *req, json_t **ret_case) {
  const char *method = req->method, *json = vestry_request_value(req, VESTRY_IN_QUERY, "datastar");
  vestry_slice body = req->body;
  if (req->is_datastar) {
    *ret_case = json_incref(req->signals);
    return VESTRY_OK;
  }
  if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "DELETE") == 0)
    return vestry_signals_parse(json, json ? strlen(json) : 0, NULL, ret_case, NULL);
  return vestry_signals_parse(body.data, body.len, NULL, ret_case, NULL);
}

static vestry_err play_events(json_t *events, vestry_reply *reply) {
  if (!json_is_array(events)) return VESTRY_MALFORMED; /* an error of the client, like the next */
  vestry_err error = VESTRY_OK;
  json_t *event;
  size_t i;
  json_array_foreach(events, i, event) {
    const struct kind *kind = kind_of(event);
    if (!kind) return VESTRY_MALFORMED;
    json_t *effect = effect_of(kind, event);
    error = effect ? vestry_reply_effect(reply, VESTRY_VALUES(effect)) : VESTRY_NO_MEMORY;
    json_decref(effect);
    if (error) return error;
  }
  return VESTRY_OK;
}

static vestry_err play(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  json_t *played;
  vestry_err error = read_case(req, &played);
  if (error) return error;
  vestry_reply_any_client(reply);
  error = play_events(json_object_get(played, "events"), reply);
  json_decref(played);
  return error;
}

static int serve(vestry *v, const bench_server_options *options) {
  static const char *const methods[] = {"GET", "DELETE", "POST", "PUT", "PATCH"};
  int status = 1;
  bench_server server;
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < sizeof methods / sizeof *methods; i++)
    error = vestry_route(v, methods[i], "/test", play, NULL);
  if (error) fprintf(stderr, "vestry-conformance: %s\n", vestry_strerror(error));
  if (error || !bench_server_start(&server, v, options, &status)) return status;
  printf("vestry-conformance: %s%s\n", server.url, options->unix_path ? "" : "/test");
  fflush(stdout);
  (void)bench_server_wait();
  bench_server_stop(&server);
  return 0;
}

int main(int argc, char **argv) {
  uint64_t port = DEFAULT_PORT, is_plain = 0;
  const char *adapter = "civetweb", *unix_path = NULL;
  const bench_option options[] = {{"--port", NULL, &port, 0, 65535},
                                  {"--unix-socket", &unix_path, NULL, 0, 0},
                                  {"--adapter", &adapter, NULL, 0, 0},
                                  {"--no-tls", NULL, &is_plain, 0, 0}};
  int status = bench_options(argc - 1, argv + 1, options, sizeof options / sizeof *options);
  if (status) return status;
  bench_server_block_signals();
  vestry *v = NULL;
  vestry_err error = vestry_create(NULL, &v);
  if (error) {
    fprintf(stderr, "vestry-conformance: %s\n", vestry_strerror(error));
    return 1;
  }
  status = serve(v, &(bench_server_options){.adapter = adapter,
                                            .port = (unsigned)port,
                                            .unix_path = unix_path,
                                            .threads = THREADS,
                                            .streams = MAX_STREAMS,
                                            .is_plain = is_plain,
                                            .memory_bytes = MEMORY_BYTES});
  vestry_destroy(v);
  return status;
}
