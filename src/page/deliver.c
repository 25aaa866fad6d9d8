/* One run of a view: render it, compare, send what differs.
 *
 * A view's hash says what every stream that sees it has, or will have once what waits for it is written. It changes
 * only when what was sent has been accepted: what could not be sent is found to differ again by the next run.
 *
 * The id behind a page's event claims its parts too. It stands behind all that it claims. When a part changes later,
 * the id that the tab has would still claim the part's former content, which the part may come back to while the tab is
 * away: so a part's event has an id of its own, which claims that part alone.
 *
 * A shared view's run is the only one that publishes to its channel and that lets streams join it. So a stream that
 * joins is sent what the view shows, and then every change: nothing is missed or sent twice in between.
 *
 * A private page that takes another part in the place of one must not be shown the former one's news under its own
 * heading. So its run leaves the former's channel first, behind which nothing of it is put into the stream; then the
 * content goes out together with the new part's inside, with nothing in between; and only then it joins the new one. A
 * seat that the other view's worker is just letting join is marked as over, under the lock: the worker puts nothing
 * into the stream without having looked at that mark under the same lock. */
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "channel/channel.h"
#include "connection/connection.h"
#include "event/escape.h"
#include "event/mark.h"
#include "html/html.h"
#include "http/answer.h"
#include "instance/instance.h"
#include "page/render.h"

/* What has become of a call of the handler. */
typedef enum outcome {
  MADE_CONTENT,
  MADE_NOTHING, /* the version is what it was */
  MADE_END,     /* the page is to stay as it is */
  MADE_REDIRECT,
  MADE_RELOAD, /* the document says better why it cannot be seen */
  MADE_FAILED
} outcome;

typedef struct run {
  vestry_pages *pages;
  vsi_view *view;
  vsi_shared *shared;   /* the view; NULL: it is private */
  vsi_private *private; /* likewise; NULL: it is shared */
  /* As the view has them, in bits that others write beside. */
  bool is_first, has_hash, has_version;
  unsigned failures; /* before this run */
  uint64_t started_seq;
  vsi_buffer names;  /* of topics */
  vestry_html *html; /* the worker's */
  vestry_reply reply;
  vestry_render render;
  vsi_tag had;
  vestry_slice content; /* what was made */
  vsi_hash_128 hash;    /* its */
  vestry_event *event;  /* made of it; a reference */
  vestry_event *kept;   /* a reference to the view's, which ends with the view; NULL: it has none */
} run;

/* ------------------------------------------------------------------------------------------------- render --------- */

static outcome classify(run *r, vestry_err error) {
  const vestry_render *render = &r->render;
  int status = r->reply.status;
  if (render->is_denied) return MADE_RELOAD;
  if (error) return vsi_status_of(r->pages->v, error) < 500 ? MADE_RELOAD : MADE_FAILED;
  if (render->is_current) return MADE_NOTHING;
  if (status >= 500) return MADE_FAILED;
  if (status == 204) return MADE_END;
  if (status >= 300 && status < 400) return MADE_REDIRECT;
  if (render->is_ended || (render->page->handler && vsi_render_find(&r->render))) return MADE_CONTENT;
  if (status >= 400) return MADE_RELOAD;
  if (render->page->handler) return MADE_FAILED;
  vsi_log(r->pages->host, VESTRY_LOG_ERROR, "the page at %s: its content was not begun and ended",
          vsi_request_copy_path(r->view->request));
  return MADE_FAILED;
}

static outcome make_part(run *r) {
  const vsi_shared *shared = r->shared;
  const vestry_page_part part = {.share = shared->key + shared->share_at, .render = shared->render, .app = shared->app};
  vestry_err error = vsi_part_render(r->pages, true, &part, r->html, &r->names);
  if (error) {
    vsi_log(r->pages->host, VESTRY_LOG_ERROR, "the part #%s: %s", shared->id, vestry_strerror(error));
    return MADE_FAILED;
  }
  vsi_html *html = vsi_html_of(r->html);
  r->content = (vestry_slice){html->data ? html->data : "", html->len};
  r->hash = vsi_siphash_128_of(r->pages->content_secret, r->content.data, r->content.len);
  return MADE_CONTENT;
}

/* What the tab said that it has; NULL: nothing, or it does not count any more. */
static const vsi_tag *tag_of(const run *r) {
  return r->private && r->private->extra ? r->private->extra->tag : NULL;
}

