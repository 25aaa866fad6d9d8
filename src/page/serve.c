/* Serving a page: the document to a browser, the stream to its client. */
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "page/render.h"
#include "registry/request/answer.h"
#include "stream/connection.h"

/* ---------------------------------------------------------------------------------------------- the document ------ */

static vestry_err answer(vestry_render *render, vestry_html *html, vestry_reply *reply) {
  vestry_err error = vestry_html_error(html, NULL, NULL);
  if (error) return vestry_reply_html(reply, html); /* which says why */
  bool has_status = reply->status >= 300 || reply->status == 204;
  if (!render->is_ended && !has_status)
    vsi_log(render->pages->host, VESTRY_LOG_WARN, "the page at %s: it has no content, and so no stream",
            vestry_request_path(render->req));
  vestry_slice made;
  error = vestry_html_result(html, &made);
  if (error || (has_status && !made.len)) return error;
  return vestry_reply_html(reply, html);
}

/* Put what a live page needs into a document that knows nothing of it. */
static vestry_err complete(vestry_render *render, vestry_reply *reply) {
  vestry_html head, element;
  vsi_buffer all;
  vestry_slice style = {NULL, 0}, stream = {NULL, 0};
  if (!vsi_render_find(render)) return VESTRY_OK;
  vestry_html_init(&head, render->pages->host);
  vestry_html_init(&element, render->pages->host);
  vsi_buffer_init(&all, render->pages->host);
  vestry_err error = vestry_render_head(render, &head);
  if (!error) error = vestry_html_result(&head, &style);
  if (!error) error = vsi_stream_element(render, &element);
  if (!error) error = vestry_html_result(&element, &stream);
  if (!error) {
    vsi_buffer_append(&all, reply->body, render->head_end);
    if (render->head_end) vsi_buffer_append(&all, style.data, style.len);
    vsi_buffer_append(&all, reply->body + render->head_end, render->end - render->head_end);
    vsi_buffer_append(&all, stream.data, stream.len);
    vsi_buffer_append(&all, reply->body + render->end, reply->body_len - render->end);
    error = all.error;
  }
  size_t len = 0;
  char *body = error ? NULL : vsi_buffer_take(&all, &len);
  char *type = body ? vsi_strdup(reply->host, reply->body_type, strlen(reply->body_type)) : NULL;
  if (!error) error = type ? vsi_reply_take_body(reply, type, body, len) : VESTRY_NO_MEMORY;
  if (!type) vsi_free(reply->host, body);
  vsi_free(reply->host, type);
  vsi_buffer_finish(&all);
  vestry_html_finish(&head);
  vestry_html_finish(&element);
  return error;
}

static vestry_err serve_document(const vestry_request *req, vestry_reply *reply, vestry_page *page, const char *share) {
  vestry_html html;
  vestry_render render;
  vestry_html_init(&html, page->pages->host);
  vsi_render_init(&render, page, &html, share);
  vestry_err error = page->allow && share ? page->allow(req, page->app) : VESTRY_OK;
  if (!error && share) {
    vsi_request_copy *copy = NULL;
    error = vsi_request_copy_create(req, VSI_COPY_SHARED, &copy);
    if (!error) error = vsi_request_copy_handle(copy, reply, vsi_render_handle, &render);
    vsi_request_copy_unref(copy);
  } else if (!error) {
    error = vsi_render_handle(req, reply, &render);
  }
  render.req = req;
  if (!error) error = page->render ? answer(&render, &html, reply) : complete(&render, reply);
  vsi_render_finish(&render);
  vestry_html_finish(&html);
  vsi_pages_lock(page->pages);
  page->pages->stats.documents_count++;
  vsi_pages_unlock(page->pages);
  return error;
}

/* ------------------------------------------------------------------------------------------------ the stream ------ */

static vestry_err ask(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_page *page = app;
  (void)reply;
  return page->allow(req, page->app);
}

bool vsi_page_allows(const vestry_page *page, vsi_request_copy *request) {
  vestry_reply reply;
  vsi_reply_init(&reply, page->pages->host);
  vestry_err error = vsi_request_copy_handle(request, &reply, ask, (void *)(uintptr_t)page);
  vsi_reply_finish(&reply);
  return !error;
}

static void drop(vsi_attachment *attachment) {
  vsi_viewer *viewer = (vsi_viewer *)attachment;
  vestry_pages *pages = viewer->pages;
  vsi_view *view = viewer->view;
  vsi_pages_lock(pages);
  if (viewer->promised) vsi_seat_drop(viewer->promised);
  if (view) pages->views_count--;
  vsi_pages_unlock(pages);
  if (view)
    vsi_view_free(view); /* and the viewer */
  else
    vsi_viewer_free(viewer);
  vsi_pages_unref(pages);
}

