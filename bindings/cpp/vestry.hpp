/* SPDX-License-Identifier: MIT */
/** vestry for C++17: owners that free their objects, handlers as functions, errors as exceptions. The namespace is
 *  vestrypp, because vestry is a C type.
 *
 *      vestrypp::instance v;
 *      v.route("POST", "/jump", [&](vestrypp::request, vestrypp::reply reply) { reply.patch_signals({{"n", ++n}}); });
 *      v.serve(vestry_server_microhttpd, 8080);
 *
 *  Call functions that are missing here as in C: get() of each owner, and the members of request, reply and render, are
 *  the C pointers. No exception propagates through C code. A handler that throws vestrypp::failure answers as if it
 *  returned its error, std::bad_alloc answers as NO_MEMORY, and any other exception as FAILED; what() is in the host's
 *  log. Owners must be destroyed in the order that C requires: declare the instance first, then pages, then timers. The
 *  functions of an owner have the thread rules of their C functions. */
#ifndef VESTRY_HPP
#define VESTRY_HPP

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <vestry/app/page.h>
#include <vestry/vestry.h>

namespace vestrypp {

/** An error of the library. */
class failure : public std::runtime_error {
public:
  failure(vestry_err error, const char *function)
      : std::runtime_error(std::string(function) + ": " + vestry_err_name(error)), error(error) {}
  vestry_err error; ///< never VESTRY_OK
};

/** Throw if the result is an error. */
inline void must(vestry_err error, const char *function) {
  if (error == VESTRY_NO_MEMORY) throw std::bad_alloc();
  if (error) throw failure(error, function);
}

/** JSON: {{"n", 1}, {"name", "Ada"}} is an object, vestrypp::list({"close-sse"}) a list, nullptr is null. A copy shares
 *  the value. Texts must be UTF-8 (vestrypp::failure: INVALID). */
class json {
public:
  json(std::nullptr_t) : json(json_null(), owned{}) {}
  json(bool value) : json(json_boolean(value), owned{}) {}
  json(int value) : json(json_integer(value), owned{}) {}
  json(long value) : json(json_integer(value), owned{}) {}
  json(long long value) : json(json_integer(value), owned{}) {}
  json(double value) : json(json_real(value), owned{}) {}
  json(const char *text) : json(std::string_view(text)) {}
  json(const std::string &text) : json(std::string_view(text)) {}
  json(std::string_view text) : json(json_stringn(text.data(), text.size()), owned{}) {}
  json(std::initializer_list<std::pair<const char *, json>> members) : json(json_object(), owned{}) {
    for (const auto &[name, value] : members)
      if (json_object_set(value_, name, value.value_)) throw failure(VESTRY_INVALID, "vestrypp::json");
  }
  json(const json &other) : value_(json_incref(other.value_)) {}
  json(json &&other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  json &operator=(json other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~json() {
    json_decref(value_);
  }
  json_t *get() const {
    return value_;
  } ///< borrowed
  /** Return the value for C functions. Borrowed. */
  vestry_value value() const {
    return vestry_value_json(value_);
  }

private:
  friend json list(std::initializer_list<json> items);
  struct owned {};
  json(json_t *value, owned) : value_(value) {
    if (!value) throw failure(VESTRY_INVALID, "vestrypp::json");
  }
  json_t *value_;
};

inline json list(std::initializer_list<json> items) {
  json made(json_array(), json::owned{});
  for (const json &item : items)
    if (json_array_append(made.get(), item.get())) throw std::bad_alloc();
  return made;
}

/** A request; valid while its handler runs. */
struct request {
  const vestry_request *c;
  vestry_scope scope() const {
    return c->scope;
  }
  /** Get a value of the path, the query or the form; nothing: it is missing, or not a text. */
  std::optional<std::string_view> text(vestry_in in, const char *name) const {
    const char *found = vestry_request_value(c, in, name);
    return found ? std::optional<std::string_view>(found) : std::nullopt;
  }
  /** Get an integer signal. Values are not converted: "4" is not an integer. */
  std::optional<int64_t> integer(const char *signal) const {
    const json_t *found = json_object_get(c->signals, signal);
    return json_is_integer(found) ? std::optional<int64_t>(json_integer_value(found)) : std::nullopt;
  }
};

/** The reply of a handler; valid while the handler runs. */
struct reply {
  vestry_reply *c;
  void status(int status) {
    must(vestry_reply_status(c, status), "vestry_reply_status");
  }
  void html(std::string_view body) {
    must(vestry_reply_body(c, "text/html; charset=utf-8", body.data(), body.size()), "vestry_reply_body");
  }
  void redirect(int status, const char *url) {
    must(vestry_reply_redirect(c, status, url), "vestry_reply_redirect");
  }
  void key(const char *name) {
    const vestry_key key = vestry_key_string(name);
    must(vestry_reply_key(c, &key), "vestry_reply_key");
  }
  void keep(vestry_keep_policy policy, size_t many_count = 0) {
    must(vestry_reply_keep(c, policy, many_count), "vestry_reply_keep");
  }
  void patch_signals(const json &signals) {
    const vestry_value value = signals.value();
    must(vestry_reply_patch_signals(c, &value), "vestry_reply_patch_signals");
  }
  void patch_elements(const char *html) {
    must(vestry_reply_patch_elements(c, html), "vestry_reply_patch_elements");
  }
};

/** The render of a live page (vestry/app/page.h). */
struct render {
  vestry_render *c;
  vestry_html *html;
  void topic(const char *name) {
    must(vestry_render_topic(c, name), "vestry_render_topic");
  }
  void head() {
    must(vestry_render_head(c, html), "vestry_render_head");
  }
  void begin() {
    must(vestry_render_begin(c, html), "vestry_render_begin");
  }
  void end() {
    must(vestry_render_end(c, html), "vestry_render_end");
  }
  /** Append HTML of the program, unescaped. */
  render &raw(std::string_view bytes) {
    must(vestry_html_raw(html, bytes.data(), bytes.size()), "vestry_html_raw");
    return *this;
  }
  /** Append a text, escaped for its context. */
  render &text(std::string_view bytes) {
    must(vestry_html_text(html, bytes.data(), bytes.size()), "vestry_html_text");
    return *this;
  }
  render &text(long long number) {
    return text(std::to_string(number));
  }
};

using handler = std::function<void(request, reply)>;
using renderer = std::function<void(render &)>;

/** Return the error for the current exception, from a function that C calls. Use it in a catch block. */
inline vestry_err caught(const vestry_host *host, const char *where) noexcept {
  try {
    throw;
  } catch (const failure &thrown) {
    return thrown.error;
  } catch (const std::bad_alloc &) {
    return VESTRY_NO_MEMORY;
  } catch (const std::exception &thrown) {
    char line[300];
    std::snprintf(line, sizeof line, "vestry.hpp: a function for %s threw: %s", where, thrown.what());
    if (host->log) host->log(host->ctx, VESTRY_LOG_ERROR, line);
  } catch (...) {
    if (host->log)
      host->log(host->ctx, VESTRY_LOG_ERROR, "vestry.hpp: a function threw an object that is not a std::exception");
  }
  return VESTRY_FAILED;
}

/** An instance, and its routes. It cannot be moved, because C has its address. */
class instance {
public:
  explicit instance(const vestry_options *options = nullptr) {
    must(vestry_create(options, &v_), "vestry_create");
  }
  instance(const instance &) = delete;
  instance &operator=(const instance &) = delete;
  ~instance() {
    vestry_destroy(v_);
  }
  vestry *get() const {
    return v_;
  }
  const vestry_host *host() const {
    return vestry_parts_of(v_)->host;
  }

  /** Add a route. Call it before the server starts, from one thread. */
  void route(const char *method, const char *pattern, handler function) {
    mounted_.push_back(std::make_unique<mounted>(mounted{host(), pattern, std::move(function)}));
    must(vestry_route(v_, method, pattern, call, mounted_.back().get()), "vestry_route");
  }
  /** Dispatch effects to the streams that are stored under a name in this scope. false: there are none. */
  bool dispatch(vestry_scope scope, const char *name, const json &effects) {
    const vestry_key key = vestry_key_string(name);
    const vestry_value value = effects.value();
    const vestry_err error = vestry_dispatch(v_, scope, &key, &value);
    if (error == VESTRY_NOT_FOUND) return false;
    must(error, "vestry_dispatch");
    return true;
  }
  /** Serve until SIGINT or SIGTERM. ready: receives the URL. */
  void serve(const vestry_server_adapter &adapter, uint16_t port, std::function<void(const char *url)> ready = {}) {
    vestry_server_options options{};
    options.port = port;
    options.ctx = &ready;
    if (ready)
      options.on_ready = [](vestry_server *server, void *ctx) {
        (*static_cast<std::function<void(const char *)> *>(ctx))(server->url);
      };
    const vestry_err error = vestry_server_run(v_, &adapter, &options);
    must(error, "vestry_server_run");
  }
  /** Stop the instance, before objects that handlers and timers use are destroyed. */
  void stop(uint64_t timeout_ms) {
    must(vestry_stop(v_, timeout_ms), "vestry_stop");
  }

private:
  struct mounted {
    const vestry_host *host;
    std::string pattern;
    handler function;
  };
  static vestry_err call(const vestry_request *req, vestry_reply *answer, void *app) noexcept {
    const mounted *at = static_cast<mounted *>(app);
    try {
      at->function(request{req}, reply{answer});
      return VESTRY_OK;
    } catch (...) {
      return caught(at->host, at->pattern.c_str());
    }
  }
  vestry *v_ = nullptr;
  std::deque<std::unique_ptr<mounted>> mounted_; // they stay where they are
};

/** Live pages of an instance. Their destructor stops the instance (vestry_stop, and waits), so that nothing is served
 *  without them. */
class pages {
public:
  explicit pages(instance &of, const vestry_pages_options *options = nullptr) : instance_(of) {
    must(vestry_pages_create(of.get(), options, &pages_), "vestry_pages_create");
  }
  pages(const pages &) = delete;
  pages &operator=(const pages &) = delete;
  ~pages() {
    while (vestry_stop(instance_.get(), 1000) == VESTRY_TIMEOUT) continue;
    vestry_pages_destroy(pages_);
  }
  vestry_pages *get() const {
    return pages_;
  }

  /** Add a page at a path. Call it before the server starts, from one thread. */
  void add(const char *pattern, renderer function) {
    made_.push_back(std::make_unique<made>(made{instance_.host(), pattern, std::move(function)}));
    vestry_page_options options{};
    vestry_page *page;
    options.render = make;
    options.app = made_.back().get();
    must(vestry_page_create(pages_, &options, &page), "vestry_page_create");
    must(vestry_route(instance_.get(), "GET", pattern, vestry_page_handler, page), "vestry_route");
  }
  void refresh(const char *topic) {
    must(vestry_refresh(pages_, topic, nullptr), "vestry_refresh");
  }

private:
  struct made {
    const vestry_host *host;
    std::string pattern;
    renderer function;
  };
  static vestry_err make(vestry_render *said, vestry_html *html, void *app) noexcept {
    const made *at = static_cast<made *>(app);
    try {
      render one{said, html};
      at->function(one);
      return VESTRY_OK;
    } catch (...) {
      return caught(at->host, at->pattern.c_str());
    }
  }
  instance &instance_;
  vestry_pages *pages_ = nullptr;
  std::deque<std::unique_ptr<made>> made_;
};

/** A function that is called after a delay, and periodically. Destroy it before the instance. */
class timer {
public:
  timer(instance &of, std::function<void()> function) : host_(of.host()), function_(std::move(function)) {
    must(vestry_timer_create(vestry_parts_of(of.get())->runtime, fire, this, &timer_), "vestry_timer_create");
  }
  timer(const timer &) = delete;
  timer &operator=(const timer &) = delete;
  ~timer() {
    vestry_timer_destroy(timer_);
  }
  void set(uint64_t delay_ms, uint64_t period_ms = 0) {
    must(vestry_timer_set(timer_, delay_ms, period_ms), "vestry_timer_set");
  }

private:
  static void fire(vestry_timer *, void *ctx) noexcept {
    const timer *at = static_cast<timer *>(ctx);
    try {
      at->function_();
    } catch (...) {
      (void)caught(at->host_, "a timer");
    }
  }
  const vestry_host *host_;
  std::function<void()> function_;
  vestry_timer *timer_ = nullptr;
};

} // namespace vestrypp
#endif