/* What the stream has already, as far as its view knows. Of a shared view it must be there, too, for who comes now. */
static const vsi_tag *what_it_has(run *r) {
  const vsi_view *view = r->view;
  if (tag_of(r)) return tag_of(r);
  if (!r->has_hash || !r->has_version || (r->shared && !r->kept)) return NULL;
  r->had = (vsi_tag){.hash = view->hash, .has_version = true, .version = view->version};
  return &r->had;
}

static outcome make_page(run *r) {
  vsi_view *view = r->view;
  const vsi_shared *shared = r->shared;
  vsi_render_init(&r->render, view->page, r->html, shared ? shared->key + shared->share_at : NULL);
  r->render.names = &r->names;
  r->render.is_stream = true;
  r->render.had = what_it_has(r);
  vestry_err error = vsi_request_copy_handle(view->request, &r->reply, vsi_render_handle, &r->render);
  if (!error) error = vestry_html_error(r->html, NULL, NULL);
  r->render.req = NULL; /* it is gone */
  outcome made = classify(r, error);
  if (made == MADE_CONTENT) {
    r->content = vsi_render_content(&r->render);
    r->hash = r->render.tag.hash;
  } else if (made == MADE_FAILED && error) {
    vsi_log(r->pages->host, VESTRY_LOG_ERROR, "the page at %s: %s", vsi_request_copy_path(view->request),
            vestry_strerror(error));
  }
  return made;
}

/* Depend on what was named, and on nothing else if that is what the view now shows. With the lock. */
static outcome depend(run *r, outcome made) {
  vsi_view *view = r->view;
  bool is_stale = false;
  vestry_err error = VESTRY_OK;
  if (!view->is_over) error = vsi_topics_name(view, &r->names, made == MADE_CONTENT, r->started_seq, &is_stale);
  vsi_topics_noted(r->pages, &r->names);
  if (is_stale) {
    view->is_dirty = true;
    if (!view->marked_seq) view->marked_seq = r->started_seq + 1;
  }
  return error ? MADE_FAILED : made;
}

static outcome make(run *r) {
  vsi_view *view = r->view;
  vestry_pages *pages = r->pages;
  vsi_schedule_began(view, r->shared, vsi_now_ns(pages->host));
  outcome made = vsi_view_is_part(view) ? make_part(r) : make_page(r);
  vsi_pages_lock(pages);
  made = depend(r, made);
  pages->stats.renders_count++;
  if (made == MADE_FAILED)
    pages->stats.failed_count++;
  else if (made == MADE_NOTHING)
    pages->stats.current_count++;
  else if (made != MADE_CONTENT)
    pages->stats.dropped_count++;
  r->is_first &= made == MADE_FAILED;
  view->is_first = r->is_first;
  vsi_pages_unlock(pages);
  return made;
}

/* What all who see the view have is known, or not any more. With the lock. */
static void set_has_hash(run *r, bool has_hash) {
  r->view->has_hash = r->has_hash = has_hash;
}

static void set_version(run *r, bool has_version) {
  r->view->has_version = r->has_version = has_version;
  r->view->version = r->render.tag.version;
}

/* What a part's element is patched by. */
static vestry_elements_options inside_of(const char *id, char selector[132]) {
  selector[0] = '#';
  memcpy(selector + 1, id, strlen(id) + 1);
  return (vestry_elements_options){.selector = selector, .mode = VESTRY_PATCH_INNER};
}

/* The event, with its id behind it; tag NULL: without. OK | NO_MEMORY | TOO_LARGE */
static vestry_err format(run *r, const char *tag) {
  const vsi_shared *shared = r->shared;
  vestry_elements_options options = {.mode = VESTRY_PATCH_OUTER};
  char selector[132], text[VSI_TAG_BYTES];
  if (vsi_view_is_part(r->view)) {
    options = inside_of(shared->id, selector);
    const vsi_tag of_part = {
        .build = r->pages->build,
        .parts_count = 1,
        .parts = {vsi_tag_claim(r->pages, shared->id, shared->key + shared->share_at, r->hash.high)}};
    (void)vsi_tag_write(&of_part, text);
    tag = text;
  }
  if (!tag) return vestry_event_elements(r->pages->host, r->content.data, r->content.len, &options, &r->event);
  return vsi_event_marked_elements(r->pages->host, r->content.data, r->content.len, &options, tag, &r->event);
}