uint64_t vsi_tag_claim(const vestry_pages *pages, const char *id, const char *share, uint64_t hash) {
  const uint64_t words[2] = {vsi_siphash_1_3(pages->content_secret, id, strlen(id)),
                             vsi_siphash_1_3(pages->content_secret, share, strlen(share))};
  return hash ^ vsi_siphash_1_3(pages->version_secret, words, sizeof words);
}

/* What the tab has if it has seen all: if the last that was put into its stream was a part's event. Sendings of several
 * views may overlap, and then nobody knows which was the last. */
static void remember(vsi_viewer *viewer) {
  vestry_pages *pages = viewer->pages;
  const vsi_view *view = viewer->view;
  const vsi_seat *last = NULL;
  uint64_t from = view->sent_from;
  if (!viewer->document || !viewer->seats || !view->has_hash || view->is_first) return;
  vsi_tag tag = {.hash = view->hash, .build = pages->build, .has_version = view->has_version, .version = view->version};
  for (const vsi_seat *seat = viewer->seats; seat; seat = seat->next_of_viewer, tag.parts_count++) {
    const vsi_view *part = seat->view;
    if (!seat->is_in || !part->has_hash || seat->render != view->renders || seat->place >= VSI_PARTS_MAX) return;
    bool is_published = part->sent_from > seat->joined;
    uint64_t seat_from = is_published ? part->sent_from : seat->joined;
    if (seat_from > from) {
      last = seat;
      from = seat_from;
    }
    tag.parts[seat->place] = part->hash.high;
  }
  if (!last || view->state == VSI_VIEW_RUNNING) return;
  for (const vsi_seat *seat = viewer->seats; seat; seat = seat->next_of_viewer) {
    bool is_published = seat->view->sent_from > seat->joined;
    uint64_t to = is_published ? seat->view->sent_to : seat->joined;
    if (to == UINT64_MAX || (seat != last && to >= from)) return;
  }
  if (view->sent_to >= from) return;
  const vsi_shared *shared = last->view->shared;
  vsi_departed_put(pages->departed, viewer->document,
                   vsi_tag_claim(pages, shared->id, shared->key + shared->share_at, last->view->hash.high), &tag);
}

static void stream_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  vsi_viewer *viewer = (vsi_viewer *)(void *)node;
  vestry_pages *pages = viewer->pages;
  vsi_view *view = viewer->view;
  (void)connection, (void)cause;
  vsi_pages_lock(pages);
  pages->stats.streams_count--;
  pages->stats.streams_closed_count++;
  if (view) remember(viewer);
  while (viewer->seats) vsi_seat_leave(viewer->seats);
  if (view) vsi_view_end(view); /* and the viewer, now or by the worker that has it */
  vsi_pages_unlock(pages);
  if (!view) vsi_viewer_free(viewer);
  vsi_pages_unref(pages);
}

/* A time of its own, so that those that break together do not come back together. */
static void tell_retry(vestry_pages *pages, vestry_connection *connection) {
  vestry_event *event;
  if (vestry_event_retry(pages->host, pages->retry_ms + vsi_pages_chance(pages, pages->retry_ms), &event)) return;
  (void)vestry_connection_send(connection, event);
  vestry_event_unref(event);
}

static void begin(vsi_attachment *attachment, vestry_connection *connection) {
  vsi_viewer *viewer = (vsi_viewer *)attachment;
  vestry_pages *pages = viewer->pages;
  vsi_view *view = viewer->view;
  bool is_of_other_build = viewer->tag && viewer->tag->build != pages->build;
  vsi_connection_give_signs(connection);
  (void)vestry_connection_send(connection, pages->well); /* the last stream may have said otherwise */
  tell_retry(pages, connection);
  if (is_of_other_build) vsi_page_reload(pages, connection, pages->reload_ms);
  viewer->connection = vestry_connection_ref(connection);
  vsi_pages_lock(pages);
  pages->stats.streams_count++;
  pages->stats.streams_opened_count++;
  if (view) {
    vsi_view_enter(view);
    vsi_schedule_mark(view, 0);
  } else {
    vsi_seat *seat = viewer->promised;
    viewer->promised = NULL;
    if (viewer->tag) seat->hash = viewer->tag->hash.high;
    seat->has_hash = viewer->tag;
    vsi_seat_take(seat);
  }
  vsi_pages_unlock(pages);
  vsi_close_node_init(&viewer->attachment.node, stream_ended);
  if (vsi_connection_at_close(connection, &viewer->attachment.node)) /* it has ended already, and tells nobody */
    stream_ended(&viewer->attachment.node, connection, VESTRY_CAUSE_NONE);
}

/* Takes the request. OK | INVALID | NO_MEMORY */
static vestry_err prepare_private(vsi_viewer *viewer, vestry_page *page, vsi_request_copy *request) {
  vestry_pages *pages = viewer->pages;
  vsi_view *view = vsi_view_create(pages, page, request);
  if (!view) return VESTRY_NO_MEMORY;
  vsi_pages_lock(pages);
  vestry_err error = vsi_schedule_reserve(pages);
  vsi_pages_unlock(pages);
  if (error) {
    vsi_view_free(view);
    return error;
  }
  viewer->view = view;
  view->viewer = viewer;
  return VESTRY_OK;
}

