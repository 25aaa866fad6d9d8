/* SPDX-License-Identifier: MIT */
/** Live pages: one function renders a document, and renders its content again for each open tab when the data changes.
 *  docs/guide/pages.md has the rules, docs/guide/address.md explains navigation within a document.
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

/** The pages of an instance, their topics, and the threads that render them. */
typedef struct vestry_pages vestry_pages;
/** A page: a function that renders it for all values of the parameters in its path. */
typedef struct vestry_page vestry_page;
/** A render: one call of the function that renders a page or a part. Read only; borrowed, valid during the render. Its
 *  result is a fragment: the content of a private page for one stream, the content of a shared page, or a part. */
typedef struct vestry_render {
  /** The request of the document; for a stream, a copy of the request that opened the stream. The copy has path, query,
   *  scope, user, the signals of that time, the headers that name a user (vestry_request_header), and Host,
   *  Accept-Language, User-Agent, Referer, X-Forwarded-For, -Proto, -Host and X-Request-Id. Its method is GET, and it
   *  has no body. In the render of a shared page the request has only path and query, so that one user's data cannot be
   *  sent to others. NULL in a part. */
  const vestry_request *request;
  vestry_reply *reply; /**< for a status, a redirect, headers and cookies; for a stream only the status and Location are
                            used. NULL in a part */
  const char *share;   /**< the share key (vestry_page_serve, vestry_page_part). Streams with the same page, path, query
                            and share key share one render. NULL: a private page, which is rendered for each stream
                            separately */
  bool is_stream;      /**< the render is for a stream, not for a document */
  struct vsi_render *own; /**< internal */
} vestry_render;

/** Maximum length of a topic in bytes. */
#define VESTRY_PAGE_TOPIC_MAX_BYTES ((size_t)1024)
/** Maximum number of calls of vestry_render_topic in one render of a page or a part. */
#define VESTRY_PAGE_TOPICS_MAX ((size_t)4096)

/** Options of pages. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_pages_options {
  uint32_t threads_count; /**< number of render threads [2]; at most 256. From 2 to 255, one more renders while a render
                               takes longer than 10 ms. Threads that serve requests render, too, each one at a time */
  uint32_t interval_ms;   /**< minimum time between the starts of two renders of one page [15]; at most 60,000. After
                               a pause a change is rendered at once. All changes within the interval are rendered
                               together at its end, so the newest content is always sent */
  size_t max_kept_bytes;  /**< maximum size of kept contents [64 MiB]. vestry keeps the last event of each fragment, so
                               that a change is compressed as the difference from it, and hashes of the elements of its
                               content. Beyond this size the content that changed longest ago is dropped, and the next
                               change of that fragment is sent whole. At most a quarter of it is used for parts that
                               no page shows; these are kept for a minute, so that a page that shows one again needs
                               no render of it */
  const char *build;      /**< version of the application. A tab whose document came from another version reloads its
                               page once, within reload_ms. NULL: tabs do not reload. Copied */
  uint32_t reload_ms;     /**< time over which the reloads for a new build are spread [5,000]; at most 3,600,000 */
  uint32_t retry_ms;      /**< a broken stream is reopened after a random time between this and twice this [1,000]; at
                               most 3,600,000. Each failed attempt doubles the time, up to 10 s */
  const void *secret; /**< key of the state tags. A state tag is an event id that contains a keyed hash of the content
                           that the tab shows. A tab that reconnects sends its tag, and receives content only if it has
                           changed. Use the same secret on all machines and after a restart; under another secret the
                           tab receives the whole content. NULL: derived from the secret of the cluster that has these
                           pages (vestry/cluster/cluster.h); without a cluster from that of the instance
                           (vestry/app/secret.h); random without both. Copied */
  size_t secret_len;  /**< length of the secret */
  const char *offline_text;  /**< text of the banner (vestry_render_head) shown while the stream is broken ["Offline.
                                  Trying again…"]. Copied */
  const char *failing_text;  /**< text of the banner shown while renders fail or the server rejects the stream ["This
                                  page cannot be updated at the moment."]. Copied */
  vestry_runtime *runtime;   /**< renders pages; borrowed. NULL: a runtime of threads_count threads; for an instance
                                  without threads (VESTRY_THREADS_NONE, vestry/runtime.h), the runtime of that
                                  instance */
  size_t max_requests_bytes; /**< maximum size of the request copies of all streams (vestry_render.request) [256 MiB]. A
                                  copy takes some 100 bytes plus its headers, of which cookies are the largest. Beyond
                                  the maximum a request for a stream gets 503 with Retry-After, and the tab tries again;
                                  documents are still served */
} vestry_pages_options;

