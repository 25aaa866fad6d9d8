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
#include "vestry/transport.h"

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

/** Mount the paths of an observer. Call it once.
 *
 *  GET {prefix}/metrics  as vestry_observe_metrics
 *  GET {prefix}/live     200: the server responds
 *  GET {prefix}/ready    200; 503 while the instance drains or closes, or if a probe is not delivered. A probe is an
 *                        event that passes through a queue and the instance's threads to a separate transport, and is
 *                        not counted. The body of the response gives the reason. The request waits on the serving
 *                        thread for at most a second. On a stepped runtime it does not wait: each request reports the
 *                        result of the previous request's probe
 *
 *  The following return JSON, with counts as numbers. An invalid parameter gets 400 with a sentence.
 *
 *  GET {prefix}/streams?prefix=&sort=newest|oldest|queued|bytes&connection=&limit=&cursor=
 *      as vestry_observe_streams; connection: a connection_id; cursor: the member `next` of the previous
 *      page, which is null on the last page
 *  GET {prefix}/streams/{id}
 *      as vestry_observe_stream; for a stream that has ended: its close
 *  GET {prefix}/channels?prefix=&limit=&cursor=
 *      as vestry_observe_channels, with counts of all channels
 *  GET {prefix}/closed?cause=&before=&after=&limit=&consoles=
 *      as vestry_observe_closes; cause: the name of a cause; consoles=no sets no_consoles. With the number of closes by
 *      cause, in total and in the last hour, and how many of them were consoles
 *  GET {prefix}/store
 *      counters of the store, and of streams by cause; and a histogram, of one in 16 entries evicted with cause SIZE,
 *      of the time for which they had been unused: `unused_ms` is the upper bound of a bucket, null for the last one
 *  GET {prefix}/pages?sort=path|handler|renders|unchanged&limit=
 *      as vestry_observe_pages
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
 *  Returns  OK | EXISTS (a path has a route already, or the observer is mounted) | INVALID (the prefix) | NO_MEMORY
 *  Threads  one at a time */
VESTRY_API vestry_err vestry_observe_mount(vestry_observe *observe, const char *prefix);

/** Write all metrics as text.
 *  text, room  buffer and its capacity, terminator included; room 0: text may be NULL
 *  ret_len     length of the text, also if room was too small; may be NULL
 *  Returns  OK | TOO_LARGE (writes only "", if it fits) | INVALID | NO_MEMORY | the error of the application's function
 *  Threads  any; takes locks briefly */
VESTRY_API vestry_err vestry_observe_metrics(vestry_observe *observe, vestry_metrics_format format, char *text,
                                             size_t room, size_t *ret_len);

/* -------------------------------------------------------------------------------------------------- pages ------- */

/** Statistics of the page at one route pattern, or of one part: renders for streams since the pages were created. All
 *  pointers are borrowed and valid during the call. renders_count = changed_count + unchanged_count + current_count +
 *  failed_count + dropped_count; the sums over all infos are the counts of vestry_pages_stats (vestry/app/page.h). */
typedef struct vestry_page_info {
  const char *path;         /**< the pattern of its route, as "/room/{name}"; "": no route. NULL: the sum of all pages
                                 and parts beyond the 128 pages and 128 parts that are listed individually, or for which
                                 there was no memory */
  const char *part;         /**< the id of the part, whose path is that of the first page that contained it. NULL: the
                                 page itself */
  size_t streams_count;     /**< open streams that show it, now */
  uint64_t documents_count; /**< documents served; 0 for a part */
  uint64_t renders_count;   /**< calls of its handler for streams */
  uint64_t first_count;     /**< renders because a stream began */
  uint64_t changed_count;   /**< renders with new content, whether it was sent or not */
  uint64_t unchanged_count; /**< renders with the same content */
  uint64_t current_count;   /**< renders that ended early because the version of the data was the same */
  uint64_t failed_count;
  uint64_t dropped_count;          /**< as in vestry_pages_stats */
  uint64_t renders_minute_count;   /**< renders in the last minute, 55 to 60 s */
  uint64_t unchanged_minute_count; /**< unchanged renders among them */
  uint64_t handler_ns;             /**< total time in the handler, including waits */
  uint64_t handler_longest_ns;     /**< the longest render */
  uint64_t sent_bytes;             /**< size of events put into streams, before encoding */
  vestry_refresh_kind refreshed;   /**< reason of the last render; if several refreshes led to it, that of the first.
                                        FIRST: no render had another reason yet */
  const char *refreshed_by;        /**< the same as text, UTF-8 without control characters, at most 127 bytes: "topic
                                        room/7", "table messages", "page 12 of the database", "database", "node, topic
                                        room/7", "all", "submission", "first"; "": unknown */
  uint64_t refreshed_ago_ms;       /**< time since then; 0: unknown */
  vestry_refresh_kind unchanged;   /**< reason of the last unchanged render */
  const char *unchanged_by;        /**< the same as text */
} vestry_page_info;

