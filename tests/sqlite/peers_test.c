/* SPDX-License-Identifier: MIT */
/* Several processes that follow one file, and exchange the rows of their commits. Two sites in this process stand
 * for two processes: each has a separate open side file, whose locks are separate, too. The oracle has real processes,
 * and kills them. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sqlite/sqlite.h"
#include "sqlite/level.h"
#include "sqlite/shown.h"

static const char channels[] = "CREATE TABLE message(channel INT, id INT, body, likes INT DEFAULT 0, "
                               "PRIMARY KEY(channel, id)) WITHOUT ROWID;"
                               "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39) "
                               "INSERT INTO message SELECT i / 4, i % 4, 'x', 0 FROM n;"
                               "CREATE TABLE other(x); INSERT INTO other VALUES(0)";
/* All of them are on one file page. */
static const char first[] = "SELECT id FROM message WHERE channel = 1 ORDER BY id DESC LIMIT 2";
static const char eighth[] = "SELECT id FROM message WHERE channel = 8 ORDER BY id DESC LIMIT 2";
static const char insert[] = "INSERT INTO message VALUES(8, 1000, 'x', 0)";

/* Two sites over one file: here is followed in the tests, there commits. */
typedef struct pair {
  shown_site there, here;
  size_t one, eight;
  char side[110];
} pair;

static void open_pair(pair *p, vestry_sqlite_level level) {
  shown_open(&p->there, channels, level);
  shown_join(&p->here, &p->there, level);
  snprintf(p->side, sizeof p->side, "%s-vestry", p->there.path);
  p->one = shown_watch(&p->here, first);
  p->eight = shown_watch(&p->here, eighth);
  shown_settle(&p->there); /* notices the other one */
}

static void close_pair(pair *p) {
  shown_close(&p->here);
  shown_close(&p->there);
}

/* Commit there, and write the rows. */
static void commit_there(pair *p, const char *sql) {
  shown_run(p->there.writer, sql);
  shown_settle(&p->there);
}

/* Commit there twice, because the columns of a table are not known before its first change. */
static void commit_known(pair *p) {
  commit_there(p, "UPDATE message SET likes = 3 WHERE channel = 5 AND id = 1");
  (void)shown_renders(&p->here, p->one);
  (void)shown_renders(&p->here, p->eight);
}

static void assert_shown(pair *p, unsigned one, unsigned eight) {
  assert_int_equal(shown_renders(&p->here, p->one), one);
  assert_int_equal(shown_renders(&p->here, p->eight), eight);
}

/* capability: D22 */
TEST_CASE(commit_of_a_peer_renders_only_the_pages_of_its_rows) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    pair p;
    open_pair(&p, (vestry_sqlite_level)level);
    commit_known(&p);
    assert_int_equal(shown_stats(&p.here).peers_count, 1);
    commit_there(&p, insert);
    assert_shown(&p, 0, 1);
    assert_string_equal(p.here.all[p.eight].text, "1000 3 ");
    commit_there(&p, "UPDATE message SET likes = 4 WHERE channel = 8"); /* a column that nobody has read */
    assert_shown(&p, 0, 0);
    commit_there(&p, "DELETE FROM message WHERE channel = 1 AND id = 3");
    assert_shown(&p, 1, 0);
    assert_int_equal(shown_stats(&p.here).peer_commits_count, 4);
    assert_int_equal(shown_stats(&p.here).other_commits_count, 4);
    assert_int_equal(shown_stats(&p.there).other_commits_count, 0);
    close_pair(&p);
  }
}

#define PAIR_CASE(name) TEST_CASE_WITH(name, pair, p, open_pair(p, VESTRY_SQLITE_FILE_PAGES), close_pair(p))

