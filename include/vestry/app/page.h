/* SPDX-License-Identifier: MIT */
/** Live pages: one function makes a document, and makes its content again for every open tab when its data changes.
 *  docs/guide/pages.md has the rules, docs/guide/address.md navigation within a document.
 *
 *      static vestry_err room(vestry_render *render, vestry_html *html, void *app) {
 *        vestry_render_topic(render, "room/7");              // depend on a topic
 *        vestry_html_add(html, "<!doctype html><title>Room</title>");
 *        vestry_render_head(render, html);
 *        vestry_render_begin(render, html);                  // <main id="content">
 *        list_messages(app, html);
 *        return vestry_render_end(render, html);             // </main>, and the element that opens the stream
 *      }
 *      vestry_page_create(pages, &(vestry_page_options){.render = room, .app = &app}, &page);
 *      vestry_route(v, "GET", "/room/7", vestry_page_handler, page);
 *      vestry_refresh(pages, "room/7", NULL);                // from any thread: every tab of the room renders again */
#ifndef VESTRY_PAGE_H
#define VESTRY_PAGE_H

#include <stdarg.h>
#include <stdio.h>

#include "vestry/backend_action.h"
#include "vestry/request.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Pages of an instance, their topics, and the threads that render them. */
typedef struct vestry_pages vestry_pages;
/** One page: a function that renders it, for all values of the parameters in its path. */
typedef struct vestry_page vestry_page;
/** One render: one call of the function that renders a page or a part. Read only; borrowed, valid during the render. A
 *  render makes a fragment, which is the unit of rendering: the content of a private page for one stream, the content
 *  of a shared page, or a part. */
typedef struct vestry_render {
  /** The request of the document; in a stream, a copy of the request that opened it: path, query, scope, user, the
   *  signals of that time, the headers that name a user (vestry_request_header), and Host, Accept-Language, User-Agent,
   *  Referer, X-Forwarded-For, -Proto, -Host and X-Request-Id. Its method is GET, and it has no body. In a shared
   *  render it has path and query only, so that the render cannot leak a user's data. NULL in a part. */
  const vestry_request *request;
  vestry_reply *reply; /**< takes a status, a redirect, headers and cookies; in a stream all but status and Location are
                            ignored. NULL in a part */
  const char *share;   /**< the share key (vestry_page_serve, vestry_page_part). NULL: a private page, which is rendered
                            for one stream alone; with a key, one render is for all streams that have the same page,
                            path, query and key */
  bool is_stream;      /**< the render is for a stream, not for a document */
  struct vsi_render *own; /**< internal */
} vestry_render;

/** Maximum length of a topic in bytes. */
#define VESTRY_PAGE_TOPIC_MAX_BYTES ((size_t)1024)
/** Maximum number of calls of vestry_render_topic in one render of a page or a part. */
#define VESTRY_PAGE_TOPICS_MAX ((size_t)4096)

/** Options of pages. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_pages_options {
  size_t size;            /**< sizeof(vestry_pages_options), or 0 */
  uint32_t threads_count; /**< number of render threads [2]; at most 256. A render that waits for data blocks one */
  uint32_t interval_ms;   /**< minimum time between the starts of two renders of one page [15]; at most 60,000. After
                               a pause a change is rendered at once. All changes within the interval are rendered
                               together at its end, so the newest content is always sent */
  size_t max_kept_bytes;  /**< maximum size of kept contents [64 MiB]. vestry keeps the content that it sent last, so
                               that a change is compressed as the difference from it. Beyond this size the content that
                               changed longest ago is dropped; its next change is sent whole */
  const char *build;      /**< version of the application. A tab whose document came from another version reloads its
                               page once, within reload_ms. NULL: tabs do not reload. Copied */
  uint32_t reload_ms;     /**< time over which such reloads are spread [5,000] */
  uint32_t retry_ms;  /**< a broken stream is opened again after a random time between this and twice this [1,000] */
  const void *secret; /**< key of the state tags. A state tag is an event id that contains a keyed hash of the content
                               which the tab has. A tab that reconnects sends its tag, and receives only what has
                               changed. Use the same secret on all machines and after a restart; with another one the
                               tab receives the whole content. NULL: derived from the secret of the cluster that has
                               these pages (vestry/cluster/cluster.h), or random without a cluster. Copied */
  size_t secret_len;
  const char *offline_text;  /**< text of the banner (vestry_render_head) while the stream is broken
                                  ["Offline. Trying again…"]. Copied */
  const char *failing_text;  /**< text of the banner while renders fail, or the stream is refused
                                  ["This page cannot be updated at the moment."]. Copied */
  vestry_runtime *runtime;   /**< renders pages; borrowed. NULL: a runtime of threads_count threads; for an instance
                                  without threads (VESTRY_THREADS_NONE, vestry/runtime.h), the runtime of that
                                  instance */
  size_t max_requests_bytes; /**< maximum size of the copied requests from which streams render [256 MiB]: some 100
                                  bytes each and the headers, cookies above all. Beyond it a stream gets 503 with
                                  Retry-After, and the tab tries again; documents are served */
} vestry_pages_options;

