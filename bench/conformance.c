/* vestry-conformance [--port 7331]: the server that the official Datastar SDK suite plays its cases against.
 *
 * /test takes GET, DELETE, POST, PUT and PATCH, from any client, with Datastar-Request or without. The page's signals
 * are the case: the events of its array are performed in order and the stream ends. vestry's effects have the same
 * options by the same names, so an event of a case becomes an effect by taking its payload out. --port 0 takes a free
 * port; the line printed says which. */
#include <civetweb.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vestry/civetweb.h>
#include <vestry/vestry.h>

enum { DEFAULT_PORT = 7331, THREADS = 8 };

/* An event of a case by its type: the effect, and the members that hold what it sends, the first of them that is there.
 * The rest are options. */
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

/* ["effect", payload, options]; a new reference, or NULL when there is no memory. A removal has no payload. */
static json_t *effect_of(const struct kind *kind, json_t *event) {
  json_t *payload = NULL, *options = json_copy(event);
  json_object_del(options, "type");
  for (int i = 0; i < 2 && kind->payloads[i]; i++) {
    if (!payload) payload = json_object_get(event, kind->payloads[i]);
    json_object_del(options, kind->payloads[i]);
  }
  return json_pack("[s,o,o]", kind->effect, payload ? json_incref(payload) : json_string(""), options);
}

/* The case; a new reference. vestry reads the signals of Datastar's client alone, so others' are read here. */
static vestry_err read_case(const vestry_request *req, json_t **ret_case) {
  const char *method = vestry_request_method(req), *query = vestry_request_query(req);
  vestry_slice body = vestry_request_body(req);
  if (vestry_request_is_datastar(req)) {
    *ret_case = json_incref(vestry_request_signals(req));
    return VESTRY_OK;
  }
  if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "DELETE") == 0)
    return vestry_signals_parse_query(NULL, query, strlen(query), NULL, ret_case, NULL);
  return vestry_signals_parse(body.data, body.len, NULL, ret_case, NULL);
}

static vestry_err play_events(json_t *events, vestry_reply *reply) {
  if (!json_is_array(events)) return VESTRY_INVALID;
  vestry_err error = VESTRY_OK;
  json_t *event;
  size_t i;
  json_array_foreach(events, i, event) {
    const struct kind *kind = kind_of(event);
    if (!kind) return VESTRY_INVALID;
    json_t *effect = effect_of(kind, event);
    error = effect ? vestry_reply_effect(reply, effect) : VESTRY_NO_MEMORY;
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

static int serve(vestry *v, struct mg_context *server, const sigset_t *signals) {
  static const char *const methods[] = {"GET", "DELETE", "POST", "PUT", "PATCH"};
  vestry_civetweb *adapter = NULL;
  vestry_err error = vestry_civetweb_create(v, server, NULL, &adapter);
  for (size_t i = 0; !error && i < sizeof methods / sizeof *methods; i++)
    error = vestry_civetweb_handle(adapter, methods[i], "/test", play, NULL);
  struct mg_server_port bound;
  if (error) {
    fprintf(stderr, "vestry-conformance: %s\n", vestry_strerror(error));
  } else if (mg_get_server_ports(server, 1, &bound) == 1) {
    printf("vestry-conformance: http://127.0.0.1:%d/test\n", bound.port);
    fflush(stdout);
    int received;
    sigwait(signals, &received);
  }
  if (adapter) vestry_civetweb_stop(adapter, 10000);
  vestry_civetweb_stop_server(server);
  vestry_civetweb_destroy(adapter);
  return error ? 1 : 0;
}

/* The arguments: 0, or the exit status 2 after one line on stderr. */
static int read_port(int argc, char **argv, unsigned long *port) {
  if (argc == 1) return 0;
  char *end = NULL;
  errno = 0;
  if (argc == 3 && strcmp(argv[1], "--port") == 0) *port = strtoul(argv[2], &end, 10);
  if (end && end != argv[2] && !*end && !strchr(argv[2], '-') && !errno && *port <= 65535) return 0;
  fprintf(stderr, "usage: vestry-conformance [--port 0 to 65535, by default %d]\n", DEFAULT_PORT);
  return 2;
}

int main(int argc, char **argv) {
  unsigned long port = DEFAULT_PORT;
  int status = read_port(argc, argv, &port);
  if (status) return status;
  sigset_t signals; /* blocked before any thread starts, so that only sigwait sees them */
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);

  char port_text[32], threads_text[16], why[256] = "";
  snprintf(port_text, sizeof port_text, "127.0.0.1:%lu", port);
  snprintf(threads_text, sizeof threads_text, "%d", THREADS);
  const char *settings[] = {"listening_ports", port_text, "num_threads", threads_text, "tcp_nodelay", "1", NULL};
  vestry *v = NULL;
  vestry_err error = vestry_civetweb_check(settings, why, sizeof why);
  if (!error) error = vestry_create(NULL, &v);
  if (error) {
    fprintf(stderr, "vestry-conformance: %s\n", *why ? why : vestry_strerror(error));
    return 1;
  }
  struct mg_context *server = mg_start(NULL, NULL, settings);
  if (server)
    status = serve(v, server, &signals);
  else
    fprintf(stderr, "vestry-conformance: cannot listen on %s\n", port_text);
  vestry_destroy(v);
  return server ? status : 1;
}
