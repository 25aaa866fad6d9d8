/* SPDX-License-Identifier: MIT */
/* The states of tabs whose streams have ended, by numbers that clients choose. */
#include <time.h>

#include "app/page/state_tag.h"
#include "support/test.h"

enum { ROOM = 4096, LOOKS = 100000 };

static vsi_state_tag tag_of(uint64_t last) {
  return (vsi_state_tag){.parts_count = 1, .parts = {{.content = last}}};
}

TEST_CASE(reconnected_tab_finds_its_state_once) {
  vsi_resume_cache *resume_cache;
  vsi_state_tag tag = {0};
  assert_int_equal(vsi_resume_cache_create(vestry_host_default(), ROOM, &resume_cache), VESTRY_OK);
  assert_false(vsi_resume_cache_take(resume_cache, 1, 1, &tag));
  for (uint64_t i = 1; i <= ROOM + 10; i++) {
    vsi_state_tag had = tag_of(i);
    vsi_resume_cache_put(resume_cache, i * ROOM, i, &had);
  }
  for (uint64_t i = 1; i <= ROOM + 10; i++) {
    bool is_kept = i > 10; /* the oldest were evicted */
    assert_int_equal(vsi_resume_cache_take(resume_cache, i * ROOM, i == 20 ? 1 : i, &tag), is_kept && i != 20);
    if (is_kept && i != 20) assert_int_equal(tag.parts[0].content, i);
    assert_false(vsi_resume_cache_take(resume_cache, i * ROOM, i, &tag)); /* only once */
  }
  vsi_resume_cache_destroy(resume_cache);
}

/* Return the CPU time of lookups of absent numbers, while the stored numbers are this far apart. */
static double seconds_of_looks(uint64_t step) {
  vsi_resume_cache *resume_cache;
  vsi_state_tag tag = tag_of(1);
  struct timespec from, to;
  assert_int_equal(vsi_resume_cache_create(vestry_host_default(), ROOM, &resume_cache), VESTRY_OK);
  for (uint64_t i = 1; i <= ROOM; i++) vsi_resume_cache_put(resume_cache, i * step, 1, &tag);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
  for (uint64_t i = 1; i <= LOOKS; i++) assert_false(vsi_resume_cache_take(resume_cache, (ROOM + i) * step, 1, &tag));
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
  vsi_resume_cache_destroy(resume_cache);
  return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Numbers that a client chooses must not cause long probes. If the number itself were the hash, lookups would take a
 * thousand times as long. */
TEST_CASE(chosen_numbers_cost_no_longer_lookups) {
  double spread = seconds_of_looks(1), chosen = seconds_of_looks(ROOM);
  assert_true(chosen < 20 * spread);
}
