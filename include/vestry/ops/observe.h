/* SPDX-License-Identifier: MIT */
/** Seeing inside: what an instance does, as numbers for programs that draw graphs and raise alarms.
 *
 *      vestry_observe *o;
 *      vestry_err err = vestry_observe_create(v, &(vestry_observe_options){.pages = pages}, &o);
 *      if (!err) err = vestry_observe_mount(o, "/observe");         // GET /observe/metrics, /observe/ready
 *
 *  Metrics are OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/), or Prometheus' own text for
 *  scrapers that do not ask for it. There are at most VESTRY_METRICS_MAX_COUNT series, whatever is stored: labels are
 *  causes, reasons and outcomes, never a scope, a key, an id or an address.
 *
 *  Counters of one family are of one moment: a scrape never shows more streams closed than opened. */
#ifndef VESTRY_OBSERVE_H
#define VESTRY_OBSERVE_H

#include "vestry/app/page.h"
#include "vestry/cluster/cluster.h"
#include "vestry/ops/metrics.h"
#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What looks into an instance. */
typedef struct vestry_observe vestry_observe;

/** Whether a request may see what is mounted. On the serving thread, no lock held. false: it is answered 403, without a
 *  hint of what is there. */
typedef bool (*vestry_observe_may_fn)(const vestry_request *req, void *ctx);

/** A tail lasts so long. */
#define VESTRY_TAIL_MS UINT64_C(300000)
/** Of an event that is longer so many bytes are shown. */
#define VESTRY_TAIL_EVENT_BYTES 65536

/** A tail that begins or ends: a request looks at what one stream is sent. */
typedef struct vestry_tail_info {
  size_t size;               /**< sizeof(vestry_tail_info) of this library */
  uint64_t tail_id;          /**< a number of its own, from 1 */
  uint64_t stream_id;        /**< which stream is looked at */
  bool is_over;              /**< it has ended */
  const vestry_request *req; /**< which looks, valid during the call; NULL: it has ended */
  uint64_t shown_count;      /**< so many events were shown, at its end */
  uint64_t left_out_count;   /**< so many were not, since the reader was slow */
} vestry_tail_info;

/** Is told of tails, for a log: that one begins, on the serving thread; and that it has ended, on any. No lock held;
 *  must not block. */
typedef void (*vestry_on_tail_fn)(const vestry_tail_info *info, void *ctx);

/** Takes out of an event what a reader of tails must not see. On a thread of the runtime's, no lock held, several at
 *  once perhaps.
 *  event    a copy of its bytes, as they are before they are encoded, and a terminator: to be changed in its place
 *  Returns  its length now, len at most; 0: it is not shown */
typedef size_t (*vestry_redact_fn)(char *event, size_t len, void *ctx);

/** What is looked at, and which requests may see it. */
typedef struct vestry_observe_options {
  size_t size;             /**< sizeof(vestry_observe_options), or 0 */
  vestry_pages *pages;     /**< borrowed until vestry_observe_destroy, as is the next; NULL: none */
  vestry_cluster *cluster; /**< NULL: none */
  vestry_metrics_fn more;  /**< metrics of your own; NULL: none */
  void *more_ctx;
  /** Which requests may see what is mounted, whatever token and trusts_loopback say. NULL: those with the token, and
   *  those that trusts_loopback lets in; without either none: 403 */
  vestry_observe_may_fn may;
  void *may_ctx;
  uint32_t ready_ms; /**< how long GET {prefix}/ready waits for its probe to be delivered; 0: 1,000 */
  /** Which requests that may see all else may see tails, too; NULL: those with the token, and those that
   *  trusts_loopback lets in */
  vestry_observe_may_fn may_tail;
  void *may_tail_ctx;
  vestry_on_tail_fn on_tail; /**< NULL: none is told */
  void *on_tail_ctx;
  vestry_redact_fn redact; /**< NULL: events are shown as they are */
  void *redact_ctx;
  size_t closes_count; /**< how many closes are kept, at about 280 bytes each; 0: 10,000; at most 1,000,000 */
  /** A secret of 16 to 128 letters, digits and "-._~"; copied. A request has it in "Authorization: Bearer TOKEN", as a
   *  scraper sends it, or in a cookie, which {prefix}/console?token=TOKEN sets. NULL: none */
  const char *token;
  /** Let in requests from a loopback address whose Host names this machine, so that no page of another site reaches it
   *  by a name of its own, and that have no header of a proxy (Forwarded, X-Forwarded-For, X-Forwarded-Host, X-Real-IP,
   *  Via). A proxy on this machine that sends none of these, as nginx with a mere proxy_pass, cannot be told from this
   *  machine: it lets the world in. Set this only where no such proxy leads here */
  bool trusts_loopback;
} vestry_observe_options;

