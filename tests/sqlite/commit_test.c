/* What is committed refreshes the pages that depend on it: after it can be seen by everybody, never before, and never
 * for what was rolled back. In both modes of the journal. */
#include "sqlite/site.h"

static const char *const modes[] = {"wal", "delete", "persist"};
#define EACH_MODE(mode) for (const char *const *mode = modes; mode < modes + sizeof modes / sizeof *modes; mode++)

static void a_commit_refreshes_what_it_changed(void **state) {
  (void)state;
  EACH_MODE(mode) {
    site s;
    site_open(&s, *mode, NULL);
    site_watch(&s, "table/t");
    site_watch(&s, "table/k");
    site_run(s.db, "INSERT INTO t(x) VALUES(1)");
    site_settle(&s);
    assert_int_equal(site_seen(&s, "table/t"), 1);
    assert_int_equal(site_seen(&s, "table/k"), 0);
    assert_int_equal(s.counted[0], 1);
    site_sync(&s); /* it is known whose it was */
    assert_int_equal(site_seen(&s, "table/t"), 0);
    assert_int_equal(site_seen(&s, "table/k"), 0);
    site_close(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_commit_refreshes_what_it_changed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
