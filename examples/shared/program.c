/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vestry/adapter.h"
#include "vestry/app/csp.h"
#include "vestry/app/early.h"
#include "vestry/civetweb.h"
#include "vestry/microhttpd.h"
#ifdef EXAMPLES_H2
#include "vestry/h2.h"
#endif

/* Requests of the examples contain a few short texts. */
enum { MAX_REQUEST_BYTES = 64 * 1024 };
/* With this interval, a page reports within ten seconds that its server does not respond. */
enum { HEARTBEAT_MS = 3000, STOP_MS = 1200 };
#define CONSOLE "/observe"

/* ------------------------------------------------------------------------------------ pages ----------------------- */

/* Since when the page is out of date: $_stale is that time as text, or empty while the stream is connected. The root
 * has data-stale for the style sheets, and the connection banner (app/stream/stream.c) shows the time. It is the time
 * of the last data on the stream, including heartbeats, and not the time when the loss was detected. The client does
 * not send this signal. */
#define TRUTH                                                                                                          \
  "<i hidden id=\"truth\" data-signals:_stale=\"''\" data-on:datastar-fetch=\"evt.detail.el === el.sign"               \
  " && evt.detail.type.startsWith('datastar-') && (el.at = new Date())\""                                              \
  " data-init=\"el.at = new Date(); el.sign = document.querySelector('.vestry-banner');"                               \
  " el.look = () => { const is = el.sign.checkVisibility();"                                                           \
  " if (is === !!$_stale) return;"                                                                                     \
  " $_stale = is ? el.at.toTimeString().slice(0, 8) : '';"                                                             \
  " document.documentElement.toggleAttribute('data-stale', is);"                                                       \
  " document.documentElement.style.setProperty('--since', JSON.stringify($_stale));"                                   \
  " el.sign.dataset.since = $_stale };"                                                                                \
  " el.sign && new MutationObserver(el.look).observe(el.sign, {attributeFilter: ['hidden', 'style']})\"></i>"

/* The style sheets follow the head of a live page, so that they can override it. */
#define STYLES "<link rel=\"stylesheet\" href=\"/style.css\"><link rel=\"stylesheet\" href=\"/own.css\">"
/* The first element of a body is shown until the client is loaded and hides it. */
#define LATE                                                                                                           \
  "<p class=\"late\" data-show=\"false\">The page's script has not loaded. Check the Internet connection, and reload " \
  "the page.</p><noscript><p>This page needs JavaScript.</p></noscript>"

/* The usual policy, with 'unsafe-inline' instead of the nonce of scripts. */
#define INLINE_POLICY                                                                                                  \
  "default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; "                     \
  "frame-ancestors 'none'; img-src 'self' data:; script-src {client} 'unsafe-inline'; style-src 'self' {nonce}"

/* Set the frame of all documents. Datastar's attributes are code, and escaping prevents texts of users from becoming
 * code. The client compiles the attributes with the document's nonce. A client before 1.0.3 needs unsafe-eval instead,
 * and for the effect execute-script also unsafe-inline. */
static void make_frame(struct program *program) {
  const bool is_old = program->client.needs_eval;
  program->policy = (vestry_csp){.client = program->client.url,
                                 .client_needs_eval = is_old,
                                 .trusted_types = !is_old,
                                 .policy = is_old && program->runs_scripts ? INLINE_POLICY : NULL};
  program->frame = (vestry_application_document){
      .client = program->client.url, .head = PAGE_HEAD STYLES, .begin = TRUTH LATE, .policy = &program->policy};
}

static void begin(const struct program *program, vestry_reply *reply, vestry_html *html, const char *title) {
  vestry_reply_csp(reply, &program->policy);
  vestry_reply_header(reply, "Cache-Control", "no-store"); /* it shows the current state */
  vestry_html_add(
      html, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">" PAGE_VIEWPORT "<title>%s</title>", title);
  vestry_html_early(html, vestry_reply_nonce(reply));
  vestry_html_add(html, "<script type=\"module\" src=\"%-s\"></script>", program->client.url);
}

void program_live_begin(const struct program *program, vestry_render *render, vestry_html *html, const char *title) {
  begin(program, render->reply, html, title);
  vestry_render_head(render, html);
  vestry_html_add(html, "%-s</head><body>%-s", program->frame.head, program->frame.begin);
}

vestry_err program_live_end(vestry_html *html) {
  return vestry_html_add(html, "</body></html>");
}

void program_page_begin(const struct program *program, vestry_reply *reply, vestry_html *html, const char *title) {
  vestry_html_init(html, NULL);
  begin(program, reply, html, title);
  vestry_html_add(html, "%-s</head><body>%-s", program->frame.head, program->frame.begin);
}

vestry_err program_page_end(vestry_reply *reply, vestry_html *html) {
  program_live_end(html);
  vestry_err err = vestry_reply_html(reply, html);
  vestry_html_finish(html);
  return err;
}