/** Create the pages of an instance.
 *  v          borrowed until vestry_pages_destroy
 *  options    NULL: the defaults; copied
 *  ret_pages  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | IO (no thread, no randomness)
 *  Threads  any */
VESTRY_API vestry_err vestry_pages_create(struct vestry *v, const vestry_pages_options *options,
                                          vestry_pages **ret_pages);
/** Destroy pages, before vestry_destroy, and after vestry_stop or when no handler serves a page any more. Open streams
 *  stay open, but their content is not rendered again. NULL is accepted.
 *  Threads  any but a render's; waits for running renders */
VESTRY_API void vestry_pages_destroy(vestry_pages *pages);
/** Get the instance of pages, borrowed. Threads any. */
VESTRY_API struct vestry *vestry_pages_instance(const vestry_pages *pages);

/** Append a page's document to html. Called on the serving thread for a document, and for streams on a render thread,
 *  or, if the last render was quick, on the serving thread of an act that has changed the content; calls for one stream
 *  never overlap, calls for different streams may. May block, but its thread renders no other page meanwhile.
 *  Returns  OK | any error. A document is answered as for an error of a vestry_handler_fn; for a stream see
 *           vestry_page_serve */
typedef vestry_err (*vestry_page_fn)(vestry_render *render, vestry_html *html, void *app);
/** Check whether a request may see a page. Called before each render of the page and of its parts, so that a revoked
 *  right ends the stream.
 *      return is_member(app, vestry_session_user(req)) ? VESTRY_OK : VESTRY_FAILED;
 *  Returns  OK | FAILED: the request may not see the page. A document gets 403: the application's error page, or a
 *           sentence. A request for a stream gets 403, and its tab reloads the page, as does the tab of an open stream
 *           | an error whose status is below 500 (vestry_handler_fn), such as NOT_FOUND: as FAILED, but the document is
 *           answered with that error | any other error: the check itself has failed, for example because no connection
 *           to the database is free (LIMIT). A document is answered with the error; a tab keeps its content until a
 *           later check succeeds */
typedef vestry_err (*vestry_page_allow_fn)(const vestry_request *req, void *app);

/** Name the topics of a page, by vestry_render_topic. Called before the page's render or handler. Returns as
 *  vestry_page_fn. */
typedef vestry_err (*vestry_page_topics_fn)(vestry_render *render, void *app);

/** Options of a page. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_page_options {
  vestry_page_fn render;        /**< appends the document and marks its content */
  vestry_handler_fn handler;    /**< instead of render: an ordinary handler, which answers with a whole document. The
                                     page's content is the element of this document whose id is `id` */
  vestry_page_topics_fn topics; /**< names topics in addition to render. NULL: only the topics that render names; with a
                                     handler, the path of the request is the topic */
  vestry_page_allow_fn allow;   /**< [every request may see the page] */
  void *app;                    /**< passed to these functions */
  const char *id;      /**< id of the content's element ["content"]: a letter, followed by letters, digits, '-' and '_';
                            at most 128 bytes. Copied */
  const char *element; /**< name of the content's element ["main"]: the same characters, at most 32. Copied */
  /** JavaScript regular expression ["^tabId$": vestry/app/tab.h]. Signals whose paths match are sent in the URL of the
   *  request that opens the stream. Exclude text that users write, because a long URL gets 414. Copied */
  const char *signals;
  vestry_when_hidden when_hidden; /**< [the stream is closed while its tab is hidden] */
  const char *layout; /**< name of the layout, the document around the content [none]; the same characters as an id. If
                           two pages have the same layout, element and id, a link or form between them that is marked
                           data-navigate replaces only the content (docs/guide/address.md). Other links load a document.
                           Copied */
  bool sends_whole;   /**< each change sends the whole content [only the elements with an id that have changed
                           (docs/guide/pages.md)] */
} vestry_page_options;

