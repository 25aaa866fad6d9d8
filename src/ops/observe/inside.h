/* SPDX-License-Identifier: MIT */
/* The struct of an observer, access checks, and the handlers of its paths. */
#ifndef VSI_OBSERVE_INSIDE_H
#define VSI_OBSERVE_INSIDE_H

#include <pthread.h>
#include <sys/queue.h>

#include "instance/stream_entries.h"
#include "ops/observe/report.h"
#include "store/scoped_key.h"
#include "vestry/ops/observe.h"

enum { VSI_MAY_TOKEN_LEAST = 16, VSI_MAY_TOKEN_MOST = 128 };

/* --------------------------------------------------------------------------------------------- text for display -- */

enum { VSI_SHOWN_KEY_BYTES = 129, VSI_SHOWN_PATH_BYTES = 257 };

/* A scope and a key as text, which users may have chosen. */
typedef struct vsi_shown_key {
  char
      scope[9]; /* its pseudonym: eight digits, the same for one scope during the lifetime of the instance, which reveal
                    nothing else about it; "": the scope is empty or unknown */
  char text[VSI_SHOWN_KEY_BYTES]; /* "": none */
  bool is_cut;
} vsi_shown_key;
void vsi_shown_scope(const vestry *v, vestry_scope scope, vsi_shown_key *key);
void vsi_shown_key_of(const void *encoded, size_t len, vsi_shown_key *key);
/* Check whether a key's text begins with the prefix, at its beginning or after leading characters [ and " and {. NULL,
 * "": true. */
bool vsi_shown_begins(const char *text, const char *prefix);
/* Get the key under which a stream is stored: the first that is still in a store, of its first eight. Returns false,
 * and "", if there is none. */
bool vsi_shown_key_of_stream(vestry_connection *connection, vsi_shown_key *key);

/* The data of a stream in the lists, open or ended. */
typedef struct vsi_shown_stream {
  uint64_t id, age_ms;
  vsi_shown_key key;
  bool is_console; /* the stream of a console or a tail; false if it ended before its first event */
  const char *adapter, *coding;
  vestry_err last_error; /* of the last rejected send */
  vestry_connection_stats stats;
} vsi_shown_stream;
void vsi_shown_stream_get(const vestry *v, vestry_connection *connection, vsi_shown_stream *ret_shown);
/* Write its members. */
void vsi_shown_stream_put(vsi_report *report, const vsi_shown_stream *shown);

/* Return the quotient, or 0. */
static inline double vsi_shown_ratio(uint64_t plain, uint64_t encoded) {
  return encoded ? (double)plain / (double)encoded : 0;
}
static inline uint64_t vsi_shown_ms(uint64_t now_ns, uint64_t then_ns) {
  return now_ns > then_ns ? (now_ns - then_ns) / VSI_NS_PER_MS : 0;
}

/* Copy a name of any bytes, and terminate it. Malformed UTF-8 and control characters become U+FFFD. It is truncated if
 * there is not enough room. */
void vsi_shown_name(const char *name, size_t len, char *text, size_t room);

/* ------------------------------------------------------------------------------------------------ queries --------- */

enum { VSI_LIST_MAX_COUNT = 100 };

/* A position in a list; zero: the beginning, and the end. */
typedef struct vsi_list_cursor {
  uint64_t value, id;
} vsi_list_cursor;

/* The part of a list that a request selects. */
typedef struct vsi_list_page {
  const char *prefix; /* of the text of keys; NULL: any key */
  size_t limit;
  vsi_list_cursor from;
} vsi_list_page;

/* Find the index of a value among names; 0 if the query has none. Returns false if it has another value. */
bool vsi_query_choice(const vestry_request *req, const char *name, const char *const *names, unsigned count,
                      unsigned *ret_choice);
/* Read a number from 1 to `most`; 0: there is none. Returns false if it is invalid. */
bool vsi_query_number(const vestry_request *req, const char *name, int64_t most, uint64_t *ret_number);
/* Read `limit`, or prefix, limit and cursor. otherwise: the limit if there is none. Returns NULL, or a message about
 * the first mistake. */
const char *vsi_query_limit(const vestry_request *req, size_t otherwise, size_t *ret_limit);
const char *vsi_query_page(const vestry_request *req, vsi_list_page *ret_page);
/* Write the member `next`, from which the next page continues. */
void vsi_report_put_next(vsi_report *report, vsi_list_cursor next);

/* ------------------------------------------------------------------------------------------------ showings -------- */

/* Maximum number at a time. */
enum { VSI_SHOWINGS_MAX = 64 };

