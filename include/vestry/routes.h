/* SPDX-License-Identifier: MIT */
/** Routes select the handler of a request by method and path. They belong to the instance, and are the same on all its
 *  adapters.
 *
 *      vestry_route(v, "GET", "/", page, &app);
 *      vestry_route(v, "POST", "/board/{id}/card/{card}", rename_card, &app);
 *      vestry_route(v, "GET", "/static/{path...}", vestry_files_handler, files);
 *      vestry_guard(v, "/admin", for_admins, &app);
 *      vestry_error_page(v, 404, not_there, &app);
 *
 *  A pattern is a path of segments. `{id}` matches one non-empty segment; `{path...}` at the end matches the rest of
 *  the path, which may be empty. vestry_request_value(req, VESTRY_IN_PATH, "id") returns the match. A literal segment
 *  has precedence over a parameter, and a parameter over the rest: "/board/new" before "/board/{id}". Paths are
 *  compared byte by byte after URL-decoding. */
#ifndef VESTRY_ROUTES_H
#define VESTRY_ROUTES_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Maximum number of parameters of a pattern. */
#define VESTRY_ROUTE_PARAMETERS_MAX 16

/** Mount a handler.
 *  method   "GET"…; copied
 *  pattern  see above; copied. It begins with '/', is UTF-8, and has no empty segment except possibly the last, no
 *           segment that ends with a dot, no control byte and no backslash, because no request could match these. A
 *           literal segment has no '{' or '}'. Names of parameters are letters, digits and '_', each used once
 *  app      passed to the handler; must live as long as the instance: routes stay until it is destroyed. A handler that
 *           is to end answers 404 (return VESTRY_NOT_FOUND) from then on
 *  Returns  OK | EXISTS (the same method and pattern, whatever the parameters' names; also of another instance in the
 *           same civetweb server) | INVALID (method or pattern, see above; no handler) | LIMIT (too many parameters) |
 *           UNSUPPORTED (QUERY on a civetweb server: vestry/civetweb.h) | NO_MEMORY. The host's log has the reason
 *  Threads  any, while requests are served, also in a handler
 *
 *  Methods: a route for GET serves HEAD, too; the handler runs as for an ordinary request, and the body is dropped. If
 *  a path has routes, but none for the method, OPTIONS gets 204 and any other method 405, both with Allow. A path
 *  without routes gets 404.
 *
 *  Mount the routes of pages before the server is created. When a server restarts, its pages reconnect at once. A page
 *  whose stream gets 404 four times in a row reloads, and then shows the server's page for 404. */
VESTRY_API vestry_err vestry_route(vestry *v, const char *method, const char *pattern, vestry_handler_fn handler,
                                   void *app);

/** A row of a table of routes. */
typedef struct vestry_mounted {
  const char *method, *pattern;
  vestry_handler_fn handler;
} vestry_mounted;

/** Mount a table of routes below a prefix, all or none.
 *      static const vestry_mounted rooms[] = {{"GET", "/", list}, {"POST", "/{room}", enter}};
 *      vestry_mount(v, "/rooms", rooms, 2, &app);
 *  prefix   "" or a pattern without a '/' at its end; prefix and pattern together must be a pattern
 *  Returns  OK | INVALID (an argument is NULL) | the error of vestry_route for the first row that is refused
 *  Threads  as vestry_route */
VESTRY_API vestry_err vestry_mount(vestry *v, const char *prefix, const vestry_mounted *rows, size_t count, void *app);

/** Maximum number of guards of an instance. */
#define VESTRY_GUARDS_MAX 32

/** Checks a request before its handler, for example to admit only permitted users, to require a log-in, or to limit
 *  rates. It has the input of a handler: scope, body, signals, the route's parameters.
 *  reply    the reply that the handler will fill; a guard can add a header or a cookie. If the guard sets a status
 *           (vestry_reply_status, vestry_reply_redirect) and returns an error, this reply is the response
 *  Returns  OK: continue | any error: the handler is not called, and the request gets the error as if the handler had
 *           returned it, unless the reply has a status */
typedef vestry_err (*vestry_guard_fn)(const vestry_request *req, vestry_reply *reply, void *app);

/** Guard all routes at and below a path. If several guards match, the guard whose prefix has the fewest segments is
 *  called first; among prefixes of as many segments, the guard that was added first.
 *  prefix   a pattern, such as "/admin", that matches the first segments of the path; "/": all paths. A prefix with
 *           "{$}" at its end matches that path only: "/{$}" is the front page, and "/admin{$}" excludes the paths below
 *           it. Copied
 *  Returns  OK | INVALID (not a pattern; a pattern with a rest; no guard) | LIMIT | NO_MEMORY. The host's log has the
 *           reason
 *  Threads  as vestry_route */
VESTRY_API vestry_err vestry_guard(vestry *v, const char *prefix, vestry_guard_fn guard, void *app);

/** Maximum number of bytes of a body limit. */
#define VESTRY_BODY_BYTES_MAX (SIZE_MAX / 4)

/** Set the maximum size of request bodies at and below a path, instead of vestry_bounds.max_body_bytes: more for
 *  uploads, less for others. A larger body gets 413. If several prefixes match, the one with the most segments applies,
 *  and among these one with "{$}". Signals are also limited by vestry_signals_limits, and all bodies together by
 *  max_request_bytes.
 *  prefix          as in vestry_guard. Copied
 *  max_body_bytes  0: the instance's maximum applies again, even if a shorter prefix has another one. At most 7/16 of
 *                  vestry_bounds.max_request_bytes, because a body is in memory twice while it is read; for larger
 *                  files, use vestry/app/upload.h
 *  Returns  OK | INVALID (not a pattern; max_body_bytes is more than 7/16 of that bound, or than VESTRY_BODY_BYTES_MAX)
 *           | LIMIT (parameters) | NO_MEMORY. The host's log has the reason
 *  Threads  as vestry_route */
VESTRY_API vestry_err vestry_body_limit(vestry *v, const char *prefix, size_t max_body_bytes);
/** Set a page of the application for a status of ordinary requests that fail, also on paths without a route. The
 *  handler sets the page; the reply has the status already. It may use only the head of its request: scope and body are
 *  missing if the request failed before they were known. Without a page, for a Datastar request, and if the handler
 *  fails, the response is a line of text/plain (vestry_serve).
 *  status   400 to 599; 0: all statuses for which no page is set
 *  handler  reads the status from vestry_request.error. NULL: remove the page
 *  app      must live as long as the instance
 *  Returns  OK | INVALID (another status, which the host's log names)
 *  Threads  as vestry_route */
VESTRY_API vestry_err vestry_error_page(vestry *v, int status, vestry_handler_fn handler, void *app);

#ifdef __cplusplus
}
#endif
#endif
