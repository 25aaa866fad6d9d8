/* Views and who sees them. A view ends with its last viewer, but a worker that is just running it frees it. */
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "page/page.h"
#include "stream/connection.h"

enum { FIRST_BUCKETS = 64 };

/* ------------------------------------------------------------------------------------------------ their life ------ */

vsi_view *vsi_view_create(vestry_pages *pages, vestry_page *page, vsi_request_copy *request) {
  vsi_view *view = vsi_calloc(pages->host, 1, sizeof *view);
  if (!view) {
    vsi_request_copy_unref(request);
    return NULL;
  }
  view->pages = pages;
  view->page = page;
  view->request = request;
  view->is_first = true;
  return view;
}

void vsi_view_enter(vsi_view *view) {
  vestry_pages *pages = view->pages;
  view->at = &pages->views;
  view->next = pages->views;
  if (view->next) view->next->at = &view->next;
  pages->views = view;
  if (view->request) pages->stats.requests_bytes += vsi_request_copy_bytes(view->request);
}

static void free_shared(const vestry_host *host, vsi_shared *shared) {
  if (!shared) return;
  vestry_channel_destroy(shared->channel);
  vsi_free(host, (void *)(uintptr_t)shared->id);
  vsi_free(host, shared);
}

void vsi_view_free(vsi_view *view) {
  const vestry_host *host = view->pages->host;
  free_shared(host, view->shared);
  vsi_request_copy_unref(view->request);
  vestry_event_unref(view->event);
  if (view->viewer) vsi_viewer_free(view->viewer);
  vsi_free(host, view);
}

static void leave_bucket(vestry_pages *pages, const vsi_view *view) {
  vsi_view **at = &pages->shared[view->shared->hash & (pages->shared_size - 1)];
  while (*at != view) at = &(*at)->shared->next;
  *at = view->shared->next;
  pages->shared_count--;
}

void vsi_view_end(vsi_view *view) {
  vestry_pages *pages = view->pages;
  vsi_topics_forget(view, true);
  vsi_view_keep(view, NULL);
  if (view->shared) leave_bucket(pages, view);
  *view->at = view->next;
  if (view->next) view->next->at = view->at;
  if (pages->all_walk == view) vsi_topics_pass(view); /* which may begin anew, without it */
  pages->views_count--;
  if (view->request) pages->stats.requests_bytes -= vsi_request_copy_bytes(view->request);
  if (view->state == VSI_VIEW_WAITING) vsi_schedule_remove(view);
  view->is_over = true;
  if (view->state != VSI_VIEW_RUNNING) vsi_view_bury(view);
}

void vsi_view_bury(vsi_view *view) {
  view->next = view->pages->dead_views;
  view->pages->dead_views = view;
}

static void free_seat(const vestry_host *host, vsi_seat *seat) {
  vestry_connection_unref(seat->connection);
  vsi_request_copy_unref(seat->request);
  vsi_free(host, seat);
}

void vsi_pages_unlock(vestry_pages *pages) {
  const vestry_host *host = pages->host;
  vsi_view *views = pages->dead_views;
  vsi_seat *seats = pages->dead_seats;
  pages->dead_views = NULL;
  pages->dead_seats = NULL;
  pthread_mutex_unlock(&pages->lock);
  for (vsi_seat *next; seats; seats = next) {
    next = seats->next;
    free_seat(host, seats);
  }
  for (vsi_view *next; views; views = next) {
    next = views->next;
    vsi_view_free(views);
  }
}

/* ------------------------------------------------------------------------------------------- what is shared ------- */

/* Each field with its length before it: no two keys are alike by accident. */
static void put(vsi_buffer *key, const void *bytes, size_t len) {
  vsi_buffer_append(key, &len, sizeof len);
  vsi_buffer_append(key, bytes, len);
}

static void put_share(vsi_buffer *key, const char *share, size_t *ret_share_at) {
  *ret_share_at = key->len;
  vsi_buffer_append(key, share, strlen(share) + 1);
}

void vsi_page_key(vsi_buffer *key, const vestry_page *page, vestry_slice target, const char *share,
                  size_t *ret_share_at) {
  put(key, &page, sizeof(const vestry_page *));
  put(key, target.data, target.len);
  put_share(key, share, ret_share_at);
}

