/* SPDX-License-Identifier: MIT */
/* A single call of a page's handler: the functions that it may call, and the marks in its output.
 *
 * The hash of the content must be the same for a document and for a stream, although only the document includes the
 * content of parts. Therefore the hash leaves the content of parts out, and includes their share keys instead.
 *
 * A form whose values are in memory is unknown to another process, and to this one after a restart. Only a tab that
 * receives the content sends the values of its form again (form.js). Therefore the hash of a page with such a form is
 * valid in this process only. */
#include "app/page/render.h"

#include <inttypes.h>
#include <string.h>

#include "app/guard/proof.h"
#include "app/page/content.h"
#include "app/page/page_script.h"
#include "app/page/topic.h"
#include "app/stream/stream.h"
#include "base/ascii.h"
#include "base/log.h"
#include "base/memory.h"
#include "html/builder.h"
#include "http/answer.h"
#include "http/request.h"
#include "instance/instance.h"
#include "vestry/app/csp.h"
#include "vestry/app/session.h"

/* Observers of renders.
 *
 * A render records the observers whose begin it has called, and they stay in their places until the render has called
 * their end. Therefore the functions of observers are called without the lock, and removing an observer waits only for
 * the renders that have called its begin. */

/* Observers whose places are kept, in the order in which they were added. */
typedef struct entered {
  vsi_observer *observers[VESTRY_RENDER_OBSERVERS_MAX];
  size_t count;
} entered;

/* Enter all observers, which keep their places until `leave`. */
static entered enter(vestry_pages *pages) {
  entered inside;
  inside.count = 0;
  /* relaxed: an observer that was added before a refresh is seen by the renders of this refresh, whose worker has taken
   * the lock since */
  if (!atomic_load_explicit(&pages->observers_count, memory_order_relaxed)) return inside;
  vsi_pages_lock(pages);
  for (size_t i = 0; i < pages->observers_count; i++) {
    vsi_observer *observer = pages->observers_in_order[i];
    if (observer->is_over) continue;
    observer->inside_count++;
    inside.observers[inside.count++] = observer;
  }
  vsi_pages_unlock(pages);
  return inside;
}

static void leave(vestry_pages *pages, const entered *inside) {
  bool is_awaited = false;
  if (!inside->count) return;
  vsi_pages_lock(pages);
  for (size_t i = 0; i < inside->count; i++) {
    inside->observers[i]->inside_count--;
    is_awaited |= inside->observers[i]->is_over;
  }
  if (is_awaited) pthread_cond_broadcast(&pages->quiet);
  vsi_pages_unlock(pages);
}

/* Call begin of the observers. Returns the called observers. */
static entered observers_begin(vestry_pages *pages, vestry_render *render) {
  const entered inside = enter(pages);
  for (size_t i = 0; i < inside.count; i++) inside.observers[i]->is.begin(render, inside.observers[i]->is.ctx);
  return inside;
}

/* Call end of the observers, the last one first. */
static void observers_end(vestry_pages *pages, vestry_render *render, const entered *inside) {
  for (size_t i = inside->count; i--;) inside->observers[i]->is.end(render, inside->observers[i]->is.ctx);
  leave(pages, inside);
}

bool vsi_observers_settle(vestry_pages *pages) {
  const entered inside = enter(pages);
  bool is_sure = true;
  for (size_t i = 0; i < inside.count; i++) {
    const vestry_render_observer *is = &inside.observers[i]->is;
    if (!is->settle || !is->settle(is->ctx)) is_sure = false;
  }
  leave(pages, &inside);
  return is_sure;
}

static vsi_observer *find_locked(vestry_pages *pages, const void *ctx) {
  for (size_t i = 0; i < pages->observers_count; i++) {
    vsi_observer *observer = pages->observers_in_order[i];
    if (!observer->is_over && observer->is.ctx == ctx) return observer;
  }
  return NULL;
}

/* Add an observer after the others, so that it begins after them. */
static vestry_err add_locked(vestry_pages *pages, const vestry_render_observer *own) {
  if (find_locked(pages, own->ctx)) return VESTRY_EXISTS;
  if (pages->observers_count == VESTRY_RENDER_OBSERVERS_MAX) return VESTRY_LIMIT;
  vsi_observer *place = pages->observers;
  while (place->is_taken) place++;
  *place = (vsi_observer){.is = *own, .is_taken = true};
  pages->observers_in_order[pages->observers_count++] = place;
  return VESTRY_OK;
}

