/* SPDX-License-Identifier: MIT */
/* The instance: the struct that all modules of the core share. serve/vestry.c creates and ends it; each member is
 * documented in the module that it belongs to. */
#ifndef VSI_INSTANCE_INSTANCE_H
#define VSI_INSTANCE_INSTANCE_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/held_log.h"
#include "connection/group.h"
#include "instance/extension.h"
#include "runtime/runtime.h"
#include "vestry/instance.h"

struct vestry {
  union {
    vestry_parts parts; /* the parts that applications may get, under shorter names: */
    struct {
      const vestry_host *host;
      vestry_runtime *runtime;
      vestry_store *store; /* values are vestry_connection */
      struct vestry_registry *registry;
      uint64_t heartbeat_ms;
      size_t max_body_bytes;
    };
  };
  bool runtime_is_own;
  vsi_group *group;
  struct vsi_instance_store *stores; /* the first is `store` */
  size_t stores_count;
  struct vsi_channels *channels; /* by key */
  struct vsi_routes *routes;
  struct vsi_shares *shares;    /* limits the streams of each scope; NULL: no limit */
  json_t *nothing;              /* an empty object: data and state of dispatches without any. Never modified, and
                                references to it are not counted */
  _Atomic(json_t *) no_signals; /* an empty object for the next request without signals; NULL: none (http/request.c) */

  vestry_scope_fn scope;
  void *scope_ctx;
  vestry_connection_hooks hooks;
  vestry_profile profiles[VESTRY_PROFILES_MAX]; /* resolved */
  _Atomic(size_t) profiles_count; /* set once, after the profiles: by vestry_create, or by the first server */
  bool keep_open, is_behind_proxy;
  _Atomic(bool) has_offered_profiles; /* exchanged by vsi_profiles_offer only */
  size_t max_per_stream_count;        /* maximum number of keys in addition to the first, and of joins */
  vestry_signals_limits signals;
  size_t max_values_count; /* of a query or form */
  uint32_t retry_after_s;

  vsi_extensions extensions;
  _Atomic(const struct vsi_elsewhere *) elsewhere; /* other nodes; NULL: there are none. See elsewhere.h */
  _Atomic(bool) closing;
  _Atomic(struct vsi_drain *) drain;    /* changes once, from NULL (serve/drain.c) */
  _Atomic(uint64_t) drain_ends_ns;      /* relaxed: the end of the drain; 0 until it has begun */
  _Atomic(uint64_t) requests, rejected; /* relaxed: counters */
  _Atomic(uint64_t) refused_by_reason[VESTRY_REFUSAL_COUNT];
  vsi_budget request_bytes;          /* of running requests */
  vsi_budget response_bytes;         /* of responses being sent */
  _Atomic(uint64_t) response_wanted; /* by the last refused response (http/body.c) */
  _Atomic(uint64_t) responses_cut;
  vsi_repeated_log repeated; /* lines that a request or a stream can cause again and again */
};

_Static_assert(offsetof(struct vestry, max_body_bytes) == offsetof(vestry_parts, max_body_bytes), "the names of parts");

/* Add an extension to an instance (extension.h), which then owns its state, and closes it if the instance is closing
 * already. Any thread. OK | EXISTS (the instance has this kind, or another extension that finds scopes) | LIMIT, which
 * is logged */
VESTRY_API vestry_err vsi_extension_add(vestry *v, const vsi_extension *kind, void *state);
/* Log that a function was called for a kind that the instance has already. Returns EXISTS. */
VESTRY_API vestry_err vsi_extension_repeated(const vestry *v, const vsi_extension *kind);
/* Return the state of a kind, by its table; NULL: the instance has none. Any thread; a few loads. */
VESTRY_API void *vsi_extension_find(const vestry *v, const vsi_extension *kind);
/* Return the state of a kind, and create it if there is none. Any thread. OK | NO_MEMORY | IO | LIMIT */
VESTRY_API vestry_err vsi_extension_use(vestry *v, const vsi_extension *kind, void **ret_state);

/* Return whether this is a forked child process, in which no thread of the instance runs. There, no thread may wait for
 * a lock. */
static inline bool vsi_instance_is_forked(const vestry *v) {
  return vsi_runtime_is_forked(v->runtime);
}

/* Return whether the instance is closing, or is a child's copy. */
static inline bool vsi_instance_is_closing(vestry *v) {
  /* acquire pairs with the exchange in vestry_close. Only a first check, because the store and the group are closed,
   * too, and then refuse streams */
  return atomic_load_explicit(&v->closing, memory_order_acquire) || vsi_instance_is_forked(v);
}

/* Return whether a drain has begun. Only a first check, because the group then refuses streams, too. Any thread. */
static inline bool vsi_instance_is_draining(const vestry *v) {
  return atomic_load_explicit(&v->drain, memory_order_acquire) != NULL; /* pairs with the exchange in vestry_drain */
}

/* Marks that this thread is inside a callback of the instance, or in a function that calls one. It must not wait for
 * the end of the instance there. vsi_inside_begin and vsi_inside_end are paired on one thread, and nested. */
typedef struct vsi_inside {
  const vestry *v;
  struct vsi_inside *outer;
  unsigned writes_left; /* of a request: to how many streams its thread may still write itself (registry/context.c) */
  bool is_request;      /* of a request that vestry_serve serves on this thread, from its beginning to its end */
  bool is_ending;       /* of a request: vsi_inside_set_ending */
  void (*last)(void *ctx); /* of a request: to be called when it was answered; NULL: nothing */
  void *last_ctx;
} vsi_inside;
VESTRY_API void vsi_inside_begin(vsi_inside *inside, const vestry *v);
VESTRY_API void vsi_inside_end(const vsi_inside *inside);
/* Return the request that this thread serves, if it may still write to streams, and is in no other callback of the
 * instance inside it. NULL: none. */
vsi_inside *vsi_inside_writer(const vestry *v);
/* Note whether the application's code for the request that this thread serves has run, so that only a commit and the
 * response are left. No effect if the thread serves none. */
VESTRY_API void vsi_inside_set_ending(const vestry *v, bool is_ending);
/* Let this thread call a function when its request was answered, so that no other thread need be woken. Returns false
 * if the thread serves no request that is ending, or will call another function. */
VESTRY_API bool vsi_inside_call_last(const vestry *v, void (*fn)(void *ctx), void *ctx);
/* Call that function. request: that of this thread. */
void vsi_inside_end_request(vsi_inside *request);
/* Return whether this thread is inside a callback, or in a function that the instance's runtime runs. */
bool vsi_instance_is_inside(const vestry *v);

/* Return the Retry-After of a 503, which includes the rest of a drain. Any thread. */
uint32_t vsi_instance_retry_after_s(const vestry *v);

#endif
