/* SPDX-License-Identifier: MIT */
/* Forms in a database: all that is promised of forms; they outlive their process, are of all processes, are cleared in
 * the transaction of the submit, and what is wrong with the database loses nothing. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "page/form_contract.h"
#include "page/form_storage.h"
#include "sqlite/ledger.h"
#include "vestry/sqlite_forms.h"

/* The file, of which a test may have several suites. */
static char folder[FOLDER_BYTES], path[96];
static int64_t clock_s;

static void make_file(void) {
  folder_make(folder, "forms");
  snprintf(path, sizeof path, "%s/forms.db", folder);
  clock_s = 1700000000;
  ledger_clock(clock_s);
}

static void remove_file(void) {
  folder_remove(folder);
  *folder = '\0';
}

/* What a suite has there. */
typedef struct node {
  vestry_sqlite_pool *pool;
  vestry_forms_storage *stored;
  bool has_file; /* which it has made, and removes */
} node;

static vestry_err open_pool(const vestry_host *host, vestry_sqlite_pool **ret_pool) {
  return vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.host = host,
                                                                 .path = path,
                                                                 .schema = "CREATE TABLE report(title TEXT)",
                                                                 .schema_version = 1,
                                                                 .setup = "PRAGMA synchronous = OFF",
                                                                 .connections_count = 2,
                                                                 .busy_ms = 1},
                                   ret_pool);
}

static vestry_forms_storage *open_node(form_suite *s) {
  node *n = calloc(1, sizeof *n);
  assert_non_null(n);
  s->world = n;
  n->has_file = !*folder;
  if (n->has_file) make_file();
  assert_int_equal(open_pool(&s->on.th.host, &n->pool), VESTRY_OK);
  assert_int_equal(vestry_sqlite_forms_create(n->pool, &n->stored), VESTRY_OK);
  return n->stored;
}

static void close_node(form_suite *s) {
  node *n = s->world;
  vestry_sqlite_forms_destroy(n->stored);
  vestry_sqlite_pool_destroy(n->pool);
  if (n->has_file) remove_file();
  free(n);
}

static void pass_s(form_suite *s, int seconds) {
  (void)s;
  clock_s += seconds;
  ledger_clock(clock_s);
}

static const form_world in_a_file = {open_node, close_node, pass_s};

static vestry_sqlite_pool *pool_of(const form_suite *s) {
  return ((const node *)s->world)->pool;
}

static int64_t number_of(const form_suite *s, const char *sql) {
  int64_t number = -1;
  assert_int_equal(vestry_sqlite_run_alone(pool_of(s), sql, NULL, vestry_sqlite_row_integer, &number), VESTRY_OK);
  return number;
}

/* What the totals say is what there is. */
static void check_totals(const form_suite *s) {
  assert_int_equal(number_of(s, "SELECT sum(forms) FROM vestry_form_total"),
                   number_of(s, "SELECT count(*) FROM vestry_form"));
  assert_int_equal(number_of(s, "SELECT sum(bytes) FROM vestry_form_total"),
                   number_of(s, "SELECT coalesce(sum(room), 0) FROM vestry_form"));
}

/* ------------------------------------------------------------------------------------------------ the submit ------ */

static vestry_err end_of_submit; /* with which the transaction is given back */

