/* What the whole instance may have queued.
 *
 * Hard. A sender takes its events' cost from the budget before it takes room in the queue, by a compare-and-swap that
 * never goes above the maximum; the runner gives it back when the event is freed. So the sum of all queues is below the
 * maximum at every moment, and exactly what the counter says. An event that waits in several queues is counted in each,
 * though its bytes are there once: the counter is an upper bound of the memory.
 *
 * Nobody waits. Memory comes back when a closed connection's runner gets to it, on another thread, and a sender does
 * not wait for that. So closing begins an eighth below the maximum: what is sent while the runners free goes into that
 * eighth. Only a sender that fills it faster than they free is refused, as by a full queue.
 *
 * Who. The one that holds most goes first: whoever does not read grows, whoever reads stays small, so it is the stalled
 * ones that go. What closed connections still hold counts as gone already, or one burst would close more than it must.
 * (One that is inside a blocking transport holds its share until that lets go: those that stay have the less, and are
 * not closed for it.)
 *
 * Cost. One relaxed read-modify-write for each send and each settlement. Relieving walks all connections, once for
 * SOUGHT closings at most, and only one thread does. */
#include "stream/budget.h"

#include "stream/connection.h"

enum { SOUGHT = 16, HEADROOM = 8 };

_Static_assert(sizeof(vsi_delivery) <= VSI_DELIVERY_COST / 2, "the other half is the event's head and the allocator's");

void vsi_budget_init(vsi_budget *budget, size_t max_bytes) {
  budget->max = max_bytes ? max_bytes : VSI_BUDGET_DEFAULT_BYTES;
  budget->mark = budget->max - budget->max / HEADROOM;
}

bool vsi_budget_take(vsi_budget *budget, uint64_t cost) {
  uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
  do {
    if (cost > budget->max || used > budget->max - cost) return false;
  } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + cost, memory_order_relaxed,
                                                  memory_order_relaxed));
  used += cost;
  uint64_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);
  while (peak < used &&
         !atomic_compare_exchange_weak_explicit(&budget->peak, &peak, used, memory_order_relaxed, memory_order_relaxed))
    continue;
  return true;
}

/* One that ends cleanly and waits for its peer has its cause already: it is not waited for any more. */
static void evict(vestry_connection *connection) {
  if (vestry_connection_close(connection, VESTRY_CAUSE_BUDGET)) return;
  atomic_store_explicit(&connection->hurried, true, memory_order_relaxed); /* the notify hands it over */
  vsi_actor_notify(&connection->actor);
}

void vsi_budget_relieve(vsi_budget *budget, struct vsi_group *group) {
  /* acquire pairs with the release below: who relieves next sees whom the last one has closed */
  if (atomic_exchange_explicit(&budget->relieving, true, memory_order_acquire)) return;
  for (bool more = true; more;) {
    vestry_connection *largest[SOUGHT];
    uint64_t held[SOUGHT], going = 0;
    size_t count = vsi_group_largest(group, largest, held, SOUGHT, &going);
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed), gone = 0;
    for (size_t i = 0; i < count; i++) {
      if (used > budget->mark + going + gone) {
        evict(largest[i]);
        gone += held[i];
      }
      vestry_connection_unref(largest[i]);
    }
    more = count == SOUGHT && used > budget->mark + going + gone;
  }
  atomic_store_explicit(&budget->relieving, false, memory_order_release);
}
