/* SPDX-License-Identifier: MIT */
/* Changes run one at a time (`changes`), so that all followers receive them in the same order. A follower mirrors the
 * routes elsewhere; for example, the civetweb adapter registers the path of each route with civetweb, which passes all
 * other paths to the program's own handlers. `lock` is held for reading while a path is looked up, and for writing
 * while the list of routes is changed, but never while code of the application runs. Routes and guards are freed with
 * the table, so a request needs no reference to those that it has found.
 *
 * The routes are sorted by precedence, so the first one that fits a path is the route of the path. Most of them differ
 * from the path in their first bytes, and cost a lookup a comparison each: a lookup takes 0.4 us among 200 routes, and
 * 4 us among 2,000. */
#include "http/routes/routes.h"

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/callback.h"
#include "base/field.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "http/body.h"
#include "instance/instance.h"
#include "vestry/adapter.h"

/* A guard, or a maximum body size, for a path and all paths below it or, if is_exact, for that path only. */
typedef struct rule {
  struct rule *next;
  vestry_guard_fn check; /* NULL: a maximum */
  void *app;
  size_t max_body_bytes;
  size_t depth; /* segments of its pattern */
  bool is_exact;
  char pattern[];
} rule;

typedef struct page {
  vestry_handler_fn handler;
  void *app;
} page;
enum { FIRST_ERROR = 400, LAST_ERROR = 599 };

/* An observer of changes to the routes. */
typedef struct follower {
  struct follower *next;
  const vsi_route_follower *ops;
  void *ctx;
} follower;

struct vsi_routes {
  const vestry_host *host;
  vsi_mutex changes;   /* taken before lock: serializes changes, and reports them to followers in this order */
  follower *followers; /* guarded by changes */
  LIST_HEAD(vsi_route_list, vsi_route) removed; /* likewise */
  vsi_rw_lock lock;
  /* guarded by lock, and changed under both locks */
  struct vsi_route_list mounted; /* sorted: vsi_pattern_compare; of one pattern, HEAD before GET */
  rule *rules;                   /* sorted: fewer segments first, then in the order of registration */
  size_t guards_count;
  page pages[1 + LAST_ERROR - FIRST_ERROR + 1]; /* the first is for all statuses without one */

  _Atomic(size_t) limits_count; /* 0 in most instances, whose lookups then skip the lock; relaxed */
};

vestry_err vsi_routes_create(const vestry_host *host, vsi_routes **ret_routes) {
  vsi_routes *routes = vsi_calloc(host, 1, sizeof *routes);
  if (!routes) return VESTRY_NO_MEMORY;
  routes->host = host;
  vsi_mutex_init(&routes->changes, VSI_LOCK_ROUTES_CHANGES);
  vsi_rw_lock_init(&routes->lock);
  *ret_routes = routes;
  return VESTRY_OK;
}

static void free_routes(vsi_routes *routes, struct vsi_route_list *list) {
  for (vsi_route *route; (route = LIST_FIRST(list)) != NULL;) {
    LIST_REMOVE(route, in);
    vsi_free(routes->host, route);
  }
}

void vsi_routes_destroy(vsi_routes *routes) {
  if (!routes) return;
  free_routes(routes, &routes->mounted);
  free_routes(routes, &routes->removed);
  VSI_LIST_FREE(routes->host, routes->rules);
  VSI_LIST_FREE(routes->host, routes->followers);
  vsi_mutex_finish(&routes->changes);
  vsi_rw_lock_finish(&routes->lock);
  vsi_free(routes->host, routes);
}

/* --------------------------------------------------------------------------------------------------- a request ---- */

/* Append a method to the value of Allow, unless the list contains it already or has no room for it. */
static void add_parameter(char *allow, const char *name) {
  size_t len = strlen(allow), more = strlen(name);
  for (const char *at = allow; (at = strstr(at, name)) != NULL; at += more)
    if ((at == allow || at[-1] == ' ') && (!at[more] || at[more] == ',')) return;
  if (len + more + 3 > VSI_ALLOW_BYTES) return;
  if (len) strcat(allow, ", ");
  strcat(allow, name);
}