static vestry_err submit(const vestry_request *req, vestry_reply *reply, void *app) {
  form_suite *s = app;
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(pool_of(s), VESTRY_SQLITE_WRITE, &loan);
  if (error) return error;
  error = vestry_sqlite_run(loan, "INSERT INTO report(title) VALUES('typed')", NULL, NULL, NULL);
  if (!error) error = vestry_forms_clear(s->forms, req, "report:7");
  error = vestry_sqlite_give(loan, error ? error : end_of_submit);
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

static void begin(form_suite *s) {
  end_of_submit = VESTRY_OK;
  form_begin(s, NULL);
  assert_int_equal(vestry_route(s->on.v, "POST", "/submit", submit, s), VESTRY_OK);
}

/* capability: L4 */
static void a_form_is_cleared_in_the_transaction_of_its_submit(void **state) {
  (void)state;
  form_suite s;
  form_tab t = {.cookie = ""};
  begin(&s);
  form_load(&s, &t);
  assert_int_equal(form_say(&s, &t, 1, "v.title=typed"), 200);
  const uint64_t before = t.generation;
  end_of_submit = VESTRY_FAILED;
  assert_true(form_call(&s, &t, "POST", "/submit", "x=1", NULL) >= 500);
  form_shows(&s, &t, "value=\"typed\"");
  assert_int_equal(t.generation, before);
  assert_int_equal(form_stats(&s).cleared_count, 0);
  assert_int_equal(form_say(&s, &t, 2, "v.title=typed+on"), 200);
  end_of_submit = VESTRY_OK;
  assert_int_equal(form_call(&s, &t, "POST", "/submit", "x=1", NULL), 303);
  assert_int_equal(form_say(&s, &t, 3, "v.title=late"), 200);
  assert_int_equal(form_stats(&s).late_count, 1);
  form_shows(&s, &t, "value=\"first\"");
  assert_true(t.generation > before);
  assert_int_equal(form_stats(&s).cleared_count, 1);
  assert_int_equal(number_of(&s, "SELECT count(*) FROM report"), 1);
  check_totals(&s);
  form_end(&s);
}

static vestry_err submit_while_it_reads(const vestry_request *req, vestry_reply *reply, void *app) {
  form_suite *s = app;
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(pool_of(s), VESTRY_SQLITE_READ, &loan);
  if (error) return error;
  assert_int_equal(vestry_forms_clear(s->forms, req, "report:7"), VESTRY_INVALID);
  return vestry_sqlite_give(loan, vestry_reply_status(reply, 204));
}

/* capability: L4 */
static void a_thread_that_reads_is_told_that_it_cannot_clear(void **state) {
  (void)state;
  form_suite s;
  form_tab t = {.cookie = ""};
  begin(&s);
  assert_int_equal(vestry_route(s.on.v, "POST", "/reads", submit_while_it_reads, &s), VESTRY_OK);
  form_load(&s, &t);
  assert_int_equal(form_say(&s, &t, 1, "v.title=typed"), 200);
  assert_int_equal(form_call(&s, &t, "POST", "/reads", "x=1", NULL), 204);
  assert_non_null(strstr(s.on.th.last_log, "give it back"));
  form_shows(&s, &t, "value=\"typed\"");
  form_end(&s);
}

/* ----------------------------------------------------------------------------------------------- processes -------- */

/* capability: L4 */
static void what_is_typed_outlives_the_instance_and_is_of_all_of_the_file(void **state) {
  (void)state;
  form_suite s, other;
  form_tab t = {.cookie = ""}, there;
  make_file();
  begin(&s);
  form_load(&s, &t);
  assert_int_equal(form_say(&s, &t, 1, "v.title=typed&v.text=%C3%A4%F0%9F%8C%8D"), 200);
  form_end(&s);
  begin(&s);
  form_shows(&s, &t, "value=\"typed\"");
  form_shows(&s, &t, "\xc3\xa4\xf0\x9f\x8c\x8d</textarea>");
  begin(&other);
  there = t;
  form_shows(&other, &there, "value=\"typed\"");
  assert_int_equal(form_say(&other, &there, 2, "v.title=there"), 200);
  form_shows(&s, &t, "value=\"there\"");
  assert_int_equal(form_say(&s, &t, 2, "v.title=overtaken"), 200);
  assert_int_equal(form_stats(&s).late_count, 1);
  /* sent at one: what the other still hears is late, and each next generation is later, whichever makes it */
  assert_int_equal(form_call(&other, &there, "POST", "/submit", "x=1", NULL), 303);
  assert_int_equal(form_say(&s, &t, 3, "v.title=late"), 200);
  form_shows(&s, &t, "value=\"first\"");
  uint64_t last = t.generation;
  for (int i = 0; i < 4; i++) {
    assert_int_equal(form_call(i % 2 ? &other : &s, &t, "POST", "/submit", "x=1", NULL), 303);
    form_load(&s, &t);
    assert_true(t.generation > last);
    last = t.generation;
  }
  form_end(&other);
  form_end(&s);
  remove_file();
}

/* A process that submits, and dies at one of the points: where SQLite gets memory, and where vestry gives some back. */
static long points_left;
static void *(*real_malloc)(int);
static struct shared { form_tab tab; } * shared;

static void point(void) {
  if (points_left > 0 && --points_left == 0) raise(SIGKILL);
}

static void free_at(void *ctx) {
  (void)ctx;
  point();
}

static void *counted_malloc(int size) {
  point();
  return real_malloc(size);
}

/* Before SQLite is used first. */
static void count_memory(void) {
  sqlite3_mem_methods methods;
  sqlite3_shutdown();
  assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &methods), SQLITE_OK);
  real_malloc = methods.xMalloc;
  methods.xMalloc = counted_malloc;
  assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
}

