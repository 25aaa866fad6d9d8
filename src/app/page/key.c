/* SPDX-License-Identifier: MIT */
#include "app/page/key.h"

#include <string.h>

#include "app/page/schedule.h"
#include "base/memory.h"
#include "channel/channel.h"
#include "instance/instance.h"

/* Each field with its length before it: no two keys are alike by accident. */
static void put(vsi_buffer *key, const void *bytes, size_t len) {
  vsi_buffer_append(key, &len, sizeof len);
  vsi_buffer_append(key, bytes, len);
}

static void put_share(vsi_buffer *key, const char *share, size_t *ret_share_at) {
  *ret_share_at = key->len;
  vsi_buffer_append(key, share, strlen(share) + 1);
}

void vsi_key_of_page(vsi_buffer *key, const vestry_page *page, vestry_slice target, const char *share,
                     size_t *ret_share_at) {
  put(key, &page, sizeof(const vestry_page *));
  put(key, target.data, target.len);
  put_share(key, share, ret_share_at);
}

void vsi_key_of_part(vsi_buffer *key, const vestry_page_part *part, size_t *ret_share_at) {
  put(key, &part->render, sizeof part->render);
  put(key, &part->app, sizeof part->app);
  put(key, part->id, strlen(part->id));
  put(key, part->element, strlen(part->element));
  put_share(key, part->share, ret_share_at);
}

static vsi_shared *find_shared(const vestry_pages *pages, uint64_t hash, const vsi_buffer *key) {
  for (const vsi_map_link *at = vsi_map_first(&pages->shared, hash); at; at = vsi_map_further(at)) {
    vsi_shared *shared = VSI_MAP_OWNER(at, vsi_shared, in);
    if (shared->key_len == key->len && memcmp(shared->key, key->data, key->len) == 0) return shared;
  }
  return NULL;
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

static vsi_shared *create_shared(vestry_pages *pages, vestry_page *page, uint64_t hash, const vestry_page_part *part,
                                 const vsi_buffer *key, size_t share_at) {
  vsi_shared *shared = vsi_calloc(pages->host, 1, sizeof *shared + key->len);
  if (!shared) return NULL;
  shared->view.page = page ? page : &pages->parts;
  shared->view.is_shared = true;
  vsi_ring_init(&shared->seats);
  vsi_ring_init(&shared->sents);
  vsi_ring_init(&shared->joining);
  shared->in.hash = hash;
  shared->key_len = (uint32_t)key->len;
  shared->share_at = (uint32_t)share_at;
  memcpy(shared->key, key->data, key->len);
  if ((!part || copy_names(pages->host, shared, part)) && !vsi_channel_create(pages->v->group, 0, &shared->channel))
    return shared;
  vsi_view_free(&shared->view);
  return NULL;
}

/* In its bucket and among all. Room was reserved, and the request is in the budget. */
static void enter_shared(vestry_pages *pages, vsi_shared *shared, vsi_request_copy *request) {
  shared->view.request = request ? vsi_request_copy_ref(request) : NULL;
  vsi_map_add(&pages->shared, &shared->in, shared->in.hash);
  vsi_schedule_enter(&shared->view);
}

vestry_err vsi_key_view(vestry_pages *pages, vestry_page *page, const vestry_page_part *part, const vsi_buffer *key,
                        size_t share_at, vsi_request_copy *request, vsi_shared **ret_shared) {
  uint64_t hash = vsi_siphash_1_3(pages->buckets_secret, key->data, key->len);
  *ret_shared = find_shared(pages, hash, key);
  if (*ret_shared) return VESTRY_OK;
  size_t request_bytes = request ? vsi_request_copy_bytes(request) : 0;
  vestry_err error = vsi_map_reserve(&pages->shared, pages->host, pages->shared.count + 1);
  if (!error) error = vsi_requests_take(pages, request_bytes);
  if (error) return error;
  error = vsi_schedule_reserve(pages, true);
  if (!error) *ret_shared = create_shared(pages, page, hash, part, key, share_at);
  if (*ret_shared) {
    enter_shared(pages, *ret_shared, request);
    return VESTRY_OK;
  }
  if (!error) vsi_schedule_give_back(pages);
  vsi_requests_give_back(pages, request_bytes);
  return VESTRY_NO_MEMORY;
}

void vsi_key_forget(const vsi_shared *shared) {
  vestry_pages *pages = shared->view.page->pages;
  vsi_map_remove(&pages->shared, &shared->in);
}
