/* SPDX-License-Identifier: MIT */
/* A client that requests large answers and reads nothing holds much memory. As with requests (socket.c), the sockets of
 * the answers that hold most are shut down; of answers of about the same size, the oldest first. libmicrohttpd sees a
 * hang-up, closes the connection, and frees the body. Until it does so, the bytes of this body already count as free
 * (`going`). */
#include "adapter/microhttpd/sending.h"

#include <sys/socket.h>

void vsi_microhttpd_sendings_begin(vsi_microhttpd_sendings *all, vestry *v) {
  all->v = v;
  vsi_loads_init(&all->loads);
  vsi_mutex_init(&all->lock, VSI_LOCK_MICROHTTPD_SENDINGS);
}

void vsi_microhttpd_sendings_finish(vsi_microhttpd_sendings *all) {
  if (all->v) vsi_mutex_finish(&all->lock);
}

void vsi_microhttpd_sendings_relieve(vsi_microhttpd_sendings *all) {
  if (!vestry_answer_bytes_excess(all->v)) return;
  vsi_mutex_lock(&all->lock);
  for (vsi_load *at;
       vestry_answer_bytes_excess(all->v) > all->going && (at = vsi_loads_largest(&all->loads)) != NULL;) {
    vsi_microhttpd_sending *largest = VSI_LOAD_OWNER(at, vsi_microhttpd_sending, load);
    vsi_loads_file(&all->loads, at, &largest->place, 0);
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
  vsi_loads_file(&all->loads, &sending->load, &sending->place, vsi_load_rank(bytes));
  vsi_mutex_unlock(&all->lock);
}

void vsi_microhttpd_sending_leave(vsi_microhttpd_sendings *all, vsi_microhttpd_sending *sending) {
  vsi_mutex_lock(&all->lock);
  if (sending->is_in) {
    vsi_loads_file(&all->loads, &sending->load, &sending->place, 0);
    sending->is_in = false;
    if (sending->is_cut) all->going -= sending->bytes;
  }
  vsi_mutex_unlock(&all->lock);
}