/* ------------------------------------------------------------------------------- what is said of the page itself -- */

/* A signal of the page's own. What it does then stands in its element (script.c), so no script comes by a stream. */
static vestry_err say(vestry_connection *connection, const vestry_value *state) {
  return vestry_connection_patch_signals(connection, VESTRY_OBJECT("_vestry", state), NULL);
}

static void say_failing(vestry_connection *connection, bool is_failing) {
  (void)say(connection, VESTRY_OBJECT("failing", is_failing));
}

static void leave(vestry_connection *connection, vestry_err error) {
  (void)error; /* a page that cannot be told that it is to go is closed too */
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
}

/* The tab is to stay as it is: it does not ask why its stream has ended, as it does otherwise. */
static void say_over(vestry_connection *connection) {
  leave(connection, say(connection, VESTRY_OBJECT("over", (bool)true)));
}

void vsi_page_reload(vestry_pages *pages, vestry_connection *connection, uint32_t within_ms) {
  uint32_t after_ms = 1 + vsi_pages_chance(pages, within_ms); /* 0 says nothing */
  leave(connection, say(connection, VESTRY_OBJECT("reload", after_ms)));
}

/* By the rules of vestry_event_redirect: an address that would run code is none. */
static void redirect(run *r, vestry_connection *connection, const char *url) {
  if (vsi_is_web_address(url)) {
    leave(connection, say(connection, VESTRY_OBJECT("go", url)));
    return;
  }
  vsi_log(r->pages->host, VESTRY_LOG_ERROR, "the page at %s: redirected to what is no address of the web",
          vsi_request_copy_path(r->view->request));
  leave(connection, VESTRY_INVALID);
}

enum { RELOAD_MS = 1000 };

/* Its content is none: what becomes of one stream. */
static void lead_away(run *r, outcome made, vestry_connection *connection) {
  const vestry_header *location = vsi_reply_header_find(&r->reply, "Location");
  if (made == MADE_REDIRECT && location)
    redirect(r, connection, location->value);
  else if (made == MADE_END || made == MADE_REDIRECT)
    say_over(connection);
  else if (made == MADE_RELOAD)
    vsi_page_reload(r->pages, connection, RELOAD_MS);
}

/* When the view sends; NULL: nobody will ask. */
static vsi_sending *sending_of(run *r) {
  if (r->shared) return &r->shared->sent;
  return r->private->extra ? &r->private->extra->sent : NULL;
}

static void begin_sending(run *r) {
  vsi_sending *sending = sending_of(r);
  vsi_pages_lock(r->pages);
  uint64_t from = ++r->pages->sent;
  if (sending) *sending = (vsi_sending){.from = from, .to = UINT64_MAX};
  vsi_pages_unlock(r->pages);
}

/* Whether the next event can be encoded as what has changed, or others may join. */
static bool is_of_use(const run *r) {
  return r->shared || vsi_connection_may_encode(r->private->viewer.connection);
}

/* What was made is what all who see the view have, if it was accepted. With the lock. */
static void settle_locked(run *r, bool is_same, vestry_err error) {
  vestry_pages *pages = r->pages;
  vsi_view *view = r->view;
  vsi_sending *sending = sending_of(r);
  if (sending && sending->to == UINT64_MAX) sending->to = ++pages->sent;
  if (!error && !view->is_over) {
    view->hash = r->hash;
    set_has_hash(r, true);
    set_version(r, r->render.tag.has_version);
    if (r->event && is_of_use(r)) {
      vsi_view_keep(view, vestry_event_ref(r->event));
      vsi_view_let_go(pages);
    }
  } else {
    set_has_hash(r, false);
  }
  if (error) pages->stats.unsent_count++;
  if (is_same && !error)
    pages->stats.unchanged_count++;
  else
    pages->stats.changed_count++;
}

/* ------------------------------------------------------------------------------------------- a private page ------- */

/* A part of a private page, while its content is sent. */
typedef struct change {
  vsi_seat *seat;  /* held; NULL: new */
  vsi_seat *taken; /* a new one's, promised */
  vestry_event *inside;
  uint64_t hash;
} change;

