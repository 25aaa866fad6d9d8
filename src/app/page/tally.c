/* SPDX-License-Identifier: MIT */
/* Counting the renders of pages and parts. */
#include "app/page/tally.h"

#include <string.h>

#include "base/memory.h"
#include "http/routes/routes.h"

#define SLICE_NS (UINT64_C(5000) * VSI_NS_PER_MS)

/* -------------------------------------------------------------------------------------------------- a minute ------ */

static void count_in_minute(vsi_minute *minute, uint64_t now_ns) {
  const uint64_t now = now_ns / SLICE_NS;
  if (now > minute->last) {
    uint64_t passed = now - minute->last;
    for (uint64_t i = 1; i <= passed && i <= VSI_TALLY_SLICES; i++)
      minute->counts[(minute->last + i) % VSI_TALLY_SLICES] = 0;
    minute->last = now;
  }
  minute->counts[minute->last % VSI_TALLY_SLICES]++;
}

uint64_t vsi_minute_sum(const vsi_minute *minute, uint64_t now_ns) {
  const uint64_t now = now_ns / SLICE_NS;
  uint64_t sum = 0;
  for (uint64_t i = 0; i < VSI_TALLY_SLICES && i <= minute->last; i++)
    if (minute->last - i + VSI_TALLY_SLICES > now) sum += minute->counts[(minute->last - i) % VSI_TALLY_SLICES];
  return sum;
}

/* ------------------------------------------------------------------------------------------------- the tallies ---- */

void vsi_tallies_init(vsi_tallies *tallies) {
  tallies->all[0] = &tallies->others;
  tallies->count = 1;
}

void vsi_tallies_finish(vsi_tallies *tallies, const vestry_host *host) {
  for (size_t i = 1; i < tallies->count; i++) vsi_free(host, tallies->all[i]);
}

/* Add a tally with a copy of the name. Returns NULL without memory. */
vsi_tally *vsi_tallies_add(vsi_tallies *tallies, const vestry_host *host, const char *name) {
  const size_t len = strlen(name) + 1;
  vsi_tally *tally = vsi_calloc(host, 1, sizeof *tally + len);
  if (!tally) return NULL;
  tally->name = memcpy(tally + 1, name, len);
  tally->place = (uint16_t)tallies->count;
  tallies->all[tallies->count++] = tally;
  return tally;
}

/* -------------------------------------------------------------------------------------------------- counting ------ */

void vsi_tally_made(vsi_tally *tally, const vsi_reason *reason, uint64_t began_ns, uint64_t ended_ns) {
  const uint64_t took_ns = ended_ns > began_ns ? ended_ns - began_ns : 0;
  tally->renders_count++;
  tally->handler_ns += took_ns;
  if (took_ns > tally->handler_longest_ns) tally->handler_longest_ns = took_ns;
  count_in_minute(&tally->renders, ended_ns);
  if (reason->kind == VESTRY_REFRESH_FIRST) tally->first_count++;
  /* new streams are frequent, so they must not replace the reason of a refresh */
  if (reason->kind == VESTRY_REFRESH_NONE || (reason->kind == VESTRY_REFRESH_FIRST && tally->reason.kind)) return;
  tally->reason = *reason;
  tally->reason_ns = ended_ns;
}

void vsi_tally_unchanged(vsi_tally *tally, const vsi_reason *reason, uint64_t ended_ns) {
  tally->unchanged_count++;
  count_in_minute(&tally->unchanged, ended_ns);
  if (reason->kind) tally->unchanged_reason = *reason;
}