/** Begin to look. Until something is asked for, it costs two looks at the clock for one event in 16.
 *  options      NULL: the defaults; copied but for what is borrowed
 *  ret_observe  owned by the caller; untouched on failure. It ends before the instance, and what it borrows, does
 *  Returns  OK | INVALID (v or ret_observe is NULL; options of a later vestry; closes_count) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_observe_create(vestry *v, const vestry_observe_options *options,
                                            vestry_observe **ret_observe);

/** Unmount what is mounted, end the streams that show it, and free. No other call may be under way or follow. NULL is
 *  accepted.
 *  Threads  not from a handler, nor a thread of the runtime; blocks until its handlers have returned and its streams
 *           have ended. A stepped runtime is stepped */
VESTRY_API void vestry_observe_destroy(vestry_observe *observe);

/** Mount what looks in, once:
 *
 *  GET {prefix}/metrics  as vestry_observe_metrics
 *  GET {prefix}/live     200: the server answers
 *  GET {prefix}/ready    200; or 503 while the instance drains or closes, or when a probe is not delivered: an event
 *                        that goes through a queue and the instance's threads to a transport of its own, and is counted
 *                        nowhere. A line of text says why. It waits on the serving thread, ready_ms at most; a stepped
 *                        runtime is not waited for: there each request judges the probe of the one before
 *
 *  and as JSON, with counts that are numbers; a parameter that is none is answered 400, and a sentence:
 *
 *  GET {prefix}/streams?prefix=&sort=newest|oldest|queued|bytes&limit=&cursor=
 *                        as vestry_observe_streams; cursor: what `next` said, which is null on the last page
 *  GET {prefix}/streams/{id}
 *                        as vestry_observe_stream; of one that has ended what is known of its close
 *  GET {prefix}/channels?prefix=&limit=&cursor=
 *                        as vestry_observe_channels. And counts of all channels
 *  GET {prefix}/closed?cause=&before=&after=&limit=&consoles=
 *                        as vestry_observe_closes, by the name of a cause; consoles=no: no_consoles. And counts by
 *                        cause, of all and of the last hour; and how many of each were consoles'
 *  GET {prefix}/store    counters of the store, and of streams by cause; and of one in 16 entries that were evicted how
 *                        long each had been unused, as counts by what it was at most: `unused_ms`, null: longer
 *  GET {prefix}/pages?sort=path|handler|renders|unchanged&limit=
 *                        as vestry_observe_pages
 *  GET {prefix}/cluster  members, this node first, each with the gaps in what it has sent; this node's are those of
 *                        senders that are not known. And counters
 *  GET {prefix}/console  a page that shows all of it, live: for people
 *  GET {prefix}/streams/{id}/tail
 *                        what a stream is sent from now on, as events of a stream (curl -N, or an EventSource): begin,
 *                        event, left-out (with a count: the reader was slow) and end, with JSON. Ends with the stream,
 *                        or after VESTRY_TAIL_MS. Of one reader's own streams there is none; 16 at a time
 *
 *  prefix   "" or a pattern without a '/' at its end, as vestry_mount; copied
 *  Returns  OK | EXISTS (the path is taken, or it is mounted already) | INVALID (the prefix) | NO_MEMORY
 *  Threads  one at a time */
VESTRY_API vestry_err vestry_observe_mount(vestry_observe *observe, const char *prefix);

/** Write all metrics.
 *  text, room  where to, and how many bytes there are for it and its terminator; room 0: text may be NULL
 *  ret_len     the text's length, also if there was too little room; may be NULL
 *  Returns     OK | TOO_LARGE (nothing is written but "", if there is room for that) | INVALID | NO_MEMORY | what the
 *              application's function returned
 *  Threads     any; takes locks briefly */
VESTRY_API vestry_err vestry_observe_metrics(vestry_observe *observe, vestry_metrics_format format, char *text,
                                             size_t room, size_t *ret_len);

/* -------------------------------------------------------------------------------------------------- pages ------- */

/** What is known of a page at one pattern of a route, or of one of its parts: of renders for streams, since the pages
 *  were created. All of it is borrowed and valid during the call. What adds up: renders_count = changed_count +
 *  unchanged_count + current_count + failed_count + dropped_count; and over all of them the counts of
 *  vestry_pages_stats (vestry/app/page.h). */
