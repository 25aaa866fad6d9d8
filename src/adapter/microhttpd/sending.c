/* SPDX-License-Identifier: MIT */
/* A client that requests large answers and reads nothing holds much memory. As with requests (socket.c), the sockets of
 * the answers that hold most are shut down; of answers of about the same size, the oldest first. libmicrohttpd sees a
 * hang-up, closes the connection, and frees the body. Until it does so, the bytes of this body already count as free
 * (`going`). */
#include "adapter/microhttpd/sending.h"

#include <sys/socket.h>

#include "base/memory.h"

vsi_microhttpd_sendings *vsi_microhttpd_sendings_create(vestry *v) {
  const vestry_host *host = vestry_parts_of(v)->host;
  vsi_microhttpd_sendings *all = vsi_calloc(host, 1, sizeof *all);
  if (!all) return NULL;
  VSI_REFS_INIT(&all->refs, 1);
  all->v = v;
  all->host = host;
  vsi_loads_init(&all->loads);
  vsi_mutex_init(&all->lock, VSI_LOCK_MICROHTTPD_SENDINGS);
  return all;
}

void vsi_microhttpd_sendings_unref(vsi_microhttpd_sendings *all) {
  if (!all || !VSI_REFS_DROP(&all->refs)) return;
  vsi_mutex_finish(&all->lock);
  vsi_free(all->host, all);
}

void vsi_microhttpd_sendings_relieve(vsi_microhttpd_sendings *all) {
  if (!vestry_answer_bytes_excess(all->v)) return;
  vsi_mutex_lock(&all->lock);
  for (vsi_load *at;
       vestry_answer_bytes_excess(all->v) > all->going && (at = vsi_loads_largest(&all->loads)) != NULL;) {
    vsi_microhttpd_sending *largest = VSI_LOAD_OWNER(at, vsi_microhttpd_sending, load);
    vsi_loads_file(&all->loads, at, &largest->place, 0);
    largest->is_cut = true;
    all->going += largest->body->held_bytes;
    vestry_answer_cut(all->v);
    shutdown(largest->fd, SHUT_RDWR);
  }
  vsi_mutex_unlock(&all->lock);
}

vsi_microhttpd_sending *vsi_microhttpd_sending_begin(vsi_microhttpd_sendings *all, int fd, vestry_body *body) {
  vsi_microhttpd_sending *sending = vsi_calloc(all->host, 1, sizeof *sending);
  if (!sending) {
    vestry_body_destroy(body);
    return NULL;
  }
  VSI_REFS_TAKE(&all->refs);
  sending->all = all;
  sending->body = body;
  sending->fd = fd;
  if (!body->held_bytes) return sending;
  vsi_mutex_lock(&all->lock);
  vsi_loads_file(&all->loads, &sending->load, &sending->place, vsi_load_rank(body->held_bytes));
  vsi_mutex_unlock(&all->lock);
  return sending;
}

/* It is removed from the list first, so that no answer that is over is cut; but its bytes count as going until the body
 * is freed. */
void vsi_microhttpd_sending_end(vsi_microhttpd_sending *sending) {
  if (!sending) return;
  vsi_microhttpd_sendings *all = sending->all;
  const size_t bytes = sending->body->held_bytes;
  vsi_mutex_lock(&all->lock);
  vsi_loads_file(&all->loads, &sending->load, &sending->place, 0);
  const bool is_cut = sending->is_cut;
  vsi_mutex_unlock(&all->lock);
  vestry_body_destroy(sending->body);
  if (is_cut) {
    vsi_mutex_lock(&all->lock);
    all->going -= bytes;
    vsi_mutex_unlock(&all->lock);
  }
  vsi_free(all->host, sending);
  vsi_microhttpd_sendings_unref(all);
}
