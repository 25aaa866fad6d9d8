/* SPDX-License-Identifier: MIT */
/* Performing a list of effects and actions. */
#ifndef VSI_REGISTRY_DISPATCH_H
#define VSI_REGISTRY_DISPATCH_H

#include "registry/context.h"
#include "store/scoped_key.h"

/* Dispatch to the connections that are here, as vestry_dispatch_with does, but nowhere else. key: of the instance's
 * store, NULL: to the options' connection, or to none; options: their key does not count; may_write: this thread writes
 * to the sockets of a few streams itself; ret_count: how many connections; NULL: not wanted. */
VESTRY_API vestry_err vsi_dispatch_here(vestry *v, const vestry_scoped_key *key, json_t *effects,
                                        const vestry_dispatch_options *options, bool may_write,
                                        vestry_dispatch_result *ret_result, uint32_t *ret_count);

/* One effect of a reply: the event of a built-in one, or a list that is headed by a name. */
typedef struct vsi_effect_item {
  const char *name;    /* constant; of the event */
  vestry_event *event; /* owned; NULL: list counts */
  json_t *list;        /* owned */
  bool is_plain;       /* no placeholder is looked for in the list */
} vsi_effect_item;

/* What a dispatch performs: a list, as applications give it; or a reply's effects, if list is NULL. Borrowed. */
typedef struct vsi_effects {
  json_t *list;
  const vsi_effect_item *items;
  size_t count;
} vsi_effects;

/* Perform effects and actions for the context's targets, interceptors included; an entry that is none is a failure like
 * another. OK | the first failure. */
vestry_err vsi_dispatch(vestry_dispatch_context *context, const vsi_effects *effects);

/* Run one side of all interceptors of a phase. */
void vsi_context_intercept(vestry_dispatch_context *context, vestry_phase phase, bool is_after, const json_t *effect);

/* Log what a dispatch could not tell its caller. whose: "a reply", say. */
void vsi_dispatch_log(vestry *v, const vestry_dispatch_result *result, const char *whose);

#endif