/* capability: D22 */
PAIR_CASE(commit_of_a_stranger_between_those_of_peers_is_followed) {
  commit_known(p);
  shown_run(p->there.writer, "INSERT INTO message VALUES(2, 1000, 'x', 0)");
  shown_run(p->there.other, insert);
  shown_run(p->there.writer, "INSERT INTO message VALUES(2, 1001, 'x', 0)");
  shown_run(p->here.writer, "INSERT INTO message VALUES(3, 1000, 'x', 0)");
  shown_settle(&p->there);
  assert_shown(p, 1, 1); /* the stranger's rows are unknown */
  assert_string_equal(p->here.all[p->eight].text, "1000 3 ");
  assert_int_equal(shown_stats(&p->here).peer_commits_count, 3);
  commit_there(p, "INSERT INTO message VALUES(2, 1002, 'x', 0)");
  assert_shown(p, 0, 0);
}

/* A statement that is reset after its first row commits in the reset, and the WAL hook proves it at the end of the next
 * one. */
PAIR_CASE(commit_of_a_statement_that_was_reset_shares_its_rows) {
  sqlite3_stmt *returning;
  commit_known(p);
  assert_int_equal(sqlite3_prepare_v2(p->there.writer, "INSERT INTO message VALUES(8, 1000, 'x', 0) RETURNING id", -1,
                                      &returning, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(returning), SQLITE_ROW);
  assert_int_equal(sqlite3_finalize(returning), SQLITE_OK);
  shown_run(p->there.writer, "SELECT 1");
  shown_settle(&p->there);
  assert_shown(p, 0, 1);
  assert_int_equal(shown_stats(&p->here).peer_commits_count, 2);
  assert_int_equal(shown_stats(&p->there).other_commits_count, 0);
}

/* Wait until the database's thread does not look any more for the last commit; the next time it does in a minute. */
static void wait_for_rest(vestry_sqlite *database) {
  for (bool is_roused = true; is_roused; sched_yield()) {
    vsi_mutex_lock(&database->lock);
    is_roused = database->is_roused;
    vsi_mutex_unlock(&database->lock);
  }
}

/* A peer has announced a commit, and is stopped. */
PAIR_CASE(peer_that_stops_within_a_commit_delays_it_once) {
  commit_known(p);
  wait_for_rest(p->there.database);
  vsi_mutex_lock(&p->there.database->lock);
  vsi_sqlite_peers_announce(p->there.database->peers, vsi_sqlite_frames_number(p->there.database->wal_index) + 1, true);
  vsi_mutex_unlock(&p->there.database->lock);
  for (int i = 0; i < 3; i++) {
    shown_run(p->here.other, i ? "DELETE FROM message WHERE channel = 8 AND id = 1000" : insert);
    assert_int_equal(shown_renders(&p->here, p->eight), 1);
    if (i == 1) shown_run(p->here.other, insert);
    if (i == 1) assert_int_equal(shown_renders(&p->here, p->eight), 1);
  }
}

/* Rows under the same number, of a commit that was lost, must not hide another commit. */
TEST_CASE(slot_of_another_commit_is_not_used) {
  for (int wrong = 0; wrong < 4; wrong++) {
    pair p;
    open_pair(&p, VESTRY_SQLITE_FILE_PAGES);
    commit_known(&p);
    vestry_sqlite *there = p.there.database;
    wait_for_rest(there);
    vsi_sqlite_use use = {.columns = VSI_SQLITE_ALL_COLUMNS, .column = VSI_SQLITE_ANY_ROW};
    assert_int_equal(vsi_sqlite_tables_find(&there->tables, "other", &use.table), VESTRY_OK);
    vsi_sqlite_commit lie = {.knows_tables = true, .uses = &use, .uses_count = 1};
    shown_run(p.there.other, insert);
    vsi_mutex_lock(&there->lock);
    assert_int_equal(vsi_sqlite_frames_read(&there->frames), VESTRY_OK);
    const vsi_sqlite_written *written = TAILQ_FIRST(&there->frames.commits);
    lie.at = (vsi_sqlite_position){.number = written->number, .frame = written->frame};
    memcpy(lie.at.salts, written->salts, sizeof lie.at.salts);
    if (wrong == 1) lie.at.salts[1]++;
    if (wrong == 2) lie.at.salts[0]++;
    if (wrong == 3) lie.at.frame++;
    vsi_sqlite_peers_share(there->peers, &lie);
    vsi_mutex_unlock(&there->lock);
    assert_shown(&p, wrong ? 1 : 0, wrong ? 1 : 0); /* the one that is bound to the commit is believed */
    close_pair(&p);
  }
}

/* The columns of a row are numbered by a schema that the peer has not followed yet. */
TEST_CASE(rows_of_a_peer_with_a_former_schema_hide_nothing) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    pair p;
    open_pair(&p, (vestry_sqlite_level)level);
    commit_known(&p);
    wait_for_rest(p.there.database);
    shown_run(p.here.other, "ALTER TABLE message ADD COLUMN added DEFAULT 5");
    const size_t at = shown_watch(&p.here, "SELECT added FROM message WHERE channel = 8 AND id = 3");
    (void)shown_renders(&p.here, at);
    shown_run(p.there.writer, "UPDATE message SET added = 6 WHERE channel = 8");
    assert_int_equal(shown_renders(&p.here, at), 1);
    assert_string_equal(p.here.all[at].text, "6 ");
    commit_there(&p, "UPDATE message SET added = 7 WHERE channel = 5 AND id = 1");
    (void)shown_renders(&p.here, at);
    commit_there(&p, "UPDATE message SET added = 8 WHERE channel = 7");
    assert_int_equal(shown_renders(&p.here, at), 0);
    close_pair(&p);
  }
}