/** Receives one info, on the calling thread, no lock held. */
typedef void (*vestry_page_info_fn)(const vestry_page_info *info, void *ctx);

/** Order of infos. Equal ones are in order of path and part. */
typedef enum vestry_pages_order {
  VESTRY_PAGES_BY_PATH = 0,
  VESTRY_PAGES_BY_HANDLER,  /**< most total time in the handler first */
  VESTRY_PAGES_BY_RENDERS,  /**< most renders in the last minute first, then in total */
  VESTRY_PAGES_BY_UNCHANGED /**< most unchanged renders in the last minute first, then in total */
} vestry_pages_order;

/** List pages and parts: at most 257 infos. No render is counted in two of them, and all infos show the same moment.
 *  limit  maximum number; 0: all
 *  Returns  OK, also if the observer has no pages (then fn is not called) | INVALID (order, fn) | NO_MEMORY
 *  Threads  any; takes the lock of the pages for some microseconds */
VESTRY_API vestry_err vestry_observe_pages(vestry_observe *observe, vestry_pages_order order, size_t limit,
                                           vestry_page_info_fn fn, void *ctx);

/* --------------------------------------------------------------------------------------------------- streams ------ */

/** Size of a key as text, terminator included. */
#define VESTRY_SHOWN_KEY_BYTES 129
/** Size of a page's path, terminator included. */
#define VESTRY_SHOWN_PATH_BYTES 257
/** Maximum number of topics in an info, and size of each name, terminator included. */
#define VESTRY_SHOWN_TOPICS_COUNT 4
#define VESTRY_SHOWN_TOPIC_BYTES  65

/** State of one stream. All text is UTF-8 without control characters; escape it in HTML, because users choose some of
 *  it. */
typedef struct vestry_stream_info {
  uint64_t id;                      /**< as vestry_connection_now.id */
  char scope[9];                    /**< pseudonym of its request's scope: eight digits, the same for one scope during
                                         the lifetime of the instance; they reveal nothing else about it. "": the scope
                                         is empty or unknown */
  char key[VESTRY_SHOWN_KEY_BYTES]; /**< key under which it is stored, as vestry_key_format writes it; if there are
                                         several, that of vestry_reply_key, or else any; "": none */
  bool is_key_cut;                  /**< the key is longer */
  bool is_console;                  /**< the stream of a console or a tail */
  uint32_t keys_count;              /**< number of keys under which it was stored */
  vestry_connection_state state;
  vestry_cause cause; /**< of a closing stream */
  uint64_t age_ms;
  const char *adapter;   /**< vestry_transport_ops.name, static; "": none */
  const char *coding;    /**< as in Content-Encoding, static: "identity", "br", "gzip" */
  double ratio;          /**< written bytes of events / bytes on the wire; 0: none on the wire */
  uint32_t queued_count; /**< accepted = written + discarded + conflated + queued */
  uint64_t queued_bytes;
  uint64_t accepted_count, written_count, discarded_count, conflated_count, refused_count;
  uint64_t written_bytes, wire_bytes;                               /**< as in vestry_connection_stats */
  uint64_t last_write_ms;                                           /**< time since the last write; VESTRY_NEVER_MS:
                                                                         nothing was written yet */
  int64_t unacknowledged_bytes;                                     /**< bytes that the peer's machine has not
                                                                         acknowledged; below 0: unknown. For
                                                                         microhttpd.h it is read from the socket; for
                                                                         civetweb.h it is the result of the last check
                                                                         (its watch_ms); for h2.h it is that of the
                                                                         whole connection */
  vestry_err last_error;                                            /**< of the last rejected send: FULL, TOO_LARGE,
                                                                         NO_MEMORY; OK: none */
  bool is_page;                                                     /**< the stream of one of the options' pages; if so,
                                                                         the following members are set */
  char path[VESTRY_SHOWN_PATH_BYTES];                               /**< path of the page; truncated if it is longer */
  uint32_t topics_count;                                            /**< number of topics that the page and its parts
                                                                         depend on */
  char topics[VESTRY_SHOWN_TOPICS_COUNT][VESTRY_SHOWN_TOPIC_BYTES]; /**< some of them; truncated if they are longer */
  /** Of the connection of HTTP/2 that carries the stream, as vestry_shared_connection. 0: the stream shares no
   *  connection, and the following members are not set */
  uint64_t connection_id;
  uint32_t connection_streams_count;
  uint32_t unsent_bytes;
  int64_t stream_window_bytes, connection_window_bytes;
  vestry_wait waits_for;
} vestry_stream_info;