typedef struct vestry_page_info {
  size_t size;          /**< sizeof(vestry_page_info) of this library */
  const char *path;     /**< the pattern of its route, as "/room/{name}"; "": it has none. NULL: all those together that
                               there was no room or no memory for: 128 pages and 128 parts are told apart */
  const char *part;     /**< the part's id; its path is that of the page it stood in first. NULL: the page itself */
  size_t streams_count; /**< open ones that see it, now */
  uint64_t documents_count; /**< served; of a part 0 */
  uint64_t renders_count;   /**< so often its handler was called for streams */
  uint64_t first_count;     /**< of these: because a stream began */
  uint64_t changed_count;   /**< what was made differed, and was sent */
  uint64_t unchanged_count; /**< for nothing: it was the same */
  uint64_t current_count;   /**< the handler said that the version was the same */
  uint64_t failed_count;
  uint64_t dropped_count;          /**< led elsewhere, or for no stream any more */
  uint64_t renders_minute_count;   /**< in the last minute, 55 to 60 s */
  uint64_t unchanged_minute_count; /**< of these for nothing */
  uint64_t handler_ns;             /**< in the handler, with what it waited for: the sum of all */
  uint64_t handler_longest_ns;     /**< the longest */
  uint64_t sent_bytes;             /**< of events that were put into streams, before they are encoded */
  vestry_refresh_kind refreshed;   /**< what the last render was for, the first of several refreshes; FIRST only if
                                        there was no other */
  const char *refreshed_by;        /**< the same as a text, UTF-8 without control characters, at most 127 bytes: "topic
                                        room/7", "table messages", "page 12 of the database", "database", "node, topic
                                        room/7", "all", "submission", "first"; "": not known */
  uint64_t refreshed_ago_ms;       /**< since then; 0: not known */
  vestry_refresh_kind unchanged;   /**< what the last render for nothing was for */
  const char *unchanged_by;        /**< likewise as a text */
} vestry_page_info;

/** Told of one. On the thread that asks, no lock held. */
typedef void (*vestry_page_info_fn)(const vestry_page_info *info, void *ctx);

/** Which come first. Those that are equal in it: by path and part. */
typedef enum vestry_pages_order {
  VESTRY_PAGES_BY_PATH = 0,
  VESTRY_PAGES_BY_HANDLER,  /**< the most time in the handler first, all renders together */
  VESTRY_PAGES_BY_RENDERS,  /**< the most renders in the last minute first, then in all */
  VESTRY_PAGES_BY_UNCHANGED /**< the most renders for nothing in the last minute first, then in all */
} vestry_pages_order;

/** Tell of pages and parts, of which there are at most 257, whatever is stored. Nothing is counted twice; what is told
 *  is of one moment.
 *  limit    so many at most; 0: all
 *  Returns  OK, also if the observer has no pages: nothing is told then | INVALID (order, fn) | NO_MEMORY
 *  Threads  any; takes the pages' lock for some microseconds */
VESTRY_API vestry_err vestry_observe_pages(vestry_observe *observe, vestry_pages_order order, size_t limit,
                                           vestry_page_info_fn fn, void *ctx);

/* --------------------------------------------------------------------------------------------------- streams ------ */

/** Room for a key as text, and its terminator. */
#define VESTRY_SHOWN_KEY_BYTES 129
/** Room for the path of a page, and its terminator. */
#define VESTRY_SHOWN_PATH_BYTES 257
/** Topics of a page that are named, and room for each one's name and its terminator. */
#define VESTRY_SHOWN_TOPICS_COUNT 4
#define VESTRY_SHOWN_TOPIC_BYTES  65

/** What is known of one stream at a moment. All text is UTF-8 without control characters; where users chose it, a
 *  browser must still be given it as text. */
