/* SPDX-License-Identifier: MIT */
/* Who calls what a program is begun with, and says something that cannot be, is told what, in the log. */
#include "support/site.h"
#include "vestry/cluster.h"
#include "vestry/csrf.h"
#include "vestry/files.h"
#include "vestry/memory_network.h"
#include "vestry/once.h"
#include "vestry/page.h"
#include "vestry/presence.h"
#include "vestry/session.h"
#include "vestry/vestry.h"

static void must_say(site *w, vestry_err error, const char *function, const char *what) {
  assert_int_equal(error, VESTRY_INVALID);
  assert_int_equal(atomic_exchange(&w->th.log_lines, 0), 1);
  if (strncmp(w->th.last_log, function, strlen(function)) != 0 || !strstr(w->th.last_log, what))
    fail_msg("neither %s nor %s: %s", function, what, w->th.last_log);
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  (void)render, (void)html, (void)app;
  return VESTRY_OK;
}

static void who_begins_wrongly_is_told(void **state) {
  (void)state;
  site w;
  vestry_pages *pages = NULL;
  vestry_page *page = NULL;
  vestry_once *once = NULL;
  vestry_csrf *csrf = NULL;
  vestry_presence *presence = NULL;
  vestry_files *files = NULL;
  vestry_cluster *cluster = NULL;
  vestry_memory_network *network;
  vestry_broker broker;
  site_begin(&w, (vestry_options){.sessions = &(vestry_session_options){0}});
  must_say(&w, vestry_pages_create(w.v, &(vestry_pages_options){.secret = "x"}, &pages), "vestry_pages_create",
           "secret");
  must_say(&w, vestry_pages_create(w.v, &(vestry_pages_options){.interval_ms = UINT32_MAX}, &pages),
           "vestry_pages_create", "interval_ms");
  assert_int_equal(vestry_pages_create(w.v, NULL, &w.pages), VESTRY_OK);
  must_say(&w, vestry_page_create(w.pages, NULL, &page), "vestry_page_create", "render");
  must_say(&w, vestry_page_create(w.pages, &(vestry_page_options){.render = render, .id = "a b"}, &page),
           "vestry_page_create", "id");
  must_say(&w, vestry_once_create(w.v, &(vestry_once_options){.max_count = 1, .max_visitors_count = 2}, &once),
           "vestry_once_create", "max_visitors_count");
  must_say(&w, vestry_once_create(w.v, &(vestry_once_options){.size = 1}, &once), "vestry_once_create", "later");
  static const char *const origins[] = {"shop.example/path"};
  must_say(&w, vestry_csrf_create(w.v, &(vestry_csrf_options){.trusted_origins_count = 1}, &csrf), "vestry_csrf_create",
           "trusted_origins");
  must_say(
      &w,
      vestry_csrf_create(w.v, &(vestry_csrf_options){.trusted_origins = origins, .trusted_origins_count = 1}, &csrf),
      "vestry_csrf_create", "https://HOST");
  must_say(&w, vestry_presence_create(w.v, &(vestry_presence_options){.name = ""}, &presence), "vestry_presence_create",
           "name");
  must_say(&w, vestry_presence_create(w.v, &(vestry_presence_options){.grace_ms = UINT64_MAX}, &presence),
           "vestry_presence_create", "grace_ms");
  must_say(&w, vestry_files_create(&(vestry_files_options){.host = &w.th.host}, &files), "vestry_files_create",
           "folder");
  assert_int_equal(vestry_memory_network_create(vestry_parts_of(w.v)->runtime, NULL, &network), VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(network, &broker), VESTRY_OK);
  must_say(&w,
           vestry_cluster_create(w.v, &broker,
                                 &(vestry_cluster_options){.node = "a", .secret = "short", .secret_len = 5}, &cluster),
           "vestry_cluster_create", "32 bytes");
  assert_true(!pages && !page && !once && !csrf && !presence && !files && !cluster);
  broker.ops->destroy(broker.broker);
  vestry_memory_network_destroy(network);
  site_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(who_begins_wrongly_is_told)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
