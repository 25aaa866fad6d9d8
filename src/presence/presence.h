/* A presence, as its room sees it: presence.c (streams that come and end, and telling of it), spread.c (other nodes).
 * Functions named _locked: the presence's lock is held. */
#ifndef VSI_PRESENCE_PRESENCE_H
#define VSI_PRESENCE_PRESENCE_H

#include <pthread.h>
#include <string.h>

#include "base/siphash.h"
#include "instance/instance.h"
#include "presence/presences.h"
#include "vestry/presence.h"

typedef struct vsi_guest vsi_guest;

typedef struct vsi_place {
  struct vsi_place *next; /* in its bucket */
  uint64_t hash;
  vsi_guest *first, *last;  /* who is here, in the order of coming */
  size_t count, told_count; /* who is here; who is believed to be, by those who were told */
  size_t refs;              /* of guests */
  const vestry_key *key;
  size_t encoded_len;
  unsigned char *encoded; /* in one allocation with this and the key */
} vsi_place;

struct vsi_guest {
  uint64_t hash;
  vsi_place *at;
  vsi_guest *next_in_bucket, *next, *prev; /* next, prev: at the place */
  vsi_guest *next_news, *prev_news;
  vsi_guest *next_waiting; /* to be told to other nodes */
  uint64_t others, unsure; /* nodes that have him; of these, those that say anew whom they have, and did not name him */
  size_t streams_count;    /* on this node */
  uint64_t leaves_ns;      /* no streams: when he leaves this node */
  vsi_guest *next_gone, *prev_gone; /* those without streams, in the order of leaves_ns */
  bool is_own;                      /* he has streams on this node, or is in the grace time */
  bool is_here, is_gone;            /* is_here: is_own, or others have him; is_gone: in the grace time */
  bool is_told, is_news;            /* believed to be here; is_news: in the list, since the two differ */
  bool is_being_told;
  bool is_spread, is_waiting; /* other nodes were told that is_own; is_waiting: in the list of those to be told */
  char who[];
};

struct vestry_presence {
  vestry *v; /* of who creates and destroys it */
  const vestry_host *host;
  vestry_presence *next, *prev;         /* guarded by the lock of v->presences */
  char name[VSI_PRESENCE_NAME_MAX + 1]; /* "": of this node alone */
  uint64_t grace_ns;
  size_t max_count;
  vestry_presence_fn on_change;
  void *ctx;
  vestry_actor *actor;
  vestry_timer *timer;
  vsi_siphash_key secret;
  pthread_mutex_t telling; /* held while on_change runs; outermost */
  bool is_deaf;            /* guarded by telling: destroyed */
  pthread_mutex_t lock;
  /* guarded by lock */
  size_t refs; /* the owner, the actor, attachments */
  bool is_closed;
  size_t count, reserved_count; /* guests; those that replies have made and not begun */
  size_t here_count, own_count; /* guests who are here; of these, those of this node */
  vsi_place **places;
  vsi_guest **guests;
  size_t buckets_count; /* of both; a power of two */
  vsi_guest *first_gone, *last_gone;
  vsi_guest *first_news, *last_news;
  const vsi_presence_watch *watch; /* NULL: nobody is told but on_change */
  vsi_guest *first_waiting, *last_waiting;
  uint64_t spread_count, spread_sum;   /* of guests who are spread */
  uint64_t crowded_out, refused_count; /* nodes for whose guests there was no room; how often */
};

/* --------------------------------------------------------------------------------------------- presence.c --------- */

/* An encoded key as a place. OK | MALFORMED | NO_MEMORY */
vestry_err vsi_place_create(const vestry_host *host, vestry_slice encoded, uint64_t hash, vsi_place **ret_place);
uint64_t vsi_place_hash(const vestry_presence *presence, vestry_slice encoded);
vsi_place *vsi_place_find_locked(const vestry_presence *presence, vestry_slice encoded, uint64_t hash);
void vsi_place_enter_locked(vestry_presence *presence, vsi_place *at);

vsi_guest *vsi_guest_create(const vestry_presence *presence, uint64_t place_hash, const char *who);
/* NULL: at is NULL, or he is not known there. */
vsi_guest *vsi_guest_find_locked(const vestry_presence *presence, const vsi_place *at, const char *who);
void vsi_guest_enter_locked(vestry_presence *presence, vsi_place *at, vsi_guest *one);
/* He is here from now on; he is not any more, and may be freed. */
void vsi_guest_come_locked(vestry_presence *presence, vsi_guest *one);
void vsi_guest_leave_locked(vestry_presence *presence, vsi_guest *one);
/* Free who is not needed any more. */
void vsi_guest_let_go_locked(vestry_presence *presence, vsi_guest *one);
void vsi_presence_grow_locked(vestry_presence *presence);

/* ----------------------------------------------------------------------------------------------- spread.c --------- */

/* is_own has changed. */
void vsi_guest_spread_locked(vestry_presence *presence, vsi_guest *one);
/* One with a name begins: OK | EXISTS; and ends. No lock held. */
vestry_err vsi_presence_begin(vestry_presence *presence);
void vsi_presence_end(vestry_presence *presence);

#endif