/** Create the pages of an instance.
 *  v          borrowed until vestry_pages_destroy
 *  options    NULL: the defaults; copied
 *  ret_pages  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | IO (no thread, no randomness)
 *  Threads  any */
VESTRY_API vestry_err vestry_pages_create(struct vestry *v, const vestry_pages_options *options,
                                          vestry_pages **ret_pages);
/** Destroy pages, after vestry_stop or after the last handler that serves a page, and before vestry_destroy. Open
 *  streams stay open and are not rendered again. NULL is accepted.
 *  Threads  any but a render's; waits for running renders */
VESTRY_API void vestry_pages_destroy(vestry_pages *pages);
/** Get the instance of pages. Threads any. */
VESTRY_API struct vestry *vestry_pages_instance(const vestry_pages *pages);

/** Append a page's document to html. Called on the server's thread for a document, on a render thread for a stream; one
 *  call at a time for one stream, concurrently for several. May block: meanwhile its thread (of the server, or one of
 *  the render threads) renders no other page.
 *  Returns  OK | an error, which is answered as that of a vestry_handler_fn; for a stream see vestry_page_serve */
typedef vestry_err (*vestry_page_fn)(vestry_render *render, vestry_html *html, void *app);
/** Check whether a request may see a page. Called before each render of the page and of its parts, so that a revoked
 *  right ends the stream.
 *  Returns  OK | an error. A document is answered with it. If a stream is open, its tab reloads the page, and so gets
 *           that answer. A request that opens a stream gets 403, and the tab reloads the page. If the error's status is
 *           500 or more, for example LIMIT because no connection to the database is free, the tab keeps its content and
 *           gets no new one until a later check succeeds */
typedef vestry_err (*vestry_page_allow_fn)(const vestry_request *req, void *app);

/** Name the topics of a page, by vestry_render_topic. Called before its handler. */
typedef vestry_err (*vestry_page_topics_fn)(vestry_render *render, void *app);

/** Options of a page. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_page_options {
  size_t size;                  /**< sizeof(vestry_page_options), or 0 */
  vestry_page_fn render;        /**< makes the page and marks its content */
  vestry_handler_fn handler;    /**< instead of render: an ordinary handler, which answers with a whole document. The
                                  element of this document that has the id below is the content of the page */
  vestry_page_topics_fn topics; /**< names the topics, if render does not. NULL: with render, only those that render
                                     names; with a handler, the path of the request is the topic */
  vestry_page_allow_fn allow;   /**< [every request may see the page] */
  void *app;                    /**< passed to these functions */
  const char *id;      /**< id of the content's element ["content"]: a letter, then letters, digits, - and _. Copied */
  const char *element; /**< name of the content's element ["main"]. Copied */
  /** a JavaScript regular expression. The request that opens the stream contains the signals whose paths match, in its
   *  URL. Exclude text that users write, because a long URL gets 414 ["^tabId$": vestry/app/tab.h]. Copied */
  const char *signals;
  vestry_when_hidden when_hidden; /**< [the stream of a hidden tab is closed; showing the tab opens it] */
  const char *layout; /**< name of the layout, which is the document around the content; the same characters as
                                       an id. Between pages of the same layout, element and id, links and forms marked
                                       data-navigate replace the content, and the document stays
                                       (docs/guide/address.md). Copied [none: links load a document] */
} vestry_page_options;

