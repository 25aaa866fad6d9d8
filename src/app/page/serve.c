/* SPDX-License-Identifier: MIT */
/* Serving a page: as a document, or as a stream, which becomes a viewer of the page's fragment; and the end of a
 * viewer. */
#include "app/page/serve.h"

#include <string.h>

#include "app/page/page_script.h"
#include "app/page/render.h"
#include "app/page/schedule.h"
#include "app/page/sent.h"
#include "app/page/state_tag.h"
#include "app/page/tally.h"
#include "app/page/topic.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "connection/send.h"
#include "event/layout.h"
#include "html/builder.h"
#include "http/answer.h"

/* ---------------------------------------------------------------------------------------------- document ---------- */

static vestry_err answer(vsi_render *render, vestry_html *html, vestry_reply *reply) {
  vestry_err error = vestry_html_error(html, NULL, NULL);
  if (error) return error;
  bool has_status = reply->status >= 300 || reply->status == 204;
  bool is_still = render->has_form && !render->names_count; /* a page of forms only; nothing changes it */
  if (!render->is_ended && !has_status && !is_still)
    vsi_log_repeated(render->pages->host, &render->page->failures, vsi_log_reason("no content"), VESTRY_LOG_WARN,
                     "the page at %.300s: the document has no content, and therefore no stream",
                     render->is.request->path);
  vestry_slice made;
  error = vestry_html_result(html, &made);
  if (error || (has_status && !made.len)) return error;
  return vestry_reply_html(reply, html);
}

/* Insert the style and the stream element of a live page into a document of an ordinary handler. */
static vestry_err complete(vsi_render *render, vestry_reply *reply) {
  vestry_html head, element;
  vestry_slice style = {NULL, 0}, stream = {NULL, 0};
  if (!vsi_render_find(render)) return render->error;
  vestry_html_init(&head, render->pages->host);
  vestry_html_init(&element, render->pages->host);
  vestry_err error = vestry_render_head(&render->is, &head);
  if (!error) error = vestry_html_result(&head, &style);
  if (!error) error = vsi_stream_element(render->page, render->is.request, &render->tag, &element);
  if (!error) error = vestry_html_result(&element, &stream);
  if (!error) {
    vsi_buffer all;
    vsi_buffer_init(&all, render->pages->host);
    vsi_buffer_append(&all, reply->body, render->head_end);
    if (render->head_end) vsi_buffer_append(&all, style.data, style.len);
    vsi_buffer_append(&all, reply->body + render->head_end, render->end - render->head_end);
    vsi_buffer_append(&all, stream.data, stream.len);
    vsi_buffer_append(&all, reply->body + render->end, reply->body_len - render->end);
    error = vsi_reply_change_body(reply, &all);
  }
  vestry_html_finish(&head);
  vestry_html_finish(&element);
  return error;
}

/* Serve the page as a document. The fragment of a shared page is rendered from a copy of the request without data of
 * the client. So is its document, so that both have the same content. */
static vestry_err serve_document(const vestry_request *req, vestry_reply *reply, vestry_page *page, const char *share) {
  vestry_html html;
  vsi_render render;
  vestry_html_init(&html, page->pages->host);
  vsi_render_init(&render, page, &html, share);
  if (!share) vsi_request_mark_private(req);
  vestry_err error = page->allow && share ? page->allow(req, page->app) : VESTRY_OK;
  if (error) {
    error = vsi_page_refuse(req, reply, error);
  } else if (share) {
    vsi_request_copy *copy = NULL;
    error = vsi_request_copy_create(req, VSI_COPY_SHARED, &copy);
    if (!error) error = vsi_request_copy_handle(copy, reply, vsi_render_handle, &render);
    vsi_request_copy_unref(copy);
  } else {
    error = vsi_render_handle(req, reply, &render);
  }
  render.is.request = req;
  if (!error) error = page->render ? answer(&render, &html, reply) : complete(&render, reply);
  if (error && error == vestry_html_error(&html, NULL, NULL))
    vsi_render_log(page, "page at ", req->path, &html, error, "");
  vsi_render_finish(&render);
  vestry_html_finish(&html);
  vsi_pages_lock(page->pages);
  page->pages->stats.documents_count++;
  vsi_tally_of_page(page, req)->documents_count++;
  vsi_pages_unlock(page->pages);
  return error;
}

