/* SPDX-License-Identifier: MIT */
/* Performing a list of effects and actions. */
#ifndef VSI_REGISTRY_DISPATCH_H
#define VSI_REGISTRY_DISPATCH_H

#include "registry/context.h"
#include "store/scoped_key.h"

/* One effect of a reply: the event of a built-in one, or a list with a name as its head. */
typedef struct vsi_effect_item {
  const char *name;    /* constant; name of the event's effect */
  vestry_event *event; /* owned; NULL: list is used */
  json_t *list;        /* owned */
  bool is_plain;       /* the list is not searched for placeholders */
} vsi_effect_item;

/* Make an item of patch-elements (the argument is a text) or patch-signals (an object): its event, if no interceptor
 * must see the effect and no function replaces it, otherwise a list. names NULL: an event.
 * OK | INVALID (the argument) | TOO_LARGE | NO_MEMORY */
vestry_err vsi_effect_item_make(const vestry_registry *names, const vestry_host *host, bool is_elements,
                                const vestry_value *argument, vsi_effect_item *ret_item);

/* The effects that a dispatch performs: a list, as applications pass it, or a reply's effects if list is NULL.
 * Borrowed. */
typedef struct vsi_effects {
  json_t *list;
  const vsi_effect_item *items;
  size_t count;
} vsi_effects;

/* Dispatch to the connections of this node only, as vestry_dispatch_with does.
 * store       NULL: the instance's own
 * key         in this store; NULL: to the options' connection, or to none
 * options     their key is ignored
 * may_write   this thread may write to the sockets of a few streams itself
 * ret_count   number of connections; NULL: not wanted */
VESTRY_API vestry_err vsi_dispatch_here(vestry *v, vestry_store *store, const vestry_scoped_key *key,
                                        const vsi_effects *effects, const vestry_dispatch_options *options,
                                        bool may_write, vestry_dispatch_result *ret_result, uint32_t *ret_count);

/* Perform effects and actions for the context's targets, with interceptors. An entry that is neither is a failure like
 * any other. OK | the first failure. */
vestry_err vsi_dispatch(vestry_dispatch_context *context, const vsi_effects *effects);

/* Give a registry the effects close-sse and wake. OK | NO_MEMORY */
vestry_err vsi_effects_register(vestry_registry *names);

/* Call one side of the first interceptors of a phase, at most `most`. effect: NULL in phases other than ACTION and
 * EFFECT. */
void vsi_context_intercept(vestry_dispatch_context *context, vestry_phase phase, bool is_after, const json_t *effect,
                           size_t most);

/* Log the failures of a dispatch that has no caller to report them to. whose: for example "a reply". */
void vsi_dispatch_log(vestry *v, const vestry_dispatch_result *result, const char *whose);

#endif