/* Remove an observer that no render is inside. */
static void remove_locked(vestry_pages *pages, vsi_observer *observer) {
  vsi_observer **at = pages->observers_in_order, **end = at + pages->observers_count;
  while (*at != observer) at++;
  memmove(at, at + 1, (size_t)(end - at - 1) * sizeof(vsi_observer *));
  pages->observers_count--;
  observer->is_taken = false;
}

vestry_err vestry_pages_observe(vestry_pages *pages, const vestry_render_observer *observer) {
  if (!pages) return VESTRY_INVALID;
  vestry_render_observer own = observer ? *observer : (vestry_render_observer){0};
  if (!observer || !own.begin || !own.end)
    return vsi_mistake(pages->host, "vestry_pages_observe", "the observer is NULL, or lacks begin or end");
  vsi_pages_lock(pages);
  vestry_err error = add_locked(pages, &own);
  vsi_pages_unlock(pages);
  return error;
}

vestry_err vestry_pages_unobserve(vestry_pages *pages, const void *ctx) {
  if (!pages) return VESTRY_NOT_FOUND;
  vsi_pages_lock(pages);
  vsi_observer *observer = find_locked(pages, ctx);
  if (observer) observer->is_over = true;
  while (observer && observer->inside_count) vsi_mutex_wait(&pages->lock, &pages->quiet);
  if (observer) remove_locked(pages, observer);
  vsi_pages_unlock(pages);
  return observer ? VESTRY_OK : VESTRY_NOT_FOUND;
}

void vsi_render_init(vsi_render *render, vestry_page *page, vestry_html *html, const char *share) {
  memset(render, 0, offsetof(vsi_render, parts));
  render->is.own = render;
  render->pages = page->pages;
  render->page = page;
  render->html = html;
  render->is.share = share;
  render->tag.build = page->pages->build;
}

void vsi_render_finish(vsi_render *render) {
  for (size_t i = 0; i < render->parts_count; i++) vsi_free(render->pages->host, render->parts[i].texts);
  render->parts_count = 0;
}

static vestry_err handle(vsi_render *render) {
  const vestry_request *req = render->is.request;
  vestry_reply *reply = render->is.reply;
  vestry_page *page = render->page;
  vestry_err error = page->allow && !render->is.share ? page->allow(req, page->app) : VESTRY_OK;
  render->is_refused = error && vsi_page_is_refusal(page, error);
  if (error) return render->is.is_stream ? error : vsi_page_refuse(req, reply, error);
  if (page->topics)
    error = page->topics(&render->is, page->app);
  else if (page->handler)
    error = vestry_render_topic(&render->is, req->path);
  if (error) return error;
  return page->render ? page->render(&render->is, render->html, page->app) : page->handler(req, reply, page->app);
}

vestry_err vsi_render_handle(const vestry_request *req, vestry_reply *reply, void *app) {
  vsi_render *render = app;
  render->is.request = req;
  render->is.reply = reply;
  /* observers are not called for a document or its parts, because their fragments render again */
  const entered inside = render->names ? observers_begin(render->pages, &render->is) : (entered){.count = 0};
  vestry_err error = handle(render);
  observers_end(render->pages, &render->is, &inside);
  return error ? error : render->error;
}

static const char *text_of(const vsi_render *render) {
  return render->page->handler ? render->is.reply->body : vsi_html_of(render->html)->data;
}

vestry_slice vsi_render_content(const vsi_render *render) {
  return (vestry_slice){text_of(render) + render->begin, render->end - render->begin};
}

static void hash_content(vsi_render *render) {
  const char *text = text_of(render);
  vsi_text_hash hash;
  vsi_text_hash_init(&hash, &render->pages->content_key);
  if (render->has_memory_form)
    vsi_text_hash_update(&hash, &render->pages->own_secret, sizeof render->pages->own_secret);
  size_t at = render->begin;
  for (size_t i = 0; i < render->parts_count; i++) {
    const vsi_named_part *named = &render->parts[i];
    vsi_text_hash_update(&hash, text + at, named->inside_from - at);
    vsi_text_hash_update(&hash, named->part.share, strlen(named->part.share) + 1);
    at = named->inside_to;
  }
  vsi_text_hash_update(&hash, text + at, render->end - at);
  render->tag.hash = vsi_text_hash_final(&hash);
}