static vsi_seat *find_seat(const vsi_viewer *viewer, const vsi_buffer *key) {
  vsi_seat *seat = viewer->seats;
  while (seat && !(seat->shared->key_len == key->len && memcmp(seat->shared->key, key->data, key->len) == 0))
    seat = seat->next_of_viewer;
  return seat;
}

/* The seat that the page has of a part already, or the promise of a new one. */
static vestry_err find_or_promise(run *r, const vestry_page_part *part, change *c) {
  vestry_pages *pages = r->pages;
  vsi_viewer *viewer = &r->private->viewer;
  size_t share_at;
  vsi_buffer key;
  vsi_buffer_init(&key, pages->host);
  vsi_part_key(&key, part, &share_at);
  vestry_err error = key.error;
  vsi_pages_lock(pages);
  if (!error && r->view->is_over) error = VESTRY_CLOSED;
  if (!error) c->seat = find_seat(viewer, &key);
  if (c->seat) {
    vsi_seat_hold(c->seat);
    c->seat->render = r->private->extra->renders;
  } else if (!error) {
    error = vsi_seat_promise(pages, viewer, NULL, part, &key, share_at, NULL, &c->taken);
  }
  vsi_pages_unlock(pages);
  vsi_buffer_finish(&key);
  if (!c->taken) return error;
  c->taken->render = r->private->extra->renders;
  c->taken->page = r->view->page;
  if (r->view->page->allow) c->taken->request = vsi_request_copy_ref(r->view->request);
  return error;
}

/* What is inside a part that the page has not shown yet: it goes out with the page's content. */
static vestry_err make_inside(run *r, const vestry_page_part *part, change *c) {
  vestry_html html;
  char selector[132];
  const vestry_elements_options options = inside_of(part->id, selector);
  vestry_html_init(&html, r->pages->host);
  vestry_slice inside;
  vestry_err error = vsi_part_render(r->pages, true, part, &html, NULL);
  if (!error) error = vestry_html_result(&html, &inside);
  if (!error) error = vestry_event_elements(r->pages->host, inside.data, inside.len, &options, &c->inside);
  if (!error) c->hash = vsi_siphash_128_of(r->pages->content_secret, inside.data, inside.len).high;
  vestry_html_finish(&html);
  if (error) vsi_log(r->pages->host, VESTRY_LOG_ERROR, "the part #%s: %s", part->id, vestry_strerror(error));
  return error;
}

/* Leave the parts that the page does not have any more; nothing of them comes behind this. */
static void leave_former(run *r) {
  vestry_pages *pages = r->pages;
  vsi_seat *former[VSI_PARTS_MAX];
  size_t former_count = 0;
  if (!r->private->extra) return; /* it never had any */
  vsi_pages_lock(pages);
  for (vsi_seat *next, *seat = r->private->viewer.seats; seat; seat = next) {
    next = seat->next_of_viewer;
    if (seat->render == r->private->extra->renders || former_count == VSI_PARTS_MAX) continue;
    vsi_seat_hold(seat);
    vsi_seat_leave(seat);
    former[former_count++] = seat;
  }
  vsi_pages_unlock(pages);
  if (!former_count) return;
  for (size_t i = 0; i < former_count; i++)
    (void)vestry_channel_leave(former[i]->shared->channel, former[i]->connection); /* NOT_FOUND: not yet joined */
  vsi_pages_lock(pages);
  for (size_t i = 0; i < former_count; i++) vsi_seat_release(former[i]);
  vsi_pages_unlock(pages);
}

/* What the tab will have, as its event's id says. Of a part, what was certainly sent before; what nobody knows is 0. */
static void fill_tag(run *r, const change *changes) {
  vsi_tag *tag = &r->render.tag;
  tag->parts_count = r->render.parts_count;
  vsi_pages_lock(r->pages);
  for (size_t i = 0; i < tag->parts_count; i++) {
    const vsi_seat *seat = changes[i].seat;
    if (!seat)
      tag->parts[i] = changes[i].hash;
    else if (seat->is_in)
      tag->parts[i] = seat->shared->view.has_hash ? seat->shared->view.hash.high : 0;
    else
      tag->parts[i] = seat->has_hash ? seat->hash : 0;
  }
  vsi_pages_unlock(r->pages);
}

/* A part that changed while the content was sent may stand before it, and the id behind it would claim what the part
 * was before: then another id comes behind. */
