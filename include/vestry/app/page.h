/* SPDX-License-Identifier: MIT */
/** Live pages: an ordinary handler makes a page, and every open tab of it is kept up to date.
 *
 *      static vestry_err room(vestry_render *render, vestry_html *html, void *app) {
 *        vestry_render_topic(render, "room/7");              // what this depends on
 *        vestry_html_add(html, "<!doctype html><title>Room</title>");
 *        vestry_render_head(render, html);
 *        vestry_render_begin(render, html);                  // <main id="content">
 *        list_messages(app, html);
 *        vestry_render_end(render, html);                    // </main>, and what opens the page's stream
 *        return VESTRY_OK;
 *      }
 *
 *      vestry_pages_create(v, NULL, &pages);
 *      vestry_page_create(pages, &(vestry_page_options){.render = room, .app = &app}, &page);
 *      vestry_route(v, "GET", "/room/7", vestry_page_handler, page);
 *
 *      add_message(app, text);
 *      vestry_refresh(pages, "room/7", NULL);                // from anywhere: all tabs that show it render again
 *
 *  The same function makes the document and, in the page's stream, its content again: on a render thread, from the
 *  request that opened the stream, once a topic was refreshed that the page depends on. The new content is compared
 *  with the content that the tab has: the same content costs no byte; other content is sent as a morph of the content's
 *  element.
 *
 *  No change is lost. What is refreshed while a page renders, or between the document and its stream, renders it again.
 *  Renders of one page are at least interval_ms apart, the first at once and the last one always; a page whose last
 *  event has not been written waits until it is.
 *
 *  A page is private unless it is served with a share key: then all tabs with the same path, query and key are rendered
 *  once, and their event is encoded once (vestry/channel.h). A shared render sees path and query, but no cookie, scope,
 *  user or signal: so it can leak none. A private page can have parts that are shared, see vestry_render_part.
 *
 *  Opening, hiding, showing or losing the stream of an unchanged page sends no content: each event's id says what the
 *  tab then has, and the client sends it along (Last-Event-ID). The id after a part's event says only what that part
 *  is: a tab that comes back with it is sent the page's content, and the parts but that one. An example: a page P has
 *  the parts A and B. After P's event the id says what P, A and B are: a tab that comes back with it is sent nothing.
 *  Then A changes: the id after its event says what A is. A tab that comes back with that id, to a node that does not
 *  know its stream, is sent P and B.
 *
 *  That holds at any machine that has the same secret, as all nodes of a cluster have, and after a restart with it. An
 *  id says what the content is, by a hash of 128 bits of it: where the content is equal nothing is sent, wherever it
 *  was made. It says of which build the page was: another one has the tab load its page anew. And it says of which
 *  version the data were, if the application knows: a number of a process is known in that process alone, one that
 *  means the same everywhere (vestry_render_is_current_anywhere) on all machines. Only the node that served a stream
 *  knows its last event: a tab that comes to another node with the id of a part is sent the page's content and its
 *  other parts.
 *
 *  A page with a layout changes its address within its document. Links and forms (method GET) are marked:
 *
 *      <a href="/birds?page=2" data-navigate>                 // an entry of the history; ="replace": in its place
 *      <form action="/birds" data-navigate><input name="q" data-navigate></form>   // also while one types into q
 *
 *  The tab changes its address, opens its stream there, and content that differs is morphed: the render finds path and
 *  query in its request, as that of the document does. Back and forward do the same, and each entry is scrolled to
 *  where it was. What differs from another document: the tab and its id, signals, and all that is outside of the
 *  content stay. The text of the title element in front of the content, which a render writes in a stream as in a
 *  document, becomes the document's title; a screen reader says it. If the element with the focus is gone, the content
 *  gets the focus. The window has the event vestry-navigated then. The answer of another layout, of what is no page,
 *  a redirect and a status of 400 to 499 are loaded plainly; so are links with a target, download or another origin,
 *  and those that are clicked with a key or another button. A link within the page is the browser's. Without a
 *  script all of them are plain links and forms. From the server: vestry_event_navigate.
 *
 *  A stream that cannot take what others share with it (its queue is full, or the event is larger than it may hold) is
 *  ended, whatever its policy: the tab comes back, and is sent what it lacks. */
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
/** One page: a handler, whatever its path's parameters. */
typedef struct vestry_page vestry_page;
/** One call of a page's handler: what it is for, to be read and not to be written. All of it is borrowed and valid
 *  during the render. */
