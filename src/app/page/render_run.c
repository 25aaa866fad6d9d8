/* SPDX-License-Identifier: MIT */
/* essay: the claims of a hash and of an event id about a stream */
/* One run of a fragment: call the handler, compare the hash of the result with the hash of the content that the streams
 * have, format the event, and record the result. A fragment is a unit of rendering: a page, or a part of a page. A
 * private fragment belongs to one stream, a shared one to any number of streams (fragment.h, which also explains the
 * flags of a fragment). A claim is a statement of a tab about the content that it shows; the tag is the hash of this
 * content (state_tag.h). A topic is a name for data that a render depends on (topic.c).
 *
 * The hash of a fragment identifies the content that every stream of the fragment has, or will have once its queue is
 * written. The hash changes only after the event was accepted. Therefore content that could not be sent still differs
 * from the hash in the next run, and is sent then.
 *
 * After the event of a page, the stream gets an event id (event/mark.h), which the browser sends when it reconnects.
 * With the id the tab claims to have this content of the page and certain contents of its parts. So the id is sent
 * after all events with these contents.
 *
 * A part may change later. If its event had no id, the id that the tab has would still claim the old content of the
 * part. The part may return to its old content while the tab is disconnected. Then the server would find the claim
 * right and send nothing, although the tab still shows the content in between. Therefore the event of a part has a
 * separate id, which claims this part only. A page with a layout merges the id into the claims that it has
 * (navigate.js). */
#include "app/page/render_run.h"

#include <stdio.h>

#include "app/page/state_tag.h"
#include "app/page/tally.h"
#include "app/page/topic.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "event/layout.h"
#include "event/mark.h"
#include "event/script.h"
#include "html/builder.h"
#include "http/answer.h"

/* Messages to one stream about the page itself. They are sent as signals, on which the page's element acts (script.c),
 * so that no code has to be sent through the stream. */

static vestry_err send_state(vestry_connection *connection, const vestry_value *state) {
  return vestry_connection_patch_signals(connection, VESTRY_OBJECT("_vestry", state), NULL);
}

/* Send a last message, and end the stream even if it was not accepted. */
static void leave(vestry_connection *connection, const vestry_value *state) {
  (void)send_state(connection, state);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
}

void vsi_send_failing(vestry_connection *connection, bool is_failing) {
  (void)send_state(connection, VESTRY_OBJECT("failing", is_failing));
}

void vsi_send_reload(vestry_pages *pages, vestry_connection *connection, uint32_t within_ms) {
  uint32_t after_ms = 1 + vsi_pages_chance(pages, within_ms); /* 0 would mean no reload */
  leave(connection, VESTRY_OBJECT("reload", after_ms));
}

static vsi_outcome classify(vsi_run *r, vestry_err error) {
  const vsi_render *render = &r->render;
  int status = r->reply.status;
  if (error) return render->is_refused || vsi_status_of(r->pages->v, error) < 500 ? VSI_MADE_RELOAD : VSI_MADE_FAILED;
  if (render->is_current) return VSI_MADE_NOTHING;
  if (status >= 500) return VSI_MADE_FAILED;
  if (status == 204) return VSI_MADE_END;
  if (status >= 300 && status < 400) return VSI_MADE_REDIRECT;
  if (render->is_ended || (render->page->handler && vsi_render_find(&r->render))) return VSI_MADE_CONTENT;
  if (status >= 400) return VSI_MADE_RELOAD;
  if (render->page->handler) return VSI_MADE_FAILED;
  vsi_log_repeated(r->pages->host, &r->fragment->page->failures, vsi_log_reason("no content"), VESTRY_LOG_ERROR,
                   "the page at %.300s: the render did not begin and end the content", r->fragment->request->path);
  return VSI_MADE_FAILED;
}

static vsi_outcome make_part(vsi_run *r) {
  const vsi_shared *shared = r->shared;
  const vestry_page_part part = {
      .id = shared->id, .share = shared->key + shared->share_at, .render = shared->render, .app = shared->app};
  vestry_err error = vsi_part_make(r->pages, &part, r->html, r->names, &r->is_again, &r->content, &r->hash);
  return error ? VSI_MADE_FAILED : VSI_MADE_CONTENT;
}

/* Return the state of the stream, as far as its fragment knows it; NULL: not known. A shared fragment also needs its
 * event, because streams that join now receive it. */
static const vsi_state_tag *known_state(vsi_run *r) {
  const vsi_fragment *fragment = r->fragment;
  const vsi_state_tag *said = r->private ? vsi_private_extra_tag(r->private) : NULL;
  if (said) return said;
  if (!r->has_hash || !r->has_version || (r->shared && !r->kept)) return NULL;
  r->had = (vsi_state_tag){.hash = fragment->hash, .has_version = true, .version = fragment->version};
  return &r->had;
}

/* Call the handler of the page with the copied request. */
static vsi_outcome make_page(vsi_run *r) {
  vsi_fragment *fragment = r->fragment;
  const vsi_shared *shared = r->shared;
  vsi_render_init(&r->render, fragment->page, r->html, shared ? shared->key + shared->share_at : NULL);
  r->render.names = r->names;
  r->render.is.is_stream = true;
  r->render.had = known_state(r);
  vsi_held_log held;
  vsi_log_hold(&held);
  vestry_err error = vsi_request_copy_handle(fragment->request, &r->reply, vsi_render_handle, &r->render);
  vsi_log_release(&held);
  if (!error) error = vestry_html_error(r->html, NULL, NULL);
  r->render.is.request = NULL; /* the request was borrowed during the call */
  r->is_again = r->render.is_again;
  vsi_outcome made = classify(r, error);
  if (made == VSI_MADE_CONTENT) {
    r->content = vsi_render_content(&r->render);
    r->hash = r->render.tag.hash;
  }
  if (made == VSI_MADE_FAILED && error)
    vsi_render_log(fragment->page, "page at ", fragment->request->path, r->html, error, held.line);
  else if (*held.line)
    vsi_log_repeated(r->pages->host, &fragment->page->failures, 0, VESTRY_LOG_ERROR, "%s", held.line);
  return made;
}

/* Link the fragment to the topics that the render named. If the fragment now shows the result of this render, drop its
 * other links. The caller holds the lock. */
static vsi_outcome depend(vsi_run *r, vsi_outcome made) {
  vsi_fragment *fragment = r->fragment;
  vsi_missed missed = {.seq = 0};
  vestry_err error = VESTRY_OK;
  if (!fragment->is_over)
    error = vsi_topics_name(fragment, r->names, made == VSI_MADE_CONTENT, r->started_seq, &missed);
  vsi_topics_noted(r->pages, r->names);
  if (missed.seq) {
    fragment->is_dirty = true;
    fragment->is_to_check = false;
    if (!fragment->marked_seq) {
      fragment->marked_seq = missed.seq;
      fragment->is_guessed = missed.is_guessed;
    }
  }
  return error ? VSI_MADE_FAILED : made;
}

/* Count a call of the handler. The caller holds the lock. */
static void count_made(const vsi_run *r, vsi_outcome made) {
  const uint64_t began_ns = r->fragment->at_ns;
  vestry_pages_stats *stats = &r->pages->stats;
  vsi_tally *tally = vsi_tally_of(r->fragment);
  stats->renders_count++;
  vsi_tally_made(tally, &r->reason, began_ns, r->ended_ns);
  vsi_histogram_add(&r->pages->render_times, &vsi_moments, r->ended_ns > began_ns ? r->ended_ns - began_ns : 0);
  if (made == VSI_MADE_FAILED) {
    stats->failed_count++;
    tally->failed_count++;
  } else if (made == VSI_MADE_NOTHING) {
    stats->current_count++;
    tally->current_count++;
  } else if (made != VSI_MADE_CONTENT) {
    stats->dropped_count++;
    tally->dropped_count++;
  }
}

vsi_outcome vsi_run_make(vsi_run *r) {
  vsi_fragment *fragment = r->fragment;
  vestry_pages *pages = r->pages;
  fragment->at_ns = vsi_now_ns(pages->host);
  if (r->shared) r->shared->started_ns = fragment->at_ns;
  vsi_outcome made = vsi_fragment_is_part(fragment) ? make_part(r) : make_page(r);
  r->ended_ns = vsi_now_ns(pages->host);
  if (r->private && made == VSI_MADE_CONTENT) return made;
  vsi_pages_lock(pages);
  made = vsi_run_record(r, made);
  vsi_pages_unlock(pages);
  return made;
}

