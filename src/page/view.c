/* Views and who sees them. A view ends with its last viewer, but a worker that is just running it frees it. */
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "page/page.h"

enum { FIRST_BUCKETS = 64 };

/* ------------------------------------------------------------------------------------------------ their life ------ */

vestry_err vsi_requests_take(vestry_pages *pages, size_t bytes) {
  if (bytes > pages->max_requests_bytes - pages->requests_bytes) {
    pages->stats.requests_refused_count++;
    return VESTRY_LIMIT;
  }
  pages->requests_bytes += bytes;
  return VESTRY_OK;
}

void vsi_requests_give_back(vestry_pages *pages, size_t bytes) {
  pages->requests_bytes -= bytes;
}

void vsi_view_enter(vsi_view *view) {
  view->is_first = true;
  vsi_schedule_enter(view);
}

static void free_shared(const vestry_host *host, vsi_shared *shared) {
  vestry_channel_destroy(shared->channel);
  vsi_free(host, (void *)(uintptr_t)shared->id);
  vsi_free(host, shared);
}

static void free_private(const vestry_host *host, vsi_private *page) {
  if (page->view.is_over) vestry_connection_unref(page->viewer.connection); /* the stream has begun */
  if (page->extra) vsi_free(host, page->extra->tag);
  vsi_free(host, page->extra);
  vsi_free(host, page);
}

void vsi_view_free(vsi_view *view) {
  const vestry_host *host = view->page->pages->host;
  vsi_request_copy_unref(view->request);
  if (view->is_shared)
    free_shared(host, vsi_shared_of(view));
  else
    free_private(host, vsi_private_of(view));
}

static void leave_bucket(vestry_pages *pages, const vsi_shared *shared) {
  vsi_shared **at = &pages->shared[shared->hash & (pages->shared_size - 1)];
  while (*at != shared) at = &(*at)->next;
  *at = shared->next;
  pages->shared_count--;
}

void vsi_view_end(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  bool is_running = view->state == VSI_VIEW_RUNNING;
  vsi_topics_forget(view);
  vsi_view_keep(view, NULL);
  if (view->is_shared) leave_bucket(pages, vsi_shared_of(view));
  vsi_schedule_leave(view);
  if (view->request) vsi_requests_give_back(pages, vsi_request_copy_bytes(view->request));
  view->is_over = true;
  if (!is_running) vsi_view_bury(view);
}

void vsi_view_bury(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  view->next_dead = pages->dead_views;
  pages->dead_views = view;
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
    next = views->next_dead;
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
  vsi_shared **buckets = vsi_calloc(pages->host, size, sizeof(vsi_shared *));
  if (!buckets) return;
  for (size_t i = 0; i < pages->shared_size; i++) {
    for (vsi_shared *next, *shared = pages->shared[i]; shared; shared = next) {
      next = shared->next;
      shared->next = buckets[shared->hash & (size - 1)];
      buckets[shared->hash & (size - 1)] = shared;
    }
  }
  vsi_free(pages->host, pages->shared);
  pages->shared = buckets;
  pages->shared_size = size;
}

static vsi_shared *find_shared(const vestry_pages *pages, uint64_t hash, const vsi_buffer *key) {
  if (!pages->shared_size) return NULL;
  vsi_shared *shared = pages->shared[hash & (pages->shared_size - 1)];
  while (shared &&
         !(shared->hash == hash && shared->key_len == key->len && memcmp(shared->key, key->data, key->len) == 0))
    shared = shared->next;
  return shared;
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
  shared->view.is_shared = true;
  shared->hash = hash;
  shared->key_len = (uint32_t)key->len;
  shared->share_at = (uint32_t)share_at;
  memcpy(shared->key, key->data, key->len);
  if ((!part || copy_names(pages->host, shared, part)) && !vestry_channel_create(pages->v, NULL, &shared->channel))
    return shared;
  free_shared(pages->host, shared);
  return NULL;
}

/* In its bucket and among all; page: NULL: a part. Room was reserved, and the request is in the budget. */
static void enter_shared(vestry_pages *pages, vsi_shared *shared, vestry_page *page, vsi_request_copy *request) {
  vsi_shared **bucket = &pages->shared[shared->hash & (pages->shared_size - 1)];
  shared->view.page = page ? page : &pages->parts;
  shared->view.request = request ? vsi_request_copy_ref(request) : NULL;
  shared->next = *bucket;
  *bucket = shared;
  pages->shared_count++;
  vsi_view_enter(&shared->view);
}