typedef struct vestry_render {
  /** Of the document, or in a stream the copy of the request that opened it. The copy has its path and query, the
   *  signals that it was sent with (those of then), its scope and its user. Its method is GET, it has no body, and of
   *  headers Cookie, Authorization, Host, Accept-Language, User-Agent, Referer, X-Forwarded-For, -Proto, -Host, -User
   *  and -Email, X-Request-Id and X-Remote-User: others are NULL there, though a document's render has them. In a
   *  shared render it has path and query, and no signals, headers, scope or user. NULL in a part. */
  const vestry_request *request;
  vestry_reply *reply; /**< for a status, a redirect, headers and cookies; in a stream, status and Location are looked
                               at, all else is dropped. NULL in a part */
  const char *share;   /**< the share key; NULL: a private page */
  bool is_stream;      /**< it is for a stream, and not for a document */
  struct vsi_render *own; /**< the library's */
} vestry_render;

/** A topic has at most so many bytes. */
#define VESTRY_PAGE_TOPIC_MAX_BYTES ((size_t)1024)
/** A render names at most so many topics, and so does a part's; the same one twice counts twice. */
#define VESTRY_PAGE_TOPICS_MAX ((size_t)4096)

/** How pages are kept. Zero is the default, in brackets. */
typedef struct vestry_pages_options {
  size_t size;            /**< sizeof(vestry_pages_options), or 0 */
  uint32_t threads_count; /**< that render [2]; at most 256. Each handler that waits for a database holds one */
  uint32_t interval_ms;   /**< between two renders of one page, from start to start [15]; at most 60,000 */
  size_t max_kept_bytes;  /**< of contents that are kept so that changes are encoded against them [64 MiB]. Beyond it
                               the one that changed longest ago is dropped: its next change goes out whole */
  const char *build;  /**< the application's version: a tab that was served by another one loads its page anew, once,
                               within reload_ms. NULL: tabs stay. Copied */
  uint32_t reload_ms; /**< over which such tabs are spread [5,000] */
  uint32_t retry_ms;  /**< a stream that breaks is opened again after this long up to twice that, each tab has a time
                               of its own [1,000] */
  const void *secret; /**< what state tags are hashed with: the same on all machines, and after a restart, if they
                               are to be known there. NULL: that of the cluster that has these pages
                               (vestry/cluster/cluster.h), made of its secret; random, if there is none. Copied */
  size_t secret_len;
  const char *offline_text;  /**< of the banner ["Offline. Trying again…"]. Copied */
  const char *failing_text;  /**< likewise ["This page cannot be brought up to date just now."]. Copied */
  vestry_runtime *runtime;   /**< on which pages render, borrowed. NULL: one of their own with threads_count threads; a
                                stepped instance's own (tests) */
  size_t max_requests_bytes; /**< of the copied requests that pages are rendered from [256 MiB]: some 100 bytes each,
                                  and what the client says of itself, its cookies above all. (Requests that are being
                                  served: vestry_bounds.max_request_bytes.) Beyond it a stream is answered 503 with
                                  Retry-After, and the tab tries again; documents are served all the same */
} vestry_pages_options;

/** Create them.
 *  v          borrowed; must not be destroyed before
 *  options    NULL: the defaults; copied
 *  ret_pages  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | IO (no thread, no randomness)
 *  Threads  any */
VESTRY_API vestry_err vestry_pages_create(struct vestry *v, const vestry_pages_options *options,
                                          vestry_pages **ret_pages);
/** End them, and free pages. Streams that are open stay, and are rendered no more. After vestry_stop, or once no
 *  handler serves a page any more; before vestry_destroy. NULL is accepted.
 *  Threads  not from a render; waits for those that run */
VESTRY_API void vestry_pages_destroy(vestry_pages *pages);
/** The instance that they are pages of. Threads any. */
VESTRY_API struct vestry *vestry_pages_instance(const vestry_pages *pages);

/** Makes a page: appends the document to html. On the server's thread for the document, on a render thread for the
 *  stream; never twice at once for one stream, but for several. May block: it holds up the pages of its thread's turn,
 *  and nothing else.
 *  Returns  OK, or an error, which is answered as that of a vestry_handler_fn. In a stream see vestry_page_serve */