static vestry_err correct_mark(run *r, const change *changes, char text[VSI_TAG_BYTES]) {
  char now[VSI_TAG_BYTES];
  for (;;) {
    fill_tag(r, changes);
    (void)vsi_tag_write(&r->render.tag, now);
    if (strcmp(text, now) == 0) return VESTRY_OK;
    vestry_event *mark;
    vestry_err error = vsi_event_mark(r->pages->host, now, &mark);
    if (error) return error;
    error = vestry_connection_send(r->private->viewer.connection, mark);
    vestry_event_unref(mark);
    if (error) return error;
    memcpy(text, now, sizeof now);
  }
}

/* The content unless it is the same, the insides of new parts, and the id, behind all of it. */
static vestry_err send_content(run *r, change *changes, bool is_same) {
  vestry_event *events[2 + VSI_PARTS_MAX], *mark = NULL;
  size_t events_count = 0;
  char text[VSI_TAG_BYTES];
  bool has_inside = false;
  for (size_t i = 0; i < r->render.parts_count; i++) has_inside |= changes[i].inside != NULL;
  if (is_same && !has_inside) return VESTRY_OK;
  fill_tag(r, changes);
  (void)vsi_tag_write(&r->render.tag, text);
  vestry_err error = is_same ? VESTRY_OK : format(r, has_inside ? NULL : text);
  if (!error && has_inside) error = vsi_event_mark(r->pages->host, text, &mark);
  if (error) return error;
  if (!is_same) {
    if (r->has_hash) vestry_event_follow(r->event, r->kept);
    events[events_count++] = r->event;
  }
  for (size_t i = 0; i < r->render.parts_count; i++)
    if (changes[i].inside) events[events_count++] = changes[i].inside;
  if (mark) events[events_count++] = mark;
  begin_sending(r);
  error = vsi_connection_send_here(r->private->viewer.connection, events, events_count);
  vestry_event_unref(mark);
  if (error) return error;
  vsi_extra_forget_tag(r->private); /* it has been sent something else */
  return correct_mark(r, changes, text);
}

static void settle_private(run *r, change *changes, bool is_same, vestry_err error) {
  vestry_pages *pages = r->pages;
  vsi_view *view = r->view;
  vsi_pages_lock(pages);
  bool is_sent = !error && !view->is_over;
  for (size_t i = 0; i < r->render.parts_count; i++) {
    vsi_seat *taken = changes[i].taken;
    vsi_seat *seat = changes[i].seat ? changes[i].seat : taken;
    if (seat) seat->place = (uint8_t)i;
    if (changes[i].seat) vsi_seat_release(changes[i].seat);
    if (!taken) continue;
    taken->hash = changes[i].hash;
    taken->has_hash = true;
    taken->joined = r->private->extra->sent.from;
    if (is_sent)
      vsi_seat_take(taken);
    else
      vsi_seat_drop(taken);
  }
  settle_locked(r, is_same, error);
  vsi_pages_unlock(pages);
}

/* A run of a private page has come to nothing. */
static vsi_run_result fail(run *r) {
  vestry_connection *connection = r->private->viewer.connection;
  if (!vestry_connection_is_open(connection)) return VSI_RUN_DONE; /* nobody is there to be told */
  if (!r->failures) say_failing(connection, true);
  return VSI_RUN_FAILED;
}

/* A page with parts, or that had some: each seat has the number of the last render that named it. */
static vestry_err count_render(run *r) {
  vsi_extra *extra = r->private->extra;
  if (!r->render.parts_count && !(extra && extra->renders)) return VESTRY_OK;
  extra = vsi_extra_get(r->private);
  if (!extra) return VESTRY_NO_MEMORY;
  vsi_pages_lock(r->pages);
  extra->renders++;
  vsi_pages_unlock(r->pages);
  return VESTRY_OK;
}

/* A seat or the promise of one for each part, and what is inside of the new ones. tag_fits: the tab has all of it. */
static vestry_err prepare_parts(run *r, change *changes, bool tag_fits) {
  const vsi_tag *tag = tag_of(r);
  vestry_err error = count_render(r);
  for (size_t i = 0; !error && i < r->render.parts_count; i++) {
    const vestry_page_part *part = &r->render.parts[i].part;
    error = find_or_promise(r, part, &changes[i]);
    if (error || changes[i].seat) continue;
    if (tag_fits)
      changes[i].hash = tag->parts[i];
    else if (tag && vsi_tag_is_of_part(tag))
      changes[i].hash = vsi_tag_claim(r->pages, part->id, part->share, tag->parts[0]);
    else
      error = make_inside(r, part, &changes[i]);
  }
  return error;
}