/* A stream of a console or a tail, from its request on. It must end before the observer is freed. It is the first
 * member of the context of the stream's watch. */
typedef struct vsi_showing {
  vestry_observe *observe;
  vestry_connection *connection; /* guarded by the lock of showings; a reference; NULL: not begun */
  LIST_ENTRY(vsi_showing) in_list;
} vsi_showing;

typedef struct vsi_showings {
  vsi_mutex lock; /* no function is called under it */
  pthread_cond_t left;
  LIST_HEAD(, vsi_showing) list; /* guarded by lock, as the members below */
  size_t count;
  bool is_over; /* no more are admitted */
} vsi_showings;

/* Initialize zeroes. */
void vsi_showings_init(vsi_showings *showings);
/* End all, and wait until none is left. A stepped runtime is stepped. */
void vsi_showings_finish(vsi_showings *showings, vestry_runtime *runtime);

/* Create a zeroed struct of this size, whose first member is a showing, and admit it. OK | CLOSED | LIMIT | NO_MEMORY.
 * Any thread. */
vestry_err vsi_showing_create(vestry_observe *observe, size_t bytes, vsi_showing **ret_showing);
/* Set the stream of a showing when it begins, and exclude it from tails (stream_tail.h). Once, on any thread. */
void vsi_showing_begin(vsi_showing *showing, vestry_connection *connection);
/* Remove and free a showing. The observer may be freed as soon as its last one has left. */
void vsi_showing_destroy(vsi_showing *showing);

/* -------------------------------------------------------------------------------------------------- closes -------- */

/* The last closes of an instance. */
typedef struct vsi_closes vsi_closes;

enum { VSI_CLOSES_COUNT = 10000 }; /* of about 350 bytes each */

/* Begin to record closes, unless the instance, which owns the records, does so already. count: maximum number of
 * records: VSI_CLOSES_COUNT. OK | NO_MEMORY | LIMIT (extensions) */
vestry_err vsi_closes_use(vestry *v, size_t count, vsi_closes **ret_closes);
/* Write the members of the close of one stream. Returns false if it is not recorded, or overwritten. */
bool vsi_closes_put(vsi_closes *closes, uint64_t id, vsi_report *report);

/* --------------------------------------------------------------------------------------------------- probe -------- */

/* Readiness of an instance: whether an event that is sent now is delivered. */
typedef struct vsi_probe vsi_probe;

/* Create a probe. OK | NO_MEMORY */
vestry_err vsi_probe_create(vestry *v, vsi_probe **ret_probe);
/* Destroy a probe before the instance ends; no other call is running or follows. NULL is accepted. Does not block. */
void vsi_probe_destroy(vsi_probe *probe);
/* Check whether the instance is ready. Returns NULL, or a line with the reason why it is not, which is constant. Any
 * thread except those of the runtime; blocks for at most a second, but not on a stepped runtime. */
const char *vsi_probe_check(vsi_probe *probe);

/* ------------------------------------------------------------------------------------------------- observer ------- */

struct vestry_observe {
  vestry *v;
  vestry_observe_options options; /* token points to the member below, or is NULL */
  char token[VSI_MAY_TOKEN_MOST + 1];
  vsi_probe *probe;
  vsi_showings showings;
  _Atomic(bool) was_full; /* relaxed: the program had too many series, and the log has a line about it */
  vsi_closes *closes;
};

/* Check that a text can be a token. */
bool vsi_may_token_is_valid(const char *token);
/* Return whether the query has the token. */
bool vsi_may_query_has_token(const vestry_observe_options *options, const vestry_request *req);
/* Set the token as a cookie of the paths beside the request's. */
vestry_err vsi_may_set_cookie(const vestry_observe_options *options, vestry_reply *reply);

/* Check whether the options admit a request: to everything except tails; and to tails, which show the content of
 * events. */
bool vsi_may_see(const vestry_observe_options *options, const vestry_request *req);
bool vsi_may_see_tails(const vestry_observe_options *options, const vestry_request *req);

/* Handlers of GET requests, whose app is a vestry_observe. vestry_observe_mount names their paths and parameters. */
vestry_err vsi_list_streams(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_list_stream(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_list_closed(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_list_channels(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_list_store(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_list_pages(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_list_cluster(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_observe_tail(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_console_page(const vestry_request *req, vestry_reply *reply, void *app);
/* The stream of the console's page. Its events report new data, and show that the server is alive. */
vestry_err vsi_console_events(const vestry_request *req, vestry_reply *reply, void *app);

#endif