/* The view of that key, as vsi_seat_promise. */
static vestry_err find_or_create_shared(vestry_pages *pages, vestry_page *page, const vestry_page_part *part,
                                        const vsi_buffer *key, size_t share_at, vsi_request_copy *request,
                                        vsi_shared **ret_shared) {
  uint64_t hash = vsi_siphash_1_3(pages->buckets_secret, key->data, key->len);
  *ret_shared = find_shared(pages, hash, key);
  if (*ret_shared) return VESTRY_OK;
  grow(pages);
  size_t request_bytes = request ? vsi_request_copy_bytes(request) : 0;
  vestry_err error = pages->shared_size ? vsi_requests_take(pages, request_bytes) : VESTRY_NO_MEMORY;
  if (error) return error;
  error = vsi_schedule_reserve(pages, true);
  if (!error) *ret_shared = create_shared(pages, hash, part, key, share_at);
  if (*ret_shared) {
    enter_shared(pages, *ret_shared, page, request);
    return VESTRY_OK;
  }
  if (!error) vsi_schedule_give_back(pages);
  vsi_requests_give_back(pages, request_bytes);
  return VESTRY_NO_MEMORY;
}

/* ---------------------------------------------------------------------------------------------------- seats ------- */

vestry_err vsi_seat_promise(vestry_pages *pages, vsi_viewer *viewer, vestry_page *page, const vestry_page_part *part,
                            const vsi_buffer *key, size_t share_at, vsi_request_copy *request, vsi_seat **ret_seat) {
  vsi_seat *seat = vsi_calloc(pages->host, 1, sizeof *seat); /* first: a view without a seat would have to end again */
  if (!seat) return VESTRY_NO_MEMORY;
  seat->viewer = viewer;
  vestry_err error = find_or_create_shared(pages, page, part, key, share_at, request, &seat->shared);
  if (error) {
    vsi_free(pages->host, seat);
    return error;
  }
  seat->shared->seats_count++;
  *ret_seat = seat;
  return VESTRY_OK;
}

static void bury_seat(vsi_seat *seat) {
  vsi_shared *shared = seat->shared;
  vestry_pages *pages = shared->view.page->pages;
  vsi_requests_give_back(pages, seat->request_bytes);
  seat->next = pages->dead_seats;
  pages->dead_seats = seat;
  if (!--shared->seats_count) vsi_view_end(&shared->view);
}

void vsi_seat_join(vsi_shared *shared, vsi_seat *seat) {
  seat->is_joining = true;
  seat->joining_at = &shared->joining;
  seat->next_joining = shared->joining;
  if (seat->next_joining) seat->next_joining->joining_at = &seat->next_joining;
  shared->joining = seat;
}

void vsi_seat_take(vsi_seat *seat) {
  vsi_shared *shared = seat->shared;
  vsi_view *view = &shared->view;
  seat->connection = vestry_connection_ref(seat->viewer->connection);
  seat->next_of_viewer = seat->viewer->seats;
  seat->viewer->seats = seat;
  seat->at = &shared->seats;
  seat->next = shared->seats;
  if (seat->next) seat->next->at = &seat->next;
  shared->seats = seat;
  shared->asks |= seat->request != NULL;
  vsi_seat_join(shared, seat);
  if (view->is_first) view->is_dirty = true;
  if (view->state == VSI_VIEW_IDLE) vsi_schedule_at(view, vsi_now_ns(view->page->pages->host));
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

static void take_out(vestry_pages *pages, vsi_kept *kept) {
  if (kept->newer)
    kept->newer->older = kept->older;
  else
    pages->newest_kept = kept->older;
  if (kept->older)
    kept->older->newer = kept->newer;
  else
    pages->oldest_kept = kept->newer;
  pages->stats.kept_bytes -= sizeof *kept + vestry_event_bytes(kept->event).len;
  vestry_event_unref(kept->event);
  kept->event = NULL;
}

static void drop_kept(vestry_pages *pages, vsi_view *view) {
  if (!view->kept) return;
  take_out(pages, view->kept);
  vsi_free(pages->host, view->kept);
  view->kept = NULL;
}

static void put_newest(vestry_pages *pages, vsi_kept *kept) {
  kept->newer = NULL;
  kept->older = pages->newest_kept;
  if (kept->older)
    kept->older->newer = kept;
  else
    pages->oldest_kept = kept;
  pages->newest_kept = kept;
  pages->stats.kept_bytes += sizeof *kept + vestry_event_bytes(kept->event).len;
}

void vsi_view_keep(vsi_view *view, vestry_event *event) {
  vestry_pages *pages = view->page->pages;
  if (!event) {
    drop_kept(pages, view);
    return;
  }
  if (view->kept)
    take_out(pages, view->kept);
  else
    view->kept = vsi_alloc(pages->host, sizeof *view->kept);
  if (view->kept) {
    *view->kept = (vsi_kept){.view = view, .event = event};
    put_newest(pages, view->kept);
  } else {
    vestry_event_unref(event); /* the next change goes out whole */
  }
}

void vsi_view_let_go(vestry_pages *pages) {
  while (pages->stats.kept_bytes > pages->max_kept_bytes) {
    vsi_kept *oldest = pages->oldest_kept;
    while (oldest && oldest->view->state == VSI_VIEW_RUNNING) oldest = oldest->newer; /* its worker uses it */
    if (!oldest) return;
    drop_kept(pages, oldest->view);
    pages->stats.kept_dropped_count++;
  }
}