/** Create a page.
 *  ret_page  owned by pages; untouched on failure
 *  Returns  OK | INVALID (render and handler: neither or both; id, element, layout) | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_page_create(vestry_pages *pages, const vestry_page_options *options,
                                         vestry_page **ret_page);

/** Serve a page: answer an ordinary request with a document, and a request of the Datastar client with a stream. Before
 *  this call, the caller may set a key, presence, hooks, data and bounds of the stream in the reply.
 *  share  share key: a change is rendered and encoded once for all tabs with the same path, query and share. At most
 *         1,024 bytes; copied. NULL: a private page
 *  The status that a render for a stream sets, or the status of the error that it returns, has these effects:
 *    204  the stream ends; the tab stays as it is
 *    3xx  the tab goes to Location, if it is an http address (vestry_event_effect)
 *    4xx  the content is shown; without content, or if the status comes from an error, the tab reloads the page
 *    5xx  the tab keeps its content, the signal _vestry.failing is true, and the render is repeated after 1, 2, 4, … 30
 *         seconds
 *  If a stream cannot take the event of a shared page (its queue is full, or the event is too large), the stream is
 *  closed, under every vestry_full_policy; the tab reconnects and receives the content.
 *  Returns  OK | INVALID (share; the reply serves a page already) | LIMIT (max_requests_bytes; counted, and answered
 *           503 with Retry-After) | NO_MEMORY | an error of the handler or of allow
 *  Threads  the handler's; renders on it */
VESTRY_API vestry_err vestry_page_serve(const vestry_request *req, vestry_reply *reply, vestry_page *page,
                                        const char *share);
/** Serve a private page: a vestry_handler_fn whose app is the page. */
VESTRY_API vestry_err vestry_page_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Depend on a topic: if the topic is refreshed after this render has begun, the page or part is rendered again. Each
 *  render must name all its topics.
 *  topic    1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes; copied
 *  Returns  OK | INVALID | TOO_LARGE | LIMIT (VESTRY_PAGE_TOPICS_MAX; use one topic for many rows) | NO_MEMORY. After
 *           an error the render fails, even if it returns OK
 *  Threads  the render's */
VESTRY_API vestry_err vestry_render_topic(vestry_render *render, const char *topic);
/** Depend on a topic given by a printf format: vestry_render_topicf(render, "room/%d", number). If a topic contains a
 *  user's text, begin it with a prefix that only such topics have, as in "tag/%s": with "%s" alone, a user could name
 *  any other topic. Returns as vestry_render_topic; INVALID also for a wrong format. */
static inline vestry_err vestry_render_topicf(vestry_render *render, const char *format, ...) VESTRY_PRINTF(2, 3);
static inline vestry_err vestry_render_topicf(vestry_render *render, const char *format, ...) {
  char topic[VESTRY_PAGE_TOPIC_MAX_BYTES + 2];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(topic, sizeof topic, format, arguments);
  va_end(arguments);
  return vestry_render_topic(render, len < 0 ? NULL : topic);
}
/** Render the page or part again later, because data is missing, for example because the database did not respond. The
 *  content of this render is shown. The next renders begin after 1, 2, 4, … 30 seconds, or earlier if a topic is
 *  refreshed, until a render does not call this. If a read by vestry/data/sqlite.h or vestry/data/postgres.h fails in a
 *  render, this is called automatically. No effect for a document, because its stream begins with another render.
 *  Threads  the render's */
VESTRY_API void vestry_render_again(vestry_render *render);
/** Set the data version of the content that follows, and check whether the tab has it. Call it once, after all topics
 *  and before vestry_render_begin:
 *      if (vestry_render_is_current(render, version_of(room))) return VESTRY_OK;
 *  version  must change with the data. It is compared only with versions from this vestry_pages, because a counter of
 *           another process, or of this process before a restart, may stand for other data
 *  Returns  true: the tab is current; return without rendering | false: render. Always false in a part
 *  Threads  the render's */