static bool submit_in_a_process(long points) {
  pid_t child = fork();
  if (!child) {
    form_suite s;
    form_tab t = shared->tab;
    begin(&s);
    s.on.th.on_free = free_at;
    points_left = points;
    (void)form_call(&s, &t, "POST", "/submit", "x=1", NULL);
    points_left = 0;
    form_end(&s);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
  return WIFEXITED(status);
}

/* capability: L4 */
static void a_process_that_is_killed_has_sent_the_form_or_kept_it(void **state) {
  (void)state;
  form_suite s;
  int sent = 0, kept = 0;
  make_file();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(shared, MAP_FAILED);
  bool is_whole = false;
  for (long points = 1; !is_whole; points++) {
    begin(&s);
    if (!*shared->tab.sealed) form_load(&s, &shared->tab);
    form_load(&s, &shared->tab);
    const int64_t before = number_of(&s, "SELECT count(*) FROM report");
    assert_int_equal(form_say(&s, &shared->tab, (uint64_t)points, "v.title=typed"), 200);
    form_end(&s); /* no connection is open while a process is forked */
    is_whole = submit_in_a_process(points);
    begin(&s);
    const bool is_sent = number_of(&s, "SELECT count(*) FROM report") > before;
    form_shows(&s, &shared->tab, is_sent ? "value=\"first\"" : "value=\"typed\"");
    check_totals(&s);
    form_end(&s);
    sent += is_sent;
    kept += !is_sent;
  }
  assert_true(sent > 1 && kept > 1); /* some were killed after the commit, and some before */
  munmap(shared, sizeof *shared);
  remove_file();
}

/* ------------------------------------------------------------------------------------------------ threads --------- */

enum { PEOPLE = 4, LETTERS = 60, SUBMITS_EACH = 10 };

typedef struct person {
  form_suite *s;
  form_tab tab;
  bool is_wrong;
} person;

static int ask_alone(person *p, const char *where, const char *what) {
  char body[300];
  const vestry_header headers[] = {{"Cookie", p->tab.cookie}, {"Content-Type", "application/x-www-form-urlencoded"}};
  snprintf(body, sizeof body, "tabId=%s&%s", p->tab.sealed, what);
  const vestry_memory_call call = {
      .method = "POST", .path = where, .headers = headers, .headers_count = 2, .body = body, .body_len = strlen(body)};
  vestry_memory_exchange *exchange;
  if (vestry_memory_request(p->s->on.v, &call, NULL, NULL, &exchange)) return 0;
  const int status = vestry_memory_look(exchange).status;
  vestry_memory_destroy(exchange);
  return status;
}

static void *type_and_send(void *ctx) {
  person *p = ctx;
  char letter[100];
  for (int i = 1; i <= LETTERS; i++) {
    snprintf(letter, sizeof letter, "form=report:7&generation=%llu&number=%d&v.title=typed",
             (unsigned long long)p->tab.generation, i);
    p->is_wrong |= ask_alone(p, "/kept", letter) != 200;
    if (i % SUBMITS_EACH == 0) p->is_wrong |= ask_alone(p, "/submit", "x=1") != 303;
  }
  return NULL;
}

/* capability: L4 */
static void many_type_and_send_at_once(void **state) {
  (void)state;
  form_suite s;
  static person people[PEOPLE];
  pthread_t threads[PEOPLE];
  begin(&s);
  for (int i = 0; i < PEOPLE; i++) {
    people[i] = (person){.s = &s};
    form_load(&s, &people[i].tab);
  }
  for (int i = 0; i < PEOPLE; i++) assert_int_equal(pthread_create(&threads[i], NULL, type_and_send, &people[i]), 0);
  for (int i = 0; i < PEOPLE; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(people[i].is_wrong);
    form_shows(&s, &people[i].tab, "value=\"first\"");
  }
  const vestry_forms_stats stats = form_stats(&s);
  assert_int_equal(stats.letters_count, PEOPLE * LETTERS);
  assert_int_equal(stats.kept_count,
                   PEOPLE * SUBMITS_EACH); /* the others are of the generation before the first submit */
  assert_int_equal(stats.cleared_count, PEOPLE * (LETTERS / SUBMITS_EACH));
  assert_int_equal(number_of(&s, "SELECT count(*) FROM report"), PEOPLE * (LETTERS / SUBMITS_EACH));
  check_totals(&s);
  form_end(&s);
}

/* ------------------------------------------------------------------------------------------------- faults --------- */

/* capability: L4 */
static void a_database_that_is_locked_or_full_keeps_what_it_has(void **state) {
  (void)state;
  form_suite s;
  form_tab t = {.cookie = ""};
  sqlite3 *other;
  char large[60100], sql[64];
  begin(&s);
  form_load(&s, &t);
  assert_int_equal(form_say(&s, &t, 1, "v.title=typed"), 200);
  assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
  ledger_run(other, "BEGIN IMMEDIATE");
  assert_int_equal(form_say(&s, &t, 2, "v.title=more"), 503);
  assert_int_equal(form_say(&s, &t, 3, "clear=1"), 503);
  assert_int_equal(form_call(&s, &t, "POST", "/submit", "x=1", NULL), 503);
  form_shows(&s, &t, "value=\"typed\"");
  ledger_run(other, "ROLLBACK");
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
  assert_int_equal(form_say(&s, &t, 4, "v.title=more"), 200);
  vestry_sqlite_loan *loans[2];
  /* each connection has its own bound, and the last one that was given back is not always the next */
  snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", (int)number_of(&s, "PRAGMA page_count") + 1);
  for (int is_full = 1; is_full >= 0; is_full--) {
    for (size_t i = 0; i < 2; i++) {
      assert_int_equal(vestry_sqlite_borrow(pool_of(&s), VESTRY_SQLITE_WRITE, &loans[0]), VESTRY_OK);
      ledger_run(loans[0]->db, is_full ? sql : "PRAGMA max_page_count = 1000000");
      assert_int_equal(vestry_sqlite_give(loans[0], VESTRY_OK), VESTRY_OK);
    }
    snprintf(large, sizeof large, "v.text=%060000d", 1);
    assert_int_equal(form_say(&s, &t, is_full ? 5 : 6, large), is_full ? 503 : 200);
    if (is_full) form_shows(&s, &t, "value=\"more\"");
  }
  check_totals(&s);
  const vestry_forms_stats stats = form_stats(&s);
  assert_int_equal(stats.refused_count, 3);
  assert_int_equal(stats.cleared_count, 0);
  form_end(&s);
}

/* capability: L4 */
static void a_file_of_before_gets_the_table_and_one_of_later_is_left_alone(void **state) {
  (void)state;
  test_host th;
  vestry_sqlite_pool *pool;
  vestry_forms_storage *stored = NULL;
  sqlite3 *db;
  make_file();
  test_host_init(&th);
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK); /* as a vestry of before parts has left it */
  ledger_run(db, "CREATE TABLE vestry_schema(version INTEGER NOT NULL) STRICT; INSERT INTO vestry_schema VALUES(1)");
  assert_int_equal(open_pool(&th.host, &pool), VESTRY_OK);
  assert_int_equal(vestry_sqlite_forms_create(pool, &stored), VESTRY_OK);
  vestry_sqlite_forms_destroy(stored);
  assert_int_equal(vestry_sqlite_forms_create(pool, &stored), VESTRY_OK); /* again: it is there */
  vestry_sqlite_forms_destroy(stored);
  assert_int_equal(ledger_number(db, "SELECT version FROM vestry_schema WHERE part = 'form'"), 1);
  assert_int_equal(ledger_number(db, "SELECT version FROM vestry_schema WHERE part = 'tab'"), 1);
  ledger_run(db, "UPDATE vestry_schema SET version = 9 WHERE part = 'form'");
  stored = NULL;
  assert_int_equal(vestry_sqlite_forms_create(pool, &stored), VESTRY_IO);
  assert_null(stored);
  assert_non_null(strstr(th.last_log, "(form) are of version 9"));
  assert_int_equal(vestry_sqlite_forms_create(NULL, &stored), VESTRY_INVALID);
  assert_int_equal(vestry_sqlite_forms_create(pool, NULL), VESTRY_INVALID);
  vestry_sqlite_forms_destroy(NULL);
  vestry_sqlite_pool_destroy(pool);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  test_host_assert_clean(&th);
  remove_file();
}