typedef vestry_err (*vestry_page_fn)(vestry_render *render, vestry_html *html, void *app);
/** Whether a request may see a page: asked before each render, that of a part in it too, so that a right that was taken
 *  away ends the stream.
 *  OK | any error, which is answered; in a stream the tab loads its page anew, and so gets that answer. (A request for
 *  a stream is answered 403 then, unless the error is a failure, 500 and above, after which it tries again.) */
typedef vestry_err (*vestry_page_allow_fn)(const vestry_request *req, void *app);

/** Says what a page depends on, by vestry_render_topic, before its handler is called. */
typedef vestry_err (*vestry_page_topics_fn)(vestry_render *render, void *app);

/** A page. Zero is the default, in brackets. */
typedef struct vestry_page_options {
  size_t size;               /**< sizeof(vestry_page_options), or 0 */
  vestry_page_fn render;     /**< makes it, and marks its content */
  vestry_handler_fn handler; /**< or: an ordinary handler, which answers a whole document and knows nothing of streams.
                                  Its content is the element with that id */
  vestry_page_topics_fn topics; /**< for those that do not name them while they render [none; of a handler its path] */
  vestry_page_allow_fn allow;   /**< [everybody may] */
  void *app;                    /**< handed to all of them */
  const char *id;      /**< of the content's element ["content"]; a letter, then letters, digits, - and _. Copied */
  const char *element; /**< its name ["main"]. Copied */
  const char *signals; /**< a regular expression (JavaScript's): signals, by path, that the stream's request has,
                                   in its URL: no text that a user writes, which may be too long (414)
                                   ["^tabId$": vestry/app/tab.h]. Copied */
  vestry_when_hidden when_hidden; /**< [the stream of a hidden tab is closed, and opened when the tab is shown] */
  const char
      *layout; /**< what stands around its content: links that are marked with data-navigate lead from one page to
                          another of the same layout, element and id without a new document, see below; a name as id
                          is one. Copied [none: links are plain] */
} vestry_page_options;

/** Create a page.
 *  ret_page  belongs to pages; untouched on failure
 *  Returns  OK | INVALID (no render or both; id, element, layout) | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_page_create(vestry_pages *pages, const vestry_page_options *options,
                                         vestry_page **ret_page);

/** Serve a page: the document to a browser, the stream to its Datastar client. Before it, the reply may be given a key,
 *  presence, hooks, data and bounds for the stream.
 *  share  NULL: the page is private. Otherwise tabs with the same path, query and share are rendered together; at most
 *         1,024 bytes; copied
 *  What the handler says in a stream: a status of 204, and the stream ends, the tab stays as it is; 3xx with Location
 *  (vestry_reply_redirect), and the tab goes there, if it is an address of the web (vestry_event_redirect); 4xx, and
 *  the content that it made is shown, or if it made none, the page is loaded anew; 5xx or an error, and the tab keeps
 *  what it shows, is told so (the signal _vestry.failing is true, until it is well again), and the render is tried
 *  again after a second, two, four, up to 30.
 *  Returns  OK | INVALID (share; it serves a page already) | LIMIT (max_requests_bytes; counted, and answered 503 with
 *           Retry-After) | NO_MEMORY | what the handler or allow says
 *  Threads  the handler's; renders on it */
VESTRY_API vestry_err vestry_page_serve(const vestry_request *req, vestry_reply *reply, vestry_page *page,
                                        const char *share);
/** A vestry_handler_fn for a private page: app is the page. */
VESTRY_API vestry_err vestry_page_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Depend on a topic: when it is refreshed from the beginning of this render on, the page renders again. Each render
 *  says anew what it depends on.
 *  topic    1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes; copied
 *  Returns  OK | INVALID | TOO_LARGE | LIMIT (VESTRY_PAGE_TOPICS_MAX; name a topic for all of them) | NO_MEMORY. An
 *           error sticks: the render comes to nothing, whatever it returns; a document is answered with it, a stream's
 *           render is tried again
 *  Threads  the render's */
VESTRY_API vestry_err vestry_render_topic(vestry_render *render, const char *topic);
/** The same by a format of printf's: vestry_render_topicf(render, "room/%d", number). What a user has written does not
 *  belong into a topic unless nothing else is named like it. INVALID also for a format that is none. */