/** Create a page.
 *  ret_page  owned by pages; untouched on failure
 *  Returns  OK | INVALID (render and handler: neither or both; id, element, layout) | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_page_create(vestry_pages *pages, const vestry_page_options *options,
                                         vestry_page **ret_page);

/** Serve a page: a document to a browser, a stream to its Datastar client. The caller may set a key, presence, hooks,
 *  data and bounds of the stream in the reply before.
 *  share  NULL: a private page. Otherwise all tabs with the same path, query and share are rendered and encoded once;
 *         at most 1,024 bytes; copied
 *  The status of a render for a stream, or of the error that it returns, determines the result:
 *    204  the stream ends; the tab stays as it is
 *    3xx  the tab goes to Location, if it is an http address (vestry_event_redirect)
 *    4xx  the content is shown; without content, or after an error with such a status, the tab reloads the page
 *    5xx  the tab keeps its content, the signal _vestry.failing is true, and the render is repeated after 1, 2, 4, … 30
 *         seconds
 *  A stream that cannot take the event of a shared page (its queue is full, or the event is too large) is ended,
 *  whatever its vestry_full_policy; the tab reconnects and gets the content.
 *  Returns  OK | INVALID (share; the reply serves a page already) | LIMIT (max_requests_bytes; counted, and answered
 *           503 with Retry-After) | NO_MEMORY | an error of the handler or of allow
 *  Threads  the handler's; renders on it */
VESTRY_API vestry_err vestry_page_serve(const vestry_request *req, vestry_reply *reply, vestry_page *page,
                                        const char *share);
/** Serve a private page: a vestry_handler_fn whose app is the page. */
VESTRY_API vestry_err vestry_page_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Depend on a topic: a refresh of it after the beginning of this render causes another render. Each render names all
 *  of its topics.
 *  topic    1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes; copied
 *  Returns  OK | INVALID | TOO_LARGE | LIMIT (VESTRY_PAGE_TOPICS_MAX; use one topic for many rows) | NO_MEMORY. After
 *           an error the render fails, whatever it returns
 *  Threads  the render's */
VESTRY_API vestry_err vestry_render_topic(vestry_render *render, const char *topic);
/** Depend on a topic that a printf format names: vestry_render_topicf(render, "room/%d", number). If a topic contains a
 *  user's text, begin it with a prefix that only such topics have, as in "tag/%s": with "%s" alone, a user could name
 *  any other topic. INVALID also for a wrong format. */
static inline vestry_err vestry_render_topicf(vestry_render *render, const char *format, ...) VESTRY_PRINTF(2, 3);
static inline vestry_err vestry_render_topicf(vestry_render *render, const char *format, ...) {
  char topic[VESTRY_PAGE_TOPIC_MAX_BYTES + 2];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(topic, sizeof topic, format, arguments);
  va_end(arguments);
  return vestry_render_topic(render, len < 0 ? NULL : topic);
}
/** Render the page or part again later, because data is missing, for example from a database that did not answer. The
 *  content of this render is shown. Renders follow after 1, 2, 4, … 30 seconds until one does not call this, and
 *  earlier when a topic is refreshed. Renders that read by vestry/data/sqlite.h or vestry/data/postgres.h do this
 *  by themselves when a read fails. No effect in a document, because its stream renders again.
 *  Threads  the render's */
VESTRY_API void vestry_render_again(vestry_render *render);
/** Set the data version of the content that follows, and check whether the tab has it. Call it after all topics and
 *  before all parts:
 *      if (vestry_render_is_current(render, version_of(room))) return VESTRY_OK;
 *  version  changes with the data. It is compared with versions of this vestry_pages only, because a counter of another
 *           process, or of this one before a restart, may stand for other data
 *  Returns  true: the tab is current; return without rendering
 *  Threads  the render's */
VESTRY_API bool vestry_render_is_current(vestry_render *render, uint64_t version);
/** Same as vestry_render_is_current for a version that is valid on all machines and after a restart: for example a
 *  number written with the data in the same transaction, or a hash of the data. Do not pass a counter that each
 *  connection to a database has for itself, such as SQLite's data_version. It is compared with versions of all pages
 *  that have the same secret. If one version stands for different data, the tab keeps old content.
 *  Threads  the render's */
