/* SPDX-License-Identifier: MIT */
/** Observability: metrics, listings and a console of an instance.
 *
 *      vestry_observe *o;
 *      vestry_err err = vestry_observe_create(v, &(vestry_observe_options){.pages = pages}, &o);
 *      if (!err) err = vestry_observe_mount(o, "/observe");         // GET /observe/metrics, /observe/ready
 *
 *  Metrics are OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/), or Prometheus text for
 *  scrapers that do not accept OpenMetrics. Vestry has a fixed number of series, because its labels are causes,
 *  reasons and outcomes, never scopes, keys, ids or addresses; a program adds at most VESTRY_METRICS_MAX_COUNT. All
 *  counters of one family are read at the same moment, so a scrape never shows more closed than opened streams. */
#ifndef VESTRY_OBSERVE_H
#define VESTRY_OBSERVE_H

#include "vestry/app/page.h"
#include "vestry/cluster/cluster.h"
#include "vestry/ops/metrics.h"
#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An observer of an instance. */
typedef struct vestry_observe vestry_observe;

/** Returns whether a request has access to the mounted paths. Called on the serving thread, no lock held. false: the
 *  request gets 403, whether the stream that it names exists or not. */
typedef bool (*vestry_observe_may_fn)(const vestry_request *req, void *ctx);

/** Duration of a tail in milliseconds. */
#define VESTRY_TAIL_MS UINT64_C(300000)
/** Maximum number of bytes of an event that a tail shows. */
#define VESTRY_TAIL_EVENT_BYTES 65536

/** Options of an observer: its sources, and the requests with access. */
typedef struct vestry_observe_options {
  vestry_pages *pages;     /**< borrowed until vestry_observe_destroy, as is cluster; NULL: none */
  vestry_cluster *cluster; /**< NULL: none */
  vestry_metrics_fn more;  /**< adds metrics of the application; NULL: none */
  void *more_ctx;
  /** Decides which requests have access to the mounted paths, regardless of token and trusts_loopback. Tails, which
   *  show the content of events, also require the token or trusts_loopback. NULL: requests with the token, and those
   *  that trusts_loopback admits; without either all get 403 */
  vestry_observe_may_fn may;
  void *may_ctx;
  /** A secret of 16 to 128 letters, digits and "-._~"; copied. A request sends it in "Authorization: Bearer TOKEN", as
   *  a scraper does, or in a cookie, which {prefix}/console?token=TOKEN sets. NULL: none */
  const char *token;
  /** Admit requests from a loopback address. Their Host must name this machine, because a page of another site could
   *  otherwise send requests through the host name of that site. They must not have a header of a proxy (Forwarded,
   *  X-Forwarded-For, X-Forwarded-Host, X-Real-IP, Via). A proxy on this machine that sends none of them, for example
   *  nginx with a bare proxy_pass, cannot be distinguished from a program on this machine, so every client would be
   *  admitted. Set this only if no such proxy forwards to this instance */
  bool trusts_loopback;
} vestry_observe_options;

/** Create an observer. Its permanent cost is two reads of the clock for one event in 16.
 *  options      NULL: the defaults; copied, except borrowed members
 *  ret_observe  owned by the caller; untouched on failure. Destroy it before the instance and before what it borrows
 *  Returns  OK | INVALID (v or ret_observe is NULL; a malformed token, which is logged) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_observe_create(vestry *v, const vestry_observe_options *options,
                                            vestry_observe **ret_observe);

/** Unmount the paths, end the streams that they opened, and free. No handler of the paths may be running: call it after
 *  vestry_server_destroy of all servers of the instance, and before vestry_destroy. No other call may run or follow.
 *  NULL is accepted.
 *  Threads  not in a handler, nor on a thread of the runtime; blocks until the streams have ended. A stepped runtime is
 *           stepped */
VESTRY_API void vestry_observe_destroy(vestry_observe *observe);