/* whose: NULL, or the private copy, for allow; taken. */
static vestry_err prepare_shared(vsi_viewer *viewer, vestry_page *page, vsi_request_copy *request, const char *share,
                                 vsi_request_copy *whose) {
  vestry_pages *pages = viewer->pages;
  size_t share_at;
  vsi_buffer key;
  vsi_buffer_init(&key, pages->host);
  vsi_page_key(&key, page, vsi_request_copy_target(request), share, &share_at);
  vestry_err error = key.error;
  vsi_pages_lock(pages);
  if (!error) viewer->promised = vsi_seat_promise(viewer, page, NULL, &key, share_at, request);
  if (viewer->promised) {
    viewer->promised->page = page;
    viewer->promised->request = whose;
  } else if (!error) {
    error = VESTRY_NO_MEMORY;
  }
  vsi_pages_unlock(pages);
  vsi_buffer_finish(&key);
  if (error) vsi_request_copy_unref(whose);
  return error;
}

static vestry_err prepare(vsi_viewer *viewer, const vestry_request *req, vestry_page *page, const char *share) {
  vsi_request_copy *copy = NULL, *whose = NULL;
  vestry_err error = vsi_request_copy_create(req, share ? VSI_COPY_SHARED : VSI_COPY_PRIVATE, &copy);
  if (error) return error;
  if (!share) return prepare_private(viewer, page, copy);
  if (page->allow) error = vsi_request_copy_create(req, VSI_COPY_PRIVATE, &whose);
  if (!error) error = prepare_shared(viewer, page, copy, share, whose);
  vsi_request_copy_unref(copy);
  return error;
}

static vestry_err take_tag(vsi_viewer *viewer, const vestry_request *req) {
  const char *text = vestry_request_header(req, "Last-Event-ID");
  vsi_tag tag;
  viewer->document = vsi_document_read(vestry_request_header(req, "Vestry-Document"));
  if (!text || !vsi_tag_read(text, &tag)) return VESTRY_OK;
  if (vsi_tag_is_of_part(&tag)) {
    vsi_pages_lock(viewer->pages);
    (void)vsi_departed_take(viewer->pages->departed, viewer->document, tag.parts[0], &tag);
    vsi_pages_unlock(viewer->pages);
  }
  viewer->tag = vsi_alloc(viewer->pages->host, sizeof *viewer->tag);
  if (!viewer->tag) return VESTRY_NO_MEMORY;
  *viewer->tag = tag;
  return VESTRY_OK;
}

/* On a status of 403 the tab loads its page anew, and so gets the answer itself. Behind a failure it comes back. */
static vestry_err deny(vestry_reply *reply, vestry_err error) {
  return vsi_status_of(reply->v, error) < 500 ? vestry_reply_status(reply, 403) : error;
}

static vestry_err serve_stream(const vestry_request *req, vestry_reply *reply, vestry_page *page, const char *share) {
  vestry_pages *pages = page->pages;
  vestry_err error = page->allow ? page->allow(req, page->app) : VESTRY_OK;
  if (error) return deny(reply, error);
  vsi_viewer *viewer = vsi_calloc(pages->host, 1, sizeof *viewer);
  if (!viewer) return VESTRY_NO_MEMORY;
  viewer->pages = pages;
  error = take_tag(viewer, req);
  if (!error) error = prepare(viewer, req, page, share);
  if (error) {
    vsi_viewer_free(viewer);
    return error;
  }
  vsi_pages_lock(pages);
  pages->refs++;
  vsi_pages_unlock(pages);
  viewer->attachment.begin = begin;
  viewer->attachment.drop = drop;
  vsi_attachments_add(&reply->attachments, &viewer->attachment);
  if (!reply->keep) (void)vestry_reply_keep(reply, VESTRY_PUT_MANY, 0);
  /* Of a private page at most one event waits, so there is nothing to conflate, and looking for it would cost more than
   * the rest. */
  if (share && !reply->stream.full) reply->stream.full = VESTRY_FULL_CONFLATE;
  return VESTRY_OK;
}

vestry_err vestry_page_serve(const vestry_request *req, vestry_reply *reply, vestry_page *page, const char *share) {
  if (!req || !reply || !page || (share && strlen(share) > 1024))
    return reply ? vsi_reply_refuse(reply, VESTRY_INVALID, "a page is missing, or its share is too long")
                 : VESTRY_INVALID;
  return vestry_request_is_datastar(req) ? serve_stream(req, reply, page, share)
                                         : serve_document(req, reply, page, share);
}

vestry_err vestry_page_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, NULL);
}
