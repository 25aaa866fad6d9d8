/* SPDX-License-Identifier: MIT */
#include "vestry/testing/browser.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/buffer.h"
#include "base/hex.h"
#include "base/memory.h"
#include "base/real.h"
#include "testing/browser_request.h"
#include "testing/exchange.h"
#include "json/load.h"

enum { REDIRECTS_MAX = 10, COOKIES_MAX = 50, TIMEOUT_MS = 10000, AGAIN_MS = 100 };

struct vestry_browser {
  vestry *v; /* NULL: it uses a server through the network */
  const vestry_host *host;
  struct sockaddr_in server;
  uint64_t timeout_ms;
  int kept; /* a connection to the server for the next request; -1: none */
  struct {
    char *name, *value; /* owned; name NULL: unused */
    uint64_t until_ns;  /* UINT64_MAX: as long as the browser exists */
  } cookies[COOKIES_MAX];
};

vestry_err vestry_browser_create(vestry *v, vestry_browser **ret_browser) {
  if (!v || !ret_browser) return VESTRY_INVALID;
  vestry_browser *browser = vsi_calloc(vestry_parts_of(v)->host, 1, sizeof *browser);
  if (!browser) return VESTRY_NO_MEMORY;
  browser->v = v;
  browser->host = vestry_parts_of(v)->host;
  browser->kept = -1;
  *ret_browser = browser;
  return VESTRY_OK;
}

vestry_err vestry_browser_connect(const vestry_browser_server *server, vestry_browser **ret_browser) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  vestry_browser_server own = server ? *server : (vestry_browser_server){0};
  if (!ret_browser || !own.port) return VESTRY_INVALID;
  if (inet_pton(AF_INET, own.address ? own.address : "127.0.0.1", &address.sin_addr) != 1) return VESTRY_INVALID;
  const vestry_host *host = own.host ? own.host : vestry_host_default();
  vestry_browser *browser = vsi_calloc(host, 1, sizeof *browser);
  if (!browser) return VESTRY_NO_MEMORY;
  address.sin_port = htons(own.port);
  browser->host = host;
  browser->server = address;
  browser->timeout_ms = own.patience_ms ? own.patience_ms : TIMEOUT_MS;
  browser->kept = -1;
  *ret_browser = browser;
  return VESTRY_OK;
}

vestry_err vestry_browser_move(const vestry_browser *browser, vestry *v, vestry_browser **ret_browser) {
  vestry_browser *made;
  if (!browser || !ret_browser) return VESTRY_INVALID;
  vestry_err error = vestry_browser_create(v, &made);
  for (size_t i = 0; !error && i < COOKIES_MAX; i++) {
    if (!browser->cookies[i].name) continue;
    made->cookies[i].name = vsi_strdup(made->host, browser->cookies[i].name, strlen(browser->cookies[i].name));
    made->cookies[i].value = vsi_strdup(made->host, browser->cookies[i].value, strlen(browser->cookies[i].value));
    made->cookies[i].until_ns = browser->cookies[i].until_ns;
    if (made->cookies[i].name && made->cookies[i].value) continue;
    vestry_browser_destroy(made);
    error = VESTRY_NO_MEMORY;
  }
  if (!error) *ret_browser = made;
  return error;
}

/* -------------------------------------------------------------------------------------------------- cookies ------- */

static void forget(vestry_browser *browser, size_t at) {
  vsi_free(browser->host, browser->cookies[at].name);
  vsi_free(browser->host, browser->cookies[at].value);
  browser->cookies[at].name = browser->cookies[at].value = NULL;
}

void vestry_browser_destroy(vestry_browser *browser) {
  if (!browser) return;
  for (size_t i = 0; i < COOKIES_MAX; i++) forget(browser, i);
  if (browser->kept >= 0) close(browser->kept);
  vsi_free(browser->host, browser);
}

/* Return the index of a cookie, or of a free entry; COOKIES_MAX: neither. */
static size_t place_of(const vestry_browser *browser, const char *name, size_t len) {
  size_t free_at = COOKIES_MAX;
  for (size_t i = COOKIES_MAX; i-- > 0;) {
    const char *kept = browser->cookies[i].name;
    if (!kept) free_at = i;
    if (kept && strncmp(kept, name, len) == 0 && !kept[len]) return i;
  }
  return free_at;
}

