/* SPDX-License-Identifier: MIT */
/* Queries about an instance, and its extensions. */
#include "instance/instance.h"

#include "base/callback.h"
#include "base/log.h"
#include "base/memory.h"
#include "connection/group.h"

bool vestry_is_forked(const vestry *v) {
  return vsi_instance_is_forked(v);
}

const vestry_parts *vestry_parts_of(const vestry *v) {
  return v ? &v->parts : NULL;
}

uint32_t vsi_instance_retry_after_s(const vestry *v) {
  if (!vsi_instance_is_draining(v)) return v->retry_after_s;
  uint64_t now_ns = vsi_now_ns(v->host), ends_ns = atomic_load_explicit(&v->drain_ends_ns, memory_order_relaxed);
  uint64_t left_ns = now_ns < ends_ns ? ends_ns - now_ns : 0;
  return v->retry_after_s + (uint32_t)((left_ns + 999999999) / 1000000000);
}

/* The innermost entry of this thread. */
static _Thread_local vsi_inside *innermost;

void vsi_inside_begin(vsi_inside *inside, const vestry *v) {
  *inside = (vsi_inside){.v = v, .outer = innermost};
  innermost = inside;
}

void vsi_inside_end(const vsi_inside *inside) {
  innermost = inside->outer;
}

vsi_inside *vsi_inside_writer(const vestry *v) {
  return innermost && innermost->v == v && innermost->writes_left ? innermost : NULL;
}

static vsi_inside *request_of(const vestry *v) {
  return innermost && innermost->v == v && innermost->is_request ? innermost : NULL;
}

void vsi_inside_set_ending(const vestry *v, bool is_ending) {
  vsi_inside *request = request_of(v);
  if (request) request->is_ending = is_ending;
}

VSI_SIDE_BY_SIDE bool vsi_inside_call_last(const vestry *v, void (*fn)(void *ctx), void *ctx) {
  vsi_inside *request = request_of(v);
  if (!request || !request->is_ending || (request->last && request->last_ctx != ctx)) return false;
  if (!request->last && !vsi_group_hold(v->group)) return false; /* so that vestry_stop waits for the call */
  request->last = fn;
  request->last_ctx = ctx;
  return true;
}

void vsi_inside_end_request(vsi_inside *request) {
  request->is_request = false;
  if (!request->last) return;
  request->last(request->last_ctx);
  vsi_group_release(request->v->group);
}

bool vsi_instance_is_inside(const vestry *v) {
  for (const vsi_inside *at = innermost; at; at = at->outer)
    if (at->v == v) return true;
  return vsi_is_in_callback() || vsi_runtime_is_inside(v->runtime);
}

/* ---------------------------------------------------------------------------------------------- extensions -------- */

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
  atomic_store_explicit(&extensions->count, 0, memory_order_relaxed); /* values may still leave the stores */
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

const vsi_extended *vsi_extensions_find(const vsi_extensions *extensions, const vsi_extension *kind) {
  for (size_t i = 0, count = count_of(extensions); i < count; i++)
    if (extensions->list[i].kind == kind) return &extensions->list[i];
  return NULL;
}

vestry_err vsi_extension_add(vestry *v, const vsi_extension *kind, void *state) {
  vsi_extensions *extensions = &v->extensions;
  vsi_mutex_lock(&extensions->lock);
  vestry_err error = add_locked(extensions, kind, state);
  const bool is_closed = extensions->is_closed;
  vsi_mutex_unlock(&extensions->lock);
  if (!error && is_closed && kind->close) kind->close(state);
  if (error == VESTRY_LIMIT)
    vsi_log(v->host, VESTRY_LOG_ERROR, "%s: cannot add the extension: the instance has too many", kind->name);
  return error;
}

vestry_err vsi_extension_repeated(const vestry *v, const vsi_extension *kind) {
  vsi_log_mistake(v->host, kind->name,
                  "the instance has this part already, from an earlier call or its first use; call the function once, "
                  "before parts that use it are created (of an application: set its vestry_application_options)");
  return VESTRY_EXISTS;
}

void *vsi_extension_find(const vestry *v, const vsi_extension *kind) {
  const vsi_extended *row = vsi_extensions_find(&v->extensions, kind);
  return row ? row->state : NULL;
}

vestry_err vsi_extension_use(vestry *v, const vsi_extension *kind, void **ret_state) {
  *ret_state = vsi_extension_find(v, kind);
  if (*ret_state) return VESTRY_OK;
  void *made = NULL;
  vestry_err error = kind->create(v, &made);
  if (!error) error = vsi_extension_add(v, kind, made);
  if (!error)
    *ret_state = made;
  else if (made && kind->destroy)
    kind->destroy(v, made);
  if (error != VESTRY_EXISTS) return error;
  *ret_state = vsi_extension_find(v, kind); /* another thread was faster */
  return VESTRY_OK;
}
