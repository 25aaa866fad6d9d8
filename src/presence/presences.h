/* The presences of an instance that have a name, and what other nodes say of those of their own (spread.c). The floor
 * above carries it (cluster/guests.c): it takes what is to be told, and says what was heard. */
#ifndef VSI_PRESENCE_PRESENCES_H
#define VSI_PRESENCE_PRESENCES_H

#include <pthread.h>

#include "vestry/host.h"

/* Other nodes have a number below this, and a bit in a mask. */
enum { VSI_PRESENCE_NODES_MAX = 64, VSI_PRESENCE_NAME_MAX = 64, VSI_PRESENCE_WHO_MAX = 255 };

/* What a presence calls. Under its lock, but for the last two. */
typedef struct vsi_presence_watch {
  /* Something waits to be told. */
  void (*soon)(void *ctx);
  /* There is one more: others have to say again whom they have. No lock held. */
  void (*begins)(void *ctx);
  /* All nodes that live are known, and whom they have. No lock held. */
  bool (*knows_all)(void *ctx);
  void *ctx;
} vsi_presence_watch;

typedef struct vsi_presences {
  pthread_mutex_t lock;
  /* guarded by lock */
  struct vestry_presence *first;
  const vsi_presence_watch *watch; /* NULL: there are no other nodes */
} vsi_presences;

/* NULL: out of memory. */
vsi_presences *vsi_presences_create(const vestry_host *host);
/* host: the one that it was created with. NULL is accepted. */
void vsi_presences_destroy(vsi_presences *all, const vestry_host *host);

/* Somebody has come to a place of one node's, or has left it. */
typedef struct vsi_guest_said {
  const char *presence; /* its name */
  vestry_slice place;   /* a key, encoded */
  const char *who;
  bool is_here;
} vsi_guest_said;

/* One number for who, place and presence, the same on all nodes. */
uint64_t vsi_guest_hash(const vsi_guest_said *said);

/* From now on, until the end, the others are told. Nothing is forgotten by the end. */
void vsi_presences_begin(vsi_presences *all, const vsi_presence_watch *watch);
void vsi_presences_end(vsi_presences *all);

/* Called under locks: it must not call a presence. */
typedef void (*vsi_guest_said_fn)(const vsi_guest_said *said, void *ctx);
/* All changes that wait to be told; they count as told. */
void vsi_presences_take(vsi_presences *all, vsi_guest_said_fn fn, void *ctx);
/* All who were told to be here. */
void vsi_presences_list(vsi_presences *all, vsi_guest_said_fn fn, void *ctx);
/* How many these are, and what their hashes add up to. */
void vsi_presences_sum(vsi_presences *all, uint64_t *ret_count, uint64_t *ret_sum);

/* What another node says of its own. OK, also if there is no such presence or no room | MALFORMED | NO_MEMORY */
vestry_err vsi_presences_told(vsi_presences *all, unsigned node, const vsi_guest_said *said);
/* It begins to name all whom it has; that was all: who was not named is gone. */
void vsi_presences_doubt(vsi_presences *all, unsigned node);
void vsi_presences_sweep(vsi_presences *all, unsigned node);
/* It has nobody, as far as anybody knows. */
void vsi_presences_forget(vsi_presences *all, unsigned node);
/* There was no room for some of its own, and now there is. */
bool vsi_presences_have_room_again(vsi_presences *all, unsigned node);

#endif
