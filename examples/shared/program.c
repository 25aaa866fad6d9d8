/* SPDX-License-Identifier: MIT */
#include "program.h"
#include "vestry/app/csp.h"
#include "vestry/app/early.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Requests of the examples contain a few short texts. */
enum { MAX_REQUEST_BYTES = 64 * 1024 };
/* With this interval, a page reports within ten seconds that its server does not respond. */
enum { HEARTBEAT_MS = 3000 };

static const char help[] =
    "  --port N              port to listen on; 0: a free one, which is printed [8080]\n"
    "  --listen ADDRESS      address to listen on; 0.0.0.0 also admits your network, such as a phone "
    "[127.0.0.1]\n" HELP_OF_ADAPTER
    "  --threads N           threads of the server [civetweb: 128; others: one per processor]\n" HELP_OF_UNIX_SOCKET
    "  --datastar-file FILE  serve the Datastar client from this file [the file set in the build by\n"
    "                        VESTRY_DATASTAR_FILE; without it, browsers fetch the client from\n"
    "                        " VESTRY_DATASTAR_CDN_URL "]\n"
    "  --datastar-version V  version that browsers fetch, or that of the file [the one in the file's first line,\n"
    "                        or " VESTRY_DATASTAR_VERSION "]; the policy permits more to versions before 1.0.3\n"
    "  --trace FILE          append spans to FILE, which show where the time is spent, for an OpenTelemetry\n"
    "                        collector [none]\n"
    "  --console             serve a console to this machine only: /observe/console. Do not use it behind a proxy\n"
    "                        on this machine, because the proxy may pass it to everyone [no]\n"
    "  --help                show this text\n";

/* ------------------------------------------------------------------------------------ pages ----------------------- */

/* Datastar's attributes are code, and escaping prevents texts of users from becoming code. The client compiles the
 * attributes with the document's nonce. A client before 1.0.3 needs unsafe-eval instead, and for the effect
 * execute-script also unsafe-inline. */
static vestry_err put_policy(const struct program *program, vestry_reply *reply) {
  const bool is_old = program->options.client_needs_eval;
  return vestry_reply_csp(
      reply, &(vestry_csp){.client = program->options.client_url,
                           .client_needs_eval = is_old,
                           .trusted_types = !is_old,
                           .directives = is_old && program->runs_scripts ? "script-src 'unsafe-inline'" : NULL});
}

static void begin(const struct program *program, vestry_reply *reply, vestry_html *html, const char *title) {
  put_policy(program, reply);
  vestry_reply_header(reply, "Cache-Control", "no-store"); /* it shows the current state */
  vestry_html_add(html, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>%-s", title,
                  PAGE_HEAD);
  vestry_html_early(html, vestry_reply_nonce(reply));
  vestry_html_add(html, "<script type=\"module\" src=\"%-s\"></script>", program->options.client_url);
}

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

/* The style sheets follow the head of a live page, so that they can override it. The first element of a body is shown
 * until the client is loaded and hides it. */
static void begin_body(vestry_html *html) {
  vestry_html_add(html, "<link rel=\"stylesheet\" href=\"/style.css\"><link rel=\"stylesheet\" href=\"/own.css\">"
                        "</head><body>" TRUTH
                        "<p class=\"late\" data-show=\"false\">The page's script has not loaded. Check the Internet "
                        "connection, or set the client's file with <code>--datastar-file</code>.</p>"
                        "<noscript><p>This page needs JavaScript.</p></noscript>");
}

void program_live_begin(const struct program *program, vestry_render *render, vestry_html *html, const char *title) {
  begin(program, render->reply, html, title);
  vestry_render_head(render, html);
  begin_body(html);
}

vestry_err program_live_end(vestry_html *html) {
  return vestry_html_add(html, "</body></html>");
}

void program_page_begin(const struct program *program, vestry_reply *reply, vestry_html *html, const char *title) {
  vestry_html_init(html, NULL);
  begin(program, reply, html, title);
  begin_body(html);
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

/* ------------------------------------------------------------------------------------ from start to end ----------- */

void program_read(struct program *program, int argc, char **argv, const char *name, const char *about) {
  static const struct option names[] = {OPTIONS_OF_ALL, {NULL, 0, NULL, 0}};
  char text[4096];
  snprintf(text, sizeof text, "Usage: %s [OPTION…]\n%s, on http://127.0.0.1:8080. End it with Ctrl-C.\n\n%s%s", name,
           about, program->own_help ? program->own_help : "", help);
  program->options = (struct server_options){.program = name};
  if (!program->style) program->style = small_css, program->style_len = small_css_len;
  int status = options_parse(argc, argv, program->names ? program->names : names, text, program->read_own, program->own,
                             &program->options);
  if (status >= 0) exit(status);
}

/* Return the options of an instance with the host of the command line, and default bounds. */
static vestry_options bounded(const struct program *program, const vestry_options *options) {
  static const vestry_signals_limits limits = {.max_bytes = MAX_REQUEST_BYTES};
  static const vestry_bounds bounds = {.max_body_bytes = MAX_REQUEST_BYTES};
  static const vestry_connection_options connection = {.heartbeat_ms = HEARTBEAT_MS};
  vestry_options own = {0};
  if (options) own = *options;
  own.host = program->options.host;
  if (!own.bounds) own.bounds = &bounds;
  if (!own.connection) own.connection = &connection;
  if (!own.signals) own.signals = &limits;
  return own;
}

/* Serve the style sheets and the client, or end the process because of an error. */
static void add_files(struct program *program, vestry_err err) {
  const vestry_file styles[] = {{.path = "style.css", .bytes = style_css, .len = style_css_len},
                                {.path = "own.css", .bytes = program->style, .len = program->style_len}};
  if (!err) err = options_files(&program->options, program->v, styles, sizeof styles / sizeof *styles);
  if (!err) return;
  fprintf(stderr, "%s: cannot start (%s)\n", program->options.program, vestry_err_name(err));
  exit(program_finish(program));
}

void program_start(struct program *program, int argc, char **argv, const char *name, const char *about,
                   const vestry_options *options) {
  program_read(program, argc, argv, name, about);
  const vestry_options own = bounded(program, options);
  add_files(program, vestry_create(&own, &program->v));
}

void program_create(struct program *program, const vestry_application_options *options) {
  vestry_application_options own = *options;
  const vestry_options instance = bounded(program, options->instance);
  own.name = program->options.program;
  own.insecure = true;
  own.instance = &instance;
  if (vestry_application_create(&own, &program->app)) exit(program_finish(program)); /* it has logged why */
  program->v = program->app->instance;
  program->options.app = program->app;
  program->options.shown.pages = program->app->pages;
  add_files(program, VESTRY_OK);
}

void program_wait(struct program *program) {
  program->served = options_serve(&program->options, program->v) == VESTRY_OK;
}

int program_finish(struct program *program) {
  if (program->app)
    vestry_application_destroy(program->app);
  else
    vestry_destroy(program->v);
  options_finish(&program->options);
  return program->served ? 0 : 1;
}