/** Mount the paths of an observer.
 *
 *  GET {prefix}/metrics  as vestry_observe_metrics
 *  GET {prefix}/live     200: the server responds
 *  GET {prefix}/ready    200; 503 while the instance drains or closes, or if a probe is not delivered. A probe is an
 *                        event that passes through a queue and the instance's threads to a separate transport, and is
 *                        not counted. The body of the response gives the reason. The request waits on the serving
 *                        thread for at most a second. On a stepped runtime it does not wait: each request reports the
 *                        result of the previous request's probe
 *
 *  The following return JSON, with counts as numbers, sizes in bytes, and times in milliseconds. Names of users (keys,
 *  topics, paths) are UTF-8 without control characters; escape them in HTML. An invalid parameter gets 400 with a
 *  sentence. A list has at most 100 entries (limit=); `next` is the cursor of the next page, null on the last page.
 *
 *  GET {prefix}/streams?prefix=&sort=newest|oldest|queued|bytes&connection=&limit=&cursor=
 *      open streams; prefix: of the key's text, with or without the characters [ { and " at its beginning; connection:
 *      only the streams of one HTTP/2 connection. A request visits all streams, and holds a lock for 64 of them at a
 *      time. A stream whose rank changes between two pages may be listed twice or not at all, except in the orders
 *      newest and oldest. Members:
 *      id, state, cause (of a closing stream, or null), age_ms; scope: eight digits, the same for one scope during the
 *      lifetime of the instance, which reveal nothing else about it; key: the one under which it is stored, cut after
 *      128 bytes (key_cut), and keys_count; console: it is the stream of a console or a tail; adapter, coding, ratio
 *      (bytes of events to bytes on the wire); queued_count, queued_bytes; accepted_count = written_count +
 *      discarded_count + conflated_count + queued_count; refused_count; written_bytes, wire_bytes; last_write_ms (null:
 *      nothing was written); unacknowledged_bytes (null: unknown); last_error, of a rejected send, or null.
 *      With HTTP/2: connection, connection_streams_count, unsent_bytes, stream_window_bytes, connection_window_bytes,
 *      and waits_for (vestry_shared_connection). A page: path, topics (four of topics_count)
 *  GET {prefix}/streams/{id}
 *      one stream, also one of the last closes
 *  GET {prefix}/channels?prefix=&limit=&cursor=
 *      channels by key, in an unspecified stable order, so that a channel which exists during the whole listing is
 *      listed once; and counts of all channels. Members: number, scope, key, key_cut, members_count, published_count,
 *      accepted_count and refused_count of the members' queues, epochs_count, standalone_count, encodes_count,
 *      plain_bytes and encoded_bytes with their ratio (docs/guide/channels.md), history, kept_count, kept_bytes
 *  GET {prefix}/closed?cause=&before=&after=&limit=&consoles=
 *      the last of 10,000 closes since the first observer of the instance was created, newest first; cause: only those
 *      with this name; before, after: only numbers between them; consoles=no omits consoles and tails. Members as of an
 *      open stream; and number, ago_ms, discarded_bytes. With the number of closes by cause, in total and in the last
 *      hour, and how many of them were consoles
 *  GET {prefix}/store
 *      counters of the store, and of streams by cause; and a histogram, of one in 16 entries evicted with cause SIZE,
 *      of the time for which they had been unused: `unused_ms` is the upper bound of a bucket, null for the last one
 *  GET {prefix}/pages?sort=path|handler|renders|unchanged&limit=
 *      pages and parts: at most 257, all of the same moment; no render is counted in two of them. path: the pattern of
 *      the route; null: the sum of all beyond 128 pages and 128 parts. part: the part's id, or null. streams_count,
 *      documents_count; renders_count, for streams = changed_count + unchanged_count + current_count + failed_count +
 *      dropped_count (vestry_pages_stats), first_count because a stream began; renders_minute_count and
 *      unchanged_minute_count in the last 55 to 60 s; handler_ms in total, handler_longest_ms; sent_bytes, before
 *      encoding. refreshed_by: the reason of the last render (docs/guide/console.md), refreshed_ago_ms; unchanged_by:
 *      of the last unchanged render. "": unknown
 *  GET {prefix}/cluster
 *      members, this node first, and counters. Each member has the number of gaps in its messages; the gaps of this
 *      node are those with an unknown sender
 *  GET {prefix}/console
 *      a page that shows all of this, live
 *  GET {prefix}/streams/{id}/tail
 *      a tail: the events sent to the stream from now on (curl -N, or an EventSource), as events begin, event, left-out
 *      (a count, because the reader was slow) and end, with JSON. A tail ends with the stream or after VESTRY_TAIL_MS.
 *      At most 16 tails are open at a time; another one gets 503. The stream of a console or of a tail has no tail:
 *      409
 *
 *  prefix  "" or a pattern without a '/' at its end, as vestry_mount; copied
 *  Returns  OK | EXISTS (a path has a route already) | INVALID (the prefix) | NO_MEMORY
 *  Threads  one at a time */
VESTRY_API vestry_err vestry_observe_mount(vestry_observe *observe, const char *prefix);

/** Write all metrics as text.
 *  text, room  buffer and its capacity, terminator included; room 0: text may be NULL
 *  ret_len     length of the text, also if room was too small; may be NULL
 *  Returns  OK | TOO_LARGE (writes only "", if it fits) | INVALID | NO_MEMORY | the error of the application's function
 *  Threads  any; takes locks briefly */
VESTRY_API vestry_err vestry_observe_metrics(vestry_observe *observe, vestry_metrics_format format, char *text,
                                             size_t room, size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif
