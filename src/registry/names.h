/* What names mean: effects by name, and the interceptors around them. Filled before the first request or dispatch, only
 * read from then on, so that look-ups take no lock. */
#ifndef VSI_REGISTRY_NAMES_H
#define VSI_REGISTRY_NAMES_H

#include "vestry/registry.h"

/* A name can mean one thing of each kind. */
typedef enum vsi_kind {
  VSI_KIND_EFFECT,     /* does something to the world: the only kind that has side effects */
  VSI_KIND_ACTION,     /* a pure function of the state that gives effects and more actions */
  VSI_KIND_PLACEHOLDER /* stands for a value that is known only at dispatch */
} vsi_kind;

typedef struct vsi_entry {
  vsi_kind kind;
  char *name; /* NULL: a free slot */
  union {
    vestry_effect_fn effect; /* one member a kind */
  } fn;
  void *ctx;
} vsi_entry;

typedef struct vsi_names {
  const vestry_host *host;
  vsi_entry *slots; /* open addressing, at most three quarters full; a power of two of them */
  size_t slots_count, used_count;
  vestry_interceptor *interceptors; /* in order of registration */
  size_t interceptors_count, interceptors_capacity;
} vsi_names;

void vsi_names_init(vsi_names *names, const vestry_host *host);
void vsi_names_finish(vsi_names *names);

/* Set what a name means; of two meanings of one kind the last wins. The name is copied; meaning->name is not looked at.
 * OK | INVALID (no name) | NO_MEMORY (names unchanged). */
vestry_err vsi_names_set(vsi_names *names, const char *name, const vsi_entry *meaning);
/* NULL: nobody said. */
const vsi_entry *vsi_names_find(const vsi_names *names, vsi_kind kind, const char *name);

/* Append an interceptor; its name is copied. OK | INVALID (no name, no such phase, neither side) | NO_MEMORY. */
vestry_err vsi_names_intercept(vsi_names *names, const vestry_interceptor *interceptor);

#endif
