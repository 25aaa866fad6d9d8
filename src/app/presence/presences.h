/* SPDX-License-Identifier: MIT */
/* The presences of an instance that have a name, and the watch of the layer above, which tells other nodes of them
 * (spread.h). */
#ifndef VSI_PRESENCE_PRESENCES_H
#define VSI_PRESENCE_PRESENCES_H

#include <sys/queue.h>

#include "base/mutex.h"
#include "vestry/app/presence.h"
#include "vestry/host.h"

/* Other nodes have a number below this, and a bit in a mask. */
enum { VSI_PRESENCE_NODES_MAX = 64, VSI_PRESENCE_NAME_MAX = 64, VSI_PRESENCE_WHO_MAX = 255 };

/* What a presence calls. Under its lock, but for the last two. */
typedef struct vsi_presence_watch {
  /* Something waits to be told. */
  void (*soon)(void *ctx);
  /* There is one more: others have to name their guests again. No lock held. */
  void (*begins)(void *ctx);
  /* All nodes that live are known, and their guests. No lock held. */
  bool (*knows_all)(void *ctx);
  void *ctx;
} vsi_presence_watch;

typedef struct vsi_presences {
  vsi_mutex lock;
  /* guarded by lock */
  LIST_HEAD(, vestry_presence) list;
  const vsi_presence_watch *watch; /* NULL: there are no other nodes */
} vsi_presences;

#endif