vestry_err program_page(const struct program *program, vestry_reply *reply, const char *title, const char *body, ...) {
  vestry_html html;
  program_page_begin(program, reply, &html, title);
  va_list arguments;
  va_start(arguments, body);
  vestry_html_vadd(&html, body, arguments);
  va_end(arguments);
  return program_page_end(reply, &html);
}

const char *program_text(const vestry_request *req, const char *path, size_t max_bytes) {
  const char *text = NULL;
  vestry_err err = vestry_signals_get(req->signals, path, VESTRY_INTO(&text), NULL);
  return !err && strlen(text) <= max_bytes ? text : NULL;
}

bool program_is_email(const char *text) {
  const char *at = strchr(text, '@');
  if (!at || at == text || strchr(at + 1, '@') || strpbrk(text, " \t\r\n<>,;")) return false;
  const char *dot = strrchr(at, '.');
  return dot && dot > at + 1 && dot[1] && at[1] != '.' && !strstr(at, "..");
}

/* ------------------------------------------------------------------------------------ command line ---------------- */

void program_refuse(const char *name, const char *option, const char *value, const char *wanted) {
  fprintf(stderr, "%s: --%s %s: %s\n", name, option, value, wanted);
  exit(2);
}

const char *program_scheme(const struct program *program) {
  return program->is->server->tls_key ? "https" : "http";
}

static bool is_of_this_machine(const char *address) {
  return !address || strncmp(address, "127.", 4) == 0;
}

bool program_allows_console(const struct program *program, bool passes_on) {
  const vestry_server_options *server = program->is->server;
  const char *wrong = server->unix_path                         ? "use a port, not --unix-socket"
                      : is_of_this_machine(server->address)     ? NULL
                      : passes_on                               ? "with several processes, use --listen 127.0.0.1"
                      : strcmp(server->address, "0.0.0.0") != 0 ? "use --listen 127.0.0.1 or 0.0.0.0"
                                                                : NULL;
  if (wrong) fprintf(stderr, "%s: --console is only for this machine: %s\n", program->is->name, wrong);
  return !wrong;
}

void program_console_url(const struct program *program, const char *address, unsigned port,
                         char url[CONSOLE_URL_BYTES]) {
  snprintf(url, CONSOLE_URL_BYTES, "%s://%s:%u" CONSOLE "/console", program_scheme(program),
           address && is_of_this_machine(address) ? address : "127.0.0.1", port);
}

/* The options of the program, then those of all examples. */
static void list_options(struct program *program) {
  size_t count = 0;
  const vestry_program_option common[] = {
      {"datastar-file", "FILE",
       "serve the Datastar client from this file [the file set in the build by\nVESTRY_DATASTAR_FILE; without it, "
       "browsers fetch the client from\n" VESTRY_DATASTAR_CDN_URL "]",
       VESTRY_INTO(&program->client.path)},
      {"datastar-version", "V",
       "version that browsers fetch, or that of the file [the one in the file's first "
       "line,\nor " VESTRY_DATASTAR_VERSION "]; the policy permits more to versions before 1.0.3",
       VESTRY_INTO(&program->client.version)},
      {"trace", "FILE",
       "append spans to FILE, which show where the time is spent, for an OpenTelemetry\ncollector [none]",
       VESTRY_INTO(&program->trace)},
      {"console", NULL,
       "serve a console to this machine only: /observe/console. Do not use it behind a proxy\non this machine, because "
       "the proxy may pass it to everyone [no]",
       VESTRY_INTO(&program->has_console)}};
  for (const vestry_program_option *at = program->own; at && at->name; at++) program->options[count++] = *at;
  memcpy(program->options + count, common, sizeof common); /* zeros follow */
}

/* civetweb has no TLS here, and keeps two threads for requests that open no stream. */
static void check_server(const struct program *program) {
  char value[16];
  const uint32_t count = program->is->server->threads_count;
  const bool is_civetweb = strcmp(program->is->adapter->name, "civetweb") == 0;
  snprintf(value, sizeof value, "%u", (unsigned)count);
  if (is_civetweb && program->is->server->tls_certificate)
    program_refuse(program->is->name, "adapter", "civetweb", "has no TLS; --certificate needs microhttpd or h2");
  if (count && is_civetweb && count < 3)
    program_refuse(program->is->name, "threads", value, "civetweb needs a number from 3 to 32768");
  if (!is_civetweb && count > 256)
    program_refuse(program->is->name, "threads", value, "microhttpd and h2 need a number from 1 to 256");
}

/* Print the URL of the console. */
static void ready(vestry_server *server, void *own) {
  struct program *program = own;
  char url[CONSOLE_URL_BYTES];
  program_console_url(program, program->is->server->address, server->port, url);
  if (program->has_console) printf("%s: console: %s\n", program->is->name, url), fflush(stdout);
  if (program->on_ready) program->on_ready(server, program->application ? program->application->own : NULL);
}

