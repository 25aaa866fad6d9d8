/* SPDX-License-Identifier: MIT */
/* Observers of renders.
 *
 * A render keeps the places of the observers that it has told of its begin. An observer stays in its place until the
 * render has told it of its end. So observers' functions are called without the lock, and an observer that leaves waits
 * only for the renders that have told it of their begin. */
#include "app/page/observe.h"

#include "app/page/view.h"
#include "base/options.h"

/* Those that stay until they are left, as bits. */
static uint8_t enter(vestry_pages *pages) {
  uint8_t inside = 0;
  vsi_pages_lock(pages);
  for (size_t i = 0; i < pages->observers_count; i++) {
    vsi_observer *observer = &pages->observers[i];
    if (!observer->is_taken || observer->is_over) continue;
    observer->inside_count++;
    inside |= (uint8_t)(1u << i);
  }
  vsi_pages_unlock(pages);
  return inside;
}

static void leave(vestry_pages *pages, uint8_t inside) {
  bool is_awaited = false;
  vsi_pages_lock(pages);
  for (size_t i = 0; i < VESTRY_RENDER_OBSERVERS_MAX; i++) {
    if (!(inside >> i & 1)) continue;
    pages->observers[i].inside_count--;
    is_awaited |= pages->observers[i].is_over;
  }
  if (is_awaited) pthread_cond_broadcast(&pages->quiet);
  vsi_pages_unlock(pages);
}

uint8_t vsi_observers_begin(vestry_pages *pages, vestry_render *render) {
  uint8_t told = enter(pages);
  for (size_t i = 0; i < VESTRY_RENDER_OBSERVERS_MAX; i++)
    if (told >> i & 1) pages->observers[i].is.begin(render, pages->observers[i].is.ctx);
  return told;
}

void vsi_observers_end(vestry_pages *pages, vestry_render *render, uint8_t told) {
  if (!told) return;
  for (size_t i = VESTRY_RENDER_OBSERVERS_MAX; i--;)
    if (told >> i & 1) pages->observers[i].is.end(render, pages->observers[i].is.ctx);
  leave(pages, told);
}

bool vsi_observers_settle(vestry_pages *pages) {
  uint8_t inside = enter(pages);
  bool is_sure = true;
  for (size_t i = 0; i < VESTRY_RENDER_OBSERVERS_MAX; i++) {
    const vestry_render_observer *is = &pages->observers[i].is;
    if (inside >> i & 1 && (!is->settle || !is->settle(is->ctx))) is_sure = false;
  }
  if (inside) leave(pages, inside);
  return is_sure;
}

static vsi_observer *find_locked(vestry_pages *pages, const void *ctx) {
  for (size_t i = 0; i < pages->observers_count; i++) {
    vsi_observer *observer = &pages->observers[i];
    if (observer->is_taken && !observer->is_over && observer->is.ctx == ctx) return observer;
  }
  return NULL;
}

/* Add an observer after the others: it is told after them. */
static vestry_err add_locked(vestry_pages *pages, const vestry_render_observer *own) {
  if (find_locked(pages, own->ctx)) return VESTRY_EXISTS;
  while (pages->observers_count && !pages->observers[pages->observers_count - 1].is_taken) pages->observers_count--;
  if (pages->observers_count == VESTRY_RENDER_OBSERVERS_MAX) return VESTRY_LIMIT;
  pages->observers[pages->observers_count++] = (vsi_observer){.is = *own, .is_taken = true};
  return VESTRY_OK;
}

vestry_err vestry_pages_observe(vestry_pages *pages, const vestry_render_observer *observer) {
  vestry_render_observer own;
  if (!pages || !observer || VSI_OPTIONS_TAKE(vestry_render_observer, own, observer) || !own.begin || !own.end)
    return VESTRY_INVALID;
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
  if (observer) *observer = (vsi_observer){.is_taken = false};
  vsi_pages_unlock(pages);
  return observer ? VESTRY_OK : VESTRY_NOT_FOUND;
}
