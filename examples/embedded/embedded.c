/* SPDX-License-Identifier: MIT */
/* vestry inside an existing program: a device monitor (monitor.c) with its own server, civetweb or libmicrohttpd, its
 * own login, and a thread that measures. This file adds a page of live values. Each device has a key, each user has at
 * most five streams, and code that changes a value dispatches to all pages that show it.
 *
 * There is no --adapter h2, because vestry is added to a server that the program has. The adapter for HTTP/2 is a
 * server itself: a program that wants it starts it beside its own server, as the other examples do. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../shared/head.h"
#include "../shared/program.h"
#include "monitor.h"
#include "vestry/app/csp.h"
#include "vestry/app/files.h"
#include "vestry/app/stream.h"
#include "vestry/civetweb.h"
#include "vestry/microhttpd.h"
#include "vestry/ops/observe.h"
#include "vestry/ops/trace_file.h"
#include "vestry/vestry.h"

enum { STREAMS_A_USER = 5, COOL = 20, BEAT_MS = 250, HEARTBEAT_MS = 3000 };
#define STYLE "<link rel=\"stylesheet\" href=\"/style.css\"><link rel=\"stylesheet\" href=\"/own.css\">"
static const vestry_scope everybody = {0};

static vestry *v;
static vestry_server *inside_civetweb;
static vestry_server *attached;
static _Atomic(bool) is_over;
static struct client client;
static vestry_files *files;
static struct {
  const char *port, *server, *trace; /* trace: file for all spans; NULL: none */
  bool has_console;
} given = {"8080", "civetweb", NULL, false};
static vestry_trace_file *spans;
static vestry_observe *console;

/* ---- pages of vestry --------------------------------------------------------------------------------------------- */

/* Determine the scope: the user of the monitor's login. Other requests are redirected to the login page. */
static vestry_err scope_of(const vestry_request *req, vestry_reply *reply, char *name, size_t *ret_len, void *ctx) {
  struct mg_connection *one = vestry_civetweb_request_of(req);
  struct MHD_Connection *other = vestry_microhttpd_connection_of(req);
  const char *cookies = NULL;
  if (one) cookies = mg_get_header(one, "Cookie");
  if (other) cookies = MHD_lookup_connection_value(other, MHD_HEADER_KIND, "Cookie");
  (void)ctx, *ret_len = monitor_user(cookies, name);
  if (*ret_len || strcmp(req->path, "/welcome") == 0 || strstr(req->path, ".css")) return VESTRY_OK;
  if (strncmp(req->path, "/observe/", 9) == 0) return VESTRY_OK; // it checks access itself
  vestry_reply_redirect(reply, 303, "/welcome");
  return VESTRY_FAILED;
}

static vestry_err file(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)ctx;
  return vestry_reply_file(req, reply, files, req->path + 1);
}

/* Set a policy that allows only the client; a client before 1.0.3 needs a weaker policy. */
static void set_policy(vestry_reply *reply) {
  const bool is_old = client.needs_eval;
  vestry_reply_csp(reply, &(vestry_csp){.client = client.url, .client_needs_eval = is_old, .trusted_types = !is_old});
}

/* GET /welcome: vestry serves the form, so that it has a policy. The monitor handles the login. */
static vestry_err welcome(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)ctx, set_policy(reply);
  return vestry_reply_bodyf(reply,
                            "<!doctype html><html lang=\"en\"><title>Log in</title>%-s" STYLE
                            "<main><h1>Devices</h1><form action=\"/login\"><label>Name <input name=\"name\" "
                            "dir=\"auto\" required maxlength=\"%d\"></label><p class=\"error\" role=\"alert\">%s</p>"
                            "<button class=\"first\">Log in</button></form></main>",
                            PAGE_VIEWPORT PAGE_HEAD, NAME_MAX,
                            *req->query ? "Enter a name of at most 20 characters." : "");
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_html html;
  (void)ctx, vestry_html_init(&html, NULL);
  set_policy(reply);
  vestry_html_add(
      &html,
      "<!doctype html><html lang=\"en\"><title>Devices</title>%-s" STYLE
      "<script type=\"module\" src=\"%-s\"></script><p class=\"late\" data-show=\"false\">Loading the page's "
      "script. If this fails, check the Internet connection.</p><main><h1>Devices</h1>",
      PAGE_VIEWPORT PAGE_HEAD, client.url);
  for (int i = 0; i < DEVICES; i++)
    vestry_html_add(&html,
                    "<p class=\"row\"><span>Device %d: <b id=\"device%d\">…</b> °C</span> <button "
                    "data-on:click=\"@post('/cool/%d')\">Cool %d</button></p>",
                    i, i, i, i);
  vestry_html_stream(&html, req, NULL, NULL, "/live"); // opens the stream of the page, and supervises it
  vestry_err error = vestry_reply_html(reply, &html);
  vestry_html_finish(&html);
  return error;
}

