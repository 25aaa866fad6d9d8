/* SPDX-License-Identifier: MIT */
/* As with requests (socket.c): a client that asks for much and reads nothing holds much. Those that hold most are shut
 * down, of equals those that were there first; libmicrohttpd sees a hang-up, closes, and frees the body. Until it does
 * so they count as gone. */
#include "adapter/microhttpd/sending.h"

#include <sys/socket.h>

void vsi_microhttpd_sendings_begin(vsi_microhttpd_sendings *all, vestry *v) {
  all->v = v;
  TAILQ_INIT(&all->list);
  vsi_mutex_init(&all->lock, VSI_LOCK_MICROHTTPD_SENDINGS);
}

void vsi_microhttpd_sendings_finish(vsi_microhttpd_sendings *all) {
  if (all->v) vsi_mutex_finish(&all->lock);
}

static vsi_microhttpd_sending *find_largest_locked(vsi_microhttpd_sendings *all) {
  vsi_microhttpd_sending *largest = NULL;
  for (vsi_microhttpd_sending *at = TAILQ_FIRST(&all->list); at; at = TAILQ_NEXT(at, in))
    if (!at->is_cut && (!largest || at->bytes > largest->bytes)) largest = at;
  return largest;
}

void vsi_microhttpd_sendings_relieve(vsi_microhttpd_sendings *all) {
  if (!vestry_answer_bytes_excess(all->v)) return;
  vsi_mutex_lock(&all->lock);
  for (vsi_microhttpd_sending *largest;
       vestry_answer_bytes_excess(all->v) > all->going && (largest = find_largest_locked(all)) != NULL;) {
    largest->is_cut = true;
    all->going += largest->bytes;
    vestry_answer_cut(all->v);
    shutdown(largest->fd, SHUT_RDWR);
  }
  vsi_mutex_unlock(&all->lock);
}

void vsi_microhttpd_sending_enter(vsi_microhttpd_sendings *all, vsi_microhttpd_sending *sending, int fd, size_t bytes) {
  if (!bytes) return;
  vsi_mutex_lock(&all->lock);
  sending->fd = fd;
  sending->bytes = bytes;
  sending->is_cut = false;
  sending->is_in = true;
  TAILQ_INSERT_TAIL(&all->list, sending, in);
  vsi_mutex_unlock(&all->lock);
}

void vsi_microhttpd_sending_leave(vsi_microhttpd_sendings *all, vsi_microhttpd_sending *sending) {
  vsi_mutex_lock(&all->lock);
  if (sending->is_in) {
    TAILQ_REMOVE(&all->list, sending, in);
    sending->is_in = false;
    if (sending->is_cut) all->going -= sending->bytes;
  }
  vsi_mutex_unlock(&all->lock);
}