static vsi_run_result deliver_private(run *r) {
  vsi_view *view = r->view;
  const vsi_tag *tag = tag_of(r);
  size_t parts_count = r->render.parts_count;
  change changes[VSI_PARTS_MAX];
  memset(changes, 0, parts_count * sizeof *changes);
  bool tag_fits = tag && !r->has_hash && vsi_hash_128_equal(tag->hash, r->hash) && tag->parts_count == parts_count;
  bool is_same = tag_fits || (r->has_hash && vsi_hash_128_equal(view->hash, r->hash));
  vestry_err error = prepare_parts(r, changes, tag_fits);
  if (!error) {
    leave_former(r);
    error = send_content(r, changes, is_same);
  }
  settle_private(r, changes, is_same, error);
  for (size_t i = 0; i < parts_count; i++) vestry_event_unref(changes[i].inside);
  if (error) return fail(r);
  if (r->failures) say_failing(r->private->viewer.connection, false);
  return VSI_RUN_DONE;
}

/* Render when it is written: its runner tells (vsi_page_written). */
static vsi_run_result block(run *r) {
  vsi_pages_lock(r->pages);
  r->pages->stats.postponed_count++;
  r->view->is_blocked = true;
  vsi_pages_unlock(r->pages);
  vsi_connection_await_written(r->private->viewer.connection);
  return VSI_RUN_BLOCKED;
}

static vsi_run_result run_private(run *r) {
  vsi_view *view = r->view;
  vestry_connection *connection = r->private->viewer.connection;
  uint32_t queued_count;
  size_t queued_bytes;
  bool is_shut;
  vsi_queue_load(&connection->queue, &queued_count, &queued_bytes, &is_shut);
  if (is_shut) return VSI_RUN_DONE;                  /* it is about to end */
  if (queued_count && !r->is_first) return block(r); /* at first it is what opens the stream */
  outcome made = make(r);
  if (made == MADE_CONTENT) {
    vsi_run_result result = deliver_private(r);
    if (result == VSI_RUN_DONE) vsi_extra_forget_tag(r->private); /* what was not sent is asked of it again */
    return result;
  }
  if (made == MADE_NOTHING) {
    vsi_pages_lock(r->pages);
    view->hash = r->render.had->hash;
    set_has_hash(r, true);
    set_version(r, true);
    vsi_pages_unlock(r->pages);
    vsi_extra_forget_tag(r->private);
    if (r->failures) say_failing(connection, false);
    return VSI_RUN_DONE;
  }
  if (made == MADE_FAILED) return fail(r);
  lead_away(r, made, connection);
  return VSI_RUN_DONE;
}

/* --------------------------------------------------------------------------------------------- a shared view ------ */

/* Seats that are held. */
typedef struct held {
  vsi_seat **seats;
  size_t count;
} held;

/* joining: those that join; they do so no more. Otherwise all. OK | NO_MEMORY */
static vestry_err hold(run *r, bool joining, held *ret_held) {
  vestry_pages *pages = r->pages;
  vsi_shared *shared = r->shared;
  size_t room = 0;
  *ret_held = (held){NULL, 0};
  vsi_pages_lock(pages);
  for (vsi_seat *seat = joining ? shared->joining : shared->seats; seat;
       seat = joining ? seat->next_joining : seat->next)
    room++;
  if (room) ret_held->seats = vsi_alloc(pages->host, room * sizeof *ret_held->seats);
  for (vsi_seat *next, *seat = joining ? shared->joining : shared->seats; seat && ret_held->seats; seat = next) {
    next = joining ? seat->next_joining : seat->next;
    vsi_seat_hold(seat);
    if (joining) vsi_seat_joined(seat);
    ret_held->seats[ret_held->count++] = seat;
  }
  vsi_pages_unlock(pages);
  return room && !ret_held->seats ? VESTRY_NO_MEMORY : VESTRY_OK;
}