vestry_err vsi_render_divide(const vsi_render *render, const vsi_unit_list *had, vsi_units *ret_units) {
  size_t shares_at[VESTRY_PAGE_PARTS_MAX];
  const char *shares[VESTRY_PAGE_PARTS_MAX];
  for (size_t i = 0; i < render->parts_count; i++) {
    shares_at[i] = render->parts[i].inside_from - render->begin;
    shares[i] = render->parts[i].part.share;
  }
  const vsi_unit_text text = {.content = vsi_render_content(render),
                              .key = &render->pages->content_key,
                              .inserts_at = shares_at,
                              .inserts = shares,
                              .inserts_count = render->parts_count};
  return vsi_units_divide(ret_units, render->pages->host, &text, render->pages->own_secret, had);
}

/* Record an error, so that the render fails even if the page ignores it. */
static vestry_err stick(vsi_render *render, vestry_err error, const char *why) {
  if (!render->error) render->error = error;
  if (*why) vsi_log_mistake(render->pages->host, "page", why);
  return error;
}

static const char *nonce_of(const vsi_render *render) {
  return render->is.is_stream ? "" : vestry_reply_nonce(render->is.reply);
}

/* Check that the content does not contain the document's nonce. The content must be the same in every render. With a
 * nonce in it, it would differ, and would be sent to each tab again as soon as the tab's stream begins. */
static vestry_err check_nonce(vsi_render *render) {
  const vestry_slice content = vsi_render_content(render);
  const char *nonce = nonce_of(render);
  if (!*nonce || !memmem(content.data, content.len, nonce, strlen(nonce))) return VESTRY_OK;
  return stick(render, VESTRY_INVALID,
               "the content contains the document's nonce (vestry_reply_nonce); put scripts and styles that need it "
               "before or after the content");
}

static bool is_html(const char *type) {
  return type && vsi_strncasecmp(type, "text/html", 9) == 0;
}

bool vsi_render_find(vsi_render *render) {
  vestry_reply *reply = render->is.reply;
  const vestry_page *page = render->page;
  vsi_content found;
  if (!reply->has_body || !is_html(reply->body_type) || vsi_reply_load(reply) || !reply->body) return false;
  vsi_content_fault fault = vsi_content_find(reply->body, reply->body_len, page->id, &found);
  if (fault) {
    vsi_log_repeated(render->pages->host, &render->page->failures, vsi_log_reason(vsi_content_fault_name(fault)),
                     VESTRY_LOG_ERROR, "page: element #%s: %s, at byte %zu: %s", page->id,
                     vsi_content_fault_name(fault), found.at, found.why);
    return false;
  }
  render->begin = found.begin;
  render->end = found.end;
  render->head_end = found.head_end;
  if (check_nonce(render)) return false;
  hash_content(render);
  return render->is_ended = true;
}

/* -------------------------------------------------------------------------------- functions for handlers ---------- */

vestry_err vestry_render_topic(vestry_render *is, const char *topic) {
  vsi_render *render = is->own;
  size_t len = topic ? strlen(topic) : 0;
  if (!len) return stick(render, VESTRY_INVALID, "vestry_render_topic: the name of a topic is empty");
  if (len > VESTRY_PAGE_TOPIC_MAX_BYTES)
    return stick(render, VESTRY_TOO_LARGE, "vestry_render_topic: a topic is longer than VESTRY_PAGE_TOPIC_MAX_BYTES");
  if (render->names_count == VESTRY_PAGE_TOPICS_MAX)
    return stick(render, VESTRY_LIMIT,
                 "vestry_render_topic: the render names more than VESTRY_PAGE_TOPICS_MAX topics; use coarser topics");
  render->names_count++;
  if (!render->names) return VESTRY_OK;
  vsi_topics_note(render->pages, render->names, topic, len);
  return render->names->error ? stick(render, render->names->error, "") : VESTRY_OK;
}

void vestry_render_again(vestry_render *is) {
  is->own->is_again = true;
}

/* Hash a version together with the page, because the same number has another meaning at another address and for another
 * user. With own_secret the hash is valid in this process only, so a counter of another process is never mistaken for a
 * counter of this process. */