VESTRY_API bool vestry_render_is_current(vestry_render *render, uint64_t version);
/** Same as vestry_render_is_current for a version that is valid on all machines and after a restart: for example a
 *  number written with the data in the same transaction, or a hash of the data. Do not pass a counter that each
 *  connection to a database has for itself, such as SQLite's data_version. It is compared with versions of all pages
 *  that have the same secret. If the same version stands for different data, the tab keeps old content.
 *  Threads  the render's */
VESTRY_API bool vestry_render_is_current_anywhere(vestry_render *render, uint64_t version);

/** Append the style of the banner, inside the document's head. The page shows the banner while its stream is broken or
 *  its renders fail. Later style sheets can change the class vestry-banner. Without this call the banner appears
 *  unstyled at the end of the content. If vestry_reply_csp was called before, the style has the policy's nonce. A
 *  render for a stream gets no style, because only its content is sent. Returns as vestry_html_add. */
VESTRY_API vestry_err vestry_render_head(vestry_render *render, vestry_html *html);
/** Append the start tag of the content's element. In a render for a stream, everything before it is discarded.
 *  Exception: if the page has a layout (vestry_page_options.layout), the text of a title element becomes the document's
 *  title. Returns as vestry_html_add; INVALID also if this was called before in the same render. */
VESTRY_API vestry_err vestry_render_begin(vestry_render *render, vestry_html *html);
/** Append the end tag of the content's element and, in a document, the element that opens and supervises the stream. In
 *  a render for a stream, everything after it is discarded. The element
 *  - reopens a broken stream, without a limit of attempts, at random times;
 *  - opens a new stream when the browser is online again, when the page returns from the browser's back/forward cache,
 *    and after two and a half heartbeats (heartbeat_ms of vestry_connection_options) without data;
 *  - reopens a stream that the server has ended, at growing intervals, unless the status was 204;
 *  - uses long polls where a proxy holds back or cuts streams (docs/guide/proxies.md);
 *  - reloads the page after 401, 403 or 410, and after the fourth successive response with another status from 400 to
 *    499, except 408, 425 and 429. While no stream opens, it reloads at most once in five minutes; in between it sets
 *    the signal _vestry.failing, and tries to open the stream about once a minute, when the tab is shown, and when the
 *    browser is online again;
 *  - opens no stream in a tab that was loaded in the background, or hidden while its stream was broken, until the tab
 *    is shown;
 *  - sets the signal _vestry.offline while the stream is broken.
 *  It needs no inline style or script. A Content-Security-Policy needs only the script-src that the Datastar client
 *  itself needs (vestry/app/csp.h).
 *  Returns as vestry_html_add; INVALID also without vestry_render_begin. */
VESTRY_API vestry_err vestry_render_end(vestry_render *render, vestry_html *html);

/** A part: a shared fragment in a private page, for example a list in a page that also has a user's draft. A part has
 *  separate topics. When one is refreshed, the part is rendered and encoded once for all pages that contain it, and
 *  these pages are not rendered. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_page_part {
  const char *id;      /**< id of the part's element, unique in the page; the same characters as the id of a page.
                            Copied */
  const char *element; /**< name of the part's element ["div"]. Copied */
  const char *share; /**< share key of the part, for example "room/7": pages that pass the same render, app, id, element
                          and share contain the same part. The part's render gets this key (vestry_render.share) and no
                          other data of a page. "": one part for all pages. Copied; at most 1,024 bytes */
  vestry_page_fn render; /**< appends the content of the element */
  void *app;             /**< passed to render; borrowed until vestry_pages_destroy */
  /** More attributes of the element, as HTML: inserted into its start tag as by %-s, for example "class=\"log\"
   *  role=\"log\"" [none]. They belong to the page, not to the part: two pages may give the same part different
   *  ones. A tab keeps those with which the element came; another id brings others. Borrowed for the call */
  const char *attributes;
} vestry_page_part;

/** Maximum number of parts of a page. */
#define VESTRY_PAGE_PARTS_MAX 16

/** Append a part: an element with its content. HTML must allow an element at this place. The application must not patch
 *  the part's element.
 *  Returns  as vestry_html_add; INVALID also outside of the content, in a part or a shared page, or for an id that the
 *           page has already | LIMIT (VESTRY_PAGE_PARTS_MAX) | the error of the part's render
 *  Threads  the render's */