static inline vestry_err vestry_render_topicf(vestry_render *render, const char *format, ...) VESTRY_PRINTF(2, 3);
static inline vestry_err vestry_render_topicf(vestry_render *render, const char *format, ...) {
  char topic[VESTRY_PAGE_TOPIC_MAX_BYTES + 2];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(topic, sizeof topic, format, arguments);
  va_end(arguments);
  return vestry_render_topic(render, len < 0 ? NULL : topic);
}
/** Have the page, or the part, rendered again after a while, because something was missing that it was to show: a
 *  database that did not answer, say. What this render makes is shown as usual. The next one comes after a second, then
 *  two, four, up to 30, until a render does not ask for another; and sooner when something that it depends on changes.
 *  Renders that read by vestry/data/sqlite.h or vestry/data/postgres.h ask by themselves when a read fails. In a
 *  document it does nothing, because the document's stream renders anew.
 *  Threads  the render's */
VESTRY_API void vestry_render_again(vestry_render *render);
/** Say of which version what follows is, if the application knows: a number that changes with the data. If the tab has
 *  that version, return VESTRY_OK without rendering. To be asked after all topics and before all parts.
 *      if (vestry_render_is_current(render, version_of(room))) return VESTRY_OK;
 *  It is compared with what these pages have said themselves, whatever their secret: a count that a process keeps is
 *  never taken for the same one of another, or of the one before a restart, whose data may be others.
 *  Threads  the render's */
VESTRY_API bool vestry_render_is_current(vestry_render *render, uint64_t version);
/** The same with a number that means the same data on all machines, and after a restart: one that is written with them
 *  into the database that all of them have, in the same transaction; a hash of them. What a connection to a database
 *  counts (SQLite's data_version, a number of changes) is none: it is of that connection. It is compared with what all
 *  pages of the same secret have said. If it says the same of other data, the tab keeps what it has.
 *  Threads  the render's */
VESTRY_API bool vestry_render_is_current_anywhere(vestry_render *render, uint64_t version);

/** Append to the head the style of the banner that the page shows while its stream is broken or its renders fail: an
 *  element of the class vestry-banner, which style sheets after it may set otherwise. Without it the banner stands
 *  where the content ends. The style has the nonce of the reply's policy, if vestry_reply_csp was called before.
 *  As vestry_html_add. */
VESTRY_API vestry_err vestry_render_head(vestry_render *render, vestry_html *html);
/** Append the start tag of the content's element. In a stream, what stands before it is thrown away.
 *  As vestry_html_add; INVALID also when it was begun. */
VESTRY_API vestry_err vestry_render_begin(vestry_render *render, vestry_html *html);
/** Append the end tag of the content's element and, in a document, the element that opens the page's stream and looks
 *  after it. The stream is one request at one URL. The element tries it again for ever, each tab at times of its own,
 *  and begins it anew when the browser is online again, when the page comes back from the browser's cache, when nothing
 *  was heard for two and a half heartbeats (vestry_options), and when the stream was ended, as by a log-out, but not by
 *  a status of 204. Where streams are held back or cut on their way, the element polls instead: a long poll is a
 *  stream that ends with its first event, or after 25 s at most (docs/guide/proxies.md). After an answer of 401
 *  or 403 the tab loads its page anew. A tab that is loaded in the background, or hidden while its stream is broken,
 *  opens the stream when the tab is shown. The signal _vestry.offline says whether the stream is broken; the banner
 *  shows it. Redirects, and loading the page anew, are signals that the element looks at. The element needs no
 *  inline style and no inline script; of a policy's script-src it needs what the client needs (vestry/app/csp.h). In a
 *  stream, what stands after the content is thrown away. As vestry_html_add; INVALID also when it was not begun. */
VESTRY_API vestry_err vestry_render_end(vestry_render *render, vestry_html *html);

/** A part of a private page that many pages share: a list inside a page that has one's own draft. It is rendered and
 *  encoded once for all of them, depends on topics of its own, and changes without the page being rendered. Zero is the
 *  default, in brackets. */