/* again: those that are not over join later. */
static void release(run *r, held *whom, bool again) {
  vestry_pages *pages = r->pages;
  vsi_shared *shared = r->shared;
  vsi_pages_lock(pages);
  for (size_t i = 0; i < whom->count; i++) {
    vsi_seat *seat = whom->seats[i];
    if (again && !seat->is_over) vsi_seat_join(shared, seat);
    vsi_seat_release(seat);
  }
  vsi_pages_unlock(pages);
  vsi_free(pages->host, whom->seats);
}

/* Who may not see it any more is sent away before it changes. */
static vestry_err ask_all(run *r) {
  held all;
  vsi_pages_lock(r->pages);
  bool asks = r->shared->asks;
  vsi_pages_unlock(r->pages);
  if (!asks) return VESTRY_OK;
  vestry_err error = hold(r, false, &all);
  for (size_t i = 0; i < all.count; i++)
    if (all.seats[i]->request && !vsi_page_allows(all.seats[i]->page, all.seats[i]->request))
      vsi_page_reload(r->pages, all.seats[i]->connection, RELOAD_MS);
  release(r, &all, false);
  return error;
}

/* Those who join too: they join no more. */
static vsi_run_result lead_all_away(run *r, outcome made, held *joining) {
  held all;
  vestry_err error = hold(r, false, &all);
  release(r, joining, error);
  if (error) return VSI_RUN_FAILED;
  for (size_t i = 0; i < all.count; i++) lead_away(r, made, all.seats[i]->connection);
  release(r, &all, false);
  vsi_pages_lock(r->pages);
  set_has_hash(r, false); /* what it showed is not to be shown to who comes now */
  vsi_pages_unlock(r->pages);
  return VSI_RUN_DONE;
}

static void tell_all(run *r, bool is_failing) {
  const vestry_value *state = VESTRY_OBJECT("failing", is_failing);
  vestry_event *event;
  if (vsi_view_is_part(r->view) || vestry_event_signals(r->pages->host, VESTRY_OBJECT("_vestry", state), NULL, &event))
    return;
  (void)vestry_channel_publish(r->shared->channel, event, NULL);
  vestry_event_unref(event);
}

/* Those who join while it fails are in no channel yet. */
static void tell_joining(run *r, const held *joining) {
  for (size_t i = 0; i < joining->count && !vsi_view_is_part(r->view); i++) {
    vsi_seat *seat = joining->seats[i];
    if (!seat->is_told) say_failing(seat->connection, true);
    seat->is_told = true;
  }
}

/* It cannot take what all others have. It comes back, and says what it has. */
static void send_back(vestry_connection *connection, vestry_err error) {
  vestry_connection_close(connection, error == VESTRY_FULL ? VESTRY_CAUSE_FULL : VESTRY_CAUSE_ERROR);
}

static void member_refused(vestry_connection *connection, vestry_err error, void *ctx) {
  vestry_err *ret_error = ctx;
  if (error == VESTRY_NO_MEMORY)
    *ret_error = error; /* more of them may have none: all are sent it again */
  else
    send_back(connection, error);
}

static vestry_err send_to_all(run *r) {
  vestry_err refused = VESTRY_OK;
  vsi_pages_lock(r->pages);
  set_has_hash(r, false); /* meanwhile nobody knows what a member has */
  vsi_pages_unlock(r->pages);
  vestry_err error = vsi_channel_publish(r->shared->channel, r->event, member_refused, &refused, NULL);
  return error ? error : refused;
}

static vestry_err publish(run *r) {
  vestry_pages *pages = r->pages;
  char text[VSI_TAG_BYTES];
  bool is_same = r->has_hash && vsi_hash_128_equal(r->view->hash, r->hash);
  vestry_err error = VESTRY_OK;
  if (!is_same || !r->kept) {
    r->render.tag.hash = r->hash;
    (void)vsi_tag_write(&r->render.tag, text);
    error = format(r, text);
  }
  if (!error && !is_same) {
    begin_sending(r);
    error = send_to_all(r);
  }
  vsi_pages_lock(pages);
  settle_locked(r, is_same, error);
  vsi_pages_unlock(pages);
  return error;
}

/* Whether the stream that joins has what the view shows. */
static bool has_content(const run *r, const vsi_seat *seat) {
  return r->has_hash && seat->has_hash && seat->hash == r->view->hash.high;
}

