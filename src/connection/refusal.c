/* SPDX-License-Identifier: MIT */
/* essay: a hook that any sender calls, and that is never called after the close hook */
/* If a send to a connection fails, the connection calls its hooks on the sender's thread, and they decide whether it
 * stays open.
 *
 * The context of a hook lives until on_close has returned, and a sender can come at any time. So before the runner
 * calls on_close, it must know that no sender is inside a hook and that none will be. One word holds both: the number
 * of threads inside, and BARRED, which the runner sets, and after which no sender enters. A sender enters by a
 * compare-and-swap that never changes a barred word, so the word's modification order decides:
 * - The sender enters first. The runner then finds it inside, and returns. When the sender leaves, it finds BARRED and
 *   notifies the actor, and the run that follows checks again.
 * - BARRED is set first. The hook is not called.
 *
 * No thread waits: neither the runner for a hook, nor a sender for the runner.
 *
 * The step of a watch (app/watch/watch.c) enters and leaves in the same way, because its context lives as long. */
#include "connection/refusal.h"

#include "base/assert.h"
#include "base/probe.h"

#define BARRED (UINT32_C(1) << 31)

bool vsi_connection_enter(vestry_connection *connection) {
  uint32_t word = atomic_load_explicit(&connection->reporting, memory_order_relaxed);
  do {
    if (word & BARRED) return false;
    /* relaxed: only the order of this word matters, and the data that a hook reads existed before any send was
     * possible */
  } while (!atomic_compare_exchange_weak_explicit(&connection->reporting, &word, word + 1, memory_order_relaxed,
                                                  memory_order_relaxed));
  return true;
}

void vsi_connection_leave(vestry_connection *connection) {
  /* release pairs with the acquire in vsi_connection_bar_senders: the hook's writes to its context happen before
   * on_close */
  const uint32_t word = atomic_fetch_sub_explicit(&connection->reporting, 1, memory_order_acq_rel);
  VSI_ASSERT((word & ~BARRED) > 0); /* it entered */
  if (word & BARRED) vsi_actor_notify(&connection->actor);
}

bool vsi_connection_bar_senders(vestry_connection *connection) {
  /* acquire pairs with leave: its subtractions all belong to the release sequence that this reads from */
  return (atomic_fetch_or_explicit(&connection->reporting, BARRED, memory_order_acq_rel) & ~BARRED) == 0;
}

/* A hook that sends can be called again on the same stack; this bounds the depth. */
enum { ASKS_MOST = 8 };
static _Thread_local unsigned asks;

static vestry_verdict ask(vestry_connection *connection, vestry_err error) {
  if (!connection->hooks->on_error || asks == ASKS_MOST) return VESTRY_VERDICT_DEFAULT;
  if (!vsi_connection_enter(connection)) return VESTRY_VERDICT_DEFAULT; /* it is ending: there is no decision left */
  asks++;
  vestry_verdict verdict = connection->hooks->on_error(connection, error, vsi_connection_context(connection));
  asks--;
  vsi_connection_leave(connection);
  return verdict;
}

vestry_err vsi_connection_refused(vestry_connection *connection, vestry_err error) {
  if (error != VESTRY_FULL && error != VESTRY_TOO_LARGE && error != VESTRY_NO_MEMORY) return error;
  if (!vestry_connection_is_open(connection)) return error;
  VSI_PROBE2(refuse, connection->id, error);
  vsi_group_tally_refused(connection->environment->tally, error);
  atomic_store_explicit(&connection->refusal, (uint8_t)error, memory_order_relaxed);
  vestry_verdict verdict = ask(connection, error);
  bool by_policy = error == VESTRY_FULL && connection->full != VESTRY_FULL_DROP;
  if (verdict == VESTRY_VERDICT_CLOSE || (verdict != VESTRY_VERDICT_GO_ON && by_policy))
    vestry_connection_close(connection, error == VESTRY_FULL ? VESTRY_CAUSE_FULL : VESTRY_CAUSE_ERROR);
  return error;
}