vsi_outcome vsi_run_record(vsi_run *r, vsi_outcome made) {
  enum { QUICK_NS = 500000 };
  r->made = made = depend(r, made);
  count_made(r, made);
  if (r->shared) r->shared->is_quick = r->ended_ns - r->fragment->at_ns < QUICK_NS;
  r->is_first &= made == VSI_MADE_FAILED;
  r->fragment->is_first = r->is_first;
  return made;
}

void vsi_run_set_has_hash(vsi_run *r, bool has_hash) {
  r->fragment->has_hash = r->has_hash = has_hash;
}

void vsi_run_set_version(vsi_run *r, bool has_version) {
  r->fragment->has_version = r->has_version = has_version;
  r->fragment->version = r->render.tag.version;
}

vestry_err vsi_run_format_part(vestry_pages *pages, const char *id, const char *share, vestry_slice inside,
                               uint64_t hash, vestry_event **ret_event) {
  char state[134], text[VSI_STATE_TAG_BYTES];
  const vsi_state_tag tag = {
      .build = pages->build, .parts_count = 1, .parts = {vsi_secret_claim(pages, id, share, hash)}};
  const vsi_patch patch = {VESTRY_PATCH_INNER, state + 1, inside};
  snprintf(state, sizeof state, VSI_STATE_OF_PAGE "#%s", id); /* followed by the selector */
  (void)vsi_state_tag_write(&tag, text);
  return vsi_event_marked_patches(pages->host, &patch, 1, state, text,
                                  atomic_load_explicit(&pages->has_layouts, memory_order_relaxed), ret_event);
}

/* The content of a shared page shows a state. That of a private page has none, because parts are inside it: their
 * events need the content before them. The next content is not rendered until it is written. */
#define STATE_OF(r) ((r)->shared ? VSI_STATE_OF_PAGE : NULL)

vestry_err vsi_run_format(vsi_run *r, const char *tag) {
  const vsi_shared *shared = r->shared;
  const vsi_patch patch = {VESTRY_PATCH_OUTER, NULL, r->content};
  if (vsi_fragment_is_part(r->fragment))
    return vsi_run_format_part(r->pages, shared->id, shared->key + shared->share_at, r->content, r->hash.high,
                               &r->event);
  vestry_event_unref(r->event); /* formatted with another tag */
  r->event = NULL;
  return vsi_event_marked_patches(r->pages->host, &patch, 1, STATE_OF(r), tag, r->fragment->page->layout != NULL,
                                  &r->event);
}

/* Find the patches from the content that the streams have, and format them. */
static vestry_err format_patches(vsi_run *r, const vsi_units *units, const char *tag) {
  vestry_pages *pages = r->pages;
  vsi_unit_patches *patches = vsi_alloc(pages->host, sizeof *patches);
  if (!patches) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_unit_patches_find(units, patches);
  if (!error) {
    error = vsi_event_marked_patches(pages->host, patches->patches, patches->count, STATE_OF(r), tag,
                                     r->fragment->page->layout != NULL, &r->patches);
    vsi_unit_patches_finish(patches);
  }
  vsi_free(pages->host, patches);
  return error == VESTRY_UNSUPPORTED || error == VESTRY_TOO_LARGE ? VESTRY_OK : error;
}

vestry_err vsi_run_format_patches(vsi_run *r, const char *tag) {
  vestry_page *page = r->fragment->page;
  if (vsi_fragment_is_part(r->fragment) || page->sends_whole) return VESTRY_OK;
  if (r->private && r->private->viewer.connection->is_response) return VESTRY_OK; /* it ends after this content */
  if (!r->has_hash && !r->names->len) return VESTRY_OK; /* no topic: no change is expected that would need the units */
  const bool is_had = r->has_hash && r->units && vsi_unit_list_of(r->units) == r->fragment->hash.low;
  vsi_units units;
  vestry_err error = vsi_render_divide(&r->render, is_had ? r->units : NULL, &units);
  if (!error) r->next_units = vsi_unit_list_make(&units, r->hash.low);
  if (!error && !r->next_units) error = VESTRY_NO_MEMORY;
  if (!error && is_had) error = format_patches(r, &units, tag);
  if (error == VESTRY_UNSUPPORTED)
    vsi_log_repeated(r->pages->host, &page->failures, vsi_log_reason(units.why), VESTRY_LOG_DEBUG,
                     "the page at %.300s: the content is always sent as a whole: %s", r->fragment->request->path,
                     units.why);
  vsi_units_finish(&units);
  return error == VESTRY_UNSUPPORTED ? VESTRY_OK : error;
}