/* ------------------------------------------------------------------------------------------------ stream ---------- */

/* A stream of a shared page. */
typedef struct vsi_watching {
  vsi_viewer viewer;          /* first */
  vsi_subscription *promised; /* until the stream begins */
  vsi_sent *seen;             /* NULL: none */
  vsi_long_poll poll;
  bool is_of_other_build;
} vsi_watching;

/* Unsubscribe a viewer. The caller holds the lock. */
static void leave_locked(vsi_viewer *viewer) {
  vestry_pages *pages = viewer->pages;
  pages->stats.streams_count--;
  pages->stats.streams_closed_count++;
  while (!SLIST_EMPTY(&viewer->subscriptions)) vsi_subscription_leave(SLIST_FIRST(&viewer->subscriptions));
}

static void private_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  vsi_private *page = (vsi_private *)(void *)node;
  vestry_pages *pages = page->viewer.pages;
  (void)connection, (void)cause;
  vsi_pages_lock(pages);
  vsi_private_extra_remember(page);
  if (page->extra) {
    vsi_sent_end(page->extra->seen);
    page->extra->seen = NULL;
  }
  leave_locked(&page->viewer);
  vsi_tally_of(&page->fragment)->streams_count--;
  vsi_fragment_end(&page->fragment); /* and the viewer, now or by the worker that runs it */
  vsi_pages_reap(pages);
  vsi_pages_unref(pages);
}

static void watching_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  vsi_watching *watching = (vsi_watching *)(void *)node;
  vestry_pages *pages = watching->viewer.pages;
  (void)cause;
  vsi_pages_lock(pages);
  vsi_sent_end(watching->seen);
  leave_locked(&watching->viewer);
  vsi_pages_reap(pages);
  vestry_connection_unref(connection);
  vsi_free(pages->host, watching);
  vsi_pages_unref(pages);
}

/* Unblock the page of the stream when its events are written, and end the response of a long poll once an event was
 * written. The viewer that is found stays until this runner reports the end of the connection. A long poll does not end
 * between the contents of a page's parts and the corrected mark (private.c), because the tab needs both. */
bool vsi_page_written(void *state, vestry_connection *connection) {
  (void)state;
  vsi_private *page = (vsi_private *)(void *)vsi_connection_find_at_close(connection, private_ended, NULL, NULL);
  bool is_blocked = false, is_sending = false;
  uint32_t queued_count = 0;
  if (page) {
    vestry_pages *pages = page->viewer.pages;
    vsi_pages_lock(pages);
    is_blocked = page->fragment.is_blocked;
    is_sending = page->extra && page->extra->sent.to == UINT64_MAX;
    queued_count = vsi_queue_count(&connection->queue);
    if (is_blocked && !queued_count) vsi_schedule_unblock(&page->fragment);
    vsi_pages_unlock(pages);
  }
  if (!connection->is_response) return is_blocked && queued_count;
  bool is_over = !is_sending && vsi_connection_is_answered(connection);
  if (is_over) vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  return !is_over;
}

static bool is_of_pages(const vsi_close_node *node, const void *pages) {
  return ((const vsi_viewer *)(const void *)node)->pages == pages;
}

/* Find the viewer in `pages` that belongs to a stream; NULL: none, or it has ended. ret_fragment: the private fragment
 * of its page; NULL: the page is shared, and its fragment is that of the first subscription. The viewer stays while the
 * lock is held, which the caller holds, because both functions that end a viewer take the lock before they free it. */
static vsi_viewer *find_viewer(vestry_pages *pages, vestry_connection *connection, vsi_fragment **ret_fragment) {
  vsi_private *page =
      (vsi_private *)(void *)vsi_connection_find_at_close(connection, private_ended, is_of_pages, pages);
  *ret_fragment = page ? &page->fragment : NULL;
  if (page) return &page->viewer;
  return (vsi_viewer *)(void *)vsi_connection_find_at_close(connection, watching_ended, is_of_pages, pages);
}