static void damage(const char *path, off_t at, size_t len) {
  char noise[512];
  memset(noise, 0x5a, sizeof noise);
  int fd = open(path, O_WRONLY);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, noise, len, at), len);
  close(fd);
}

PAIR_CASE(damaged_slot_hides_nothing) {
  commit_there(p, insert);
  const uint32_t number = vsi_sqlite_frames_number(p->there.database->wal_index);
  damage(p->side, (off_t)(number % 1024) * 16384 + 50, 30);
  assert_shown(p, 1, 1);
  assert_int_equal(shown_stats(&p->here).peer_commits_count, 0);
  commit_known(p); /* what is written later is read again */
  commit_there(p, "INSERT INTO message VALUES(8, 1001, 'x', 0)");
  assert_shown(p, 0, 1);
}

TEST_CASE(cut_side_file_hides_nothing) {
  for (off_t len = 0; len < 5000; len += 1100) {
    pair p;
    open_pair(&p, VESTRY_SQLITE_FILE_PAGES);
    commit_there(&p, insert);
    assert_int_equal(truncate(p.side, len), 0);
    assert_shown(&p, 1, 1);
    assert_string_equal(p.here.all[p.eight].text, "1000 3 ");
    commit_there(&p, "INSERT INTO message VALUES(8, 1001, 'x', 0)");
    assert_int_equal(shown_renders(&p.here, p.eight), 1);
    close_pair(&p);
  }
}

/* While processes use a side file, no other one can replace it. */
PAIR_CASE(process_that_comes_after_a_cut_joins) {
  shown_site third;
  commit_known(p);
  assert_int_equal(truncate(p->side, 0), 0);
  shown_settle(&p->there);
  shown_join(&third, &p->there, VESTRY_SQLITE_FILE_PAGES);
  assert_int_equal(shown_stats(&third).peers_count, 2);
  shown_close(&third);
}

TEST_CASE(removed_side_file_is_made_again) {
  for (int is_replaced = 0; is_replaced < 2; is_replaced++) {
    pair p;
    open_pair(&p, VESTRY_SQLITE_FILE_PAGES);
    commit_known(&p);
    if (is_replaced) { /* by a file that is none, at once, because a database's thread may make one meanwhile */
      char text[120];
      snprintf(text, sizeof text, "%s-text", p.side);
      FILE *file = fopen(text, "w");
      assert_non_null(file);
      fputs("a text that somebody has written there", file);
      fclose(file);
      assert_int_equal(rename(text, p.side), 0);
    } else {
      assert_int_equal(unlink(p.side), 0);
    }
    shown_settle(&p.there);
    shown_settle(&p.here);
    shown_settle(&p.there);
    commit_known(&p);
    commit_there(&p, insert);
    assert_shown(&p, 0, 1);
    close_pair(&p);
  }
}