typedef struct vestry_page_part {
  size_t size;         /**< sizeof(vestry_page_part), or 0 */
  const char *id;      /**< of its element, unique in the page; as a page's. Copied */
  const char *element; /**< its name ["div"]. Copied */
  const char *share;   /**< what it is of, as "room/7": pages with the same render, app, id, element and share show the
                            same part, and it sees nothing else of them (vestry_render.share). "": there is one of it.
                            Copied; at most 1,024 bytes */
  vestry_page_fn render; /**< appends what is inside the element. Sees the share and app, nothing else */
  void *app;             /**< must live as long as the pages do */
} vestry_page_part;

/** Parts of a page at most. */
#define VESTRY_PAGE_PARTS_MAX 16

/** Append a part, where an element can stand. Its element is not to be patched by anything else.
 *  Returns  as vestry_html_add; INVALID also: outside of the content, in a part or a shared page, an id that the page
 *           has already | LIMIT | what its render says
 *  Threads  the render's */
VESTRY_API vestry_err vestry_render_part(vestry_render *render, vestry_html *html, const vestry_page_part *part);

/** Something changed: the pages that depend on a topic render again, if any do. Costs the same whatever their number.
 *  topic    1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes. NULL: every page
 *  ret_seq  the change's number, for vestry_pages_settle; NULL: not wanted
 *  Returns  OK, also if no page depends on it | INVALID | TOO_LARGE
 *  Threads  any, renders included; takes a lock briefly */
VESTRY_API vestry_err vestry_refresh(vestry_pages *pages, const char *topic, uint64_t *ret_seq);
/** The same of this node alone: the other nodes of a cluster (vestry/cluster/cluster.h) are told nothing. For a change
 *  that each node sees by itself, or that is about this process alone. Arguments and results as above. */
VESTRY_API vestry_err vestry_refresh_here(vestry_pages *pages, const char *topic, uint64_t *ret_seq);

/** What a render was for, as an operator is told (vestry/ops/observe.h). */
typedef enum vestry_refresh_kind {
  VESTRY_REFRESH_NONE = 0,      /**< there was none, or it is not known any more */
  VESTRY_REFRESH_FIRST,         /**< a stream began */
  VESTRY_REFRESH_SUBMISSION,    /**< of a button, by the page itself (vestry/app/once.h) */
  VESTRY_REFRESH_TOPIC,         /**< vestry_refresh and its like */
  VESTRY_REFRESH_ALL,           /**< of every page */
  VESTRY_REFRESH_NODE,          /**< another node's, of a topic or of every page */
  VESTRY_REFRESH_TABLE,         /**< a table of a database was changed */
  VESTRY_REFRESH_DATABASE_PAGE, /**< a page of a database's file was written, by a commit of unknown tables */
  VESTRY_REFRESH_DATABASE       /**< a database was changed; it is not known what of it */
} vestry_refresh_kind;

/** A change of data, for vestry_refresh_for. */
typedef struct vestry_change {
  size_t size;              /**< sizeof(vestry_change), or 0 */
  vestry_refresh_kind kind; /**< TABLE, DATABASE_PAGE or DATABASE */
  const char *name;         /**< the table's, or the page's number in digits; nothing that users write. Borrowed, and
                                 63 bytes of it are kept. NULL: "" */
  uint64_t at_ns;           /**< when it was seen, as vestry_change_now_ns said; 0: now. From here on it counts how long
                                 the change takes (docs/guide/metrics.md) */
} vestry_change;

/** The same as vestry_refresh_here, for code that follows data: an operator is told what was changed, and not the
 *  topic.
 *  change   mandatory; copied
 *  Returns  as vestry_refresh; INVALID also: the kind. Threads and blocking as there */
VESTRY_API vestry_err vestry_refresh_for(vestry_pages *pages, const char *topic, const vestry_change *change,
                                         uint64_t *ret_seq);
/** The time of a change that is seen now and refreshed later, for vestry_change.at_ns.
 *  Returns  ns of the host's clock; 0: nothing observes (vestry/ops/observe.h), and no clock is read
 *  Threads  any; takes no lock */
VESTRY_API uint64_t vestry_change_now_ns(const vestry_pages *pages);
/** The same as vestry_refresh by a format of printf's: vestry_refreshf(pages, NULL, "room/%d", number). INVALID also
 *  for a format that is none. */
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

/** How many private pages, shared ones and parts depend on a topic now: so many are rendered when it is refreshed.
 *  Renders that run may add to them.
 *  ret_is_used  whether some page depends on it, or is about to: a render that runs has named it. Code that makes
 *               topics up finds out by this which ones no page needs any more. While renders run, it may be true of
 *               some that no page needs. NULL: not wanted
 *  Threads  any; takes a lock briefly */