/* Return the value of an attribute of a cookie, the last of that name; blanks around the name and the value do not
 * count (RFC 6265, section 5.2). NULL: there is none */
static const char *attribute(const char *set, const char *name) {
  const char *found = NULL;
  for (const char *at = set; (at = strchr(at, ';')) != NULL;) {
    at += 1 + strspn(at + 1, " \t");
    size_t len = strlen(name), blanks = vsi_strncasecmp(at, name, len) == 0 ? strspn(at + len, " \t") : 0;
    if (vsi_strncasecmp(at, name, len) == 0 && at[len + blanks] == '=') found = at + len + blanks + 1;
  }
  return found ? found + strspn(found, " \t") : NULL;
}

/* Store a cookie. Of its attributes only Max-Age matters, because there is one host and every request counts as
 * secure. */
static vestry_err keep_cookie(vestry_browser *browser, const char *set) {
  size_t name_len = strcspn(set, "=;"), value_len = set[name_len] == '=' ? strcspn(set + name_len + 1, ";") : 0;
  const char *age = attribute(set, "max-age");
  size_t at = place_of(browser, set, name_len);
  if (!name_len || set[name_len] != '=' || at == COOKIES_MAX) return VESTRY_OK;
  forget(browser, at);
  const int64_t age_s = age ? strtoll(age, NULL, 10) : 0;
  if (age && age_s <= 0) return VESTRY_OK;
  browser->cookies[at].name = vsi_strdup(browser->host, set, name_len);
  browser->cookies[at].value = vsi_strdup(browser->host, set + name_len + 1, value_len);
  browser->cookies[at].until_ns =
      age ? vsi_add_saturating(vsi_now_ns(browser->host), vsi_ms_to_ns((uint64_t)age_s * 1000)) : UINT64_MAX;
  if (browser->cookies[at].name && browser->cookies[at].value) return VESTRY_OK;
  forget(browser, at);
  return VESTRY_NO_MEMORY;
}

const char *vestry_browser_cookie(const vestry_browser *browser, const char *name) {
  size_t at = place_of(browser, name, strlen(name));
  return at < COOKIES_MAX && browser->cookies[at].name ? browser->cookies[at].value : NULL;
}

static void write_cookies(vestry_browser *browser, vsi_buffer *text) {
  uint64_t now = vsi_now_ns(browser->host);
  for (size_t i = 0; i < COOKIES_MAX; i++) {
    if (browser->cookies[i].name && browser->cookies[i].until_ns <= now) forget(browser, i);
    if (!browser->cookies[i].name) continue;
    if (text->len) vsi_buffer_append_str(text, "; ");
    vsi_buffer_append_str(text, browser->cookies[i].name);
    vsi_buffer_append_char(text, '=');
    vsi_buffer_append_str(text, browser->cookies[i].value);
  }
}

/* ------------------------------------------------------------------------------------------------- requests ------- */

/* Percent-encode a text, as in a form's body or a query. */
static void encode(vsi_buffer *to, const char *text) {
  for (; *text; text++) {
    if (vsi_is_unreserved(*text))
      vsi_buffer_append_char(to, *text);
    else
      vsi_buffer_printf(to, "%%%02X", (unsigned char)*text);
  }
}

static int digit(char c) {
  return vsi_hex_digit(vsi_lower(c));
}

/* Decode the path of a URL. false: it is malformed. */
static bool decode_path(vsi_buffer *to, const char *url) {
  if (*url != '/') return false;
  for (; *url && *url != '?' && *url != '#'; url++) {
    int high = *url == '%' ? digit(url[1]) : 0, low = *url == '%' && high >= 0 ? digit(url[2]) : 0;
    if (high < 0 || low < 0 || (*url == '%' && !high && !low)) return false;
    vsi_buffer_append_char(to, *url == '%' ? (char)(high * 16 + low) : *url);
    if (*url == '%') url += 2;
  }
  return true;
}

void vsi_browser_request_init(const vestry_browser *browser, vsi_browser_request *a) {
  vsi_buffer *all[] = {&a->path, &a->query, &a->cookies, &a->body};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) vsi_buffer_init(all[i], browser->host);
}

void vsi_browser_request_finish(vsi_browser_request *a) {
  vsi_buffer *all[] = {&a->path, &a->query, &a->cookies, &a->body};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) vsi_buffer_finish(all[i]);
}

const vestry_host *vsi_browser_host(const vestry_browser *browser) {
  return browser->host;
}

