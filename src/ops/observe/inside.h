/* SPDX-License-Identifier: MIT */
/* The struct of an observer, access checks, and the handlers of its paths. */
#ifndef VSI_OBSERVE_INSIDE_H
#define VSI_OBSERVE_INSIDE_H

#include <pthread.h>
#include <sys/queue.h>

#include "instance/stream_entries.h"
#include "ops/observe/json.h"
#include "store/scoped_key.h"
#include "vestry/ops/observe.h"

enum { VSI_MAY_TOKEN_LEAST = 16, VSI_MAY_TOKEN_MOST = 128 };

/* --------------------------------------------------------------------------------------------- text for display -- */

/* The scope and the key of a stream, and names, which users may have chosen. */
enum { VSI_SHOWN_SCOPE_BYTES = 9 };

/* Write the pseudonym of a scope; "" if the scope is empty. */
void vsi_shown_scope(const vestry *v, vestry_scope scope, char digits[VSI_SHOWN_SCOPE_BYTES]);

/* A key as text; "": none. */
typedef struct vsi_shown_key {
  char text[VESTRY_SHOWN_KEY_BYTES];
  bool is_cut;
} vsi_shown_key;
void vsi_shown_key_of(const void *encoded, size_t len, vsi_shown_key *key);
/* Check whether a key's text begins with the prefix, at its beginning or after leading characters [ and " and {. NULL,
 * "": true. */
bool vsi_shown_begins(const char *text, const char *prefix);
/* Get the key under which a stream is stored: the first that is still in a store, of its first eight. Returns false,
 * and "", if there is none. */
bool vsi_shown_key_of_stream(vestry_connection *connection, vsi_shown_key *key);

/* Values for vestry_stream_info. */
const char *vsi_shown_adapter(const vestry_connection *connection);
const char *vsi_shown_coding(const vestry_connection *connection);
vestry_err vsi_shown_refusal(const vestry_connection *connection);
static inline uint64_t vsi_shown_ms(uint64_t now_ns, uint64_t then_ns) {
  return now_ns > then_ns ? (now_ns - then_ns) / VSI_NS_PER_MS : 0;
}

/* Copy a name of any bytes, and terminate it. Malformed UTF-8 and control characters become U+FFFD. It is truncated if
 * there is not enough room. */
void vsi_shown_name(const char *name, size_t len, char *text, size_t room);

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

enum { VSI_CLOSES_COUNT = 10000 }; /* of about 280 bytes each */

/* Begin to record closes, unless the instance, which owns the records, does so already. count: maximum number of
 * records: VSI_CLOSES_COUNT. OK | NO_MEMORY | LIMIT (extensions) */
vestry_err vsi_closes_use(vestry *v, size_t count, vsi_closes **ret_closes);
/* Get the close of one stream. OK | NOT_FOUND (not recorded, or overwritten) */
vestry_err vsi_closes_find(vsi_closes *closes, uint64_t id, vestry_close_info *ret_info);

/* Numbers of closes by cause, whether or not they are still recorded. */
typedef struct vsi_close_counts {
  uint64_t hour[VESTRY_CAUSES_MAX], hour_consoles[VESTRY_CAUSES_MAX]; /* in the last 59 to 60 minutes */
  uint64_t all[VESTRY_CAUSES_MAX], all_consoles[VESTRY_CAUSES_MAX];   /* consoles: those of consoles and tails */
} vsi_close_counts;
void vsi_closes_count(vsi_closes *closes, vsi_close_counts *ret_counts);

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
  bool is_mounted;
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