VESTRY_API bool vestry_render_is_current_anywhere(vestry_render *render, uint64_t version);

/** Append the style of the banner. Call this inside the document's head. The page shows the banner while its stream is
 *  broken or its renders fail. Later style sheets can change the class vestry-banner. Without this call the banner
 *  appears at the end of the content. If vestry_reply_csp was called before, the style has the policy's nonce. Returns
 *  as vestry_html_add. */
VESTRY_API vestry_err vestry_render_head(vestry_render *render, vestry_html *html);
/** Append the start tag of the content's element. A stream discards everything before it, except the text of a title
 *  element, which becomes the document's title. Returns as vestry_html_add; INVALID also if it was called before. */
VESTRY_API vestry_err vestry_render_begin(vestry_render *render, vestry_html *html);
/** Append the end tag of the content's element and, in a document, the element that opens and supervises the stream. A
 *  stream discards everything after it. The element
 *  - retries a broken stream without end, each tab at random times;
 *  - opens a new one when the browser is online again, when the page returns from the browser's cache, and after two
 *    and a half heartbeats (heartbeat_ms of vestry_connection_options) without data;
 *  - opens a new one when the server has ended the stream, then at growing intervals, unless the server ended it by a
 *    status of 204;
 *  - uses long polls where a proxy holds back or cuts streams (docs/guide/proxies.md);
 *  - reloads the page after 401, 403 or 410, and after four responses in a row of other statuses from 400 to 499 (408,
 *    425 and 429 do not count); at most once in five minutes while no stream opens. Until then it sets the signal
 *    _vestry.failing, and tries about once a minute, when the tab is shown, and when the browser is online again;
 *  - waits until the tab is shown, if it was loaded in the background or hidden while its stream was broken;
 *  - sets the signal _vestry.offline while the stream is broken.
 *  It needs no inline style or script. A Content-Security-Policy needs only the script-src that the Datastar client
 *  itself needs (vestry/app/csp.h).
 *  Returns as vestry_html_add; INVALID also without vestry_render_begin. */
VESTRY_API vestry_err vestry_render_end(vestry_render *render, vestry_html *html);

/** A shared part of a private page, for example a list in a page that has a user's draft. It is rendered and encoded
 *  once for all pages, has separate topics, and changes without a render of the page. Zero selects the default, which
 *  is given in [brackets]. */
typedef struct vestry_page_part {
  size_t size;         /**< sizeof(vestry_page_part), or 0 */
  const char *id;      /**< id of its element, unique in the page; the same characters as the id of a page. Copied */
  const char *element; /**< name of its element ["div"]. Copied */
  const char *share; /**< key of the part, as "room/7": pages with the same render, app, id, element and share show the
                            same part. Its render sees this key (vestry_render.share) and nothing else of a page. "":
                            one part for all. Copied; at most 1,024 bytes */
  vestry_page_fn render; /**< appends the content of the element */
  void *app;             /**< passed to render; borrowed until vestry_pages_destroy */
} vestry_page_part;

/** Maximum number of parts of a page. */
#define VESTRY_PAGE_PARTS_MAX 16

/** Append a part where HTML allows an element. Nothing else may patch its element.
 *  Returns  as vestry_html_add; INVALID also outside of the content, in a part or a shared page, or for an id that the
 *           page has already | LIMIT | an error of its render
 *  Threads  the render's */
VESTRY_API vestry_err vestry_render_part(vestry_render *render, vestry_html *html, const vestry_page_part *part);

/** Refresh a topic: every page and part that depends on it renders again, also on the other nodes of a cluster that has
 *  these pages (vestry/cluster/cluster.h). The cost does not depend on their number. No change is lost: a refresh
 *  during a render, or between the document and its stream, causes another render.
 *  topic    1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes. NULL: every page
 *  ret_seq  number of this change for vestry_pages_settle; NULL: not wanted
 *  Returns  OK, also if no page depends on it | INVALID | TOO_LARGE
 *  Threads  any, renders included; takes a lock briefly */
