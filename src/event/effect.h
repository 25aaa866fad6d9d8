/* SPDX-License-Identifier: MIT */
/* Events of the built-in effects, whose arguments vestry/registry.h lists. */
#ifndef VSI_EVENT_EFFECT_H
#define VSI_EVENT_EFFECT_H

#include "vestry/event.h"

/* An event that is made of an effect. */
typedef struct vsi_effect {
  const vestry_host *host;
  vestry_event *event; /* out: a reference for the caller; unchanged on failure */
  char why[96];        /* out: the reason of a failure; unchanged if there is none. Set it to "" before */
} vsi_effect;

/* Make the event of an effect: a list with the name first. Any thread.
 * OK | NOT_FOUND (no effect of this name makes an event) | INVALID | TOO_LARGE | NO_MEMORY */
vestry_err vsi_effect_make(vsi_effect *made, const json_t *effect);

/* Find the effect of a name that makes an event; NULL: none. */
typedef struct vsi_effect_kind vsi_effect_kind;
const vsi_effect_kind *vsi_effect_find(const char *name, size_t len);

#endif