static void note(vestry_forms *forms, const char *tab, const char *name) {
  (void)tab;
  (void)name;
  ++*(int *)(void *)forms;
}

/* Storage alone, whose forms are a number of those that were told of as cleared. */
static vestry_err open_alone(test_host *th, vestry_sqlite_pool *pool, int *told, vestry_forms_storage **ret) {
  vestry_err error = vestry_sqlite_forms_create(pool, ret);
  if (error) return error;
  (*ret)->forms = (vestry_forms *)(void *)told;
  (*ret)->host = &th->host;
  (*ret)->bounds = (vestry_forms_options){.ttl_ms = 10000, .max_bytes = 20480, .max_per_scope_count = 3};
  (*ret)->on_cleared = note;
  return VESTRY_OK;
}

static const char id[] = "0123456789abcdef0123456789abcdef", twin[] = "1123456789abcdef0123456789abcdef";

static vestry_err all_of_it(test_host *th, void *ctx) {
  vestry_sqlite_pool *pool;
  vestry_forms_storage *in = NULL;
  int told = 0;
  vsi_form_state now = {.len = 0}, found = {.len = 0}, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  const vsi_form_key key = {{"ada", 3}, id, "form", false}, other = {{"ada", 3}, twin, "form", false};
  (void)ctx;
  vestry_err error = open_pool(&th->host, &pool);
  if (error) return error;
  error = open_alone(th, pool, &told, &in);
  if (!error) error = in->ops->forget(in, key.scope); /* of the run before */
  if (!error) error = in->ops->put(in, &key, &typed, &now);
  if (!error) error = in->ops->copy(in, &other, id, &now);
  if (!error) {
    error = in->ops->clear(in, &key, true, &now);
    vestry_err looked = in->ops->find(in, &key, &found);
    if (!looked) assert_int_equal(found.len, error ? 4 : 0);
    assert_int_equal(told, error ? 0 : 1);
    vsi_free(&th->host, found.pairs);
    if (!error) error = looked;
  }
  found = (vsi_form_state){.len = 0};
  if (!error) error = in->ops->find(in, &other, &found);
  if (!error) assert_memory_equal(found.pairs, typed.pairs, 4);
  vsi_free(&th->host, found.pairs);
  vestry_sqlite_forms_destroy(in);
  vestry_sqlite_pool_destroy(pool);
  return error;
}