void vsi_part_key(vsi_buffer *key, const vestry_page_part *part, size_t *ret_share_at) {
  put(key, &part->render, sizeof part->render);
  put(key, &part->app, sizeof part->app);
  put(key, part->id, strlen(part->id));
  put(key, part->element, strlen(part->element));
  put_share(key, part->share, ret_share_at);
}

/* More buckets, if there is memory for them: without, it is slower. */
static void grow(vestry_pages *pages) {
  if (pages->shared_count < pages->shared_size) return;
  size_t size = pages->shared_size ? pages->shared_size * 2 : FIRST_BUCKETS;
  vsi_view **shared = vsi_calloc(pages->host, size, sizeof(vsi_view *));
  if (!shared) return;
  for (size_t i = 0; i < pages->shared_size; i++) {
    for (vsi_view *next, *view = pages->shared[i]; view; view = next) {
      next = view->shared->next;
      view->shared->next = shared[view->shared->hash & (size - 1)];
      shared[view->shared->hash & (size - 1)] = view;
    }
  }
  vsi_free(pages->host, pages->shared);
  pages->shared = shared;
  pages->shared_size = size;
}

static vsi_view *find_shared(const vestry_pages *pages, uint64_t hash, const vsi_buffer *key) {
  if (!pages->shared_size) return NULL;
  vsi_view *view = pages->shared[hash & (pages->shared_size - 1)];
  while (view && !(view->shared->hash == hash && view->shared->key_len == key->len &&
                   memcmp(view->shared->key, key->data, key->len) == 0))
    view = view->shared->next;
  return view;
}

/* Of a part the names of its element, in one allocation. */
static bool copy_names(const vestry_host *host, vsi_shared *shared, const vestry_page_part *part) {
  size_t id_len = strlen(part->id) + 1, element_len = strlen(part->element) + 1;
  char *names = vsi_alloc(host, id_len + element_len);
  if (!names) return false;
  shared->id = memcpy(names, part->id, id_len);
  shared->element = memcpy(names + id_len, part->element, element_len);
  shared->render = part->render;
  shared->app = part->app;
  return true;
}

static vsi_shared *create_shared(vestry_pages *pages, uint64_t hash, const vestry_page_part *part,
                                 const vsi_buffer *key, size_t share_at) {
  vsi_shared *shared = vsi_calloc(pages->host, 1, sizeof *shared + key->len);
  if (!shared) return NULL;
  shared->hash = hash;
  shared->key_len = (uint32_t)key->len;
  shared->share_at = (uint32_t)share_at;
  memcpy(shared->key, key->data, key->len);
  if ((!part || copy_names(pages->host, shared, part)) && !vestry_channel_create(pages->v, NULL, &shared->channel))
    return shared;
  free_shared(pages->host, shared);
  return NULL;
}

/* The view of that key, as vsi_seat_promise. NULL: no memory. */
static vsi_view *find_or_create_shared(vestry_pages *pages, vestry_page *page, const vestry_page_part *part,
                                       const vsi_buffer *key, size_t share_at, vsi_request_copy *request) {
  uint64_t hash = vsi_siphash_1_3(pages->buckets_secret, key->data, key->len);
  vsi_view *view = find_shared(pages, hash, key);
  if (view) return view;
  grow(pages);
  if (!pages->shared_size || vsi_schedule_reserve(pages)) return NULL;
  view = vsi_view_create(pages, page, request ? vsi_request_copy_ref(request) : NULL);
  if (view) view->shared = create_shared(pages, hash, part, key, share_at);
  if (!view || !view->shared) {
    if (view) vsi_view_free(view);
    pages->views_count--;
    return NULL;
  }
  vsi_view **bucket = &pages->shared[hash & (pages->shared_size - 1)];
  view->shared->next = *bucket;
  *bucket = view;
  pages->shared_count++;
  vsi_view_enter(view);
  return view;
}

/* ---------------------------------------------------------------------------------------------------- seats ------- */

vsi_seat *vsi_seat_promise(vsi_viewer *viewer, vestry_page *page, const vestry_page_part *part, const vsi_buffer *key,
                           size_t share_at, vsi_request_copy *request) {
  const vestry_host *host = viewer->pages->host;
  vsi_seat *seat = vsi_calloc(host, 1, sizeof *seat); /* first: a view without a seat would have to end again */
  if (!seat) return NULL;
  seat->viewer = viewer;
  seat->view = find_or_create_shared(viewer->pages, page, part, key, share_at, request);
  if (!seat->view) {
    vsi_free(host, seat);
    return NULL;
  }
  seat->view->shared->seats_count++;
  return seat;
}