/** Get the state of one stream.
 *  Returns  OK | NOT_FOUND (it has ended or never existed) | INVALID
 *  Threads  any; takes locks briefly; the time is linear in the number of streams before it */
VESTRY_API vestry_err vestry_observe_stream(vestry_observe *observe, uint64_t id, vestry_stream_info *ret_info);

/** Order of a listing of streams. */
typedef enum vestry_stream_order {
  VESTRY_STREAMS_NEWEST = 0, /**< most recently opened first */
  VESTRY_STREAMS_OLDEST,     /**< longest open first */
  VESTRY_STREAMS_QUEUED,     /**< most queued bytes first */
  VESTRY_STREAMS_BYTES       /**< most sent bytes first */
} vestry_stream_order;

/** Position of a listing. Begin with zero. */
typedef struct vestry_stream_cursor {
  uint64_t value, id; /**< opaque */
} vestry_stream_cursor;

/** Maximum number of streams in a page of a listing. */
#define VESTRY_STREAMS_MAX_COUNT 100

/** Selection of streams. Zero: the newest. */
typedef struct vestry_stream_query {
  const char *prefix; /**< prefix of the key's text, with or without the characters [ { and " at the beginning of the
                           text; NULL, "": any key */
  vestry_stream_order order;
  size_t limit;              /**< 0: VESTRY_STREAMS_MAX_COUNT, which is the maximum */
  vestry_stream_cursor from; /**< ret_next of the last page, for the same prefix and order */
  uint64_t connection_id;    /**< only streams with this vestry_stream_info.connection_id; 0: all */
} vestry_stream_query;

/** Receives one stream of a listing, on the listing thread, no lock held. info is valid during the call. */
typedef void (*vestry_stream_info_fn)(const vestry_stream_info *info, void *ctx);

/** List streams, one page for each call: the first ones in the order, after the cursor. A call visits all streams, and
 *  holds a lock for 64 of them at a time, so that streams can open, close and be written to meanwhile. A stream whose
 *  rank changes between two pages may be listed twice or not at all; with NEWEST and OLDEST this does not happen.
 *  query     NULL: the defaults
 *  ret_next  cursor of the next page; zero: there is none. May be NULL
 *  Returns  OK | INVALID (an argument)
 *  Threads  any; takes locks briefly, allocates nothing */
VESTRY_API vestry_err vestry_observe_streams(vestry_observe *observe, const vestry_stream_query *query,
                                             vestry_stream_info_fn fn, void *ctx, vestry_stream_cursor *ret_next);

/* ----------------------------------------------------------------------------------------------------- closes ----- */

/** A stream that has ended. Text is as in vestry_stream_info. */
typedef struct vestry_close_info {
  uint64_t number; /**< number of the close, from 1, in order of recording */
  uint64_t id;     /**< of the stream */
  char scope[9];
  char key[VESTRY_SHOWN_KEY_BYTES]; /**< key under which the stream was stored, also after a newer stream replaced it */
  bool is_key_cut;
  bool is_console;    /**< as vestry_stream_info.is_console; false for a stream that ended before its first event */
  vestry_cause cause; /**< never NONE */
  uint64_t age_ms;    /**< lifetime of the stream */
  uint64_t ago_ms;    /**< time since its end */
  const char *adapter, *coding;
  uint64_t written_count, conflated_count, refused_count;
  uint64_t discarded_count, discarded_bytes; /**< accepted and lost, because the stream ended before they were
                                                  written */
  uint64_t written_bytes, wire_bytes;
  vestry_err last_error;
} vestry_close_info;