VESTRY_API size_t vestry_topic_fragments(vestry_pages *pages, const char *topic, bool *ret_is_used);

/** An observer of renders: it finds out what they depend on, from what they do. Both are called on the render's thread,
 *  around all that it runs: allow, topics, the handler or the part's render. Renders of documents are not told of,
 *  since a stream renders again when it begins; neither are renders inside of a render. */
typedef struct vestry_render_observer {
  size_t size;                                     /**< sizeof(vestry_render_observer), or 0 */
  void (*begin)(vestry_render *render, void *ctx); /**< may do what a render may */
  void (*end)(vestry_render *render, void *ctx);   /**< once for each begin, whatever came of it; likewise */
  void *ctx;
  /** Refresh what it follows for all that was changed until now. false: it is not sure. NULL: it never is. So a
   *  submission that is to be seen (vestry/app/once.h) renders what it has changed, and not all of its page. On a
   *  thread of the pages', outside of a render; may block */
  bool (*settle)(void *ctx);
} vestry_render_observer;

/** Observers of one vestry_pages at most. */
#define VESTRY_RENDER_OBSERVERS_MAX 4

/** Have renders observed, from the next one on. The first observer is the first to begin and the last to end.
 *  observer  copied; its ctx identifies it
 *  Returns  OK | INVALID (a function is missing) | EXISTS (one with that ctx is there) | LIMIT
 *  Threads  any */
VESTRY_API vestry_err vestry_pages_observe(vestry_pages *pages, const vestry_render_observer *observer);
/** Not any more: when it returns, neither function runs or will be called.
 *  Returns  OK | NOT_FOUND
 *  Threads  not from a render; waits for those that run */
VESTRY_API vestry_err vestry_pages_unobserve(vestry_pages *pages, const void *ctx);

/** Wait until every page has been rendered for all changes up to this one, and what came of it was written to its
 *  stream. For tests. On a stepped runtime it steps, and does not wait for intervals.
 *  Returns  OK | TIMEOUT (in a stepped runtime: a page cannot be written to, or its render fails)
 *  Threads  not from a render; blocks */
VESTRY_API vestry_err vestry_pages_settle(vestry_pages *pages, uint64_t seq, uint64_t timeout_ms);

/** Counters, since they were created, and sizes now. streams_opened_count = streams_count + streams_closed_count;
 *  renders_count = changed_count + unchanged_count + current_count + failed_count + dropped_count. */
typedef struct vestry_pages_stats {
  size_t size; /**< sizeof(vestry_pages_stats), or 0 */
  uint64_t streams_opened_count, streams_closed_count;
  size_t streams_count;
  size_t fragments_count;   /**< that are rendered: private pages, shared ones and parts; each once, however many see
                                 it */
  size_t topics_count;      /**< that some page depends on */
  uint64_t refreshes_count; /**< of topics, and of all pages: calls of vestry_refresh and its like, not renders */
  uint64_t documents_count; /**< served */
  uint64_t renders_count;   /**< for streams */
  uint64_t changed_count;   /**< what was made differed, and was sent */
  uint64_t unchanged_count; /**< it was the same */
  uint64_t current_count;   /**< the version was the same */
  uint64_t failed_count;    /**< an error, a status of 5xx */
  uint64_t dropped_count;   /**< it was for no stream any more, or led elsewhere: redirects, ends */
  uint64_t unsent_count;    /**< of the changed: some stream could not take it, and gets what it needs later */
  uint64_t postponed_count; /**< the last event was not written yet */
  size_t kept_bytes;        /**< of contents, now */
  uint64_t kept_dropped_count;
  size_t requests_bytes;           /**< of the copied requests that pages are rendered from, now */
  uint64_t requests_refused_count; /**< streams that were answered 503, or parts that were not shown, for
                                        max_requests_bytes */
  uint64_t long_polls_count;       /**< of the streams that were opened: long polls (docs/guide/proxies.md) */
  uint64_t long_polls_brief_count; /**< of these: that were not held, since the server had little room */
} vestry_pages_stats;

/** A snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_pages_stats_get(vestry_pages *pages, vestry_pages_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
