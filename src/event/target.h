/* What an event does to the page, as far as its text tells: which later one would make it superfluous, and past which
 * others it may be left out. Conservative: what is not understood is a barrier. */
#ifndef VSI_EVENT_TARGET_H
#define VSI_EVENT_TARGET_H

#include "event/extras.h"

typedef enum vsi_effect {
  VSI_EFFECT_UNKNOWN, /* a barrier: nothing before it is left out for something behind it */
  VSI_EFFECT_PASSING, /* stays, but others may be left out across it */
  VSI_EFFECT_MORPH,   /* sets all of one element, or of its children */
  VSI_EFFECT_SIGNALS, /* merges signals */
  VSI_EFFECT_MISSING  /* merges signals that are missing: what it does depends on the signals patches before it */
} vsi_effect;

typedef struct vsi_target {
  vsi_event_extra extra; /* first: it is kept with its event */
  const vestry_host *host;
  vsi_effect effect;
  bool can_go;     /* it may be left out: no id and retry of the stream's, nothing in it that runs */
  bool brings_ids; /* elements with ids but its own target: for others it is a barrier */
  uint8_t mode, ns;
  uint64_t hash;  /* MORPH: of mode, namespace and id */
  const char *id; /* MORPH: of the element; in the event's bytes */
  size_t id_len;
  size_t bytes;      /* of the event */
  vestry_slice json; /* SIGNALS on one line: the object, in the event's bytes; len 0: on several */
  size_t binds_count;
  uint64_t binds[]; /* MORPH: hashes of the elements in it that bind signals (vsi_html_binds); few have any */
} vsi_target;

/* The target of an event; made at the first call, kept with the event. NULL: out of memory (take it for UNKNOWN). Any
 * thread; linear in the event the first time. */
const vsi_target *vsi_event_target(vestry_event *event);
/* The target if it was made; NULL: it was not. */
const vsi_target *vsi_event_target_made(const vestry_event *event);

/* Whether a later morph sets all that an earlier one, which may go, has set, and leaves the page as both would. */
bool vsi_target_replaces(const vsi_target *later, const vsi_target *earlier);

/* One event that does what two signals patches do, a first. NULL in ret_event: b does it alone. OK | UNSUPPORTED (no
 * one patch does it, or they are too long) | NO_MEMORY */
vestry_err vsi_signals_merge(const vestry_host *host, const vsi_target *a, const vsi_target *b,
                             vestry_event **ret_event);

#endif