/* Open a stream with a key for each device, in the unnamed scope. The stream is stored before its effects are
 * performed, so it misses no change. */
static vestry_err live(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)req, (void)ctx, vestry_reply_key(reply, VESTRY_KEY("page"));
  for (int i = 0; i < DEVICES; i++) {
    vestry_reply_add_key(reply, everybody, VESTRY_KEY("device", i), USERS_MAX * STREAMS_A_USER);
    vestry_reply_effect(reply, VESTRY_LIST("show", i));
  }
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, STREAMS_A_USER);
}

/* ["show", device]: send the current value. The lock is held until the value is sent, so that no older value follows
 * it. */
static vestry_err show(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  int i = (int)json_integer_value(json_array_get(args, 0));
  vestry_event *event;
  (void)ctx, pthread_mutex_lock(&monitor_lock);
  vestry_err error = vestry_event_elementsf(NULL, NULL, &event, "<b id=\"device%d\">%d</b>", i, celsius[i]);
  if (!error) error = vestry_context_send(context, event), vestry_event_unref(event);
  pthread_mutex_unlock(&monitor_lock);
  return error;
}

static void change(int i, int value) { /* on any thread; the dispatch is NOT_FOUND if no page is open */
  pthread_mutex_lock(&monitor_lock);
  celsius[i] = value;
  pthread_mutex_unlock(&monitor_lock);
  vestry_dispatch(v, everybody, VESTRY_KEY("device", i), VESTRY_LIST("show", i));
}

static vestry_err cool(const vestry_request *req, vestry_reply *reply, void *ctx) {
  int64_t device;
  (void)reply, (void)ctx;
  if (vestry_request_get(req, VESTRY_IN_PATH, "id", vestry_into_between(&device, 0, DEVICES - 1)))
    return VESTRY_NOT_FOUND;
  change((int)device, COOL);
  return VESTRY_OK;
}

/* The thread of the monitor. */
static void *measure(void *ctx) {
  for (int beat = 0; !is_over; beat++) {
    change(beat % DEVICES, 40 + beat * 7 % 50);
    nanosleep(&(struct timespec){.tv_nsec = BEAT_MS * 1000000L}, NULL);
  }
  return ctx;
}

/* ---- its servers ------------------------------------------------------------------------------------------------- */

static void add_to_civetweb(const struct mg_context *server) { /* before the first request */
  vestry_civetweb_create(v, (struct mg_context *)(uintptr_t)server, NULL, &inside_civetweb);
}

static struct mg_context *start_civetweb(const char *port, unsigned *ret_port) {
  char place[32];
  snprintf(place, sizeof place, "127.0.0.1:%s", port);
  const char *settings[] = {"listening_ports", place, "num_threads", "64", "tcp_nodelay", "1", NULL};
  struct mg_context *server = mg_start(&(struct mg_callbacks){.init_context = add_to_civetweb}, NULL, settings);
  struct mg_server_port at;
  if (!server || mg_get_server_ports(server, 1, &at) != 1) return server;
  *ret_port = (unsigned)at.port;
  mg_set_request_handler(server, "/login", monitor_by_civetweb, NULL); // the monitor's existing handlers
  mg_set_request_handler(server, "**.json$", monitor_by_civetweb, NULL);
  return server;
}

/* The monitor's access handler calls vestry first. */
static enum MHD_Result serve(void *cls, struct MHD_Connection *conn, const char *path, const char *method,
                             const char *version, const char *data, size_t *data_len, void **request) {
  int result = vestry_microhttpd_serve(attached, conn, path, method, version, data, data_len, request);
  (void)cls;
  return result == VESTRY_MICROHTTPD_NOT_MINE ? monitor_by_microhttpd(conn, path) : (enum MHD_Result)result;
}

static void completed(void *cls, struct MHD_Connection *conn, void **request, enum MHD_RequestTerminationCode why) {
  (void)cls, (void)conn, (void)why, vestry_microhttpd_completed(attached, request);
}