VESTRY_API vestry_err vestry_refresh(vestry_pages *pages, const char *topic, uint64_t *ret_seq);
/** As vestry_refresh, but only the pages of this node (this process) render again: for a change that each node detects
 *  itself, or that concerns this process only. */
VESTRY_API vestry_err vestry_refresh_here(vestry_pages *pages, const char *topic, uint64_t *ret_seq);

/** Reason of a render, for operators (vestry/ops/observe.h). */
typedef enum vestry_refresh_kind {
  VESTRY_REFRESH_NONE = 0,      /**< none, or not known any more */
  VESTRY_REFRESH_FIRST,         /**< a stream began */
  VESTRY_REFRESH_SUBMISSION,    /**< a submission (an action that runs once, vestry/app/once.h) of the page itself */
  VESTRY_REFRESH_TOPIC,         /**< vestry_refresh of a topic */
  VESTRY_REFRESH_ALL,           /**< vestry_refresh of every page */
  VESTRY_REFRESH_NODE,          /**< a refresh on another node */
  VESTRY_REFRESH_TABLE,         /**< a change of a database's table */
  VESTRY_REFRESH_DATABASE_PAGE, /**< a write to a page (a block) of a database's file, if the tables are not known */
  VESTRY_REFRESH_DATABASE       /**< a change of a database, if the tables are not known */
} vestry_refresh_kind;

/** A change of data, for vestry_refresh_for. */
typedef struct vestry_change {
  size_t size;              /**< sizeof(vestry_change), or 0 */
  vestry_refresh_kind kind; /**< TABLE, DATABASE_PAGE or DATABASE */
  const char *name; /**< name of the table, or number of the file's page in digits; no text of users. Borrowed; 63 bytes
                                 of it are kept. NULL: "" */
  uint64_t at_ns;   /**< time of the change, by vestry_change_now_ns; 0: now. The change's latency counts from it
                                 (docs/guide/metrics.md) */
} vestry_change;

/** Same as vestry_refresh_here, for code that detects changes of data by itself, as that of vestry/data/sqlite.h:
 *  operators see the change instead of the topic.
 *  change   mandatory; copied
 *  Returns  as vestry_refresh; INVALID also for another kind. Threads and blocking as there */
VESTRY_API vestry_err vestry_refresh_for(vestry_pages *pages, const char *topic, const vestry_change *change,
                                         uint64_t *ret_seq);
/** Get the time for vestry_change.at_ns of a change that is refreshed later.
 *  Returns  ns of the host's clock; 0 without an observer (vestry/ops/observe.h): no clock is read
 *  Threads  any; takes no lock */
VESTRY_API uint64_t vestry_change_now_ns(const vestry_pages *pages);
/** Refresh a topic that a printf format names: vestry_refreshf(pages, NULL, "room/%d", number). INVALID also for a
 *  wrong format. */
static inline vestry_err vestry_refreshf(vestry_pages *pages, uint64_t *ret_seq, const char *format, ...)
    VESTRY_PRINTF(3, 4);
static inline vestry_err vestry_refreshf(vestry_pages *pages, uint64_t *ret_seq, const char *format, ...) {
  char topic[VESTRY_PAGE_TOPIC_MAX_BYTES + 2];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(topic, sizeof topic, format, arguments);
  va_end(arguments);
  return len < 0 ? VESTRY_INVALID : vestry_refresh(pages, topic, ret_seq);
}

/** Count the private pages, shared pages and parts that depend on a topic: a refresh renders this many. Running renders
 *  may add to them.
 *  ret_is_used  whether a page depends on the topic, or a running render has named it. Code that generates topics, and
 *               stores which data each of them stands for, can forget a topic if this is false. While renders run, it
 *               may be true for an unused topic. NULL: not wanted
 *  Threads  any; takes a lock briefly */
VESTRY_API size_t vestry_topic_fragments(vestry_pages *pages, const char *topic, bool *ret_is_used);

/** An observer of renders, which records their dependencies. (The observer of vestry/ops/observe.h is unrelated.) begin
 *  and end are called on the render's thread, around allow, topics and the handler. For streams, a part is rendered
 *  separately, with a begin and an end around its render function. They are not called for a document and the parts in
 *  it, because its stream renders again when it begins. */