static uint64_t hash_version(const vsi_render *render, vsi_siphash_key key, uint64_t version) {
  const char *path = render->is.request->path, *query = render->is.request->query;
  const vestry_scope scope = render->is.share ? (vestry_scope){NULL, 0} : render->is.request->scope;
  const char *user = render->is.share ? NULL : vestry_session_user(render->is.request);
  uint64_t words[6] = {version,
                       vsi_siphash_1_3(key, path, strlen(path)),
                       vsi_siphash_1_3(key, query, strlen(query)),
                       vsi_siphash_1_3(key, scope.data, scope.len),
                       user ? vsi_siphash_1_3(key, user, strlen(user)) : 0,
                       render->is.share ? vsi_siphash_1_3(key, render->is.share, strlen(render->is.share)) : 0};
  return vsi_siphash_1_3(key, words, sizeof words);
}

static bool is_current(vsi_render *render, vsi_siphash_key key, uint64_t version) {
  if (render->is_part || render->tag.has_version || render->is_begun) return false;
  render->tag.has_version = true;
  render->tag.version = hash_version(render, key, version);
  const vsi_state_tag *had = render->had;
  render->is_current = had && had->has_version && had->version == render->tag.version && !had->parts_count;
  return render->is_current;
}

bool vestry_render_is_current(vestry_render *is, uint64_t version) {
  return is_current(is->own, is->own->pages->own_secret, version);
}

bool vestry_render_is_current_anywhere(vestry_render *is, uint64_t version) {
  return is_current(is->own, is->own->pages->version_secret, version);
}

/* ------------------------------------------------------------------------------------------------- marks ---------- */

vestry_err vsi_render_refuse(vsi_render *render, vestry_html *html, const char *why) {
  (void)stick(render, VESTRY_INVALID, why);
  return vsi_html_fail(vsi_html_of(html), VESTRY_INVALID, why);
}

vestry_err vestry_render_begin(vestry_render *is, vestry_html *html) {
  vsi_render *render = is->own;
  if (render->is_part || render->is_begun || html != render->html || render->page->handler)
    return vsi_render_refuse(render, html, "vestry_render_begin: the content has already begun, or cannot begin here");
  render->is_begun = true;
  render->begin = vsi_html_of(html)->len;
  if (!render->page->layout) return vestry_html_add(html, "<%-s id=\"%s\">", render->page->element, render->page->id);
  vsi_navigate_begin(render->page, html);
  return vestry_html_error(html, NULL, NULL);
}

vestry_err vestry_render_end(vestry_render *is, vestry_html *html) {
  vsi_render *render = is->own;
  if (!render->is_begun || render->is_ended || html != render->html)
    return vsi_render_refuse(render, html, "vestry_render_end: the content has not begun, or has already ended");
  vestry_err error = vestry_html_add(html, "</%-s>", render->page->element);
  if (error) return error;
  render->is_ended = true;
  render->end = vsi_html_of(html)->len;
  if ((error = check_nonce(render))) return error;
  hash_content(render);
  if (render->is.is_stream) return VESTRY_OK;
  if (render->has_window && (error = vsi_window_put_first(html, nonce_of(render)))) return error;
  return vsi_stream_element(render->page, render->is.request, &render->tag, html);
}

vestry_err vestry_render_head(vestry_render *is, vestry_html *html) {
  if (is->is_stream) return vestry_html_error(html, NULL, NULL); /* only the content is sent */
  return vsi_stream_style(nonce_of(is->own), html);
}

/* ------------------------------------------------------------------------------------------------- parts ---------- */

static bool is_name(const char *text, size_t most) {
  size_t len = 0;
  for (; text[len]; len++) {
    bool is_more = vsi_is_digit(text[len]) || text[len] == '-' || text[len] == '_';
    if (!vsi_is_letter(text[len]) && !(is_more && len)) return false;
  }
  return len && len <= most;
}

static bool is_element_name(const char *text) {
  return is_name(text, 32);
}

bool vsi_is_element_id(const char *text) {
  return is_name(text, 128);
}