void vsi_browser_settle(const vestry_browser *browser) {
  if (browser->v) vestry_memory_settle(browser->v);
}

bool vsi_browser_is_remote(const vestry_browser *browser) {
  return !browser->v;
}

/* Return whether a server, or its proxy, that is busy or away has answered a submission, which is then repeated. */
static bool is_away(const vestry_memory_call *call, vestry_memory_exchange *made) {
  const int status = vestry_memory_look(made).status;
  bool is_once = false;
  for (size_t i = 0; i < call->headers_count; i++) is_once |= strcmp(call->headers[i].name, "X-Once") == 0;
  return is_once && status >= 502 && status <= 504;
}

/* Send a request to the server, and if it is repeated, again like the client until a server responds to it or the
 * patience has ended: a server that is started again misses no action. */
static vestry_err send_to_server(vestry_browser *browser, const vestry_memory_call *call, bool is_repeated,
                                 vestry_memory_exchange **ret_exchange) {
  const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
  for (uint64_t waited_ms = 0;; waited_ms += AGAIN_MS) {
    vestry_memory_exchange *made = vsi_exchange_create(browser->host);
    if (!made) return VESTRY_NO_MEMORY;
    vestry_err error = vsi_remote_request(made, &browser->server, browser->timeout_ms, &browser->kept, call);
    const bool goes_on = is_repeated && waited_ms < browser->timeout_ms;
    if (!error && !(goes_on && is_away(call, made))) {
      *ret_exchange = made;
      return VESTRY_OK;
    }
    vestry_memory_destroy(made);
    if (error && (error != VESTRY_IO || !goes_on)) return error;
    nanosleep(&pause, NULL);
  }
}

vestry_err vsi_browser_request_send(vestry_browser *browser, vsi_browser_request *a,
                                    vestry_memory_exchange **ret_exchange) {
  const char *query = strchr(a->url, '?');
  if (!decode_path(&a->path, a->url)) return VESTRY_INVALID;
  if (query && query[1]) {
    if (a->query.len) vsi_buffer_append_char(&a->query, '&');
    vsi_buffer_append(&a->query, query + 1, strcspn(query + 1, "#"));
  }
  write_cookies(browser, &a->cookies);
  vestry_memory_call call = {.method = a->method,
                             .path = vsi_buffer_terminate(&a->path),
                             .query = vsi_buffer_terminate(&a->query),
                             .datastar = a->datastar,
                             .body = a->body.data,
                             .body_len = a->body.len};
  vestry_header headers[2 + VSI_BROWSER_HEADERS];
  const char *cookies = vsi_buffer_terminate(&a->cookies);
  if (!call.path || !call.query || !cookies || a->body.error) return VESTRY_NO_MEMORY;
  if (*cookies) headers[call.headers_count++] = (vestry_header){"Cookie", cookies};
  if (a->type) headers[call.headers_count++] = (vestry_header){"Content-Type", a->type};
  for (size_t i = 0; i < a->more_count; i++) headers[call.headers_count++] = a->more[i];
  call.headers = headers;
  vestry_memory_exchange *made = NULL;
  vestry_err error = browser->v ? vestry_memory_request(browser->v, &call, NULL, NULL, &made)
                                : send_to_server(browser, &call, a->is_repeated, &made);
  if (error) return error;
  vsi_browser_settle(browser);
  const char *set;
  for (size_t i = 0; !error && (set = vestry_memory_header(made, "Set-Cookie", i)) != NULL; i++)
    error = keep_cookie(browser, set);
  if (error)
    vestry_memory_destroy(made);
  else
    *ret_exchange = made;
  return error;
}

/* Return the target of a redirect that is followed with GET. 307 and 308 are not followed, because they would repeat
 * the form. NULL: none. */
static const char *leads_to(vestry_memory_exchange *page) {
  int status = vestry_memory_look(page).status;
  return status >= 301 && status <= 303 ? vestry_memory_header(page, "Location", 0) : NULL;
}

static vestry_err follow(vestry_browser *browser, vestry_memory_exchange *page, vestry_memory_exchange **ret_page) {
  vestry_err error = VESTRY_OK;
  for (int count = 0; !error; count++) {
    const char *url = leads_to(page);
    if (!url) {
      *ret_page = page;
      return VESTRY_OK;
    }
    vestry_memory_exchange *before = page;
    vsi_browser_request a = {.method = "GET", .url = url};
    vsi_browser_request_init(browser, &a);
    error = count < REDIRECTS_MAX ? vsi_browser_request_send(browser, &a, &page) : VESTRY_LIMIT;
    vsi_browser_request_finish(&a);
    vestry_memory_destroy(before);
  }
  return error;
}