/* Send a random retry time, so that streams that break together do not reconnect together. */
static vestry_err send_retry(vestry_pages *pages, vestry_connection *connection, uint32_t retry_ms) {
  vestry_event *event = NULL;
  vestry_err error = vsi_event_retry(pages->host, retry_ms + vsi_pages_chance(pages, retry_ms), &event);
  return vsi_connection_send_made(connection, error, event);
}

/* Send the first events of the stream. */
static void send_first(vestry_pages *pages, vestry_connection *connection, bool has_tag, bool is_of_other_build,
                       vsi_long_poll poll) {
  unsigned events_count = 0;
  vsi_connection_give_signs(connection, true);
  events_count += !vestry_connection_send(connection, pages->well); /* the previous stream may have set other values */
  if (poll.is_brief) events_count += !vestry_connection_send(connection, pages->well);
  events_count +=
      !send_retry(pages, connection, poll.hold_ms ? vsi_long_poll_again_ms(pages, has_tag, poll) : pages->retry_ms);
  if (poll.hold_ms) vsi_connection_answer(connection, poll.hold_ms, events_count);
  if (is_of_other_build) vsi_send_reload(pages, connection, pages->reload_ms);
}

/* Turn the attachment into the viewer, in the same memory, and count the stream. The caller holds the lock. */
static void begin_locked(vsi_viewer *viewer, vestry_pages *pages, vestry_connection *connection, vsi_long_poll poll) {
  viewer->connection = vestry_connection_ref(connection);
  SLIST_INIT(&viewer->subscriptions);
  viewer->pages = pages;
  pages->stats.streams_count++;
  pages->stats.streams_opened_count++;
  pages->stats.long_polls_count += poll.hold_ms > 0;
  pages->stats.long_polls_brief_count += poll.is_brief;
}

/* ------------------------------------------------------------------------------------------ private page ---------- */

/* The fragment takes its place and the memory of its request in one section of the lock, so max_requests_bytes is
 * exact. It is in the schedule between here and private_ended only. */
static vestry_err begin_private(vsi_attachment *attachment, vestry_connection *connection) {
  vsi_private *page = (vsi_private *)(void *)attachment;
  vestry_pages *pages = page->fragment.page->pages;
  const vsi_state_tag *tag = vsi_private_extra_tag(page);
  const vsi_long_poll poll = page->extra ? page->extra->poll : (vsi_long_poll){0};
  send_first(pages, connection, tag, tag && tag->build != pages->build, poll);
  vsi_pages_lock(pages);
  vestry_err error = vsi_schedule_enter(&page->fragment);
  if (!error) {
    begin_locked(&page->viewer, pages, connection, poll);
    vsi_tally_of(&page->fragment)->streams_count++;
    vsi_schedule_mark(&page->fragment, 0);
    if (page->extra && page->extra->seen) vsi_sent_begin(page->extra->seen, &page->viewer, &page->fragment);
  }
  vsi_pages_unlock(pages);
  if (!error) vsi_connection_call_at_close(connection, &page->viewer.node, private_ended);
  return error;
}

static void drop_private(vsi_attachment *attachment) {
  vsi_private *page = (vsi_private *)(void *)attachment;
  vestry_pages *pages = page->fragment.page->pages;
  vsi_fragment_free(&page->fragment);
  vsi_pages_unref(pages);
}