static bool has_method(const vsi_route *route, const char *method) {
  return strcmp(route->method, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static vsi_route *find_route_locked(vsi_routes *routes, const char *method, const char *path, vsi_captures *captures,
                                    char allow[VSI_ALLOW_BYTES]) {
  vsi_route *route;
  *allow = '\0';
  LIST_FOREACH(route, &routes->mounted, in) {
    if (strncmp(route->pattern, path, route->plain_len) != 0) continue;
    if (!vsi_pattern_fits(route->pattern, path, true, captures)) continue;
    if (has_method(route, method)) return route;
    add_parameter(allow, route->method);
    if (strcmp(route->method, "GET") == 0) add_parameter(allow, "HEAD");
  }
  if (*allow) add_parameter(allow, "OPTIONS");
  return NULL;
}

bool vsi_routes_find(vsi_routes *routes, const char *method, const char *path, vsi_visit *ret_visit,
                     char allow[VSI_ALLOW_BYTES]) {
  vsi_rw_lock_read(&routes->lock, VSI_LOCK_ROUTES);
  ret_visit->route = find_route_locked(routes, method, path, &ret_visit->captures, allow);
  vsi_rw_lock_give(&routes->lock);
  return ret_visit->route;
}

static bool fits_pattern(const rule *of, const char *path) {
  return vsi_pattern_fits(of->pattern, path, of->is_exact, NULL);
}

vestry_err vsi_routes_guard(vsi_routes *routes, const vestry_request *req, vestry_reply *reply) {
  const rule *guards[VESTRY_GUARDS_MAX];
  size_t count = 0;
  vestry_err error = VESTRY_OK;
  vsi_rw_lock_read(&routes->lock, VSI_LOCK_ROUTES);
  for (const rule *at = routes->rules; at; at = at->next)
    if (at->check && fits_pattern(at, req->path)) guards[count++] = at;
  vsi_rw_lock_give(&routes->lock);
  for (size_t i = 0; i < count && !error; i++) error = guards[i]->check(req, reply, guards[i]->app);
  return error;
}

int vestry_route_status(vestry *v, const char *method, const char *path, size_t *ret_max_body_bytes) {
  vsi_visit visit;
  if (ret_max_body_bytes) *ret_max_body_bytes = vsi_max_body_bytes_at(v, path);
  char allow[VSI_ALLOW_BYTES];
  if (vsi_routes_find(v->routes, method, path, &visit, allow)) return 200;
  bool asks_only = strcmp(method, "OPTIONS") == 0;
  if (!*allow) return asks_only && strcmp(path, "*") == 0 ? 204 : 404;
  return asks_only ? 204 : 405;
}

/* -------------------------------------------------------------------------------------------------- mounting ----- */

/* Log a refusal, because a program often combines the results of many calls, and the combined error does not name the
 * route. Returns the error. */
static vestry_err refuse_route(vestry *v, const char *what, const char *pattern, vestry_err error, const char *why) {
  if (error != VESTRY_NO_MEMORY)
    vsi_log(v->host, VESTRY_LOG_ERROR, "routes: refused %s %s: %s", what, pattern ? pattern : "", why);
  return error;
}

/* Return what is wrong with a pattern, by the error of vsi_pattern_check. */
static const char *fault_of_route(vestry_err error) {
  if (error == VESTRY_LIMIT)
    return "the pattern has more than VESTRY_ROUTE_PARAMETERS_MAX parameters; use fewer, and pass further values in "
           "the query";
  return "the pattern is invalid: it must begin with '/', only its last segment may be empty, and each {name} may "
         "occur only once; see vestry/routes.h";
}

static vestry_err report_route(const follower *at, const vsi_route *route, bool is_mounted) {
  vsi_callback_begin();
  vestry_err error = VESTRY_OK;
  if (is_mounted)
    error = at->ops->mounts(at->ctx, route->method, route->pattern);
  else
    at->ops->unmounted(at->ctx, route->method, route->pattern);
  vsi_callback_end();
  return error;
}

/* Report to the followers before `end` that a route is removed. */
static void untell(vsi_routes *routes, const follower *end, const vsi_route *route) {
  for (const follower *at = routes->followers; at != end; at = at->next) (void)report_route(at, route, false);
}

/* Report to all followers that a route will be mounted. Returns the first error; then it was reported to all followers
 * before it that the route is removed. */
static vestry_err tell(vsi_routes *routes, const vsi_route *route) {
  for (const follower *at = routes->followers; at; at = at->next) {
    vestry_err error = report_route(at, route, true);
    if (!error) continue;
    untell(routes, at, route);
    return error;
  }
  return VESTRY_OK;
}

static vsi_route *create_route(const vestry_host *host, const char *method, const char *pattern, const vsi_route *as) {
  const size_t method_len = strlen(method) + 1, pattern_len = strlen(pattern) + 1;
  vsi_route *route = vsi_calloc(host, 1, sizeof *route + method_len + 2 * pattern_len);
  if (!route) return NULL;
  *route = *as;
  route->method = memcpy(route->text, method, method_len);
  route->pattern = memcpy(route->text + method_len, pattern, pattern_len);
  route->plain_len = strcspn(pattern, "{");
  route->names_count = vsi_pattern_names(pattern, route->text + method_len + pattern_len, route->names);
  return route;
}

/* Add a route, under `changes`. *ret_refused: a follower refused it, and has logged why. */
static vestry_err add_route(vsi_routes *routes, vsi_route *route, bool *ret_refused) {
  const bool is_first = strcmp(route->method, "HEAD") == 0;
  vsi_route *at, *before = NULL;
  LIST_FOREACH(at, &routes->mounted, in) {
    const int order = vsi_pattern_compare(at->pattern, route->pattern);
    if (!order && strcmp(at->method, route->method) == 0) return VESTRY_EXISTS;
    if (order < 0 || (!order && !is_first)) before = at;
  }
  vestry_err error = tell(routes, route);
  *ret_refused = error != VESTRY_OK;
  if (error) return error;
  vsi_rw_lock_write(&routes->lock, VSI_LOCK_ROUTES);
  if (before)
    LIST_INSERT_AFTER(before, route, in);
  else
    LIST_INSERT_HEAD(&routes->mounted, route, in);
  vsi_rw_lock_give(&routes->lock);
  return VESTRY_OK;
}

/* Check and add a route. as: its handler, or its receiver of bodies in pieces, and what belongs to them. */
static vestry_err mount_route(vestry *v, const char *method, const char *pattern, const vsi_route *as) {
  if (!v) return VESTRY_INVALID;
  if (!method || !vsi_is_token(method) || (!as->handler && !as->receiver))
    return refuse_route(v, "route", pattern, VESTRY_INVALID, "a method and a handler are required");
  vestry_err error = vsi_pattern_check(pattern, true);
  if (error) return refuse_route(v, method, pattern, error, fault_of_route(error));
  vsi_routes *routes = v->routes;
  vsi_route *route = create_route(routes->host, method, pattern, as);
  if (!route) return VESTRY_NO_MEMORY;
  bool refused = false;
  vsi_mutex_lock(&routes->changes);
  error = add_route(routes, route, &refused);
  vsi_mutex_unlock(&routes->changes);
  if (!error) return VESTRY_OK;
  vsi_free(routes->host, route);
  return refuse_route(v, method, pattern, error,
                      refused ? "a server refused the route, see the previous line"
                              : "this method and path already have a handler");
}

vestry_err vestry_route(vestry *v, const char *method, const char *pattern, vestry_handler_fn handler, void *app) {
  return mount_route(v, method, pattern, &(vsi_route){.handler = handler, .app = app});
}

vestry_err vsi_route_open(vestry *v, const char *pattern, vestry_handler_fn handler, void *app) {
  return mount_route(v, "GET", pattern, &(vsi_route){.handler = handler, .is_open = true, .app = app});
}

vestry_err vsi_route_receiver(vestry *v, const char *method, const char *pattern, const vsi_receiver *receiver,
                              void *app) {
  return mount_route(v, method, pattern, &(vsi_route){.receiver = receiver, .app = app});
}

/* Remove a route, under `changes`. A request may still use it, so it is freed with the table. */
static void take_away(vsi_routes *routes, vsi_route *route) {
  vsi_rw_lock_write(&routes->lock, VSI_LOCK_ROUTES);
  LIST_REMOVE(route, in);
  vsi_rw_lock_give(&routes->lock);
  LIST_INSERT_HEAD(&routes->removed, route, in);
  untell(routes, NULL, route);
}

void vsi_routes_end(vestry *v, const void *app) {
  vsi_routes *routes = v->routes;
  vsi_mutex_lock(&routes->changes);
  for (vsi_route *next, *route = LIST_FIRST(&routes->mounted); route; route = next) {
    next = LIST_NEXT(route, in);
    if (route->app == app) take_away(routes, route);
  }
  vsi_mutex_unlock(&routes->changes);
}

/* --------------------------------------------------------------------------------------------------- followers ---- */

/* Return the link that points to a follower, or the last link of the list. */
static follower **find_follower(vsi_routes *routes, const void *ctx) {
  follower **at = &routes->followers;
  while (*at && (*at)->ctx != ctx) at = &(*at)->next;
  return at;
}

/* Report all mounted routes to a new follower. */
static vestry_err tell_all(vsi_routes *routes, const follower *new) {
  for (const vsi_route *route = LIST_FIRST(&routes->mounted); route; route = LIST_NEXT(route, in)) {
    vestry_err error = report_route(new, route, true);
    if (!error) continue;
    for (const vsi_route *done = LIST_FIRST(&routes->mounted); done != route; done = LIST_NEXT(done, in))
      (void)report_route(new, done, false);
    return error;
  }
  return VESTRY_OK;
}

static void unfollow(vsi_routes *routes, const void *ctx) {
  vsi_mutex_lock(&routes->changes);
  follower **place = find_follower(routes, ctx), *found = *place;
  if (found) *place = found->next;
  vsi_mutex_unlock(&routes->changes);
  vsi_free(routes->host, found);
}

vestry_err vsi_routes_follow(vestry *v, const vsi_route_follower *ops, void *ctx) {
  vsi_routes *routes = v->routes;
  if (!ops) {
    unfollow(routes, ctx);
    return VESTRY_OK;
  }
  follower *made = vsi_calloc(routes->host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  made->ops = ops;
  made->ctx = ctx;
  vsi_mutex_lock(&routes->changes);
  vestry_err error = tell_all(routes, made);
  if (!error) *find_follower(routes, ctx) = made;
  vsi_mutex_unlock(&routes->changes);
  if (error) vsi_free(routes->host, made);
  return error;
}

/* ------------------------------------------------------------------------------------------------------ tables ---- */

/* Remove the route of a row, under `changes`: no other one has its method and pattern. */
static void take_row_away(vsi_routes *routes, const char *prefix, const vestry_mounted *row) {
  const size_t len = strlen(prefix);
  vsi_route *route = LIST_FIRST(&routes->mounted);
  while (strcmp(route->method, row->method) != 0 || strncmp(route->pattern, prefix, len) != 0 ||
         strcmp(route->pattern + len, row->pattern) != 0)
    route = LIST_NEXT(route, in);
  take_away(routes, route);
}

static vestry_err mount_row(vestry *v, const char *prefix, const vestry_mounted *row, void *app) {
  if (!row->pattern) return refuse_route(v, "row below", prefix, VESTRY_INVALID, "its pattern is NULL");
  vsi_buffer joined;
  vsi_buffer_init(&joined, v->host);
  vsi_buffer_printf(&joined, "%s%s", prefix, row->pattern);
  const char *pattern = vsi_buffer_terminate(&joined);
  vestry_err error = pattern ? vestry_route(v, row->method, pattern, row->handler, app) : VESTRY_NO_MEMORY;
  vsi_buffer_finish(&joined);
  return error;
}

vestry_err vestry_mount(vestry *v, const char *prefix, const vestry_mounted *rows, size_t count, void *app) {
  if (!v) return VESTRY_INVALID;
  if (!prefix || (!rows && count)) return vsi_mistake(v->host, "vestry_mount", "prefix or rows is NULL");
  vestry_err error = VESTRY_OK;
  size_t done = 0;
  for (; done < count && !error; done += !error) error = mount_row(v, prefix, &rows[done], app);
  if (!error) return VESTRY_OK;
  vsi_mutex_lock(&v->routes->changes);
  while (done) take_row_away(v->routes, prefix, &rows[--done]);
  vsi_mutex_unlock(&v->routes->changes);
  return error;
}

/* ------------------------------------------------------------------------------------ guards, sizes of bodies ---- */

static size_t depth_of(const char *pattern) {
  size_t depth = 0;
  for (; *pattern; pattern++) depth += *pattern == '/' && pattern[1];
  return depth;
}

/* Create a rule for a prefix. A refusal is logged. what: for the log. OK | INVALID | LIMIT | NO_MEMORY */
static vestry_err make_rule(vestry *v, const char *what, const char *prefix, rule **ret_rule) {
  static const char only_here[] = "{$}"; /* at the end of a prefix */
  const size_t len = prefix ? strlen(prefix) : 0, more = sizeof only_here - 1;
  rule *made = vsi_calloc(v->host, 1, sizeof *made + len + 1);
  if (!made) return VESTRY_NO_MEMORY;
  made->is_exact = len > more && strcmp(prefix + len - more, only_here) == 0;
  if (prefix) memcpy(made->pattern, prefix, made->is_exact ? len - more : len);
  made->depth = depth_of(made->pattern);
  vestry_err error = vsi_pattern_check(made->pattern, false);
  *ret_rule = made;
  if (!error) return VESTRY_OK;
  vsi_free(v->host, made);
  return refuse_route(v, what, prefix, error, fault_of_route(error));
}

static bool is_same_limit(const rule *one, const rule *other) {
  return !one->check && !other->check && one->is_exact == other->is_exact && strcmp(one->pattern, other->pattern) == 0;
}

/* Insert a rule, which is taken; a limit replaces that of the same prefix. OK | LIMIT */
static vestry_err add_rule(vsi_routes *routes, rule *made) {
  rule *unused = made;
  vsi_rw_lock_write(&routes->lock, VSI_LOCK_ROUTES);
  rule **at = &routes->rules;
  while (*at && (*at)->depth <= made->depth && !is_same_limit(*at, made)) at = &(*at)->next;
  const bool has_room = !made->check || routes->guards_count < VESTRY_GUARDS_MAX;
  if (has_room) {
    unused = *at && is_same_limit(*at, made) ? *at : NULL;
    made->next = unused ? unused->next : *at;
    *at = made;
    routes->guards_count += made->check != NULL;
    if (!made->check && !unused) atomic_fetch_add_explicit(&routes->limits_count, 1, memory_order_relaxed);
  }
  vsi_rw_lock_give(&routes->lock);
  vsi_free(routes->host, unused);
  return has_room ? VESTRY_OK : VESTRY_LIMIT;
}

vestry_err vestry_guard(vestry *v, const char *prefix, vestry_guard_fn fn, void *app) {
  if (!v) return VESTRY_INVALID;
  if (!fn) return refuse_route(v, "guard of", prefix, VESTRY_INVALID, "guard is NULL");
  rule *made;
  vestry_err error = make_rule(v, "guard of", prefix, &made);
  if (error) return error;
  made->check = fn;
  made->app = app;
  error = add_rule(v->routes, made);
  if (!error) return VESTRY_OK;
  return refuse_route(v, "guard of", prefix, error,
                      "the instance already has VESTRY_GUARDS_MAX guards; check several paths in one guard");
}

vestry_err vestry_body_limit(vestry *v, const char *prefix, size_t max_body_bytes) {
  if (!v) return VESTRY_INVALID;
  if (max_body_bytes > VESTRY_BODY_BYTES_MAX)
    return refuse_route(v, "body limit of", prefix, VESTRY_INVALID, "the limit exceeds VESTRY_BODY_BYTES_MAX");
  if (max_body_bytes > vsi_body_bytes_most(v->request_bytes.max))
    return refuse_route(
        v, "body limit of", prefix, VESTRY_INVALID,
        "the limit exceeds 7/16 of max_request_bytes; raise vestry_bounds.max_request_bytes, or accept files "
        "with vestry_uploads_create");
  return vsi_body_limit(v, prefix, max_body_bytes);
}

vestry_err vsi_body_limit(vestry *v, const char *prefix, size_t max_body_bytes) {
  rule *made;
  vestry_err error = make_rule(v, "body limit of", prefix, &made);
  if (error) return error;
  made->max_body_bytes = max_body_bytes;
  return add_rule(v->routes, made);
}

/* Of the prefixes that fit, that with the most segments counts; of several, an exact one, or else the first. */
size_t vsi_max_body_bytes_at(vestry *v, const char *path) {
  vsi_routes *routes = v->routes;
  if (!atomic_load_explicit(&routes->limits_count, memory_order_relaxed)) return v->max_body_bytes;
  vsi_rw_lock_read(&routes->lock, VSI_LOCK_ROUTES);
  const rule *closest = NULL;
  for (const rule *at = routes->rules; at; at = at->next)
    if (!at->check && fits_pattern(at, path) &&
        (!closest || at->depth > closest->depth || (at->is_exact && !closest->is_exact)))
      closest = at;
  const size_t bytes = closest && closest->max_body_bytes ? closest->max_body_bytes : v->max_body_bytes;
  vsi_rw_lock_give(&routes->lock);
  return bytes;
}

/* ------------------------------------------------------------------------------------------------- error pages ---- */

static page *page_of(vsi_routes *routes, int status) {
  return &routes->pages[status < FIRST_ERROR || status > LAST_ERROR ? 0 : 1 + status - FIRST_ERROR];
}

vestry_err vestry_error_page(vestry *v, int status, vestry_handler_fn handler, void *app) {
  if (!v) return VESTRY_INVALID;
  if (status && (status < FIRST_ERROR || status > LAST_ERROR)) {
    vsi_log(v->host, VESTRY_LOG_ERROR, "vestry_error_page: status is %d, but must be 0, or from 400 to 599", status);
    return VESTRY_INVALID;
  }
  vsi_rw_lock_write(&v->routes->lock, VSI_LOCK_ROUTES);
  *page_of(v->routes, status) = (page){handler, app};
  vsi_rw_lock_give(&v->routes->lock);
  return VESTRY_OK;
}

vestry_handler_fn vsi_routes_page(vsi_routes *routes, int status, void **ret_app) {
  vsi_rw_lock_read(&routes->lock, VSI_LOCK_ROUTES);
  const page *own = page_of(routes, status);
  const page found = own->handler ? *own : routes->pages[0];
  vsi_rw_lock_give(&routes->lock);
  *ret_app = found.app;
  return found.handler;
}