/* The rules of the effect redirect apply: a URL that would run code is rejected. */
void vsi_run_lead_away(vsi_run *r, vsi_outcome made, vestry_connection *connection) {
  const vestry_header *location = made == VSI_MADE_REDIRECT ? vsi_reply_header_find(&r->reply, "Location") : NULL;
  VSI_ASSERT(made == VSI_MADE_END || made == VSI_MADE_REDIRECT || made == VSI_MADE_RELOAD);
  if (made == VSI_MADE_RELOAD) {
    vsi_send_reload(r->pages, connection, VSI_SEND_RELOAD_MS);
  } else if (!location) { /* the tab stays as it is, and does not request the reason, as it does otherwise */
    leave(connection, VESTRY_OBJECT("over", (bool)true));
  } else if (vsi_is_web_address(location->value)) {
    leave(connection, VESTRY_OBJECT("go", location->value));
  } else {
    vsi_log_repeated(r->pages->host, &r->fragment->page->failures, vsi_log_reason("redirect"), VESTRY_LOG_ERROR,
                     "the page at %.300s: rejected a redirect to an address that is not relative, http or https",
                     r->fragment->request->path);
    vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  }
}

/* Return where the beginning and the end of the fragment's last send are recorded, as values of pages->sent
 * (vsi_sending); NULL: they are not needed. */
static vsi_sending *sending_of(vsi_run *r) {
  if (r->shared) return &r->shared->sent;
  return r->private->extra ? &r->private->extra->sent : NULL;
}

void vsi_run_begin_sending(vsi_run *r) {
  vsi_sending *sending = sending_of(r);
  if (!sending) return;
  vsi_pages_lock(r->pages);
  *sending = (vsi_sending){.from = ++r->pages->sent, .to = UINT64_MAX};
  vsi_pages_unlock(r->pages);
}

/* Return whether the event is needed later: to encode the next event as a difference, or for streams that join. */
static bool is_of_use(const vsi_run *r) {
  return r->shared || vsi_connection_may_encode(r->private->viewer.connection);
}

/* Keep what the next run needs of a content that was sent. The caller holds the lock. */
static void keep_content(vsi_run *r) {
  vestry_event *event = r->event ? r->event : r->patches;
  if (!event) return; /* the content has not changed */
  if (!is_of_use(r)) event = NULL;
  if (event || r->next_units)
    vsi_kept_put(r->fragment, event ? vestry_event_ref(event) : NULL, vsi_unit_list_ref(r->next_units));
}

void vsi_run_settle(vsi_run *r, bool is_same, vestry_err error, uint64_t sent_bytes) {
  vestry_pages *pages = r->pages;
  vsi_tally *tally = vsi_tally_of(r->fragment);
  vsi_fragment *fragment = r->fragment;
  vsi_sending *sending = sending_of(r);
  if (sending && sending->to == UINT64_MAX) sending->to = ++pages->sent;
  if (!error && !fragment->is_over) {
    fragment->hash = r->hash;
    vsi_run_set_has_hash(r, true);
    vsi_run_set_version(r, r->render.tag.has_version);
    keep_content(r);
  } else {
    vsi_run_set_has_hash(r, false);
  }
  if (r->made != VSI_MADE_CONTENT) return; /* counted as failed */
  if (error) pages->stats.unsent_count++;
  if (r->patches && !error) pages->stats.patched_count++;
  tally->sent_bytes += sent_bytes;
  if (is_same && !error) {
    pages->stats.unchanged_count++;
    vsi_tally_unchanged(tally, &r->reason, r->ended_ns);
  } else {
    pages->stats.changed_count++;
    tally->changed_count++;
  }
}