static vestry_err attach_private(const vestry_request *req, vestry_reply *reply, vestry_page *page, uint64_t document,
                                 const vsi_state_tag *tag) {
  vestry_pages *pages = page->pages;
  vsi_private *own = vsi_calloc(pages->host, 1, sizeof *own);
  if (!own) return VESTRY_NO_MEMORY;
  own->fragment.page = page;
  vsi_sent *seen;
  vestry_err error = vsi_sent_create(pages, req, &seen);
  if (!error) error = vsi_private_extra_take(own, document, tag, seen, vsi_long_poll_read(req));
  if (!error) error = vsi_request_copy_create(req, VSI_COPY_PRIVATE, &own->fragment.request);
  if (!error) {
    vsi_request_copy *request = own->fragment.request;
    vsi_pages_lock(pages);
    error = vsi_requests_may_take(pages, request->bytes);
    if (!error) request->tally = vsi_tally_of_page(page, req)->place;
    pages->refs += !error;
    vsi_pages_unlock(pages);
  }
  if (error) {
    vsi_fragment_free(&own->fragment);
    return error;
  }
  own->viewer.attachment.begin = begin_private;
  own->viewer.attachment.drop = drop_private;
  vsi_attachments_add(&reply->attachments, &own->viewer.attachment);
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------- shared page ---------- */

static vestry_err begin_watching(vsi_attachment *attachment, vestry_connection *connection) {
  vsi_watching *watching = (vsi_watching *)(void *)attachment;
  vsi_subscription *subscription = watching->promised;
  vestry_pages *pages = subscription->shared->fragment.page->pages;
  send_first(pages, connection, subscription->has_hash, watching->is_of_other_build, watching->poll);
  vsi_pages_lock(pages);
  begin_locked(&watching->viewer, pages, connection, watching->poll);
  vsi_subscription_take(subscription, false);
  if (watching->seen) vsi_sent_begin(watching->seen, &watching->viewer, NULL);
  vsi_pages_unlock(pages);
  vsi_connection_call_at_close(connection, &watching->viewer.node, watching_ended);
  return VESTRY_OK;
}

static void drop_watching(vsi_attachment *attachment) {
  vsi_watching *watching = (vsi_watching *)(void *)attachment;
  vestry_pages *pages = watching->promised->shared->fragment.page->pages;
  vsi_pages_lock(pages);
  vsi_subscription_drop(watching->promised);
  vsi_pages_reap(pages);
  vsi_free(pages->host, watching->seen);
  vsi_free(pages->host, watching);
  vsi_pages_unref(pages);
}

/* Promise a subscription, and take a reference to the pages. whose: the private copy of the request for allow, or NULL;
 * taken on success. */
static vestry_err promise(vsi_watching *watching, const vestry_request *req, vestry_page *page,
                          vsi_request_copy *request, const char *share, vsi_request_copy *whose) {
  vestry_pages *pages = page->pages;
  size_t share_at, whose_bytes = whose ? whose->bytes : 0;
  vsi_buffer key;
  vsi_buffer_init(&key, pages->host);
  vsi_key_of_page(&key, page, vsi_request_copy_target(request), share, &share_at);
  vestry_err error = key.error;
  vsi_pages_lock(pages);
  if (!error) error = vsi_requests_take(pages, whose_bytes);
  if (!error) {
    request->tally = vsi_tally_of_page(page, req)->place;
    error =
        vsi_subscription_promise(pages, &watching->viewer, page, NULL, &key, share_at, request, &watching->promised);
    if (error) pages->requests_bytes -= whose_bytes;
  }
  if (!error) {
    watching->promised->page = page;
    watching->promised->request = whose;
    watching->promised->request_bytes = whose_bytes;
    pages->refs++;
  }
  vsi_pages_unlock(pages);
  vsi_buffer_finish(&key);
  return error;
}

static vestry_err attach_watching(const vestry_request *req, vestry_reply *reply, vestry_page *page, const char *share,
                                  const vsi_state_tag *tag) {
  vsi_request_copy *copy = NULL, *whose = NULL;
  vsi_watching *watching = vsi_calloc(page->pages->host, 1, sizeof *watching);
  vestry_err error = watching ? vsi_request_copy_create(req, VSI_COPY_SHARED, &copy) : VESTRY_NO_MEMORY;
  if (!error && page->allow) error = vsi_request_copy_create(req, VSI_COPY_PRIVATE, &whose);
  if (!error) error = vsi_sent_create(page->pages, req, &watching->seen);
  if (!error) error = promise(watching, req, page, copy, share, whose);
  vsi_request_copy_unref(copy);
  if (error) {
    vsi_request_copy_unref(whose);
    if (watching) vsi_free(page->pages->host, watching->seen);
    vsi_free(page->pages->host, watching);
    return error;
  }
  watching->poll = vsi_long_poll_read(req);
  watching->promised->is_brief = watching->poll.is_brief;
  watching->promised->has_hash = tag;
  if (tag) watching->promised->hash = tag->hash.high;
  watching->is_of_other_build = tag && tag->build != page->pages->build;
  watching->viewer.attachment.begin = begin_watching;
  watching->viewer.attachment.drop = drop_watching;
  vsi_attachments_add(&reply->attachments, &watching->viewer.attachment);
  return VESTRY_OK;
}

/* -------------------------------------------------------------------------------------------------- both ---------- */

/* Read the state that the tab reports. */
static bool read_tag(vestry_pages *pages, const vestry_request *req, uint64_t document, vsi_state_tag *ret_tag) {
  const char *text = vestry_request_header(req, "Last-Event-ID");
  if (!text || !vsi_state_tag_read(text, ret_tag)) return false;
  if (vsi_state_tag_is_of_part(ret_tag)) {
    vsi_pages_lock(pages);
    (void)vsi_resume_cache_take(pages->resume_cache, document, ret_tag->parts[0].content, ret_tag);
    vsi_pages_unlock(pages);
  }
  return true;
}

/* Return whether the reply serves a page already. A stream has at most one page, because its runner searches for one
 * (vsi_page_written). */
static bool has_page(const vestry_reply *reply) {
  const vsi_attachment *at = reply->attachments.first;
  while (at && at->begin != begin_private && at->begin != begin_watching) at = at->next;
  return at;
}

/* Make the reply open a stream that becomes a viewer of the page. */
static vestry_err serve_stream(const vestry_request *req, vestry_reply *reply, vestry_page *page, const char *share) {
  vestry_pages *pages = page->pages;
  /* then the tab loads the address as a document */
  if (!vsi_navigate_is_here(page, req)) return vestry_reply_status(reply, 409);
  vestry_err error = page->allow ? page->allow(req, page->app) : VESTRY_OK;
  /* after 403 the tab reloads its page, and so receives the error itself; after a failure it reconnects */
  if (error) return vsi_page_is_refusal(page, error) ? vestry_reply_status(reply, 403) : error;
  if (has_page(reply)) return vsi_reply_refuse(reply, VESTRY_INVALID, "the reply already serves a page");
  vsi_state_tag tag;
  uint64_t document = vsi_document_read(vestry_request_header(req, "Vestry-Document"));
  bool has_tag = read_tag(pages, req, document, &tag);
  error = share ? attach_watching(req, reply, page, share, has_tag ? &tag : NULL)
                : attach_private(req, reply, page, document, has_tag ? &tag : NULL);
  if (error) return error;
  if (!reply->keep) (void)vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return VESTRY_OK;
}

vestry_err vestry_page_serve(const vestry_request *req, vestry_reply *reply, vestry_page *page, const char *share) {
  if (!req || !reply || !page || (share && strlen(share) > 1024) || page->pages->v != req->v)
    return reply ? vsi_reply_refuse(reply, VESTRY_INVALID,
                                    "the page is NULL or belongs to another instance, or its share is longer than "
                                    "1,024 bytes")
                 : VESTRY_INVALID;
  return req->is_datastar ? serve_stream(req, reply, page, share) : serve_document(req, reply, page, share);
}

vestry_err vestry_page_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, NULL);
}

/* A description of the stream of a page, for operators. */

static void put_topics(const vsi_fragment *fragment, const vsi_page_sink *sink) {
  for (const vsi_link *link = &fragment->link; link; link = link->next) {
    if (!link->topic) continue;
    const vestry_slice name = vsi_topic_name(link->topic);
    sink->topic(name.data, vsi_reason_shown_len(name.data, name.len), sink->ctx);
  }
}

bool vsi_page_explain(vestry_pages *pages, vestry_connection *connection, const vsi_page_sink *sink) {
  vsi_fragment *own;
  vsi_pages_lock(pages);
  const vsi_viewer *viewer = find_viewer(pages, connection, &own);
  const vsi_subscription *subscription = viewer ? SLIST_FIRST(&viewer->subscriptions) : NULL;
  const vsi_fragment *shown = own ? own : subscription ? &subscription->shared->fragment : NULL;
  if (shown && shown->request) sink->path(shown->request->path, sink->ctx);
  if (own) put_topics(own, sink);
  for (; subscription; subscription = SLIST_NEXT(subscription, of_viewer))
    put_topics(&subscription->shared->fragment, sink);
  vsi_pages_unlock(pages);
  return viewer;
}