typedef struct vestry_render_observer {
  size_t size;                                     /**< sizeof(vestry_render_observer), or 0 */
  void (*begin)(vestry_render *render, void *ctx); /**< may call everything that a render may */
  void (*end)(vestry_render *render, void *ctx);   /**< once for each begin, also after a failure; likewise */
  void *ctx;
  /** Refresh every topic whose data has changed until now. Called after a submission (vestry/app/once.h). If all
   *  observers return true, only the fragments of the page (its content and its parts) that depend on refreshed topics
   *  are rendered. Return false if a change may have been missed; then all of them are rendered. Called on a thread of
   *  the pages, outside of a render; may block. NULL: as if it returned false */
  bool (*settle)(void *ctx);
} vestry_render_observer;

/** Maximum number of observers of one vestry_pages. */
#define VESTRY_RENDER_OBSERVERS_MAX 4

/** Add an observer, from the next render on. The first observer begins first and ends last.
 *  observer  copied; its ctx identifies it
 *  Returns  OK | INVALID (a function is missing) | EXISTS (an observer with that ctx) | LIMIT
 *  Threads  any */
VESTRY_API vestry_err vestry_pages_observe(vestry_pages *pages, const vestry_render_observer *observer);
/** Remove an observer. After the return none of its functions runs or will be called.
 *  Returns  OK | NOT_FOUND
 *  Threads  any but a render's; waits for running renders */
VESTRY_API vestry_err vestry_pages_unobserve(vestry_pages *pages, const void *ctx);

/** Wait until every page is rendered for all changes up to seq and the results are written to the streams. For tests.
 *  On a runtime without threads (VESTRY_THREADS_NONE) it steps that runtime, and ignores intervals.
 *  Returns  OK | TIMEOUT (on a runtime without threads: a stream cannot be written, or a render fails)
 *  Threads  any but a render's; blocks */
VESTRY_API vestry_err vestry_pages_settle(vestry_pages *pages, uint64_t seq, uint64_t timeout_ms);

/** Counters since vestry_pages_create, and current sizes. streams_opened_count = streams_count + streams_closed_count;
 *  renders_count = changed_count + unchanged_count + current_count + failed_count + dropped_count. */
typedef struct vestry_pages_stats {
  size_t size; /**< sizeof(vestry_pages_stats), or 0 */
  uint64_t streams_opened_count, streams_closed_count;
  size_t streams_count;
  size_t fragments_count;   /**< fragments, the units that are rendered: private pages, shared pages and parts, each
                                 once for all its streams */
  size_t topics_count;      /**< topics that a page depends on */
  uint64_t refreshes_count; /**< calls of vestry_refresh and its like, of topics and of all pages */
  uint64_t documents_count; /**< documents served */
  uint64_t renders_count;   /**< renders for streams */
  uint64_t changed_count;   /**< renders with new content, which was sent */
  uint64_t unchanged_count; /**< renders with the same content */
  uint64_t current_count;   /**< renders that ended because the version was the same */
  uint64_t failed_count;    /**< renders that ended with an error or a status of 5xx */
  uint64_t dropped_count;   /**< renders whose streams had ended, or that redirected or ended them */
  uint64_t unsent_count;    /**< changed renders that a stream could not take; it gets the content later */
  uint64_t postponed_count; /**< renders postponed because the last event was not written yet */
  size_t kept_bytes;        /**< current size of kept contents */
  uint64_t kept_dropped_count;
  size_t requests_bytes;           /**< current size of the copied requests */
  uint64_t requests_refused_count; /**< streams answered 503, and parts not shown, because of max_requests_bytes */
  uint64_t long_polls_count;       /**< long polls among the opened streams (docs/guide/proxies.md) */
  uint64_t long_polls_brief_count; /**< long polls that ended early because 3/4 of the server's streams were in use
                                        (vestry_request_ops.room) */
} vestry_pages_stats;

/** Get a snapshot of the counters. Threads any; takes a lock briefly. */
VESTRY_API void vestry_pages_stats_get(vestry_pages *pages, vestry_pages_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