static void bury_seat(vsi_seat *seat) {
  vsi_view *view = seat->view;
  seat->next = view->pages->dead_seats;
  view->pages->dead_seats = seat;
  if (!--view->shared->seats_count) vsi_view_end(view);
}

void vsi_seat_join(vsi_shared *shared, vsi_seat *seat) {
  seat->is_joining = true;
  seat->joining_at = &shared->joining;
  seat->next_joining = shared->joining;
  if (seat->next_joining) seat->next_joining->joining_at = &seat->next_joining;
  shared->joining = seat;
}

void vsi_seat_take(vsi_seat *seat) {
  vsi_view *view = seat->view;
  vsi_shared *shared = view->shared;
  seat->connection = vestry_connection_ref(seat->viewer->connection);
  seat->next_of_viewer = seat->viewer->seats;
  seat->viewer->seats = seat;
  seat->at = &shared->seats;
  seat->next = shared->seats;
  if (seat->next) seat->next->at = &seat->next;
  shared->seats = seat;
  shared->asks |= seat->request != NULL;
  if (seat->request && view->page) view->pages->stats.requests_bytes += vsi_request_copy_bytes(seat->request);
  vsi_seat_join(shared, seat);
  if (view->is_first) view->is_dirty = true;
  if (view->state == VSI_VIEW_IDLE) vsi_schedule_at(view, vsi_now_ns(view->pages->host));
}

void vsi_seat_joined(vsi_seat *seat) {
  if (!seat->is_joining) return;
  *seat->joining_at = seat->next_joining;
  if (seat->next_joining) seat->next_joining->joining_at = seat->joining_at;
  seat->is_joining = false;
}

void vsi_seat_leave(vsi_seat *seat) {
  vsi_seat **at = &seat->viewer->seats;
  while (*at != seat) at = &(*at)->next_of_viewer;
  *at = seat->next_of_viewer;
  *seat->at = seat->next;
  if (seat->next) seat->next->at = seat->at;
  vsi_seat_joined(seat);
  if (seat->request && seat->view->page)
    seat->view->pages->stats.requests_bytes -= vsi_request_copy_bytes(seat->request);
  seat->is_over = true;
  if (!seat->holds) bury_seat(seat);
}

void vsi_seat_drop(vsi_seat *seat) {
  bury_seat(seat);
}

void vsi_seat_hold(vsi_seat *seat) {
  seat->holds++;
}

void vsi_seat_release(vsi_seat *seat) {
  if (!--seat->holds && seat->is_over) bury_seat(seat);
}

/* -------------------------------------------------------------------------------------------- kept contents ------- */

static void drop_kept(vestry_pages *pages, vsi_view *view) {
  if (view->kept_newer)
    view->kept_newer->kept_older = view->kept_older;
  else
    pages->newest_kept = view->kept_older;
  if (view->kept_older)
    view->kept_older->kept_newer = view->kept_newer;
  else
    pages->oldest_kept = view->kept_newer;
  view->kept_newer = view->kept_older = NULL;
  pages->stats.kept_bytes -= vestry_event_bytes(view->event).len;
  vestry_event_unref(view->event);
  view->event = NULL;
}

void vsi_view_keep(vsi_view *view, vestry_event *event) {
  vestry_pages *pages = view->pages;
  if (view->event) drop_kept(pages, view);
  view->event = event;
  if (!event) return;
  pages->stats.kept_bytes += vestry_event_bytes(event).len;
  view->kept_older = pages->newest_kept;
  if (pages->newest_kept)
    pages->newest_kept->kept_newer = view;
  else
    pages->oldest_kept = view;
  pages->newest_kept = view;
}

void vsi_view_let_go(vestry_pages *pages) {
  while (pages->stats.kept_bytes > pages->max_kept_bytes) {
    vsi_view *oldest = pages->oldest_kept;
    while (oldest && oldest->state == VSI_VIEW_RUNNING) oldest = oldest->kept_newer; /* its worker uses it */
    if (!oldest) return;
    drop_kept(pages, oldest);
    pages->stats.kept_dropped_count++;
  }
}

/* -------------------------------------------------------------------------------------------------- viewers ------- */

void vsi_viewer_free(vsi_viewer *viewer) {
  const vestry_host *host = viewer->pages->host;
  vestry_connection_unref(viewer->connection);
  vsi_free(host, viewer->tag);
  vsi_free(host, viewer);
}
