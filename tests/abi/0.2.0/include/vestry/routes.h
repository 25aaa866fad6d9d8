/* SPDX-License-Identifier: MIT */
/** Routes: which handler serves a request. They belong to the instance, and are the same on all of its adapters.
 *
 *      vestry_route(v, "GET", "/", page, &app);
 *      vestry_route(v, "POST", "/board/{id}/card/{card}", rename_card, &app);
 *      vestry_route(v, "GET", "/static/{path...}", vestry_files_handler, files);
 *      vestry_guard(v, "/admin", for_admins, &app);
 *      vestry_error_page(v, 404, not_there, &app);
 *
 *  A pattern is a path of segments. `{id}` stands for one segment that is not empty, `{path...}` at the end for all
 *  that is left, which may be empty. What it stood for is asked by vestry_request_value(req, VESTRY_IN_PATH, "id"). A
 *  segment that is written out goes before one that is a parameter, and that before the rest: "/board/new" before
 *  "/board/{id}". Paths are compared as they are after URL-decoding, byte by byte.
 *
 *  A route for GET serves HEAD too: the handler runs as for an ordinary request, and the body is left out. OPTIONS is
 *  answered 204 with Allow, unless it has a route; other methods on a path that has routes 405 with Allow; all else
 *  404.
 *
 *  Mount what pages ask for before the server is created: when a server comes back, its pages come back in the same
 *  moment, and those that get a 404 do not try again. */
#ifndef VESTRY_ROUTES_H
#define VESTRY_ROUTES_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Parameters of a pattern at most. */
#define VESTRY_ROUTE_PARAMETERS_MAX 16

/** Mount a handler.
 *  method   "GET"…; copied
 *  pattern  see above; copied. One that a request's path can match: it begins with '/', has no empty segment but
 *           perhaps the last, none that ends with a dot, no control byte, no backslash, and is UTF-8. Names of
 *           parameters are letters, digits and '_', each once
 *  app      handed to the handler; must live until the route has gone, and as long as what the handler gives it to
 *           (hooks of streams above all)
 *  Returns  OK | EXISTS (the same method and pattern, whatever the parameters' names; also of another instance in the
 *           same civetweb server) | INVALID (what is said above; no handler) | LIMIT (too many parameters) |
 *           UNSUPPORTED (QUERY on a civetweb server: vestry/civetweb.h) | NO_MEMORY.
 *           The host's log says why
 *  Threads  any, while requests are served; a handler may do it */
VESTRY_API vestry_err vestry_route(vestry *v, const char *method, const char *pattern, vestry_handler_fn handler,
                                   void *app);

/** Unmount it, and wait until its handler runs nowhere. Streams that it has opened stay.
 *  Returns  OK | NOT_FOUND | INVALID (from inside this very handler, which would wait for itself; it stays mounted)
 *  Threads  any; blocks until the handler has returned */
VESTRY_API vestry_err vestry_unroute(vestry *v, const char *method, const char *pattern);

/** A row of a table of routes. */
typedef struct vestry_mounted {
  const char *method, *pattern;
  vestry_handler_fn handler;
} vestry_mounted;

/** Mount a table below a prefix, all of it or nothing.
 *      static const vestry_mounted rooms[] = {{"GET", "/", list}, {"POST", "/{room}", enter}};
 *      vestry_mount(v, "/rooms", rooms, 2, &app);
 *  prefix   "" or a pattern without a '/' at its end; what comes of prefix and pattern is a pattern
 *  Returns  as vestry_route, of the first row that is refused */
VESTRY_API vestry_err vestry_mount(vestry *v, const char *prefix, const vestry_mounted *rows, size_t count, void *app);
/** Unmount all rows that are there, as vestry_unroute. OK | INVALID (from inside one of these handlers; all others are
 *  gone) | NO_MEMORY. */
VESTRY_API vestry_err vestry_unmount(vestry *v, const char *prefix, const vestry_mounted *rows, size_t count);

/** Guards of an instance at most. */
#define VESTRY_GUARDS_MAX 32

/** Steps in before handlers: to let in only permitted users, to have them log in first, to limit rates. It has what a
 *  handler has: scope, body, signals, the route's parameters.
 *  reply    the handler's, for what its answer is to have too. It may also be the answer: with a status
 *           (vestry_reply_status, vestry_reply_redirect) and an error returned, it is answered as it is
 *  Returns  OK: go on | any error: the handler is not called, and the error is answered as if it were the handler's,
 *           unless the reply has a status */
typedef vestry_err (*vestry_guard_fn)(const vestry_request *req, vestry_reply *reply, void *app);

/** Guard all routes at and below a path. Of several the one with the shortest prefix is called first, of equals the one
 *  that was there first.
 *  prefix   a pattern, "/admin", of which each request's first segments are a match; "/": all. With "{$}" at its end it
 *           is that path alone: "/{$}" is the front page, "/admin{$}" that without what is below. Copied
 *  Returns  OK | INVALID (no pattern; a rest in it; no guard) | LIMIT | NO_MEMORY. The host's log says why
 *  Threads  as vestry_route */
VESTRY_API vestry_err vestry_guard(vestry *v, const char *prefix, vestry_guard_fn guard, void *app);
/** Take the guard away that was put there with these. As vestry_unroute, but from inside the guard itself, or a handler
 *  that it guards, it is INVALID. */
VESTRY_API vestry_err vestry_unguard(vestry *v, const char *prefix, vestry_guard_fn guard, void *app);

/** A body has so many bytes at most. */
#define VESTRY_BODY_BYTES_MAX (SIZE_MAX / 4)

/** How large the bodies of requests may be at and below a path, instead of vestry_bounds.max_body_bytes: more for
 *  uploads, less for all others. Beyond it 413. Of several prefixes the one with most segments holds, and of these one
 *  with "{$}". (Signals have bounds of their own, vestry_signals_limits; all bodies together max_request_bytes.)
 *  prefix          as vestry_guard has it. Copied
 *  max_body_bytes  0: as the instance's, again
 *  Returns  OK | INVALID (no pattern; more than VESTRY_BODY_BYTES_MAX) | LIMIT (parameters) | NO_MEMORY. The host's log
 *           says why
 *  Threads  as vestry_route */
VESTRY_API vestry_err vestry_body_limit(vestry *v, const char *prefix, size_t max_body_bytes);
/** How large a body may be for a path, which is URL-decoded: adapters that read bodies ahead need not read more.
 *  Threads any; takes a lock briefly. */
VESTRY_API size_t vestry_max_body_bytes_at(vestry *v, const char *path);

/** Have a page of the application's answered for errors of ordinary requests, on paths without a route too: a request
 *  of the Datastar client's has the plain line. The reply has the status already; the page is what the handler sets. If
 *  it fails, the plain line is answered. Nothing is known of the request but its head: no scope, no body.
 *  status   400 to 599; 0: each that has no page of its own
 *  handler  finds in vestry_request.error what it is for. NULL: no page any more
 *  app      must live as long as the instance
 *  Returns  OK | INVALID | NO_MEMORY
 *  Threads  as vestry_route */
VESTRY_API vestry_err vestry_error_page(vestry *v, int status, vestry_handler_fn handler, void *app);

#ifdef __cplusplus
}
#endif
#endif
