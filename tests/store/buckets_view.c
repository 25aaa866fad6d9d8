#include "store/buckets_view.h"

#include <stdlib.h>

#include "support/test.h"

static vsi_slot *slot_of(uint64_t word) {
  return (vsi_slot *)(uintptr_t)((word & ((UINT64_C(1) << 42) - 1)) << 6);
}

static uint32_t home_of(const vsi_table_memory *table, const vsi_slot *slot) {
  return (uint32_t)((uint64_t)slot->hash * table->count >> 32);
}

static void look(const vsi_table_memory *table, buckets_view *view) {
  uint32_t *passed = calloc(table->count, sizeof *passed);
  assert_non_null(passed);
  for (uint32_t b = 0; b < table->count; b++)
    for (int i = 0; i < VIEW_WORDS; i++) {
      uint64_t word = atomic_load_explicit(&table->at[b].words[i], memory_order_relaxed);
      assert_int_equal(table->at[b].filled >> i & 1, word != 0);
      if (!word) continue;
      size_t probe = 1;
      for (uint32_t at = home_of(table, slot_of(word)); at != b; at = (at + 1) % table->count, probe++) passed[at]++;
      view->words_count++;
      view->passed_count += probe - 1;
      if (probe > view->probe_most) view->probe_most = probe;
    }
  for (uint32_t b = 0; b < table->count; b++)
    assert_int_equal(atomic_load_explicit(&table->at[b].passed, memory_order_relaxed), passed[b]);
  free(passed);
}

buckets_view buckets_look(const vsi_buckets *buckets) {
  buckets_view view = {0};
  const vsi_table_memory *current = atomic_load(&buckets->current), *old = atomic_load(&buckets->old);
  view.count = current->count;
  look(current, &view);
  if (old) {
    view.old_count = old->count;
    look(old, &view);
  }
  assert_int_equal(view.words_count, buckets->words_count);
  return view;
}
