/* SPDX-License-Identifier: MIT */
/* essay: which rows the commits of other processes change */
/* The WAL shows which file pages a commit wrote, whichever process made it, but not which rows. Processes that follow
 * the same file therefore exchange the rows, in a side file beside the database (-vestry): a ring of SLOTS slots, where
 * the commit with number n has slot n % SLOTS. The side file only ever makes a refresh more precise: a commit whose
 * rows are not found there is followed by its file pages alone, as a commit of any other program is.
 *
 * In the commit hook, while no other connection can commit, a process announces the number of its next commit in the
 * slot; when the commit is visible, it writes the rows. A process that finds an announcement for a commit waits for the
 * rows, for a bounded time (commits.c). So a process that is killed or stopped between both delays others once. A
 * process that finds no other one writes nothing.
 *
 * Why a slot hides no commit. It is bound to a commit by its number and its place in the WAL, and it is written only if
 * the WAL hook has proven the commit. So no slot with rows exists for a commit that failed, and one of a WAL that was
 * restarted, or of a file that was replaced, matches no other commit. One that is overwritten while it is read, or
 * damaged, has a wrong checksum. Table names are looked up, not trusted to exist; numbers are checked against bounds.
 * The first process empties the file, because the numbers and the WAL may have begun anew since.
 *
 * Columns have numbers, which a change of the schema gives to others. A process that has not followed that change yet
 * notes changed rows by the former numbers. So a slot has the version of the schema that its process knows, and is used
 * only if this one knows the same.
 *
 * A program that can write the side file can write wrong rows. Therefore the side file is used only if its owner and
 * its rights permit writes only to programs that can also write the database. The file is not mapped, because a full
 * disk, or a program that cuts the file, would then end this one.
 *
 * Each process has a lock on one byte, far behind the end of the file, which the system releases when the process ends,
 * however it ends. Locks of open file descriptions (F_OFD_SETLK) are used, because two databases of one process may
 * follow the same file.
 *
 * While there are peers, the values of all columns by which rows can be looked up are noted, and all columns of a
 * changed row are compared, because the reads of renders in other processes are unknown (tables.c). */
#include "data/sqlite/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "data/sqlite/schema.h"

enum {
  SLOTS = 1024,
  SLOT_BYTES = 16384, /* without room, keys are left out */
  DOOR = 1 << 30,     /* the byte that a process locks while it joins; those of the processes follow */
  PROCESSES = 64
};
static const vsi_siphash_key key_of_checks = {1, 1}; /* against accidents */

/* A slot, followed by its uses and its keys, both with the positions of tables, and by the names of the tables, each
 * with a NUL. */
typedef struct slot {
  uint64_t check; /* hash of all after it */
  vsi_sqlite_position at;
  uint32_t bytes; /* 0: announced */
  uint32_t uses_count, keys_count;
  uint32_t has_removed;
  uint32_t schema; /* by which columns are numbered */
} slot;

struct vsi_sqlite_peers {
  const vestry_host *host;
  sqlite3 *db;
  vsi_sqlite_tables *tables;
  vestry_sqlite_stats *stats; /* peers_count: other processes */
  int fd;                     /* of the side file; -1: not open */
  uint32_t schema;            /* version of the schema; 0: unknown */
  bool is_logged;             /* that the file cannot be used */
  union {
    slot is;
    char bytes[SLOT_BYTES];
  } own, other; /* the last slots that were written and read */
  char path[];  /* of the side file */
};

static void log_once(vsi_sqlite_peers *peers, const char *what) {
  if (!peers->is_logged)
    vsi_log(peers->host, VESTRY_LOG_WARN,
            "SQLite, %s: %s. Commits whose rows another process does not learn are followed there by tables or file "
            "pages instead of rows",
            peers->path, what);
  peers->is_logged = true;
}

/* ------------------------------------------------------------------------------------------------ the file -------- */

static bool lock_byte(const vsi_sqlite_peers *peers, off_t at, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
  return !fcntl(peers->fd, F_OFD_SETLK, &lock);
}

/* Count the locks of other processes in a range. The system reports any one of them. */
static unsigned count_in(const vsi_sqlite_peers *peers, off_t from, off_t to) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to - from};
  if (from >= to || fcntl(peers->fd, F_OFD_GETLK, &lock) || lock.l_type == F_UNLCK) return 0;
  return 1 + count_in(peers, from, lock.l_start) + count_in(peers, lock.l_start + lock.l_len, to);
}

static unsigned count_others(const vsi_sqlite_peers *peers) {
  return count_in(peers, DOOR + 1, DOOR + 1 + PROCESSES);
}

/* Return whether only those can write the side file who can write the database, as far as owner and rights show it. */
static bool is_safe(const struct stat *side, const struct stat *file) {
  const mode_t others = side->st_mode & 0022, allowed = file->st_mode & 0022;
  return S_ISREG(side->st_mode) && side->st_nlink == 1 &&
         (side->st_uid == file->st_uid || side->st_uid == geteuid() || side->st_uid == 0) && !(others & ~allowed) &&
         (!(others & 0020) || side->st_gid == file->st_gid);
}

