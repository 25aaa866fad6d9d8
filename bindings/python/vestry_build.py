# SPDX-License-Identifier: MIT
"""The declarations of the C headers that Python uses. The C compiler checks them: a declaration that differs from the
header causes an error or a warning. pkg-config finds the libraries."""
import subprocess

from cffi import FFI


def said_by_pkg_config(option):
    command = ["pkg-config", option, "vestry-app", "vestry-microhttpd"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


ffi = FFI()
ffi.set_source("vestry._vestry", """
#include <vestry/app/page.h>
#include <vestry/microhttpd.h>
#include <vestry/vestry.h>
static const char *const datastar_url = VESTRY_DATASTAR_CDN_URL;
static const vestry_server_adapter *microhttpd(void) { return &vestry_server_microhttpd; }
static void say(const vestry *v, const char *line) {
  const vestry_host *host = vestry_parts_of(v)->host;
  if (host->log) host->log(host->ctx, VESTRY_LOG_ERROR, line);
}
static vestry_err patch_signals(vestry_reply *reply, json_t *signals) {
  const vestry_value value = vestry_value_json(signals);
  return vestry_reply_patch_signals(reply, &value);
}
static vestry_err keep(vestry_reply *reply, const char *name) {
  const vestry_key key = vestry_key_string(name);
  vestry_err error = vestry_reply_key(reply, &key);
  return error ? error : vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}
static vestry_err dispatch(vestry *v, const char *scope, size_t scope_len, const char *name, json_t *effects) {
  const vestry_key key = vestry_key_string(name);
  const vestry_value value = vestry_value_json(effects);
  return vestry_dispatch(v, (vestry_scope){scope, scope_len}, &key, &value);
}
static json_t *parsed(const char *text) { return json_loads(text, JSON_DECODE_ANY, NULL); }
static void unparsed(json_t *json) { json_decref(json); }
static const char *signals_text(const vestry_request *req) { return json_dumps(req->signals, JSON_COMPACT); }
static void drop(const char *text) { free((void *)(uintptr_t)text); }
""", extra_compile_args=said_by_pkg_config("--cflags"), extra_link_args=said_by_pkg_config("--libs"))

ffi.cdef("""
typedef enum { VESTRY_OK, VESTRY_NO_MEMORY, VESTRY_NOT_FOUND, VESTRY_FAILED, VESTRY_TIMEOUT, ... } vestry_err;
const char *vestry_err_name(vestry_err error);
static const char *const datastar_url;

typedef struct vestry vestry;
typedef struct vestry_options vestry_options;
typedef struct vestry_pages vestry_pages;
typedef struct vestry_pages_options vestry_pages_options;
typedef struct vestry_page vestry_page;
typedef struct vestry_timer vestry_timer;
typedef struct vestry_runtime vestry_runtime;
typedef struct vestry_reply vestry_reply;
typedef struct vestry_html vestry_html;
typedef struct vestry_server_adapter vestry_server_adapter;
typedef ... json_t;
typedef struct { const void *data; size_t len; ...; } vestry_scope;
typedef struct { vestry_scope scope; ...; } vestry_request;
typedef struct { const vestry_request *request; vestry_reply *reply; bool is_stream; ...; } vestry_render;
typedef struct { char url[160]; ...; } vestry_server;
typedef struct { vestry_runtime *runtime; ...; } vestry_parts;

vestry_err vestry_create(const vestry_options *options, vestry **ret_instance);
vestry_err vestry_stop(vestry *v, uint64_t timeout_ms);
vestry_err vestry_destroy(vestry *v);
const vestry_parts *vestry_parts_of(const vestry *v);
vestry_err vestry_route(vestry *v, const char *method, const char *pattern,
                        vestry_err (*handler)(const vestry_request *, vestry_reply *, void *), void *app);
vestry_err vestry_reply_status(vestry_reply *reply, int status);
vestry_err vestry_reply_body(vestry_reply *reply, const char *content_type, const void *body, size_t len);
vestry_err vestry_reply_patch_elements(vestry_reply *reply, const char *html);

typedef struct {
  vestry_err (*render)(vestry_render *, vestry_html *, void *);
  void *app;
  ...;
} vestry_page_options;
vestry_err vestry_pages_create(vestry *v, const vestry_pages_options *options, vestry_pages **ret_pages);
void vestry_pages_destroy(vestry_pages *pages);
vestry_err vestry_page_create(vestry_pages *pages, const vestry_page_options *options, vestry_page **ret_page);
vestry_err vestry_page_handler(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vestry_render_topic(vestry_render *render, const char *topic);
vestry_err vestry_render_head(vestry_render *render, vestry_html *html);
vestry_err vestry_render_begin(vestry_render *render, vestry_html *html);
vestry_err vestry_render_end(vestry_render *render, vestry_html *html);
vestry_err vestry_html_raw(vestry_html *html, const char *bytes, size_t len);
vestry_err vestry_html_text(vestry_html *html, const char *bytes, size_t len);
vestry_err vestry_refresh(vestry_pages *pages, const char *topic, uint64_t *ret_seq);

vestry_err vestry_timer_create(vestry_runtime *runtime, void (*fire)(vestry_timer *, void *), void *ctx,
                               vestry_timer **ret_timer);
vestry_err vestry_timer_set(vestry_timer *timer, uint64_t delay_ms, uint64_t period_ms);
void vestry_timer_destroy(vestry_timer *timer);

typedef struct { uint16_t port; uint64_t drain_ms, stop_ms; void (*on_ready)(vestry_server *, void *); void *ctx; ...; }
  vestry_server_options;
vestry_err vestry_server_run(vestry *v, const vestry_server_adapter *adapter, const vestry_server_options *options);

static json_t *parsed(const char *text);
static void unparsed(json_t *json);
static const vestry_server_adapter *microhttpd(void);
static void say(const vestry *v, const char *line);
static vestry_err patch_signals(vestry_reply *reply, json_t *signals);
static vestry_err keep(vestry_reply *reply, const char *name);
static vestry_err dispatch(vestry *v, const char *scope, size_t scope_len, const char *name, json_t *effects);
static const char *signals_text(const vestry_request *req);
static void drop(const char *text);

extern "Python" {
  vestry_err on_request(const vestry_request *, vestry_reply *, void *);
  vestry_err on_render(vestry_render *, vestry_html *, void *);
  void on_timer(vestry_timer *, void *);
  void on_ready(vestry_server *, void *);
}
""")