/* Copy the options of a part. Returns OK | INVALID | LIMIT | NO_MEMORY. */
static vestry_err take_part(vsi_render *render, const vestry_page_part *given, vsi_named_part **ret_named) {
  vsi_named_part *named = &render->parts[render->parts_count];
  if (render->parts_count == VESTRY_PAGE_PARTS_MAX) return VESTRY_LIMIT;
  vestry_page_part part = given ? *given : (vestry_page_part){0};
  if (!given || !part.render || !part.id || !part.share) return VESTRY_INVALID;
  if (!part.element) part.element = "div";
  if (!vsi_is_element_id(part.id) || !is_element_name(part.element) || strlen(part.share) > 1024) return VESTRY_INVALID;
  for (size_t i = 0; i < render->parts_count; i++)
    if (strcmp(render->parts[i].part.id, part.id) == 0) return VESTRY_INVALID;
  size_t id_len = strlen(part.id) + 1, element_len = strlen(part.element) + 1, share_len = strlen(part.share) + 1;
  char *texts = vsi_alloc(render->pages->host, id_len + element_len + share_len);
  if (!texts) return VESTRY_NO_MEMORY;
  *named = (vsi_named_part){.part = part, .texts = texts};
  named->part.id = memcpy(texts, part.id, id_len);
  named->part.element = memcpy(texts + id_len, part.element, element_len);
  named->part.share = memcpy(texts + id_len + element_len, part.share, share_len);
  render->parts_count++;
  *ret_named = named;
  return VESTRY_OK;
}

/* Render the content of a part's element, for a stream or a document. names, ret_again: as for vsi_part_make. */
static vestry_err render_part(vestry_pages *pages, bool is_stream, const vestry_page_part *part, vestry_html *html,
                              vsi_buffer *names, bool *ret_again) {
  vsi_render inner;
  memset(&inner, 0, offsetof(vsi_render, parts));
  inner.pages = pages;
  inner.names = names;
  inner.html = html;
  inner.is = (vestry_render){.share = part->share, .is_stream = is_stream, .own = &inner};
  inner.is_part = true;
  const entered inside = names ? observers_begin(pages, &inner.is) : (entered){.count = 0};
  vestry_err error = part->render(&inner.is, html, part->app);
  observers_end(pages, &inner.is, &inside);
  if (ret_again) *ret_again = inner.is_again;
  if (!error) error = inner.error;
  return error ? error : vestry_html_error(html, NULL, NULL);
}

void vsi_render_log(vestry_page *page, const char *what, const char *which, const vestry_html *html, vestry_err error,
                    const char *held) {
  const vestry_host *host = page->pages->host;
  char why[VSI_HTML_EXPLAINED], line[VSI_HELD_LOG_BYTES];
  const bool is_of_html = vestry_html_error(html, NULL, NULL) == error;
  const char *of_html = is_of_html ? vsi_html_explain(html, error, why) : "";
  if (is_of_html && *held && !strstr(held, of_html)) /* it may be the cause of the failure of the HTML */
    snprintf(line, sizeof line, "%s; before that: %s", of_html, held);
  else if (is_of_html)
    snprintf(line, sizeof line, "%s", of_html);
  else if (*held)
    snprintf(line, sizeof line, "%s", held);
  else
    snprintf(line, sizeof line, "the render returned %s, %s", vestry_err_name(error), vestry_strerror(error));
  vsi_log_repeated(host, &page->failures, vsi_log_reason(line), VESTRY_LOG_ERROR, "the %s%.300s: %s", what, which,
                   line);
}

vestry_err vsi_part_make(vestry_pages *pages, const vestry_page_part *part, vestry_html *html, vsi_buffer *names,
                         bool *ret_again, vestry_slice *ret_content, vsi_hash_128 *ret_hash) {
  vsi_held_log held;
  vsi_log_hold(&held);
  vestry_err error = render_part(pages, true, part, html, names, ret_again);
  vsi_log_release(&held);
  if (!error) error = vestry_html_result(html, ret_content);
  if (!error) *ret_hash = vsi_text_hash_of(&pages->content_key, ret_content->data, ret_content->len);
  if (error)
    vsi_render_log(&pages->parts, "part #", part->id, html, error, held.line);
  else if (*held.line)
    vsi_log_repeated(pages->host, &pages->parts.failures, 0, VESTRY_LOG_ERROR, "%s", held.line);
  return error;
}

/* In a document, the part contains its content. In a stream, its element is empty and the content arrives in a separate
 * event; the client keeps the content that it has, because both elements have data-ignore-morph. */
