/* SPDX-License-Identifier: MIT */
/* essay: what a stream needs to make a person present, made before there is a stream */
/* A reply says which person will be where, its stream makes it so, and the stream's end, and a grace time after it,
 * undo it.
 *
 * What a reply may need is made when it says so, before there is a stream: a guest, a place, and room among max_count.
 * So when the stream begins nothing can fail; what is not needed is freed then. */
#include "app/presence/grace.h"
#include "app/presence/guest.h"
#include "app/presence/place.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "connection/connection.h"
#include "http/reply.h"

/* What a reply has made ready, and then what its stream has of presence, from its beginning to its end. */
typedef struct arrival {
  vsi_attachment attachment; /* first */
  vestry_presence *presence; /* a reference */
  vsi_guest *spare;          /* NULL: used */
  vsi_place *spare_place;    /* likewise */
  vsi_guest *here;           /* while the stream is open */
} arrival;

static void free_spares(const vestry_host *host, arrival *one) {
  vsi_free(host, one->spare);
  vsi_free(host, one->spare_place);
  one->spare = NULL;
  one->spare_place = NULL;
}

static void free_arrival(arrival *one) {
  vestry_presence *presence = one->presence;
  free_spares(presence->host, one);
  vsi_free(presence->host, one);
  vsi_presence_unref(presence);
}

static void drop_arrival(vsi_attachment *attachment) {
  arrival *one = (arrival *)attachment;
  vsi_mutex_lock(&one->presence->lock);
  one->presence->reserved_count--;
  vsi_mutex_unlock(&one->presence->lock);
  free_arrival(one);
}

static void stream_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  arrival *one = (arrival *)(void *)node;
  vestry_presence *presence = one->presence;
  (void)connection, (void)cause;
  vsi_mutex_lock(&presence->lock);
  if (!--one->here->streams_count) vsi_grace_begin_locked(presence, one->here);
  vsi_mutex_unlock(&presence->lock);
  free_arrival(one);
}

static void arrive(vsi_attachment *attachment, vestry_connection *connection) {
  arrival *one = (arrival *)attachment;
  vestry_presence *presence = one->presence;
  vsi_mutex_lock(&presence->lock);
  presence->reserved_count--;
  vsi_place *at = vsi_place_find_locked(presence, &one->spare_place->packed);
  if (!at) {
    at = one->spare_place;
    one->spare_place = NULL;
    vsi_place_enter_locked(presence, at);
  }
  vsi_guest *here = vsi_guest_find_locked(presence, at, one->spare->who);
  if (!here) {
    here = one->spare;
    one->spare = NULL;
    vsi_guest_enter_locked(presence, at, here);
  }
  if (here->is_gone) vsi_grace_end_locked(here);
  if (!here->is_own) vsi_guest_own_locked(presence, here, true);
  if (!here->is_here) vsi_guest_come_locked(presence, here);
  here->streams_count++;
  one->here = here;
  vsi_mutex_unlock(&presence->lock);
  free_spares(presence->host, one);
  vsi_close_node_init(&one->attachment.node, stream_ended);
  if (vsi_connection_at_close(connection,
                              &one->attachment.node)) /* the connection has ended already, and calls no node any more */
    stream_ended(&one->attachment.node, connection, VESTRY_CAUSE_NONE);
}

/* Count a coming that is to be. A newcomer is refused when max_count are guests or reserved. A person that is there
 * already, or has left and that is not told yet, is let in even then. That passes no bound: when his stream begins he
 * is found in the tables, and no guest is added. If he has left by then, his place has become free, and what is
 * reserved for him takes it. */
static vestry_err reserve(vestry_presence *presence, arrival *one) {
  vsi_mutex_lock(&presence->lock);
  vestry_err error = presence->is_closed ? VESTRY_CLOSED : VESTRY_OK;
  if (!error && presence->guests.count + presence->reserved_count >= presence->max_count) {
    const vsi_place *at = vsi_place_find_locked(presence, &one->spare_place->packed);
    if (!vsi_guest_find_locked(presence, at, one->spare->who)) error = VESTRY_LIMIT;
  }
  if (!error) {
    vsi_presence_grow_locked(presence);
    presence->reserved_count++;
    presence->refs++;
    one->presence = presence;
  }
  vsi_mutex_unlock(&presence->lock);
  return error;
}

static vestry_err prepare(vestry_presence *presence, const vestry_key *place, const char *who, arrival *one) {
  vsi_scoped_key packed;
  vestry_err error = vsi_place_pack(presence, place, &packed);
  if (error) return error;
  error = vsi_place_create(presence->host, &packed.key, &one->spare_place);
  if (!error) one->spare = vsi_guest_create(presence, &packed.key, who);
  vsi_scoped_key_finish(&packed);
  return !error && !one->spare ? VESTRY_NO_MEMORY : error;
}

vestry_err vestry_reply_present(vestry_reply *reply, vestry_presence *presence, const vestry_key *key,
                                const char *who) {
  size_t len = who ? strlen(who) : 0;
  if (!presence || !len || len > VSI_PRESENCE_WHO_MAX || !vsi_is_utf8(who, len))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "presence: who is NULL (nobody has logged in?), empty, longer than 255 bytes, or no UTF-8");
  vestry_err error = vsi_reply_may_join(reply);
  if (error) return error;
  arrival *one = vsi_calloc(presence->host, 1, sizeof *one);
  error = one ? prepare(presence, key, who, one) : VESTRY_NO_MEMORY;
  if (error && error != VESTRY_NO_MEMORY)
    (void)vsi_reply_refuse(reply, error, "the place is not well formed or too large");
  if (!error) error = reserve(presence, one);
  if (!error) {
    one->attachment.begin = arrive;
    one->attachment.drop = drop_arrival;
    vsi_attachments_add_counted(&reply->attachments, &one->attachment);
    return VESTRY_OK;
  }
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  if (one) free_spares(presence->host, one);
  vsi_free(presence->host, one);
  return error;
}
