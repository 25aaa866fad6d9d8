/* SPDX-License-Identifier: MIT */
/* essay: names found by one hash and one comparison */
/* The meanings of names, and the interceptors. A registry is filled before the first request or dispatch and only read
 * afterwards, so lookups take no lock.
 *
 * Each name is stored once in the map, with its hash, its length and all its meanings. A lookup hashes the name, and
 * compares bytes only with a name of the same 64-bit hash: once, if the name is registered. */
#ifndef VSI_REGISTRY_NAMES_H
#define VSI_REGISTRY_NAMES_H

#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "event/effect.h"
#include "vestry/registry.h"

/* A name can mean a placeholder and, in addition, one of the other kinds. */
typedef enum vsi_kind {
  VSI_KIND_NONE,
  VSI_KIND_EFFECT,      /* the only kind with side effects, with the next one */
  VSI_KIND_EVENT,       /* an effect of vestry itself that sends one event (event/effect.h) */
  VSI_KIND_ACTION,      /* a pure function of the state that returns effects and more actions */
  VSI_KIND_PLACEHOLDER, /* stands for a value that is known only at dispatch */
  VSI_KIND_QUOTE        /* a placeholder that stands for its unchanged argument */
} vsi_kind;

typedef struct vsi_meaning {
  vsi_kind kind;
  union { /* one member for each kind, except an event and a quote */
    vestry_effect_fn effect;
    vestry_action_fn action;
    vestry_placeholder_fn placeholder;
  } fn;
  void *ctx;
} vsi_meaning;

enum { VSI_NAME_MAX_BYTES = 255, VSI_PHASES = VESTRY_PHASE_CLOSE + 1 };

typedef struct vsi_name {
  vsi_map_link in; /* first member */
  size_t len;
  vsi_meaning performed, replaced; /* as an effect or action; as a placeholder */
  char text[];                     /* terminated */
} vsi_name;

typedef struct vsi_interceptors {
  vestry_interceptor *items; /* in order of registration */
  size_t count, room;
} vsi_interceptors;

struct vestry_registry {
  const vestry_host *host;
  vsi_map map;
  bool has_placeholders; /* a function of the application provides a value */
  bool has_overridden;   /* the name of an effect that sends an event was given another meaning */
  vsi_interceptors phases[VSI_PHASES];
};

/* Create a registry that has only the built-in effects which send one event, and the quote; NULL is accepted for
 * destroy. OK | NO_MEMORY */
vestry_err vsi_registry_create(const vestry_host *host, vestry_registry **ret_registry);
void vsi_registry_destroy(vestry_registry *registry);

/* Return whether a built-in effect can be made into an event as soon as it is named: its name has its original meaning,
 * and no interceptor must see it. */
static inline bool vsi_names_are_direct(const vestry_registry *names) {
  return !names->has_overridden && !names->phases[VESTRY_PHASE_EFFECT].count;
}

/* Find a name; NULL: not registered. name: any bytes. The application chooses the names in the map, so no client can
 * cause collisions; a name that a client sends costs a walk along a bucket at worst. A name longer than the maximum is
 * not even hashed, because the head of a list may be a megabyte of text. */
static inline vsi_name *vsi_names_find(const vestry_registry *names, const char *name, size_t len) {
  if (!len || len > VSI_NAME_MAX_BYTES || !names->map.count) return NULL;
  vsi_name *at = (vsi_name *)vsi_map_first(&names->map, vsi_hash_bytes(0, name, len));
  while (at && (at->len != len || memcmp(at->text, name, len) != 0)) at = (vsi_name *)vsi_map_further(&at->in);
  return at;
}
/* vsi_names_performed returns the meaning of a name as an effect or action; vsi_names_replaced returns its meaning as a
 * placeholder or quote. NULL: it has none. A name that is registered takes precedence over a built-in one. */
static inline const vsi_meaning *vsi_names_performed(const vestry_registry *names, const char *name, size_t len) {
  static const vsi_meaning event = {.kind = VSI_KIND_EVENT};
  const vsi_name *found = vsi_names_find(names, name, len);
  if (found && found->performed.kind) return &found->performed;
  return vsi_effect_find(name, len) ? &event : NULL;
}
static inline const vsi_meaning *vsi_names_replaced(const vestry_registry *names, const char *name, size_t len) {
  static const vsi_meaning quote = {.kind = VSI_KIND_QUOTE};
  const vsi_name *found = vsi_names_find(names, name, len);
  if (found && found->replaced.kind) return &found->replaced;
  return len == strlen(VESTRY_QUOTE) && memcmp(name, VESTRY_QUOTE, len) == 0 ? &quote : NULL;
}

/* vsi_builtin_is returns whether a name is a built-in effect that sends an event. vsi_builtin_is_alone returns whether
 * no function of the application is called around such effects, so that performing one takes some µs. */
VESTRY_API bool vsi_builtin_is(const vestry_registry *names, const char *name);
VESTRY_API bool vsi_builtin_is_alone(const vestry_registry *names);

#endif