/** Selection of closes. Zero: the last ones, of any cause. */
typedef struct vestry_close_query {
  vestry_cause cause; /**< only this cause; NONE: any */
  uint64_t before;    /**< only numbers below this, to continue after the last call; 0: all */
  uint64_t after;     /**< only numbers above this: newer closes */
  size_t limit;       /**< 0: VESTRY_STREAMS_MAX_COUNT, which is the maximum */
  bool no_consoles;   /**< leave out closes with is_console */
} vestry_close_query;

/** Receives one close, on the calling thread, no lock held. info is valid during the call. */
typedef void (*vestry_close_info_fn)(const vestry_close_info *info, void *ctx);

/** List streams that have ended since the first observer of the instance was created, the last ones first. Only the
 *  last 10,000 are stored.
 *  query     NULL: the defaults
 *  ret_next  `before` of the next call; 0: there are no more. May be NULL
 *  Returns  OK | INVALID (an argument)
 *  Threads  any; takes a lock briefly, allocates nothing */
VESTRY_API vestry_err vestry_observe_closes(vestry_observe *observe, const vestry_close_query *query,
                                            vestry_close_info_fn fn, void *ctx, uint64_t *ret_next);

/* --------------------------------------------------------------------------------------------------- channels ----- */

/** State of a channel (vestry/channel.h). Text is as in vestry_stream_info. */
typedef struct vestry_channel_info {
  uint64_t number; /**< number of the channel, from 1, in order of creation; a channel that is created again has
                        another */
  char scope[9];
  char key[VESTRY_SHOWN_KEY_BYTES];
  bool is_key_cut;
  bool has_history;                                        /**< vestry/app/history.h */
  size_t members_count;                                    /**< now */
  uint64_t published_count, accepted_count, refused_count; /**< events published, and those that the queues of
                                                                members accepted, or did not */
  uint64_t epochs_count;     /**< epochs begun, of all encodings: docs/guide/channels.md */
  uint64_t standalone_count; /**< standalone events written to members that were out of sync, in epochs that have
                                  ended */
  uint64_t encodes_count;    /**< times that an event was encoded for all members in sync */
  uint64_t plain_bytes;      /**< size of the events before encoding */
  uint64_t encoded_bytes;    /**< size of the events after encoding */
  double ratio;              /**< plain_bytes / encoded_bytes; 0: nothing was encoded */
  size_t kept_count;         /**< events in its history, as of the last publish or change of the history */
  size_t kept_bytes;         /**< their size */
} vestry_channel_info;

/** Selection of channels. Zero: all, from the beginning. */
typedef struct vestry_channel_query {
  const char *prefix;        /**< as in vestry_stream_query */
  size_t limit;              /**< 0: VESTRY_STREAMS_MAX_COUNT, which is the maximum */
  vestry_stream_cursor from; /**< ret_next of the last page, for the same prefix */
} vestry_channel_query;

/** Receives one channel of a listing, on the listing thread, no lock held. info is valid during the call. */
typedef void (*vestry_channel_info_fn)(const vestry_channel_info *info, void *ctx);

/** List channels, one page for each call, in an unspecified stable order: a channel that exists during the whole
 *  listing is listed once, even if other channels are created and end meanwhile.
 *  query     NULL: the defaults
 *  ret_next  cursor of the next page; zero: there is none. May be NULL
 *  Returns  OK | INVALID (an argument)
 *  Threads  any; takes locks briefly, waits for no publish, allocates nothing */
VESTRY_API vestry_err vestry_observe_channels(vestry_observe *observe, const vestry_channel_query *query,
                                              vestry_channel_info_fn fn, void *ctx, vestry_stream_cursor *ret_next);

#ifdef __cplusplus
}
#endif
#endif