typedef struct vestry_stream_info {
  size_t size;   /**< sizeof(vestry_stream_info), or 0 */
  uint64_t id;   /**< as vestry_connection_now.id */
  char scope[9]; /**< of its request's scope: eight digits, which are the same for the same scope as long as the
                       instance lives, and say nothing else of it; "": the scope is empty, or is not known */
  char key[VESTRY_SHOWN_KEY_BYTES]; /**< under which it is kept, as vestry_key_format writes it; of several the one of
                                         vestry_reply_key, otherwise one of the others; "": it is kept under none */
  bool is_key_cut;                  /**< the key is longer */
  bool is_console;                  /**< it shows what is seen: the stream of a console, or of a tail */
  uint32_t keys_count;              /**< under which it was kept */
  vestry_connection_state state;
  vestry_cause cause; /**< of one that is closing */
  uint64_t age_ms;
  const char *adapter;   /**< vestry_transport_ops.name, static; "": it has none */
  const char *coding;    /**< as in Content-Encoding, static: "identity", "br", "gzip" */
  double ratio;          /**< bytes of events that are written / bytes that went out; 0: none did */
  uint32_t queued_count; /**< accepted = written + discarded + conflated + queued */
  uint64_t queued_bytes;
  uint64_t accepted_count, written_count, discarded_count, conflated_count, refused_count;
  uint64_t written_bytes, wire_bytes; /**< as in vestry_connection_stats */
  uint64_t last_write_ms;             /**< ago; VESTRY_NEVER_MS: nothing was written yet */
  int64_t unacknowledged_bytes;       /**< by the peer's machine; below 0: not known. microhttpd.h's streams ask their
                                           socket, civetweb.h's know it since the last look (its watch_ms) */
  vestry_err last_error; /**< of the last send that was refused: FULL, TOO_LARGE, NO_MEMORY; OK: none was */
  bool is_page;          /**< it is the stream of one of the options' pages; then what follows is set */
  char path[VESTRY_SHOWN_PATH_BYTES];                               /**< of the page; cut if it is longer */
  uint32_t topics_count;                                            /**< which the page and its parts depend on */
  char topics[VESTRY_SHOWN_TOPICS_COUNT][VESTRY_SHOWN_TOPIC_BYTES]; /**< some of them; cut if they are longer */
} vestry_stream_info;

/** Explain one stream.
 *  Returns  OK | NOT_FOUND (it has ended, or there never was one) | INVALID
 *  Threads  any; takes locks briefly, and as many steps as there are streams before it */
VESTRY_API vestry_err vestry_observe_stream(vestry_observe *observe, uint64_t id, vestry_stream_info *ret_info);

/** In which order streams are listed. */
typedef enum vestry_stream_order {
  VESTRY_STREAMS_NEWEST = 0, /**< those that opened last come first */
  VESTRY_STREAMS_OLDEST,     /**< those that opened first */
  VESTRY_STREAMS_QUEUED,     /**< those that hold most bytes in their queues */
  VESTRY_STREAMS_BYTES       /**< those to which most bytes went out */
} vestry_stream_order;

/** Where a page of a listing ended. Zero: it begins. */
typedef struct vestry_stream_cursor {
  uint64_t value, id; /**< opaque */
} vestry_stream_cursor;

/** Streams that a listing hands out at most. */
#define VESTRY_STREAMS_MAX_COUNT 100

/** Which streams are listed. Zero: the newest. */
typedef struct vestry_stream_query {
  size_t size;        /**< sizeof(vestry_stream_query), or 0 */
  const char *prefix; /**< with which the key's text begins, or begins after any of [ and " and {; NULL, "": any */
  vestry_stream_order order;
  size_t limit;              /**< 0: VESTRY_STREAMS_MAX_COUNT, which is the most */
  vestry_stream_cursor from; /**< where to go on: what the last page gave, of the same prefix and order */
} vestry_stream_query;

/** Takes one stream of a listing. On the thread that lists, no lock held. info: valid during the call. */
typedef void (*vestry_stream_info_fn)(const vestry_stream_info *info, void *ctx);

/** List streams, a page a call: those that come first in the order, from the cursor on. All streams are looked at, 64
 *  under each lock, so others can come, go and be written to meanwhile. What changes between two pages may bring a
 *  stream twice, or not at all; by NEWEST and OLDEST it does not.
 *  query     NULL: the defaults
 *  ret_next  for the next page; zero: there is none. May be NULL
 *  Returns   OK | INVALID (an argument)
 *  Threads   any; takes locks briefly, allocates nothing */
VESTRY_API vestry_err vestry_observe_streams(vestry_observe *observe, const vestry_stream_query *query,
                                             vestry_stream_info_fn fn, void *ctx, vestry_stream_cursor *ret_next);

/* ----------------------------------------------------------------------------------------------------- closes ----- */

/** What is known of a stream that has ended. Text is as in vestry_stream_info. */
typedef struct vestry_close_info {
  size_t size;     /**< sizeof(vestry_close_info), or 0 */
  uint64_t number; /**< of the close, from 1, in the order in which they were noted */
  uint64_t id;     /**< of the stream */
  char scope[9];
  char key[VESTRY_SHOWN_KEY_BYTES]; /**< under which it was kept, also if it had to leave for another stream */
  bool is_key_cut;
  bool is_console;    /**< as vestry_stream_info.is_console; false of one that ended before its first event */
  vestry_cause cause; /**< never NONE */
  uint64_t age_ms;    /**< when it ended */
  uint64_t ago_ms;    /**< since then */
  const char *adapter, *coding;
  uint64_t written_count, conflated_count, refused_count;
  uint64_t discarded_count, discarded_bytes; /**< accepted and lost: the stream ended before they were written */
  uint64_t written_bytes, wire_bytes;
  vestry_err last_error;
} vestry_close_info;