/* capability: L4 */
static void without_memory_nothing_is_lost(void **state) {
  (void)state;
  make_file();
  test_host_fail_each(all_of_it, NULL, false);
  remove_file();
}

/* ------------------------------------------------------------------------------------------------- bounds --------- */

/* capability: L4 */
static void visitors_make_room_before_users(void **state) {
  (void)state;
  test_host th;
  vestry_sqlite_pool *pool;
  vestry_forms_storage *in;
  int told = 0;
  vsi_form_state now, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  make_file();
  test_host_init(&th);
  assert_int_equal(open_pool(&th.host, &pool), VESTRY_OK);
  assert_int_equal(open_alone(&th, pool, &told, &in), VESTRY_OK);
  const vsi_form_key user = {{"ada", 3}, id, "form", false};
  assert_int_equal(in->ops->put(in, &user, &typed, &now), VESTRY_OK);
  char tab[sizeof id];
  for (int i = 0; i < 100; i++) {
    snprintf(tab, sizeof tab, "%032x", i * 0x1000);
    memmove(tab, tab + 16, 16); /* the number is made of what comes first */
    const vsi_form_key visitor = {{&i, sizeof i}, tab, "form", true};
    assert_int_equal(in->ops->put(in, &visitor, &typed, &now), VESTRY_OK);
  }
  vestry_forms_stats stats = {0};
  in->ops->count(in, &stats);
  assert_int_equal(stats.forms_count, 21); /* of 512 bytes each: visitors have half of the room */
  assert_int_equal(stats.evicted_count, 80);
  assert_int_equal(in->ops->find(in, &user, &now), VESTRY_OK);
  assert_int_equal(now.len, 4);
  vsi_free(&th.host, now.pairs);
  for (int i = 0; i < 100; i++) { /* users bound each other, and visitors */
    snprintf(tab, sizeof tab, "%032x", i * 0x1000 + 1);
    memmove(tab, tab + 16, 16);
    const vsi_form_key other = {{&i, sizeof i}, tab, "form", false};
    assert_int_equal(in->ops->put(in, &other, &typed, &now), VESTRY_OK);
  }
  in->ops->count(in, &stats);
  assert_int_equal(stats.bytes, 20480);
  assert_int_equal(stats.forms_count + stats.evicted_count, 201);
  vestry_sqlite_forms_destroy(in);
  vestry_sqlite_pool_destroy(pool);
  test_host_assert_clean(&th);
  remove_file();
}