VESTRY_API vestry_err vestry_render_part(vestry_render *render, vestry_html *html, const vestry_page_part *part);

/** Refresh a topic: every page and part that depends on it is rendered again, also on the other nodes of a cluster that
 *  has these pages (vestry/cluster/cluster.h). The cost of the call does not depend on the number of pages. No change
 *  is lost: a refresh during a render, or between a document and its stream, causes another render.
 *  topic    1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes. NULL: every page
 *  ret_seq  number of this change for vestry_pages_settle; NULL: not wanted
 *  Returns  OK, also if no page depends on it | INVALID | TOO_LARGE
 *  Threads  any, renders included; takes a lock briefly */
VESTRY_API vestry_err vestry_refresh(vestry_pages *pages, const char *topic, uint64_t *ret_seq);
/** Refresh a topic on this node (this process) only: for a change that each node detects itself, or that concerns only
 *  this process. Otherwise as vestry_refresh. */
VESTRY_API vestry_err vestry_refresh_here(vestry_pages *pages, const char *topic, uint64_t *ret_seq);

/** Reason of a render, for operators (vestry/ops/observe.h). */
typedef enum vestry_refresh_kind {
  VESTRY_REFRESH_NONE = 0,      /**< no refresh, or the reason is not known any more */
  VESTRY_REFRESH_FIRST,         /**< a stream began */
  VESTRY_REFRESH_SUBMISSION,    /**< a submission (vestry/app/once.h) from the same page */
  VESTRY_REFRESH_TOPIC,         /**< vestry_refresh of a topic */
  VESTRY_REFRESH_ALL,           /**< vestry_refresh of every page */
  VESTRY_REFRESH_NODE,          /**< a refresh on another node */
  VESTRY_REFRESH_TABLE,         /**< a change of a database's table */
  VESTRY_REFRESH_DATABASE_PAGE, /**< a write to a file page (a block of a database file), if the tables are not known */
  VESTRY_REFRESH_DATABASE       /**< a change of a database, if the tables are not known */
} vestry_refresh_kind;

/** A change of data, for vestry_refresh_for. */
typedef struct vestry_change {
  vestry_refresh_kind kind; /**< TABLE, DATABASE_PAGE or DATABASE */
  const char *name; /**< name of the table, or decimal number of the file page; must not contain text of users. The
                         first 63 bytes are copied. NULL: "" */
  uint64_t at_ns;   /**< time of the change, from vestry_change_now_ns, at which its latency begins
                         (docs/guide/metrics.md); 0: now */
} vestry_change;

/** Same as vestry_refresh_here, for code that detects changes of data, such as vestry/data/sqlite.h: operators see the
 *  change instead of the topic.
 *  change   mandatory; copied
 *  Returns  as vestry_refresh; INVALID also for another kind. Threads as vestry_refresh */
VESTRY_API vestry_err vestry_refresh_for(vestry_pages *pages, const char *topic, const vestry_change *change,
                                         uint64_t *ret_seq);
/** Get the time for vestry_change.at_ns of a change that is refreshed later.
 *  Returns  nanoseconds of the host's clock; 0 without an observer (vestry/ops/observe.h), so that no clock is read
 *  Threads  any; takes no lock */
VESTRY_API uint64_t vestry_change_now_ns(const vestry_pages *pages);
/** Refresh a topic given by a printf format: vestry_refreshf(pages, NULL, "room/%d", number). Returns as
 *  vestry_refresh; INVALID also for a wrong format. */
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

/** Count the fragments (private pages, shared pages and parts) that depend on a topic: a refresh renders this number.
 *  Running renders may still increase it.
 *  ret_is_used  whether a page depends on the topic, or a running render has named it. If this is false, code that
 *               generates topics and stores their meaning can drop the topic. While renders run, it may be true for an
 *               unused topic. NULL: not wanted
 *  Threads  any; takes a lock briefly */
VESTRY_API size_t vestry_topic_fragments(vestry_pages *pages, const char *topic, bool *ret_is_used);

/** An observer of renders, for example one that records the data that a render reads. (The observer of
 *  vestry/ops/observe.h is unrelated.) begin and end are called on the render's thread, around allow, topics and the
 *  render or handler of a page, and around the render of a part. They are not called for a document and its parts,
 *  because the document's stream begins with another render. */