/* Others may write it, who may not write the database. */
TEST_CASE(side_file_with_more_rights_is_not_used) {
  shown_site there, here;
  char side[110];
  shown_open(&there, channels, VESTRY_SQLITE_FILE_PAGES);
  snprintf(side, sizeof side, "%s-vestry", there.path);
  assert_int_equal(chmod(side, 0666), 0);
  assert_int_equal(chmod(there.path, 0600), 0);
  shown_join(&here, &there, VESTRY_SQLITE_FILE_PAGES);
  assert_int_equal(here.on.th.log_lines, 1);
  assert_non_null(strstr(here.on.th.last_log, "rights"));
  size_t eight = shown_watch(&here, eighth), one = shown_watch(&here, first);
  shown_settle(&there);
  assert_int_equal(shown_stats(&here).peers_count, 0);
  shown_run(there.writer, insert);
  assert_int_equal(shown_renders(&here, eight), 1);
  assert_int_equal(shown_renders(&here, one), 1);
  assert_int_equal(here.on.th.log_lines, 1);
  shown_close(&here);
  shown_close(&there);
}

TEST_CASE(side_file_has_the_rights_of_the_database) {
  for (int i = 0; i < 2; i++) {
    shown_site s;
    struct stat side, file;
    char path[110];
    const mode_t was = umask(i ? 0 : 077);
    shown_open(&s, channels, VESTRY_SQLITE_FILE_PAGES);
    umask(was);
    snprintf(path, sizeof path, "%s-vestry", s.path);
    assert_int_equal(stat(path, &side), 0);
    assert_int_equal(stat(s.path, &file), 0);
    assert_int_equal(side.st_mode & 0777, file.st_mode & 0666);
    shown_close(&s);
  }
}

PAIR_CASE(full_disk_hides_nothing) {
  struct rlimit was, little;
  size_t there = shown_watch(&p->there, eighth);
  commit_known(p);
  shown_settle(&p->here);
  assert_int_equal(truncate(p->side, 0), 0);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
  little = was;
  little.rlim_cur = 200 << 10;
  void (*former)(int) = signal(SIGXFSZ, SIG_IGN);
  while (vsi_sqlite_frames_number(p->here.database->wal_index) < 20)
    shown_run(p->here.writer, "INSERT INTO other VALUES(1)"); /* its slot begins behind the limit */
  shown_settle(&p->there);
  (void)shown_renders(&p->there, there);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
  shown_run(p->here.writer, insert);
  shown_settle(&p->here);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
  (void)signal(SIGXFSZ, former);
  assert_int_equal(p->here.on.th.log_lines, 1);
  assert_int_equal(shown_renders(&p->there, there), 1);
  assert_string_equal(p->there.all[there].text, "1000 3 ");
}

/* More commits came than there are slots, before this process looked. */
PAIR_CASE(overwritten_slots_hide_nothing) {
  commit_known(p);
  commit_there(p, "UPDATE other SET x = 1"); /* its columns are known from now on */
  (void)shown_renders(&p->here, p->eight);
  commit_there(p, insert);
  for (int i = 0; i < 1100; i++) shown_run(p->there.writer, "UPDATE other SET x = x + 1");
  assert_int_equal(shown_renders(&p->here, p->eight), 1);
  assert_string_equal(p->here.all[p->eight].text, "1000 3 ");
  (void)shown_renders(&p->here, p->one);
  commit_there(p, "INSERT INTO message VALUES(8, 1001, 'x', 0)");
  assert_shown(p, 0, 1);
}