/* A form that is written again lasts from then on, though its row says so only now and then. */
/* capability: L4 */
static void a_form_lasts_from_when_it_was_last_changed(void **state) {
  (void)state;
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin(&s, &(vestry_forms_options){.ttl_ms = 100000});
  form_load(&s, &t);
  for (uint64_t i = 1; i < 100; i++) {
    assert_int_equal(form_say(&s, &t, i, "v.title=typed"), 200);
    pass_s(&s, 7);
  }
  form_shows(&s, &t, "value=\"typed\"");
  pass_s(&s, 80); /* less than nine tenths */
  form_shows(&s, &t, "value=\"typed\"");
  pass_s(&s, 20);
  form_shows(&s, &t, "value=\"first\"");
  clock_s -= 1000000; /* a clock that is set back lets none last for ever */
  pass_s(&s, 0);
  assert_int_equal(form_say(&s, &t, 200, "v.title=back"), 200);
  pass_s(&s, 100);
  form_shows(&s, &t, "value=\"first\"");
  check_totals(&s);
  form_end(&s);
}

/* --------------------------------------------------------------------------------------------- live pages --------- */

typedef struct live {
  site on;
  vestry_sqlite_pool *pool;
  vestry_sqlite *database;
  vestry_forms_storage *stored;
  vestry_forms *forms;
  vestry_memory_exchange *stream;
  int renders;
} live;

static vestry_err render_live(vestry_render *render, vestry_html *html, void *app) {
  live *l = app;
  vestry_form *form;
  l->renders++;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<form ");
  vestry_err error = vestry_form_open(l->forms, render->request, render, html, "report:7", &form);
  if (error) return error;
  vestry_html_add(html, "><input value=\"%s\"></form>", vestry_form_text(form, "title", "first"));
  vestry_form_close(form);
  return vestry_render_end(render, html);
}

static vestry_err document(const vestry_request *req, vestry_reply *reply, void *app) {
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  (void)app;
  vestry_err error = vestry_tab_attributes(req, reply, attributes, sizeof attributes);
  return error ? error : vestry_reply_bodyf(reply, "%-s", attributes);
}