vestry_err vestry_browser_get(vestry_browser *browser, const char *url, vestry_memory_exchange **ret_page) {
  vsi_browser_request a = {.method = "GET", .url = url};
  if (!browser || !url || !ret_page) return VESTRY_INVALID;
  vestry_memory_exchange *page;
  vsi_browser_request_init(browser, &a);
  vestry_err error = vsi_browser_request_send(browser, &a, &page);
  vsi_browser_request_finish(&a);
  return error ? error : follow(browser, page, ret_page);
}

void vsi_browser_put_field(vsi_buffer *to, const char *name, const char *value) {
  if (to->len) vsi_buffer_append_char(to, '&');
  encode(to, name);
  vsi_buffer_append_char(to, '=');
  encode(to, value);
}

/* Append a form field. false: a form cannot contain such a value. */
static bool add_field(vsi_buffer *body, const char *name, const json_t *value) {
  if (json_is_false(value)) return true; /* an unchecked box */
  if (!json_is_string(value) && !json_is_number(value) && !json_is_true(value)) return false;
  vsi_browser_put_field(body, name, json_is_string(value) ? json_string_value(value) : "");
  if (json_is_integer(value)) vsi_buffer_printf(body, "%lld", (long long)json_integer_value(value));
  char number[VSI_REAL_BYTES];
  if (json_is_real(value)) vsi_buffer_append(body, number, vsi_real_write(json_real_value(value), number));
  if (json_is_true(value)) vsi_buffer_append_str(body, "on");
  return true;
}

/* Convert a value to an object; NULL: an empty one. INVALID: it is another type. */
static vestry_err object_of(const vestry_value *value, json_t **ret_object) {
  if (!value) return (*ret_object = json_object()) ? VESTRY_OK : VESTRY_NO_MEMORY;
  vestry_err error = vestry_value_to_json(value, ret_object);
  if (error || json_is_object(*ret_object)) return error;
  json_decref(*ret_object);
  return VESTRY_INVALID;
}

vestry_err vestry_browser_form(vestry_browser *browser, const char *url, const vestry_value *fields,
                               vestry_memory_exchange **ret_page) {
  json_t *object, *value;
  const char *name;
  if (!browser || !url || !ret_page) return VESTRY_INVALID;
  vestry_err error = object_of(fields, &object);
  if (error) return error;
  vsi_browser_request a = {.method = "POST", .url = url, .type = "application/x-www-form-urlencoded"};
  vestry_memory_exchange *page = NULL;
  vsi_browser_request_init(browser, &a);
  json_object_foreach(object, name, value) if (!add_field(&a.body, name, value)) error = VESTRY_INVALID;
  if (!error) error = vsi_browser_request_send(browser, &a, &page);
  vsi_browser_request_finish(&a);
  json_decref(object);
  return error ? error : follow(browser, page, ret_page);
}

vestry_err vsi_browser_put_signals(vsi_browser_request *a, const json_t *signals) {
  char *text = vsi_json_dump(signals);
  if (!text) return VESTRY_NO_MEMORY;
  if (strcmp(a->method, "GET") == 0 || strcmp(a->method, "DELETE") == 0) {
    vsi_browser_put_field(&a->query, "datastar", text);
  } else {
    a->type = "application/json";
    vsi_buffer_append_str(&a->body, text);
  }
  free(text);
  return VESTRY_OK;
}

vestry_err vestry_browser_send(vestry_browser *browser, const char *method, const char *url,
                               const vestry_value *signals, vestry_memory_exchange **ret_exchange) {
  json_t *object;
  if (!browser || !method || !url || !ret_exchange) return VESTRY_INVALID;
  vestry_err error = object_of(signals, &object);
  if (error) return error;
  vsi_browser_request a = {.method = method, .url = url, .datastar = true};
  vsi_browser_request_init(browser, &a);
  error = vsi_browser_put_signals(&a, object);
  if (!error) error = vsi_browser_request_send(browser, &a, ret_exchange);
  vsi_browser_request_finish(&a);
  json_decref(object);
  return error;
}
