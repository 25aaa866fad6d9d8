/* SPDX-License-Identifier: MIT */
/* The effect of an event on the page, as far as its text shows it: which later event supersedes it, and across which
 * events it may be dropped. Conservative: an event that is not understood is a fence. */
#ifndef VSI_EVENT_TARGET_H
#define VSI_EVENT_TARGET_H

#include "event/extras.h"
#include "html/state.h"

typedef enum vsi_effect {
  VSI_EFFECT_UNKNOWN, /* a fence: no event before it is dropped for an event after it */
  VSI_EFFECT_PASSING, /* stays, but others may be dropped across it */
  VSI_EFFECT_MORPH,   /* sets all of one element, or of its children */
  VSI_EFFECT_SIGNALS, /* merges signals */
  VSI_EFFECT_MISSING  /* merges signals that are missing: its effect depends on the signals patches before it */
} vsi_effect;

enum { VSI_TARGET_MARKS = 1024 };

typedef struct vsi_target {
  vsi_event_extra extra; /* first member: it is kept with its event */
  const vestry_host *host;
  vsi_effect effect;
  bool can_go; /* the event may be dropped: it has neither id nor retry, and nothing in it runs */
  uint8_t mode, ns;
  uint64_t hash;  /* MORPH: of mode, namespace and id */
  const char *id; /* MORPH, PASSING: of the element, in the event's bytes. len 0: PASSING without an id */
  size_t id_len;
  uint64_t id_hash;
  vsi_html_state state; /* MORPH, PASSING */
  /* Ids of elements other than the target itself: their hashes in ascending order, and two bits of `marks` for each. A
   * text that only looks like an id may be included. */
  uint64_t *ids, marks[VSI_TARGET_MARKS / 64];
  size_t ids_count, ids_room;
  bool has_other_ids;        /* ids that could not be read: all marks are set */
  size_t bytes;              /* of the event */
  vestry_slice json;         /* SIGNALS on one line: the object, in the event's bytes; len 0: on several lines */
  bool takes_away, has_list; /* SIGNALS: may contain a null; may contain a list */
} vsi_target;

/* Get the target of an event; it is made at the first call and kept with the event. NULL: out of memory (treat it as
 * UNKNOWN). Any thread; linear in the event's length the first time. */
const vsi_target *vsi_event_target(vestry_event *event);
/* Get the target if it was made; NULL: it was not. */
const vsi_target *vsi_event_target_made(const vestry_event *event);
/* Return the memory of an event's target, if it was made; it does not change. */
size_t vsi_event_target_cost(const vestry_event *event);

/* Return whether both are morphs of the same element and set the same part of it. */
bool vsi_target_is_same(const vsi_target *a, const vsi_target *b);
/* Return whether, in addition, the earlier one may be dropped: the later one alone leaves the page as both would. */
bool vsi_target_replaces(const vsi_target *later, const vsi_target *earlier);
/* Return whether `before`, a morph of another target, must not be dropped across `behind`. */
bool vsi_target_holds(const vsi_target *behind, const vsi_target *before);
/* Return whether an element of an event has the id of the target `of`. */
bool vsi_target_brings(const vsi_target *target, const vsi_target *of);
/* Return whether an element of one of several events may have the id of a target. marks: those of the events' targets,
 * combined by OR. The result true may be wrong; false is certain. */
bool vsi_target_is_marked(const uint64_t *marks, const vsi_target *target);

/* Make one event with the effect of two signals patches, a first. NULL in ret_event: b alone has it. OK | UNSUPPORTED
 * (no single patch has it, or they are too long) | NO_MEMORY */
vestry_err vsi_signals_merge(const vestry_host *host, const vsi_target *a, const vsi_target *b,
                             vestry_event **ret_event);

#endif
