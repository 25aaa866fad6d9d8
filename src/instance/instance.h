/* SPDX-License-Identifier: MIT */
/* The instance: what all modules of the core share. The struct alone: the assembly makes and ends it (serve/vestry.c),
 * and what each member does stands in the room that the member is of. */
#ifndef VSI_INSTANCE_INSTANCE_H
#define VSI_INSTANCE_INSTANCE_H

#include <stdatomic.h>
#include <stddef.h>

#include "connection/group.h"
#include "instance/close_listener.h"
#include "instance/extension.h"
#include "instance/trim.h"
#include "runtime/runtime.h"
#include "vestry/instance.h"

struct vestry {
  union {
    vestry_parts parts; /* what everybody may ask for, by shorter names: */
    struct {
      const vestry_host *host;
      vestry_runtime *runtime;
      vestry_store *store; /* of vestry_connection */
      struct vestry_registry *registry;
      uint64_t heartbeat_ms;
      size_t max_body_bytes;
    };
  };
  bool runtime_is_own;
  vsi_group *group;
  struct vsi_channels *channels; /* by key */
  struct vsi_routes *routes;
  struct vsi_shares *shares; /* of streams, of scopes; NULL: no bound */
  json_t *nothing;           /* an empty object: the data and state of dispatches that have none. Never changed, and
                                references to it are not counted */

  vestry_scope_fn scope;
  void *scope_ctx;
  vestry_purge_fn purge; /* the application's; NULL: none */
  void *purge_ctx;
  vsi_close_listeners close_listeners;
  vestry_connection_hooks hooks;
  vestry_profile profiles[VESTRY_PROFILES_MAX]; /* resolved */
  size_t profiles_count;
  bool keep_open, is_behind_proxy;
  size_t max_count, max_per_scope_count; /* of the store, as options say; 0: nothing was said */
  size_t max_per_stream_count;           /* keys beside the first, and joins */
  vestry_signals_limits signals;
  uint32_t retry_after_s;

  vsi_extensions extensions;
  _Atomic(const struct vsi_elsewhere *) elsewhere; /* other nodes; NULL: there are none. See elsewhere.h */
  _Atomic(bool) closing;
  _Atomic(struct vsi_drain *) drain;    /* NULL → one, once, for good (serve/drain.c) */
  _Atomic(uint64_t) drain_ends_ns;      /* relaxed: its window; 0 until it has begun */
  _Atomic(uint64_t) requests, rejected; /* relaxed: mere counts */
  _Atomic(uint64_t) refused_by_reason[VESTRY_REFUSAL_COUNT];
  vsi_budget request_bytes;        /* of requests under way */
  vsi_budget answer_bytes;         /* of answers that are being sent */
  _Atomic(uint64_t) answer_wanted; /* by the last one that was refused (http/body.c) */
  _Atomic(uint64_t) answers_cut;
  vsi_trim trim;
};

_Static_assert(offsetof(struct vestry, max_body_bytes) == offsetof(vestry_parts, max_body_bytes), "the names of parts");

/* Extensions of an instance (extension.h). Add one: as vsi_extensions_add; too many are said in the log. */
VESTRY_API vestry_err vsi_extension_add(vestry *v, const vsi_extension *kind, void *state);
/* The state of a kind, by its table; NULL: the instance has none. Any thread; a few loads. */
VESTRY_API void *vsi_extension_find(const vestry *v, const vsi_extension *kind);
/* The state of a kind that can be created: it is, unless it is there. Any thread. OK | NO_MEMORY | IO | LIMIT */
VESTRY_API vestry_err vsi_extension_use(vestry *v, const vsi_extension *kind, void **ret_state);

/* A child process, where no thread of the instance's runs: no lock of its may be waited for. */
static inline bool vsi_instance_is_forked(const vestry *v) {
  return vsi_runtime_is_forked(v->runtime);
}

/* Or it is a child's copy. */
static inline bool vsi_instance_is_closing(vestry *v) {
  /* acquire pairs with the exchange in vestry_close. Only a first look: the store and the group refuse by themselves */
  return atomic_load_explicit(&v->closing, memory_order_acquire) || vsi_instance_is_forked(v);
}

/* Whether a drain has begun. Only a first look: the group refuses by itself. Any thread. */
static inline bool vsi_instance_is_draining(const vestry *v) {
  return atomic_load_explicit(&v->drain, memory_order_acquire) != NULL; /* pairs with the exchange in vestry_drain */
}

/* A thread is inside of a callback of the instance's, or of what calls some: it is not to wait for the end of the
 * instance there. vsi_inside_begin and vsi_inside_end go in pairs, on one thread, the last begun ends first. */
typedef struct vsi_inside {
  const vestry *v;
  struct vsi_inside *outer;
} vsi_inside;
VESTRY_API void vsi_inside_begin(vsi_inside *inside, const vestry *v);
VESTRY_API void vsi_inside_end(const vsi_inside *inside);
/* Whether this thread is inside of a callback, or of something that the instance's runtime runs. */
bool vsi_instance_is_inside(const vestry *v);

/* What a 503 asks the client to wait: also for the end of the drain. Any thread. */
uint32_t vsi_instance_retry_after_s(const vestry *v);

#endif
