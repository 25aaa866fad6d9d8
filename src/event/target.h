/* SPDX-License-Identifier: MIT */
/* What an event does to the page, as far as its text tells: which later one would make it superfluous, and past which
 * others it may be left out. Conservative: what is not understood is a barrier. */
#ifndef VSI_EVENT_TARGET_H
#define VSI_EVENT_TARGET_H

#include "event/extras.h"
#include "html/roots.h"

typedef enum vsi_effect {
  VSI_EFFECT_UNKNOWN, /* a barrier: nothing before it is left out for something after it */
  VSI_EFFECT_PASSING, /* stays, but others may be left out across it */
  VSI_EFFECT_MORPH,   /* sets all of one element, or of its children */
  VSI_EFFECT_SIGNALS, /* merges signals */
  VSI_EFFECT_MISSING  /* merges signals that are missing: what it does depends on the signals patches before it */
} vsi_effect;

enum { VSI_TARGET_MARKS = 1024 };

typedef struct vsi_target {
  vsi_event_extra extra; /* first: it is kept with its event */
  const vestry_host *host;
  vsi_effect effect;
  bool can_go; /* it may be left out: no id and retry of the stream's, nothing in it that runs */
  uint8_t mode, ns;
  uint64_t hash;  /* MORPH: of mode, namespace and id */
  const char *id; /* MORPH, PASSING: of the element; in the event's bytes. len 0: PASSING, and there is none */
  size_t id_len;
  uint64_t id_hash;
  vsi_html_state state; /* MORPH, PASSING */
  /* Elements with ids but its own target: hashes, ascending; and two bits for each. Perhaps some more. */
  uint64_t *ids, marks[VSI_TARGET_MARKS / 64];
  size_t ids_count, ids_room;
  bool has_other_ids;        /* that are not read: all marks are set */
  size_t bytes;              /* of the event */
  vestry_slice json;         /* SIGNALS on one line: the object, in the event's bytes; len 0: on several */
  bool takes_away, has_list; /* SIGNALS: it may have a null; a list */
} vsi_target;

/* The target of an event; made at the first call, kept with the event. NULL: out of memory (take it for UNKNOWN). Any
 * thread; linear in the event the first time. */
const vsi_target *vsi_event_target(vestry_event *event);
/* The target if it was made; NULL: it was not. */
const vsi_target *vsi_event_target_made(const vestry_event *event);
/* What the target of an event takes of memory, if it was made; it does not change. */
size_t vsi_event_target_cost(const vestry_event *event);

/* Whether both are morphs of the same element, and set the same of it. */
bool vsi_target_is_same(const vsi_target *a, const vsi_target *b);
/* Whether, besides, the later one leaves the page as both would, and the earlier one may go. */
bool vsi_target_replaces(const vsi_target *later, const vsi_target *earlier);
/* Whether `before`, a morph of another target, is not to be left out across `behind`. */
bool vsi_target_holds(const vsi_target *behind, const vsi_target *before);
/* Whether an element of an event has the id of what the other is for. */
bool vsi_target_brings(const vsi_target *target, const vsi_target *of);
/* The same, of all that marks were taken from; perhaps true where it is not. */
bool vsi_target_is_marked(const uint64_t *marks, const vsi_target *target);

/* One event that does what two signals patches do, a first. NULL in ret_event: b does it alone. OK | UNSUPPORTED (no
 * one patch does it, or they are too long) | NO_MEMORY */
vestry_err vsi_signals_merge(const vestry_host *host, const vsi_target *a, const vsi_target *b,
                             vestry_event **ret_event);

#endif