/** Which closes are told of. Zero: the last ones, whatever their cause. */
typedef struct vestry_close_query {
  size_t size;        /**< sizeof(vestry_close_query), or 0 */
  vestry_cause cause; /**< of this cause alone; NONE: of any */
  uint64_t before;    /**< those with smaller numbers than this: where the last call ended; 0: all */
  uint64_t after;     /**< those with greater numbers: what has come since */
  size_t limit;       /**< 0: VESTRY_STREAMS_MAX_COUNT, which is the most */
  bool no_consoles;   /**< those with is_console are left out */
} vestry_close_query;

/** Takes one close. On the thread that asks, no lock held. info: valid during the call. */
typedef void (*vestry_close_info_fn)(const vestry_close_info *info, void *ctx);

/** Tell of streams that have ended since the observer was created, the last ones first. So many as
 *  vestry_observe_options.closes_count says are known.
 *  query     NULL: the defaults
 *  ret_next  for the next call's `before`; 0: there are no more. May be NULL
 *  Returns   OK | INVALID (an argument)
 *  Threads   any; takes a lock briefly, allocates nothing */
VESTRY_API vestry_err vestry_observe_closes(vestry_observe *observe, const vestry_close_query *query,
                                            vestry_close_info_fn fn, void *ctx, uint64_t *ret_next);

/** How many streams have ended since the observer was created, by cause.
 *  counts   by vestry_cause; those that are none are 0
 *  Returns  OK | INVALID (an argument)
 *  Threads  any; takes a lock briefly */
VESTRY_API vestry_err vestry_observe_close_counts(vestry_observe *observe, uint64_t counts[VESTRY_CAUSES_MAX]);

/* --------------------------------------------------------------------------------------------------- channels ----- */

/** What is known of a channel (vestry/channel.h) since it was made. Text is as in vestry_stream_info. */
typedef struct vestry_channel_info {
  size_t size; /**< sizeof(vestry_channel_info) of this library */
  uint64_t
      number; /**< of the channel, from 1, in the order in which they were made; one that is made anew has another */
  char scope[9];
  char key[VESTRY_SHOWN_KEY_BYTES];
  bool is_key_cut;
  bool has_history;                                        /**< vestry/app/history.h */
  size_t members_count;                                    /**< now */
  uint64_t published_count, accepted_count, refused_count; /**< as in vestry_channel_stats */
  uint64_t epochs_count;
  uint64_t alone_count;   /**< of epochs that have ended */
  uint64_t encodes_count; /**< runs of an encoder over an event for all its aligned members at once */
  uint64_t plain_bytes;   /**< of these events, before they were encoded */
  uint64_t encoded_bytes; /**< and after */
  double ratio;           /**< plain_bytes / encoded_bytes; 0: nothing was encoded */
  size_t kept_count;      /**< events in its history, when it was last published to or its history changed */
  size_t kept_bytes;      /**< of these events */
} vestry_channel_info;

/** Which channels are listed. Zero: all, from the beginning. */
typedef struct vestry_channel_query {
  size_t size;               /**< sizeof(vestry_channel_query), or 0 */
  const char *prefix;        /**< as in vestry_stream_query */
  size_t limit;              /**< 0: VESTRY_STREAMS_MAX_COUNT, which is the most */
  vestry_stream_cursor from; /**< where to go on: what the last page gave, of the same prefix */
} vestry_channel_query;

/** Takes one channel of a listing. On the thread that lists, no lock held. info: valid during the call. */
typedef void (*vestry_channel_info_fn)(const vestry_channel_info *info, void *ctx);

/** List channels, a page a call. Their order means nothing and stays the same: a channel that is there from the first
 *  page to the last is listed once, whatever comes and goes meanwhile.
 *  query     NULL: the defaults
 *  ret_next  for the next page; zero: there is none. May be NULL
 *  Returns   OK | INVALID (an argument)
 *  Threads   any; takes locks briefly, waits for no publish, allocates nothing */
VESTRY_API vestry_err vestry_observe_channels(vestry_observe *observe, const vestry_channel_query *query,
                                              vestry_channel_info_fn fn, void *ctx, vestry_stream_cursor *ret_next);

#ifdef __cplusplus
}
#endif
#endif