void program_read(struct program *program, int argc, char **argv, const char *name, const char *about) {
  static const vestry_program_adapter adapters[] = {{&vestry_server_civetweb, NULL},
                                                    {&vestry_server_microhttpd, NULL},
#ifdef EXAMPLES_H2
                                                    {&vestry_server_h2, vestry_h2_certificate},
#endif
                                                    {NULL, NULL}};
  const vestry_program_options options = {.name = name,
                                          .about = about,
                                          .adapters = adapters,
                                          .options = program->options,
                                          .application = program->application,
                                          .stop_ms = STOP_MS,
                                          .max_head_bytes = program->max_head_bytes,
                                          .on_ready = ready,
                                          .ready_own = program};
  list_options(program);
  const int status = vestry_program_read(argc, argv, &options, &program->is);
  if (status >= 0) exit(status);
  check_server(program);
  client_choose(&program->client, name);
  if (program->has_console && !program_allows_console(program, false)) exit(2);
  const vestry_trace_file_options file = {.path = program->trace, .service = name};
  if (program->trace && vestry_trace_file_create(&file, &program->spans)) exit(2); /* the log has the reason */
  if (!program->style) program->style = small_css, program->style_len = small_css_len;
  make_frame(program);
}

/* ------------------------------------------------------------------------------------ from start to end ----------- */

/* Return the options of an instance with the host of the command line, and default bounds. */
static vestry_options bounded(const struct program *program, const vestry_options *options) {
  static const vestry_signals_limits limits = {.max_bytes = MAX_REQUEST_BYTES};
  static const vestry_bounds bounds = {.max_body_bytes = MAX_REQUEST_BYTES};
  static const vestry_connection_options connection = {.heartbeat_ms = HEARTBEAT_MS};
  vestry_options own = {0};
  if (options) own = *options;
  own.host = program->spans ? vestry_trace_file_host(program->spans) : NULL;
  if (!own.bounds) own.bounds = &bounds;
  if (!own.connection) own.connection = &connection;
  if (!own.signals) own.signals = &limits;
  return own;
}

static vestry_err file(const vestry_request *req, vestry_reply *reply, void *files) {
  return vestry_reply_file(req, reply, files, req->path + 1);
}

/* Serve the style sheets and the client. */
static vestry_err add_files(struct program *program) {
  size_t count = 0;
  program->table[count++] = (vestry_file){.path = "style.css", .bytes = style_css, .len = style_css_len};
  program->table[count++] = (vestry_file){.path = "own.css", .bytes = program->style, .len = program->style_len};
  if (program->client.bytes)
    program->table[count++] =
        (vestry_file){.path = "datastar.js", .bytes = program->client.bytes, .len = program->client.len};
  vestry_err err = vestry_files_create(&(vestry_files_options){.embedded = program->table, .embedded_count = count},
                                       &program->files);
  for (size_t i = 0; !err && i < count; i++) {
    char path[32];
    snprintf(path, sizeof path, "/%s", program->table[i].path);
    err = vestry_route(program->v, "GET", path, file, program->files);
  }
  return err;
}

static void must(struct program *program, vestry_err err) {
  if (!err) return;
  fprintf(stderr, "%s: cannot start (%s)\n", program->is->name, vestry_err_name(err));
  exit(program_finish(program));
}

void program_instance(struct program *program, const vestry_options *options) {
  const vestry_options own = bounded(program, options);
  vestry_err err = vestry_create(&own, &program->v);
  must(program, err ? err : add_files(program));
}

void program_start(struct program *program, int argc, char **argv, const char *name, const char *about,
                   const vestry_options *options) {
  program_read(program, argc, argv, name, about);
  program_instance(program, options);
}

void program_create(struct program *program, const vestry_application_options *options) {
  vestry_application_options own = *options;
  const vestry_options instance = bounded(program, options->instance);
  own.insecure = true;
  own.instance = &instance;
  if (!own.document) own.document = &program->frame;
  if (vestry_program_begin(program->is, &own)) exit(program_finish(program)); /* it has logged why */
  program->app = program->is->app;
  program->v = program->app->instance;
  program->shown.pages = program->app->pages;
  must(program, add_files(program));
}

/* Mount the console, before the server starts. */
static vestry_err begin_console(struct program *program, vestry_observe **ret_console) {
  vestry_observe_options shown = program->shown;
  shown.trusts_loopback = true; /* the help of --console states this */
  if (!shown.more && program->app) shown.more = vestry_application_metrics, shown.more_ctx = program->app;
  vestry_err err = vestry_observe_create(program->v, &shown, ret_console);
  return err ? err : vestry_observe_mount(*ret_console, CONSOLE);
}

void program_wait(struct program *program) {
  vestry_observe *console = NULL;
  if (program->has_console) must(program, begin_console(program, &console));
  program->served = vestry_program_serve(program->is, program->v) == VESTRY_OK;
  vestry_observe_destroy(console);
}

int program_finish(struct program *program) {
  if (!program->app) vestry_destroy(program->v);
  (void)vestry_program_end(program->is);
  vestry_files_destroy(program->files);
  vestry_trace_file_destroy(program->spans);
  free(program->client.file);
  return program->served ? 0 : 1;
}

int program_main(struct program *program, int argc, char **argv, const char *name, const char *about) {
  program_read(program, argc, argv, name, about);
  program_create(program, program->application);
  program_wait(program);
  return program_finish(program);
}