vestry_err vestry_render_part(vestry_render *is, vestry_html *html, const vestry_page_part *given) {
  vsi_render *render = is->own;
  if (!render->is_begun || render->is_ended || render->is_part || html != render->html || render->is.share)
    return vsi_render_refuse(render, html,
                             "vestry_render_part: a part is allowed only in the content of a private page");
  vsi_named_part *named;
  vestry_err error = take_part(render, given, &named);
  if (error == VESTRY_INVALID)
    return vsi_render_refuse(render, html,
                             "vestry_render_part: a part's id, element, share or render is missing or invalid");
  if (error) return stick(render, error, "");
  const char *more = named->part.attributes ? named->part.attributes : "";
  named->part.attributes = NULL; /* borrowed for this call */
  error = vestry_html_add(html, "<%-s id=\"%s\" data-ignore-morph%-s%-s>", named->part.element, named->part.id,
                          *more ? " " : "", more);
  named->inside_from = named->inside_to = vsi_html_of(html)->len;
  if (!error && !render->is.is_stream) {
    error = render_part(render->pages, false, &named->part, html, NULL, NULL);
    named->inside_to = vsi_html_of(html)->len;
    if (error) return stick(render, error, "");
    const char *inside = vsi_html_of(html)->data + named->inside_from;
    const vsi_hash_128 hash =
        vsi_text_hash_of(&render->pages->content_key, inside, named->inside_to - named->inside_from);
    render->tag.parts[render->tag.parts_count++] =
        vsi_secret_claim(render->pages, named->part.id, named->part.share, hash.high);
  }
  return error ? error : vestry_html_add(html, "</%-s>", named->part.element);
}

/* A page: its functions, and the check of requests against allow. */

vestry_err vestry_page_create(vestry_pages *pages, const vestry_page_options *given, vestry_page **ret_page) {
  if (!pages) return VESTRY_INVALID;
  if (!ret_page) return vsi_mistake(pages->host, "vestry_page_create", "ret_page is NULL");
  vestry_page_options options = given ? *given : (vestry_page_options){0};
  if (!options.render == !options.handler)
    return vsi_mistake(pages->host, "vestry_page_create", "exactly one of render and handler must be set");
  const char *id = options.id ? options.id : "content", *element = options.element ? options.element : "main";
  const char *signals = options.signals ? options.signals : VSI_STREAM_SIGNALS;
  if (!vsi_is_element_id(id) || !is_element_name(element))
    return vsi_mistake(pages->host, "vestry_page_create", "id or element is not valid for an HTML element");
  if (options.layout && !vsi_is_element_id(options.layout))
    return vsi_mistake(pages->host, "vestry_page_create",
                       "layout must be a letter, followed by letters, digits, '-' and '_', at most 128 bytes");
  size_t id_len = strlen(id) + 1, element_len = strlen(element) + 1, signals_len = strlen(signals) + 1;
  size_t layout_len = options.layout ? strlen(options.layout) + 1 + element_len + id_len : 0;
  vestry_page *page = vsi_calloc(pages->host, 1, sizeof *page + id_len + element_len + signals_len + layout_len);
  if (!page) return VESTRY_NO_MEMORY;
  char *texts = (char *)(page + 1);
  page->pages = pages;
  page->render = options.render;
  page->handler = options.handler;
  page->topics = options.topics;
  page->allow = options.allow;
  page->app = options.app;
  page->when_hidden = options.when_hidden;
  page->sends_whole = options.sends_whole;
  page->id = memcpy(texts, id, id_len);
  page->element = memcpy(texts + id_len, element, element_len);
  page->signals = memcpy(texts + id_len + element_len, signals, signals_len);
  if (options.layout) {
    char *layout = texts + id_len + element_len + signals_len;
    snprintf(layout, layout_len, "%s/%s/%s", options.layout, element, id);
    page->layout = layout;
    atomic_store_explicit(&pages->has_layouts, true, memory_order_relaxed);
  }
  vsi_pages_lock(pages);
  page->next = pages->pages_list;
  pages->pages_list = page;
  vsi_pages_unlock(pages);
  *ret_page = page;
  return VESTRY_OK;
}

bool vsi_page_is_refusal(const vestry_page *page, vestry_err error) {
  return error == VESTRY_FAILED || vsi_status_of(page->pages->v, error) < 500;
}

vestry_err vsi_page_refuse(const vestry_request *req, vestry_reply *reply, vestry_err error) {
  return error == VESTRY_FAILED ? vsi_refuse_request(req, reply, 403, "You may not see this page.") : error;
}

static vestry_err ask(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_page *page = app;
  (void)reply;
  return page->allow(req, page->app);
}

vestry_err vsi_page_check_allow(const vestry_page *page, vsi_request_copy *request) {
  vestry_reply reply;
  vsi_reply_init(&reply, page->pages->host);
  vestry_err error = vsi_request_copy_handle(request, &reply, ask, (void *)(uintptr_t)page);
  vsi_reply_finish(&reply);
  return error;
}