/* capability: D22 */
PAIR_CASE(commit_with_more_keys_than_a_record_holds_is_followed_by_tables) {
  commit_known(p);
  commit_there(p, "UPDATE other SET x = 1"); /* its columns are known from now on */
  (void)shown_renders(&p->here, p->one);
  (void)shown_renders(&p->here, p->eight);
  for (int i = 1; i <= 2; i++) {
    commit_there(p, "UPDATE message SET id = id + 10000");
    assert_shown(p, 1, 1);
    commit_there(p, "INSERT INTO other(rowid) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                    "i < 40000) SELECT coalesce((SELECT max(rowid) FROM other), 0) + 2 * i FROM n");
    assert_shown(p, 0, 0);
  }
}

/* The WAL is restarted before this process has read it. */
/* capability: D22 */
TEST_CASE(commits_overwritten_in_the_wal_are_followed_by_their_records) {
  for (int has_stranger = 0; has_stranger < 2; has_stranger++) {
    pair p;
    open_pair(&p, VESTRY_SQLITE_FILE_PAGES);
    commit_known(&p);
    const uint64_t whole_count = shown_stats(&p.here).whole_count;
    for (int i = 0; i < 3; i++) {
      if (has_stranger && i == 1) shown_run(p.there.other, "INSERT INTO message VALUES(8, 1001, 'x', 0)");
      commit_there(&p, i ? "INSERT INTO other VALUES(1)" : insert);
      commit_there(&p, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    commit_there(&p, "UPDATE message SET likes = 4 WHERE channel = 5 AND id = 1");
    assert_shown(&p, has_stranger ? 1 : 0, 1);
    assert_string_equal(p.here.all[p.eight].text, has_stranger ? "1001 1000 " : "1000 3 ");
    assert_int_equal(shown_stats(&p.here).whole_count, whole_count + (has_stranger ? 1 : 0));
    assert_int_equal(shown_stats(&p.here).peer_commits_count, has_stranger ? 3 : 5);
    commit_there(&p, "DELETE FROM message WHERE channel = 8 AND id = 1000");
    assert_shown(&p, 0, 1);
    close_pair(&p);
  }
}

/* capability: D22 */
TEST_CASE(peer_that_joins_later_and_one_that_leaves_are_noticed) {
  pair p;
  shown_site third;
  open_pair(&p, VESTRY_SQLITE_FILE_PAGES);
  shown_join(&third, &p.there, VESTRY_SQLITE_FILE_PAGES);
  shown_settle(&p.there);
  shown_settle(&p.here);
  assert_int_equal(shown_stats(&p.here).peers_count, 2);
  commit_known(&p);
  for (int i = 0; i < 2; i++) {
    shown_run(third.writer, i ? insert : "UPDATE message SET likes = 5 WHERE channel = 5 AND id = 1");
    shown_settle(&third);
    if (i) assert_shown(&p, 0, 1);
    (void)shown_renders(&p.here, p.one);
    (void)shown_renders(&p.here, p.eight);
  }
  shown_close(&third);
  shown_settle(&p.here);
  assert_int_equal(shown_stats(&p.here).peers_count, 1);
  commit_there(&p, "DELETE FROM message WHERE channel = 8 AND id = 1000");
  assert_shown(&p, 0, 1);
  assert_int_equal(access(p.side, F_OK), 0);
  char side[110];
  memcpy(side, p.side, sizeof side);
  shown_close(&p.here);
  shown_close(&p.there);
  assert_int_not_equal(access(side, F_OK), 0); /* the last one removes it */
}

/* capability: D22 */
PAIR_CASE(schema_of_a_peer_changes_everything_once) {
  commit_known(p);
  commit_there(p, "ALTER TABLE message ADD COLUMN more; UPDATE message SET more = 1 WHERE channel = 2");
  assert_shown(p, 1, 1);
  commit_known(p);
  commit_there(p, "INSERT INTO message VALUES(8, 1000, 'x', 0, 1)");
  assert_shown(p, 0, 1);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/peers", NULL, NULL);
}