static struct MHD_Daemon *start_microhttpd(const char *port, unsigned *ret_port) {
  const unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME;
  const struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const vestry_microhttpd_attach_options strict = {.is_strict = true}; // as the daemon is
  if (vestry_microhttpd_attach(v, NULL, &strict, &attached)) return NULL;
  struct MHD_Daemon *daemon =
      MHD_start_daemon(flags, 0, NULL, NULL, serve, NULL, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_NOTIFY_COMPLETED,
                       completed, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
  if (daemon) *ret_port = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
  return daemon;
}

static vestry_err mount(void) {
  static vestry_file table[3]; // the files borrow it
  table[0] = (vestry_file){.path = "datastar.js", .bytes = client.bytes, .len = client.len};
  table[1] = (vestry_file){.path = "style.css", .bytes = style_css, .len = style_css_len};
  table[2] = (vestry_file){.path = "own.css", .bytes = small_css, .len = small_css_len};
  vestry_err error = vestry_files_create(&(vestry_files_options){.embedded = table, .embedded_count = 3}, &files);
  if (error) return error;
  vestry_registry_effect(vestry_parts_of(v)->registry, "show", show, NULL);
  if (client.bytes) vestry_route(v, "GET", "/datastar.js", file, NULL);
  vestry_route(v, "GET", "/style.css", file, NULL);
  vestry_route(v, "GET", "/own.css", file, NULL);
  vestry_route(v, "GET", "/", page, NULL);
  vestry_route(v, "GET", "/welcome", welcome, NULL);
  vestry_route(v, "GET", "/live", live, NULL);
  vestry_route(v, "POST", "/cool/{id}", cool, NULL);
  if (!given.has_console) return VESTRY_OK;
  error = vestry_observe_create(v, &(vestry_observe_options){.trusts_loopback = true}, &console);
  return error ? error : vestry_observe_mount(console, "/observe");
}

#define PORT_REMEDY "; choose another port: --port N, or end the program that listens there\n"
static const char usage[] = "Usage: embedded [--port N] [--server civetweb|microhttpd] [--datastar-file FILE] "
                            "[--datastar-version V] [--trace FILE] [--console]\n";

/* Read the command line. Returns whether it is understood. */
static bool read_words(char **words) {
  bool is_known = true;
  for (; *words && is_known; words++) {
    const char **value = strcmp(*words, "--port") == 0               ? &given.port
                         : strcmp(*words, "--server") == 0           ? &given.server
                         : strcmp(*words, "--adapter") == 0          ? &given.server // its name in other examples
                         : strcmp(*words, "--datastar-file") == 0    ? &client.path
                         : strcmp(*words, "--datastar-version") == 0 ? &client.version
                         : strcmp(*words, "--trace") == 0            ? &given.trace
                                                                     : NULL;
    given.has_console |= strcmp(*words, "--console") == 0;
    is_known = strcmp(*words, "--console") == 0 || (value && words[1]);
    if (value && is_known) *value = *++words;
  }
  return is_known && (!strcmp(given.server, "civetweb") || !strcmp(given.server, "microhttpd"));
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--help") == 0) return fputs(usage, stdout), 0;
  if (!read_words(argv + 1)) return fputs(usage, stderr), 2;
  client_choose(&client, "embedded");
  const vestry_trace_file_options file = {.path = given.trace, .service = "embedded"};
  if (given.trace && vestry_trace_file_create(&file, &spans)) return 1; // the log has the reason
  sigset_t ends;
  sigemptyset(&ends), sigaddset(&ends, SIGINT), sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, NULL);                               // in all threads; main waits for them
  const vestry_options options = {.host = vestry_trace_file_host(spans), // NULL without --trace
                                  .scope = scope_of,
                                  .connection = &(vestry_connection_options){.heartbeat_ms = HEARTBEAT_MS},
                                  .bounds = &(vestry_bounds){.max_streams_per_scope_count = STREAMS_A_USER}};
  if (vestry_create(&options, &v) || vestry_leases_create(v, 0) || mount()) return 1;
  unsigned bound = 0;
  bool is_civetweb = strcmp(given.server, "microhttpd") != 0;
  struct mg_context *one = is_civetweb ? start_civetweb(given.port, &bound) : NULL;
  struct MHD_Daemon *other = is_civetweb ? NULL : start_microhttpd(given.port, &bound);
  pthread_t meter;
  if (!inside_civetweb && !other)
    fprintf(stderr, "embedded: cannot listen on 127.0.0.1:%s" PORT_REMEDY, given.port), bound = 0;
  else if (pthread_create(&meter, NULL, measure, NULL))
    bound = 0;
  if (bound) {
    printf("embedded: http://127.0.0.1:%u\n", bound), fflush(stdout);
    if (given.has_console) printf("embedded: console: http://127.0.0.1:%u/observe/console\n", bound), fflush(stdout);
    sigwait(&ends, &(int){0});
    is_over = true; // first, end the thread that dispatches
    pthread_join(meter, NULL);
  }
  if (inside_civetweb) vestry_server_stop(inside_civetweb, 1500); // then the streams, which browsers open again
  if (attached) vestry_server_stop(attached, 1500);
  vestry_civetweb_stop_server(one); // then the server
  if (other) MHD_stop_daemon(other);
  vestry_server_destroy(inside_civetweb);
  vestry_server_destroy(attached);
  vestry_observe_destroy(console);
  vestry_destroy(v);
  vestry_files_destroy(files);
  vestry_trace_file_destroy(spans);
  free(client.file);
  return bound ? 0 : 1;
}