typedef struct vestry_render_observer {
  void (*begin)(vestry_render *render, void *ctx); /**< may call every function that a render may call */
  void (*end)(vestry_render *render, void *ctx);   /**< called once for each begin, also after a failure; may call the
                                                        same functions */
  void *ctx;
  /** Refresh every topic whose data has changed until now. Called after a submission (vestry/app/once.h) from a page.
   *  If all observers return true, only the fragments of this page (its content and its parts) that depend on refreshed
   *  topics are rendered. Return false if a change may have been missed; then all fragments of the page are rendered.
   *  Called on a thread of the pages, outside of a render; may block. NULL: as if it returned false */
  bool (*settle)(void *ctx);
} vestry_render_observer;

/** Maximum number of observers of one vestry_pages. */
#define VESTRY_RENDER_OBSERVERS_MAX 4

/** Add an observer, from the next render on. begin is called in the order in which observers were added, end in the
 *  reverse order.
 *  observer  copied; its ctx identifies it
 *  Returns  OK | INVALID (a function is missing) | EXISTS (an observer with that ctx) | LIMIT
 *  Threads  any */
VESTRY_API vestry_err vestry_pages_observe(vestry_pages *pages, const vestry_render_observer *observer);
/** Remove an observer. After this returns none of its functions runs or will be called.
 *  Returns  OK | NOT_FOUND
 *  Threads  any but a render's; waits for running renders */
VESTRY_API vestry_err vestry_pages_unobserve(vestry_pages *pages, const void *ctx);

/** Wait until the pages are rendered for all changes up to seq, and the results are written to the streams. For tests.
 *  On a runtime without threads (VESTRY_THREADS_NONE), this runs the runtime's jobs on the calling thread and ignores
 *  intervals.
 *  Returns  OK | TIMEOUT (on a runtime without threads also if a stream cannot be written, or a render fails)
 *  Threads  any but a render's; blocks */
VESTRY_API vestry_err vestry_pages_settle(vestry_pages *pages, uint64_t seq, uint64_t timeout_ms);

/** Counters since vestry_pages_create, and current sizes. streams_opened_count = streams_count + streams_closed_count;
 *  renders_count = changed_count + unchanged_count + current_count + failed_count + dropped_count. */
typedef struct vestry_pages_stats {
  uint64_t streams_opened_count, streams_closed_count;
  size_t streams_count;
  size_t fragments_count;   /**< private pages (one for each stream), shared pages and parts that a stream shows */
  size_t topics_count;      /**< topics that a page or a kept part depends on */
  uint64_t refreshes_count; /**< refreshes of a topic or of all pages */
  uint64_t documents_count; /**< documents served */
  uint64_t renders_count;   /**< renders for streams */
  uint64_t changed_count;   /**< renders with new content, whether it was sent or not (unsent_count) */
  uint64_t unchanged_count; /**< renders with the same content */
  uint64_t current_count;   /**< renders that ended because the tab had the same version */
  uint64_t failed_count;    /**< renders that ended with an error or a status of 5xx */
  uint64_t dropped_count;   /**< renders that ended or redirected their streams, or made their tabs reload */
  uint64_t unsent_count;    /**< times that a stream could not take a changed content; the stream receives the content
                                 later */
  uint64_t postponed_count; /**< renders postponed because the last event was not written yet */
  size_t kept_bytes;        /**< current size of kept contents */
  uint64_t kept_dropped_count;     /**< kept contents dropped because of max_kept_bytes */
  size_t requests_bytes;           /**< current size of the request copies */
  uint64_t requests_refused_count; /**< streams that got 503, and parts that were not shown, because of
                                        max_requests_bytes */
  uint64_t long_polls_count;       /**< long polls among the opened streams (docs/guide/proxies.md) */
  uint64_t long_polls_brief_count; /**< long polls that ended early because 3/4 of the server's streams were in use
                                        (vestry_request_ops.room) */
  uint64_t patched_count; /**< contents of which only the elements that changed were sent, among changed_count */
} vestry_pages_stats;

/** Get a snapshot of the counters. Threads any; takes a lock briefly. */
VESTRY_API void vestry_pages_stats_get(vestry_pages *pages, vestry_pages_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
