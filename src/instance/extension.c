/* SPDX-License-Identifier: MIT */
#include "instance/extension.h"

/* Round up, because the bytes of a request's room must suit any type. */
static size_t round_up(size_t bytes) {
  const size_t align = _Alignof(max_align_t);
  return (bytes + align - 1) / align * align;
}

static size_t count_of(const vsi_extensions *extensions) {
  return atomic_load_explicit(&extensions->count, memory_order_acquire); /* pairs with add_locked */
}

void vsi_extensions_init(vsi_extensions *extensions) {
  vsi_mutex_init(&extensions->lock, VSI_LOCK_EXTENSIONS);
  atomic_init(&extensions->count, 0);
}

void vsi_extensions_close(vsi_extensions *extensions) {
  vsi_mutex_lock(&extensions->lock);
  extensions->is_closed = true;
  vsi_mutex_unlock(&extensions->lock);
  VSI_EXTENSIONS_EACH(at, extensions, close) at->kind->close(at->state);
}

void vsi_extensions_finish(vsi_extensions *extensions, vestry *v) {
  for (size_t i = count_of(extensions); i > 0; i--) {
    const vsi_extended *at = &extensions->list[i - 1];
    if (at->kind->destroy) at->kind->destroy(v, at->state);
  }
  vsi_mutex_finish(&extensions->lock);
}

static vestry_err add_locked(vsi_extensions *all, const vsi_extension *kind, void *state) {
  const size_t count = count_of(all), bytes = round_up(kind->request_bytes);
  for (size_t i = 0; i < count; i++) {
    const vsi_extension *other = all->list[i].kind;
    if (other == kind || (other->find_scope && kind->find_scope)) return VESTRY_EXISTS;
  }
  if (count == VSI_EXTENSIONS_MAX || bytes > VSI_REQUEST_ROOM_BYTES - all->room_bytes) return VESTRY_LIMIT;
  all->list[count] = (vsi_extended){kind, state, all->room_bytes};
  all->room_bytes += bytes;
  atomic_store_explicit(&all->count, count + 1, memory_order_release); /* pairs with count_of, VSI_EXTENSIONS_EACH */
  return VESTRY_OK;
}

vestry_err vsi_extensions_add(vsi_extensions *extensions, const vsi_extension *kind, void *state) {
  vsi_mutex_lock(&extensions->lock);
  vestry_err error = add_locked(extensions, kind, state);
  const bool is_closed = extensions->is_closed;
  vsi_mutex_unlock(&extensions->lock);
  if (!error && is_closed && kind->close) kind->close(state);
  return error;
}

const vsi_extended *vsi_extensions_find(const vsi_extensions *extensions, const vsi_extension *kind) {
  for (size_t i = 0, count = count_of(extensions); i < count; i++)
    if (extensions->list[i].kind == kind) return &extensions->list[i];
  return NULL;
}