static vestry_err submit_live(const vestry_request *req, vestry_reply *reply, void *app) {
  live *l = app;
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(l->pool, VESTRY_SQLITE_WRITE, &loan);
  if (error) return error;
  error = vestry_sqlite_give(loan, vestry_forms_clear(l->forms, req, "report:7"));
  return error ? error : vestry_reply_status(reply, 204);
}

static void live_begin(live *l, vestry_sqlite_level level) {
  static const char *const fields[] = {"title"};
  static const char secret[] = "thirty-two bytes that nobody knows";
  *l = (live){.renders = 0};
  site_begin_pages(&l->on, (vestry_options){.scope = site_by_cookie, .secret = secret, .secret_len = sizeof secret - 1},
                   NULL);
  assert_int_equal(open_pool(&l->on.th.host, &l->pool), VESTRY_OK);
  const vestry_sqlite_options follow = {.path = path, .level = level, .poll_ms = 60000};
  assert_int_equal(vestry_sqlite_create(l->on.pages, &follow, &l->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(l->pool, l->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_forms_create(l->pool, &l->stored), VESTRY_OK);
  assert_int_equal(
      vestry_forms_create(l->on.v, &(vestry_forms_options){.pages = l->on.pages, .storage = l->stored}, &l->forms),
      VESTRY_OK);
  assert_int_equal(vestry_forms_create(l->on.v, &(vestry_forms_options){.storage = l->stored}, &l->forms),
                   VESTRY_INVALID); /* it is the others' */
  assert_int_equal(vestry_forms_add(l->forms, "report", fields, 1), VESTRY_OK);
  vestry_page *page;
  assert_int_equal(vestry_page_create(l->on.pages, &(vestry_page_options){.render = render_live, .app = l}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(l->on.v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(l->on.v, "GET", "/", document, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(l->on.v, "POST", "/kept", vestry_forms_handler, l->forms), VESTRY_OK);
  assert_int_equal(vestry_route(l->on.v, "POST", "/submit", submit_live, l), VESTRY_OK);
}

static void live_end(live *l) {
  vestry_memory_destroy(l->stream);
  site_settle(&l->on);
  vestry_forms_destroy(l->forms);
  vestry_sqlite_forms_destroy(l->stored);
  vestry_sqlite_pool_follow(l->pool, NULL);
  vestry_sqlite_destroy(l->database);
  vestry_sqlite_pool_destroy(l->pool);
  site_end(&l->on);
}

static int live_call(live *l, const char *sealed, const char *where, const char *what,
                     char ret_text[VESTRY_TAB_ATTRIBUTES_BYTES]) {
  char body[400];
  const vestry_header headers[] = {{"Cookie", "ada"}, {"Content-Type", "application/x-www-form-urlencoded"}};
  snprintf(body, sizeof body, "tabId=%s&%s", sealed, what);
  const vestry_memory_call call = {.method = *sealed ? "POST" : "GET",
                                   .path = where,
                                   .headers = headers,
                                   .headers_count = *sealed ? 2 : 1,
                                   .body = *sealed ? body : NULL,
                                   .body_len = *sealed ? strlen(body) : 0};
  vestry_memory_exchange *exchange = site_request(&l->on, &call);
  const vestry_memory_seen seen = vestry_memory_look(exchange);
  if (ret_text)
    snprintf(ret_text, VESTRY_TAB_ATTRIBUTES_BYTES, "%.*s", (int)seen.received.len, (const char *)seen.received.data);
  vestry_memory_destroy(exchange);
  return seen.status;
}

static void live_open(live *l, const char *sealed) {
  char query[200];
  const vestry_header headers[] = {{"Cookie", "ada"}};
  snprintf(query, sizeof query, "datastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", sealed);
  const vestry_memory_call call = {
      .path = "/page", .query = query, .datastar = true, .headers = headers, .headers_count = 1};
  l->stream = site_request(&l->on, &call);
  site_settle_pages(&l->on);
}

/* What the stream was sent since, once all that was committed, by whomever, has been rendered. */
static const char *live_sees(live *l) {
  uint64_t seq;
  assert_int_equal(vestry_sqlite_sync(l->database, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(l->on.pages, seq, 1000), VESTRY_OK);
  site_settle_pages(&l->on);
  return vestry_memory_since(l->stream).data;
}

static bool records_pages;

static void follow_at(vestry_sqlite_level level, bool here_is_exact, bool there_is_exact) {
  live here, there;
  char text[VESTRY_TAB_ATTRIBUTES_BYTES], sealed[65], other[65];
  make_file();
  live_begin(&here, level);
  live_begin(&there, level);
  assert_int_equal(live_call(&here, "", "/", "", text), 200);
  snprintf(sealed, sizeof sealed, "%.64s", strstr(text, "('','") + 5);
  assert_int_equal(live_call(&here, "", "/", "", text), 200);
  snprintf(other, sizeof other, "%.64s", strstr(text, "('','") + 5);
  live_open(&here, sealed); /* before there is a row */
  live_open(&there, sealed);
  (void)live_sees(&here);
  (void)live_sees(&there);
  here.renders = there.renders = 0;
  /* typed at one; others type, too */
  for (int i = 1; i < 6; i++) {
    snprintf(text, sizeof text, "form=report:7&generation=0&number=%d&v.title=typed", i);
    assert_int_equal(live_call(&here, sealed, "/kept", text, NULL), 200);
    assert_int_equal(live_call(&here, other, "/kept", text, NULL), 200);
    (void)live_sees(&here);
    (void)live_sees(&there);
  }
  if (here_is_exact) assert_int_equal(here.renders, 0);
  if (there_is_exact) assert_int_equal(there.renders, 0);
  here.renders = there.renders = 0;
  /* another tab's form is cleared: nothing happens where it is known whose it is */
  assert_int_equal(live_call(&here, other, "/submit", "x=1", NULL), 204);
  (void)live_sees(&here);
  (void)live_sees(&there);
  if (here_is_exact) assert_int_equal(here.renders, 0);
  /* the form is sent at one, and the page of the other one shows it */
  assert_int_equal(live_call(&here, sealed, "/submit", "x=1", NULL), 204);
  assert_non_null(strstr(live_sees(&here), "value=\"first\""));
  assert_non_null(strstr(live_sees(&there), "value=\"first\""));
  live_end(&here);
  live_end(&there);
  remove_file();
}

/* capability: L4 */
static void pages_of_all_processes_follow_a_form_that_is_sent_and_none_what_is_typed(void **state) {
  (void)state;
  follow_at(VESTRY_SQLITE_DEFAULT, true, records_pages);
  follow_at(VESTRY_SQLITE_TABLES, true, false);
  follow_at(VESTRY_SQLITE_TOPICS, true, false);
}

int main(void) {
  count_memory();
  records_pages = vestry_sqlite_record_pages() == VESTRY_OK;
  form_contract_world = &in_a_file;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_form_is_cleared_in_the_transaction_of_its_submit),
      cmocka_unit_test(a_thread_that_reads_is_told_that_it_cannot_clear),
      cmocka_unit_test(what_is_typed_outlives_the_instance_and_is_of_all_of_the_file),
      cmocka_unit_test(a_process_that_is_killed_has_sent_the_form_or_kept_it),
      cmocka_unit_test(many_type_and_send_at_once),
      cmocka_unit_test(a_database_that_is_locked_or_full_keeps_what_it_has),
      cmocka_unit_test(a_file_of_before_gets_the_table_and_one_of_later_is_left_alone),
      cmocka_unit_test(without_memory_nothing_is_lost),
      cmocka_unit_test(visitors_make_room_before_users),
      cmocka_unit_test(a_form_lasts_from_when_it_was_last_changed),
      cmocka_unit_test(pages_of_all_processes_follow_a_form_that_is_sent_and_none_what_is_typed),
  };
  return form_contract_run("forms in a database") + cmocka_run_group_tests(tests, NULL, NULL);
}
