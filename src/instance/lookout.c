/* SPDX-License-Identifier: MIT */
/* A thread that tells a lookout is counted inside of it, and holds no lock meanwhile. A lookout that is over stays in
 * the list until no thread is inside: so a thread can always go on from the lookout that it is inside of. */
#include "instance/lookout.h"

void vsi_lookouts_init(vsi_lookouts *lookouts) {
  vsi_mutex_init(&lookouts->lock, VSI_LOCK_LOOKOUTS);
  pthread_cond_init(&lookouts->quiet, NULL);
  atomic_init(&lookouts->first, NULL);
}

void vsi_lookouts_finish(vsi_lookouts *lookouts) {
  pthread_cond_destroy(&lookouts->quiet);
  vsi_mutex_finish(&lookouts->lock);
}

void vsi_lookouts_add(vsi_lookouts *lookouts, vsi_lookout *lookout) {
  vsi_mutex_lock(&lookouts->lock);
  lookout->next = atomic_load_explicit(&lookouts->first, memory_order_relaxed);
  atomic_store_explicit(&lookouts->first, lookout, memory_order_release); /* pairs with vsi_lookouts_are_there */
  vsi_mutex_unlock(&lookouts->lock);
}

void vsi_lookouts_remove(vsi_lookouts *lookouts, vsi_lookout *lookout) {
  vsi_mutex_lock(&lookouts->lock);
  lookout->is_over = true;
  while (lookout->inside_count) vsi_mutex_wait(&lookouts->lock, &lookouts->quiet);
  vsi_lookout *first = atomic_load_explicit(&lookouts->first, memory_order_relaxed);
  if (first == lookout) {
    atomic_store_explicit(&lookouts->first, lookout->next, memory_order_release);
  } else {
    while (first->next != lookout) first = first->next;
    first->next = lookout->next;
  }
  vsi_mutex_unlock(&lookouts->lock);
}

/* Leave `from`, and go into the next one; NULL, both: the first one, and there is none left. */
static vsi_lookout *go_on(vsi_lookouts *lookouts, vsi_lookout *from) {
  vsi_mutex_lock(&lookouts->lock);
  vsi_lookout *next = from ? from->next : atomic_load_explicit(&lookouts->first, memory_order_relaxed);
  while (next && next->is_over) next = next->next;
  if (next) next->inside_count++;
  if (from && !--from->inside_count && from->is_over) pthread_cond_broadcast(&lookouts->quiet);
  vsi_mutex_unlock(&lookouts->lock);
  return next;
}

void vsi_lookouts_tell_all_left(vsi_lookouts *lookouts, const vestry_purged *purged) {
  for (vsi_lookout *at = NULL; (at = go_on(lookouts, at)) != NULL;) at->left(purged, at->ctx);
}

void vsi_lookouts_tell_all_ended(vsi_lookouts *lookouts, struct vsi_life *life, vestry_connection *connection,
                                 vestry_cause cause) {
  for (vsi_lookout *at = NULL; (at = go_on(lookouts, at)) != NULL;) at->ended(life, connection, cause, at->ctx);
}