/* Create the side file with the rights of the database. */
static int create_file(const vsi_sqlite_peers *peers, const struct stat *file) {
  const int fd = open(peers->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  (void)!fchown(fd, geteuid() ? (uid_t)-1 : file->st_uid, file->st_gid);
  struct stat side;
  const bool has_group = !fstat(fd, &side) && side.st_gid == file->st_gid;
  (void)fchmod(fd, file->st_mode & (has_group ? 0666 : 0606));
  return fd;
}

/* Get the attributes of the open file. Returns whether it has not been removed or replaced. */
static bool look_at(const vsi_sqlite_peers *peers, struct stat *ret_side) {
  return !fstat(peers->fd, ret_side) && ret_side->st_nlink;
}

/* Open the side file, or create it. Another process may create it, or remove it, meanwhile. */
static bool open_file(vsi_sqlite_peers *peers) {
  struct stat file, side;
  const char *name = sqlite3_db_filename(peers->db, "main");
  if (!name || stat(name, &file)) return false; /* the database reports this itself */
  peers->fd = open(peers->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (peers->fd < 0 && errno == ENOENT) peers->fd = create_file(peers, &file);
  if (peers->fd < 0 && errno != EEXIST) log_once(peers, strerror(errno));
  if (peers->fd < 0 || !look_at(peers, &side)) return false;
  if (is_safe(&side, &file)) return true;
  log_once(peers, "the file has another owner than the database, or more rights (remove it)");
  return false;
}

/* Join the processes that use the side file; the first one empties it. */
static bool join(const vsi_sqlite_peers *peers) {
  bool is_in = false;
  if (!lock_byte(peers, DOOR, F_WRLCK) || (!count_others(peers) && ftruncate(peers->fd, 0))) return false;
  for (int i = 1; i <= PROCESSES && !is_in; i++) is_in = lock_byte(peers, DOOR + i, F_WRLCK);
  return lock_byte(peers, DOOR, F_UNLCK) && is_in;
}

static void leave(vsi_sqlite_peers *peers) {
  if (peers->fd >= 0) (void)close(peers->fd);
  peers->fd = -1;
}

void vsi_sqlite_peers_check(vsi_sqlite_peers *peers) {
  struct stat side;
  if (peers->fd >= 0 && !look_at(peers, &side)) leave(peers);
  if (peers->fd < 0 && !(open_file(peers) && join(peers))) leave(peers); /* the next check tries it again */
  peers->stats->peers_count = peers->fd >= 0 ? count_others(peers) : 0;
  vsi_sqlite_tables_set_peers(peers->tables, peers->stats->peers_count);
}

void vsi_sqlite_peers_note_schema(vsi_sqlite_peers *peers) {
  int version = 0;
  (void)vsi_sqlite_ask(peers->db, "PRAGMA main.schema_version", NULL, &version);
  peers->schema = (uint32_t)version;
}

/* ----------------------------------------------------------------------------------------------- own commits ------ */

static off_t place_of(uint32_t number) {
  return (off_t)(number % SLOTS) * SLOT_BYTES;
}

static void write_slot(vsi_sqlite_peers *peers, const slot *is, size_t bytes) {
  const ssize_t written = pwrite(peers->fd, is, bytes, place_of(is->at.number));
  if (written != (ssize_t)bytes) log_once(peers, written < 0 ? strerror(errno) : "the disk is full");
}

void vsi_sqlite_peers_announce(vsi_sqlite_peers *peers, uint32_t number, bool comes) {
  const slot is = {.at.number = comes ? number : number - SLOTS};
  if (vsi_sqlite_tables_have_peers(peers->tables)) write_slot(peers, &is, sizeof is);
}

static uint64_t check_of(const slot *is) {
  return vsi_siphash_1_3(key_of_checks, (const char *)is + sizeof is->check, is->bytes - sizeof is->check);
}

/* Write the rows of a commit into the buffer. Without room for its keys, the values of all columns are unknown; without
 * room for its tables, everything is. */
static void encode(vsi_sqlite_peers *peers, const vsi_sqlite_commit *commit) {
  slot *is = &peers->own.is;
  size_t names_bytes = 0;
  for (size_t i = 0; i < commit->uses_count; i++)
    names_bytes += strlen(vsi_sqlite_tables_name(peers->tables, commit->uses[i].table)) + 1;
  const size_t least = sizeof *is + commit->uses_count * sizeof *commit->uses + names_bytes;
  const bool has_keys = least + commit->keys_count * sizeof *commit->keys <= SLOT_BYTES;
  if (least > SLOT_BYTES) return;
  is->uses_count = (uint32_t)commit->uses_count;
  is->keys_count = has_keys ? (uint32_t)commit->keys_count : 0;
  vsi_sqlite_use *uses = (vsi_sqlite_use *)(void *)(is + 1);
  vsi_sqlite_key *keys = (vsi_sqlite_key *)(void *)(uses + is->uses_count);
  char *name = (char *)(keys + is->keys_count);
  for (uint32_t i = 0; i < is->uses_count; i++, name += strlen(name) + 1) {
    uses[i] = commit->uses[i];
    if (!has_keys) uses[i].known_columns = 0;
    strcpy(name, vsi_sqlite_tables_name(peers->tables, uses[i].table));
  }
  for (uint32_t i = 0, table = 0; i < is->keys_count; i++) {
    while (commit->uses[table].table != commit->keys[i].table) table++; /* both are sorted */
    keys[i] = commit->keys[i];
    keys[i].table = table;
  }
  is->bytes = (uint32_t)(name - peers->own.bytes);
}

void vsi_sqlite_peers_share(vsi_sqlite_peers *peers, const vsi_sqlite_commit *commit) {
  if (!vsi_sqlite_tables_have_peers(peers->tables)) return;
  slot *is = &peers->own.is;
  *is = (slot){.at = commit->at, .bytes = sizeof *is, .has_removed = commit->has_removed, .schema = peers->schema};
  if (commit->knows_tables && !commit->is_rough) encode(peers, commit);
  is->check = check_of(is);
  write_slot(peers, is, is->bytes);
}

/* -------------------------------------------------------------------------------------------- others' commits ----- */

/* Read the rows of a slot. A render may just be reading a table for the first time, so a name that is not known yet is
 * added. */
static bool decode(vsi_sqlite_peers *peers, vsi_sqlite_commit *ret_commit) {
  const slot *is = &peers->other.is;
  const size_t count = is->uses_count, room = is->bytes - sizeof *is;
  vsi_sqlite_use *uses = (vsi_sqlite_use *)(void *)(&peers->other.is + 1);
  vsi_sqlite_key *keys = (vsi_sqlite_key *)(void *)(uses + count);
  if (count > room / sizeof *uses || is->keys_count > (room - count * sizeof *uses) / sizeof *keys) return false;
  const char *name = (const char *)(keys + is->keys_count), *end = peers->other.bytes + is->bytes;
  if (name >= end || end[-1]) return false;
  for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
    if (name >= end || vsi_sqlite_tables_find(peers->tables, name, &uses[i].table)) return false;
    uses[i].column = VSI_SQLITE_ANY_ROW;
  }
  for (uint32_t i = 0; i < is->keys_count; i++) {
    if (keys[i].table >= count) return false;
    keys[i].table = uses[keys[i].table].table;
  }
  vsi_sqlite_uses_sort(&(vsi_sqlite_uses){.uses = uses, .count = count});
  ret_commit->keys_count = vsi_sqlite_keys_sort(keys, is->keys_count);
  ret_commit->keys = keys;
  ret_commit->uses = uses;
  ret_commit->uses_count = count;
  return true;
}

vestry_err vsi_sqlite_peers_find(vsi_sqlite_peers *peers, const vsi_sqlite_written *written,
                                 vsi_sqlite_commit *ret_commit) {
  if (!vsi_sqlite_tables_have_peers(peers->tables)) return VESTRY_NOT_FOUND;
  const slot *is = &peers->other.is;
  const ssize_t bytes = pread(peers->fd, peers->other.bytes, SLOT_BYTES, place_of(written->number));
  if (bytes < (ssize_t)sizeof *is || is->at.number != written->number) return VESTRY_NOT_FOUND;
  const bool is_whole = is->bytes >= sizeof *is && is->bytes <= (size_t)bytes && is->check == check_of(is);
  if (!is_whole && count_others(peers)) return VESTRY_BUSY;
  if (!is_whole || !is->uses_count || !is->schema || is->schema != peers->schema ||
      !vsi_sqlite_frames_is_at(written, &is->at) || !decode(peers, ret_commit))
    return VESTRY_NOT_FOUND;
  ret_commit->knows_tables = true;
  ret_commit->has_removed = is->has_removed;
  ret_commit->at = is->at;
  peers->stats->peer_commits_count++;
  return VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_peers_create(const vestry_host *host, sqlite3 *db, vsi_sqlite_tables *tables,
                                   vestry_sqlite_stats *stats, vsi_sqlite_peers **ret_peers) {
  static const char suffix[] = "-vestry";
  const char *name = sqlite3_db_filename(db, "main");
  const size_t len = name ? strlen(name) : 0;
  vsi_sqlite_peers *peers = vsi_calloc(host, 1, sizeof *peers + len + sizeof suffix);
  if (!peers) return VESTRY_NO_MEMORY;
  peers->host = host;
  peers->db = db;
  peers->tables = tables;
  peers->stats = stats;
  peers->fd = -1;
  if (name) memcpy(peers->path, name, len);
  memcpy(peers->path + len, suffix, sizeof suffix);
  vsi_sqlite_peers_note_schema(peers);
  vsi_sqlite_peers_check(peers);
  *ret_peers = peers;
  return VESTRY_OK;
}

void vsi_sqlite_peers_destroy(vsi_sqlite_peers *peers) {
  if (!peers) return;
  /* A process that opens it meanwhile notices that it was removed, and creates another one. */
  if (peers->fd >= 0 && !count_others(peers)) (void)unlink(peers->path);
  leave(peers);
  vsi_free(peers->host, peers);
}