/* Let a stream join, with what it does not have. OK | NO_MEMORY */
static vestry_err join(run *r, vsi_seat *seat) {
  vestry_pages *pages = r->pages;
  vsi_view *view = r->view;
  vestry_channel *channel = r->shared->channel;
  vestry_event *event = r->event ? r->event : r->kept;
  vestry_err error = vestry_channel_join(channel, seat->connection);
  if (error == VESTRY_NO_MEMORY) return error;
  vsi_pages_lock(pages);
  bool has_it = has_content(r, seat), is_over = seat->is_over;
  error = has_it || is_over ? VESTRY_OK : vsi_connection_put(seat->connection, event);
  seat->has_hash = !error;
  seat->hash = view->hash.high;
  seat->is_in = !error && !is_over;
  if (!has_it) seat->joined = ++pages->sent;
  vsi_pages_unlock(pages);
  if (!has_it && !is_over) vsi_connection_posted(seat->connection, error);
  if (is_over || error) (void)vestry_channel_leave(channel, seat->connection);
  if (error == VESTRY_NO_MEMORY) return error;
  if (error) send_back(seat->connection, error);
  if (seat->is_told) say_failing(seat->connection, false);
  seat->is_told = false;
  return VESTRY_OK;
}

static bool needs_content(const run *r, const held *joining) {
  for (size_t i = 0; i < joining->count; i++)
    if (!has_content(r, joining->seats[i])) return true;
  return false;
}

static vsi_run_result join_all(run *r, held *joining) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < joining->count && !error; i++) error = join(r, joining->seats[i]);
  release(r, joining, error); /* who has joined already, and has it, joins again without being sent it */
  return error ? VSI_RUN_FAILED : VSI_RUN_DONE;
}

static vsi_run_result run_shared(run *r, bool is_dirty) {
  held joining;
  outcome made = MADE_NOTHING;
  if (hold(r, true, &joining)) return VSI_RUN_FAILED;
  if (is_dirty || r->is_first || ((!r->kept || !r->has_hash) && needs_content(r, &joining))) {
    if (ask_all(r)) made = MADE_FAILED;
    if (made != MADE_FAILED) made = make(r);
  }
  if (made == MADE_CONTENT && publish(r)) made = MADE_FAILED;
  if (made == MADE_CONTENT && r->failures) tell_all(r, false);
  bool can_join = r->has_hash && (r->event || r->kept || !needs_content(r, &joining));
  if (made == MADE_CONTENT || made == MADE_NOTHING) {
    if (can_join) return join_all(r, &joining);
    made = MADE_FAILED;
  }
  if (made != MADE_FAILED) return lead_all_away(r, made, &joining);
  if (!r->failures) tell_all(r, true);
  tell_joining(r, &joining);
  release(r, &joining, true);
  return VSI_RUN_FAILED;
}

static void init(run *r, vsi_view *view, vestry_html *html, uint64_t started_seq) {
  vestry_pages *pages = view->page->pages;
  r->pages = pages;
  r->view = view;
  r->started_seq = started_seq;
  r->event = NULL;
  r->render.parts_count = 0;
  r->render.pages = pages;
  r->render.tag = (vsi_tag){.build = pages->build};
  vsi_pages_lock(pages);
  r->shared = view->is_shared ? vsi_shared_of(view) : NULL;
  r->private = view->is_shared ? NULL : vsi_private_of(view);
  r->is_first = view->is_first;
  r->has_hash = view->has_hash;
  r->has_version = view->has_version;
  r->failures = view->failures;
  r->kept = !view->is_over && view->kept ? vestry_event_ref(view->kept->event) : NULL;
  vsi_pages_unlock(pages);
  vsi_buffer_init(&r->names, pages->host);
  r->html = html;
  vestry_html_clear(html);
  vsi_reply_init(&r->reply, pages->host);
}

enum { HTML_KEPT_BYTES = 1 << 18 };

vsi_run_result vsi_view_run(vsi_view *view, vestry_html *html, bool is_dirty, uint64_t started_seq) {
  run r;
  init(&r, view, html, started_seq);
  vsi_run_result result = r.shared ? run_shared(&r, is_dirty) : run_private(&r);
  vestry_event_unref(r.event);
  vestry_event_unref(r.kept);
  vsi_render_finish(&r.render);
  vsi_reply_finish(&r.reply);
  if (vsi_html_of(html)->capacity > HTML_KEPT_BYTES) vestry_html_finish(html);
  vsi_buffer_finish(&r.names);
  return result;
}
