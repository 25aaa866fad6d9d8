/* SPDX-License-Identifier: MIT */
/* essay: which rows the commits of other processes change */
/* The WAL shows which file pages a commit wrote, whichever process made it, but not which rows. Processes that follow
 * the same file therefore exchange the rows, in a side file beside the database (-vestry). The side file only
 * ever makes a refresh more precise: a commit whose rows are not found there is followed by its file pages alone, as a
 * commit of any other program is. The file has:
 *
 *     header (64 bytes) | a head for each of 16 places (64 bytes) | from byte 4,096 on a ring for each place (1 MiB)
 *
 * A process takes a place by a lock on one byte, far behind the end of the file, which the system releases when the
 * process ends, however it ends. Locks of open file descriptions (F_OFD_SETLK) are used, because two databases of one
 * process may follow the same file. Only the process with the lock writes the head and the ring of its place; a place
 * holds at most one process, so the side file has at most 16 MiB. A process that finds no other lock writes nothing.
 *
 * The order of events:
 * 1. In the commit hook, while no other connection can commit, a process writes the number of its next commit into its
 *    head (announced).
 * 2. The commit becomes visible.
 * 3. The database's thread reads the commit in the WAL, writes a record with the changed rows into its ring, and then
 *    the number up to which it has done so into its head (shared).
 * 4. Another process finds the commit in its WAL. If a head announces this number, and has not shared it yet, it waits,
 *    at most WAIT_MS; then it looks for the record.
 *
 * So a killed process delays others until its lock is gone, and a stopped one once: it is not waited for again until it
 * has shared everything that it announced.
 *
 * Why a record hides no commit. A record is bound to a commit by the salts of the WAL, the number of the commit's last
 * frame, and the checksum of that frame, which covers all frames before it. It is written after the commit is visible,
 * from the WAL itself, and only if the connection's own thread has found its commit there (VSI_SQLITE_COMMITTED).
 * Therefore no record exists for a commit that failed, and a record of a commit that was lost in a crash, of a WAL that
 * was restarted, or of a file that was replaced, matches no other commit. A record has a keyed hash over its place in
 * the ring, so one that is overwritten while it is read, or damaged, is not used. Its columns are numbered by the
 * schema, so it also has the version of the schema after the commit. Table names are bytes of another process, and are
 * looked up, not trusted to exist; numbers are checked against the sizes that the reader itself has set.
 *
 * Commits can be overwritten in the WAL before a process has read them, if another one writes fast and checkpoints:
 * then there is no frame to compare with. Such commits are followed by records alone, if these continue the commits
 * that were read without a gap: each has the next number, and begins at the next frame of the same WAL, or at the first
 * frame of another WAL. The numbers begin anew only when the index of the WAL is recovered, which does not change the
 * salts; a record after that has no such frame. Records also have the written file pages for this case. If one is
 * missing, for example of a stranger, everything is refreshed.
 *
 * A program that can write the side file can write wrong records. Therefore the side file is used only if its owner and
 * its rights permit writes only to programs that can also write the database.
 *
 * While there are peers, the values of all columns by which rows can be looked up are noted, and all columns of a
 * changed row are compared, because the reads of renders in other processes are unknown (tables.c). */
#include "data/sqlite/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/wait.h"

enum {
  PLACES = 16,
  OF_READERS = PLACES, /* the byte that processes lock which may not write the side file */
  LOCKS_AT = 1 << 30,
  HEADS_AT = 64,
  RINGS_AT = 4096,
  RING_BYTES = 1 << 20,
  RECORD_BYTES = 512 << 10, /* of the largest record; without room, keys are left out */
  FIRST_BYTES = 1024,       /* read at once */
  NAMES_MOST = 4096,        /* tables that records may name and this process does not know */
  AHEAD_MOST = 4096,        /* numbers after the followed commit; others belong to no commit of this WAL */
  WAIT_MS = 1000,
  TRIES = 3
};
static const char header[HEADS_AT] = "vestry: rows of commits, version 1\n";

/* The state of a process at its place. */
typedef struct head {
  uint64_t session; /* random; the key of the hashes */
  uint64_t end;     /* how many bytes were written into the ring so far */
  uint32_t announced, shared;
  uint64_t unused[4];
  uint64_t check; /* hash of all before it */
} head;
_Static_assert(sizeof(head) == 64, "heads are an array in the side file");

/* A record, followed by its tables, its keys, whose tables are numbers in the record, and the written file pages. */
typedef struct record {
  uint64_t check; /* hash of all after it */
  uint32_t bytes; /* of the record, a multiple of 8 */
  uint32_t number, salts[2], frame, checksum[2], schema;
  uint32_t flags, tables_count, keys_count;
  uint32_t frames_count, pages_count; /* pages_count: all of the frames, or 0 if there is no room for them */
  uint32_t unused;
} record;
enum { CHANGES_TABS = 1, IS_TOUCH = 2, HAS_REMOVED = 4, HAS_INNER = 8, PAGES_MOST = 4096 };

typedef struct record_table {
  uint64_t columns, known_columns;
  uint32_t name_bytes; /* with a NUL, and filled up to a multiple of 8 */
  uint32_t unused;
} record_table;

typedef struct peer {
  bool is_there;
  bool is_late; /* what it has announced is not waited for */
  head is;
  uint64_t next; /* of its ring, where the next record begins */
} peer;

/* Reasons for a line in the log, each once. */
typedef enum reason {
  UNUSABLE = 1,
  NO_PLACE = 2,
  UNREADABLE = 4,
  UNWRITTEN = 8,
  LATE = 16,
  LOST = 32,
  LARGE = 64
} reason;

struct vsi_sqlite_peers {
  const vestry_host *host;
  sqlite3 *db;
  vsi_sqlite_tables *tables;
  char *path; /* of the side file */
  int fd;     /* -1: not open */
  dev_t device;
  ino_t number;
  bool can_write;
  int place;       /* -1: none */
  head own, shown; /* shown: in the file */
  peer all[PLACES];
  unsigned count;          /* processes with a lock */
  uint32_t waited_number;  /* the commit whose record is waited for */
  uint64_t waited_from_ns; /* 0: none */
  unsigned logged;
  uint32_t names_count;
  unsigned char *bytes; /* a record */
  size_t room;
  vsi_sqlite_uses uses; /* of the record that was found last */
  vsi_sqlite_key *keys;
  uint32_t *pages;
  size_t keys_room, pages_room;
  uint64_t found_count, late_count, lost_count, rejected_count, unwritten_count;
};

static void log_once(vsi_sqlite_peers *peers, reason why, const char *what, int error) {
  if (peers->logged & why) return;
  peers->logged |= why;
  vsi_log(
      peers->host, VESTRY_LOG_WARN,
      "SQLite, %s: %s%s%s. A commit whose rows another process does not learn is followed there by tables instead of "
      "rows",
      peers->path, what, error ? ": " : "", error ? strerror(error) : "");
}

static void reject(vsi_sqlite_peers *peers) {
  peers->rejected_count++;
  log_once(peers, UNREADABLE, "what another process has written there is damaged, or names too many tables", 0);
}

/* ------------------------------------------------------------------------------------------------ the file -------- */

static bool write_at(const vsi_sqlite_peers *peers, const void *bytes, size_t len, off_t at) {
  const ssize_t written = pwrite(peers->fd, bytes, len, at);
  if (written >= 0 && (size_t)written < len) errno = ENOSPC;
  return written == (ssize_t)len;
}

static bool read_at(const vsi_sqlite_peers *peers, void *bytes, size_t len, off_t at) {
  return pread(peers->fd, bytes, len, at) == (ssize_t)len;
}

/* Lock a byte, or find out whether another process has locked it. */
static bool lock_byte(const vsi_sqlite_peers *peers, int place, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = LOCKS_AT + place, .l_len = 1};
  return !fcntl(peers->fd, F_OFD_SETLK, &lock);
}

static bool has_lock(const vsi_sqlite_peers *peers, int first, int count) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS_AT + first, .l_len = count};
  return !fcntl(peers->fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
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
  if (geteuid() == 0)
    (void)!fchown(fd, file->st_uid, file->st_gid);
  else
    (void)!fchown(fd, (uid_t)-1, file->st_gid);
  struct stat side;
  const bool has_group = !fstat(fd, &side) && side.st_gid == file->st_gid;
  (void)fchmod(fd, file->st_mode & (has_group ? 0666 : 0606));
  if (pwrite(fd, header, sizeof header, 0) == (ssize_t)sizeof header) return fd;
  const int error = errno;
  (void)unlink(peers->path);
  (void)close(fd);
  errno = error;
  return -1;
}

/* Open the side file if it exists. */
static int open_existing(vsi_sqlite_peers *peers) {
  const int flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  int fd = open(peers->path, O_RDWR | flags);
  peers->can_write = fd >= 0;
  if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) fd = open(peers->path, O_RDONLY | flags);
  return fd;
}

static void close_file(vsi_sqlite_peers *peers) {
  if (peers->fd >= 0) (void)close(peers->fd);
  peers->fd = peers->place = -1;
}

static bool has_header(const vsi_sqlite_peers *peers) {
  char found[sizeof header];
  return read_at(peers, found, sizeof found, 0) && memcmp(found, header, sizeof found) == 0;
}

/* Open the side file, or create it. One that is damaged, or of another version of vestry, is replaced when no process
 * uses it. */
static bool open_file(vsi_sqlite_peers *peers) {
  struct stat file, side;
  const char *name = sqlite3_db_filename(peers->db, "main");
  if (!name || stat(name, &file)) return false; /* the database reports this itself */
  for (int i = 0; i < TRIES; i++) {
    peers->fd = open_existing(peers);
    if (peers->fd < 0 && errno == ENOENT) {
      peers->fd = create_file(peers, &file);
      peers->can_write = peers->fd >= 0;
      if (peers->fd < 0 && errno == EEXIST) continue; /* another process was faster */
    }
    if (peers->fd < 0) {
      log_once(peers, UNUSABLE, "cannot open the file", errno);
      return false;
    }
    const bool is_known = !fstat(peers->fd, &side);
    if (is_known && !side.st_nlink) { /* the last process that used it has just removed it */
      close_file(peers);
      continue;
    }
    if (!is_known || !is_safe(&side, &file)) {
      log_once(peers, UNUSABLE, "the file has another owner than the database, or more rights (remove it)", 0);
      break;
    }
    peers->device = side.st_dev;
    peers->number = side.st_ino;
    if (has_header(peers)) return true;
    if (has_lock(peers, 0, PLACES + 1) || !peers->can_write) {
      log_once(peers, UNUSABLE, "the file is damaged, or of another version of vestry (stop one of the programs)", 0);
      break;
    }
    (void)unlink(peers->path);
    close_file(peers);
  }
  close_file(peers);
  return false;
}

static bool is_same_file(const vsi_sqlite_peers *peers) {
  struct stat now;
  return !lstat(peers->path, &now) && now.st_dev == peers->device && now.st_ino == peers->number;
}

/* ------------------------------------------------------------------------------------------------ the heads ------- */

static vsi_siphash_key key_of(uint64_t session, uint64_t at) {
  return (vsi_siphash_key){session, at};
}

static void show_own(vsi_sqlite_peers *peers) {
  const size_t len = offsetof(head, check);
  peers->own.check = vsi_siphash_1_3(key_of(peers->own.session, (uint64_t)peers->place), &peers->own, len);
  if (write_at(peers, &peers->own, sizeof peers->own, HEADS_AT + peers->place * (off_t)sizeof(head)))
    peers->shown = peers->own;
  else
    log_once(peers, UNWRITTEN, "cannot write the file", errno);
}

/* Read the head of a peer. Its owner may write it meanwhile. */
static bool read_head(vsi_sqlite_peers *peers, int place) {
  peer *of = &peers->all[place];
  head is;
  bool is_whole = false;
  for (int i = 0; i < TRIES && !is_whole; i++)
    is_whole = read_at(peers, &is, sizeof is, HEADS_AT + place * (off_t)sizeof is) &&
               is.check == vsi_siphash_1_3(key_of(is.session, (uint64_t)place), &is, offsetof(head, check));
  if (!is_whole) {
    reject(peers);
    return false;
  }
  const bool is_new = is.session != of->is.session;
  if (is_new) of->is_late = false;
  if (is_new || is.end < of->next) of->next = is.end <= RING_BYTES ? 0 : is.end;
  if (is.end - of->next > RING_BYTES) {
    peers->lost_count++;
    log_once(peers, LOST, "rows of another process were overwritten before this one had read them", 0);
    of->next = is.end;
  }
  of->is = is;
  if ((int32_t)(is.announced - is.shared) <= 0) of->is_late = false;
  return true;
}

/* Return whether a commit may be one that a peer has announced. */
static bool is_pending(const vsi_sqlite_peers *peers, int place, uint32_t number) {
  const peer *of = &peers->all[place];
  return !of->is_late && (int32_t)(of->is.announced - number) >= 0 && (int32_t)(number - of->is.shared) > 0 &&
         has_lock(peers, place, 1);
}

/* Take a free place. */
static void take_place(vsi_sqlite_peers *peers) {
  vsi_siphash_key random;
  for (int i = 0; i < PLACES && peers->can_write && peers->place < 0; i++)
    if (lock_byte(peers, i, F_WRLCK)) peers->place = i;
  if (peers->place < 0) {
    log_once(peers, NO_PLACE, peers->can_write ? "all 16 places are taken" : "this user may not write the file", 0);
    (void)lock_byte(peers, OF_READERS, F_RDLCK); /* so that others notice this process */
    return;
  }
  if (vsi_siphash_key_random(peers->host, &random)) random.k0 = vsi_monotonic_ns();
  peers->own = (head){.session = random.k0, .announced = peers->own.shared, .shared = peers->own.shared};
  show_own(peers);
}

void vsi_sqlite_peers_check(vsi_sqlite_peers *peers) {
  if (!peers) return;
  if (peers->fd >= 0 && !is_same_file(peers)) close_file(peers);
  /* Others cannot replace a file that was cut or overwritten as long as this process has a place in it. */
  if (peers->fd >= 0 && peers->place >= 0 && !has_header(peers)) (void)write_at(peers, header, sizeof header, 0);
  if (peers->fd >= 0 ? peers->place < 0 : open_file(peers)) take_place(peers);
  const bool has_others = peers->fd >= 0 && has_lock(peers, 0, PLACES + 1);
  peers->count = 0;
  for (int i = 0; i < PLACES; i++) {
    peers->all[i].is_there = has_others && i != peers->place && has_lock(peers, i, 1);
    peers->count += peers->all[i].is_there;
  }
  if (has_others && !peers->count) peers->count = 1; /* some that only read */
  vsi_sqlite_tables_set_peers(peers->tables, peers->count != 0);
}

bool vsi_sqlite_peers_are_there(const vsi_sqlite_peers *peers) {
  return peers && peers->count;
}

/* ----------------------------------------------------------------------------------------------- own commits ------ */

static bool is_sharing(const vsi_sqlite_peers *peers) {
  return vsi_sqlite_peers_are_there(peers) && peers->place >= 0;
}

void vsi_sqlite_peers_announce(vsi_sqlite_peers *peers, uint32_t number) {
  if (!is_sharing(peers)) return;
  peers->own.announced = number;
  show_own(peers);
}

void vsi_sqlite_peers_withdraw(vsi_sqlite_peers *peers, uint32_t number) {
  if (!is_sharing(peers) || peers->own.announced != number) return;
  peers->own.announced = number - 1;
  show_own(peers);
}

void vsi_sqlite_peers_shared(vsi_sqlite_peers *peers, uint32_t number) {
  if (!peers) return;
  peers->own.shared = number;
  const head *shown = &peers->shown;
  if (is_sharing(peers) && (peers->own.end != shown->end || (int32_t)(shown->announced - shown->shared) > 0))
    show_own(peers);
}

static size_t filled(size_t bytes) {
  return (bytes + 7) / 8 * 8;
}

/* Write bytes into the own ring, or read bytes of a ring. */
static bool write_ring(const vsi_sqlite_peers *peers, const unsigned char *bytes, size_t len, uint64_t position) {
  const size_t at = position % RING_BYTES, first = len < RING_BYTES - at ? len : RING_BYTES - at;
  const off_t ring = RINGS_AT + peers->place * (off_t)RING_BYTES;
  return write_at(peers, bytes, first, ring + (off_t)at) &&
         (first == len || write_at(peers, bytes + first, len - first, ring));
}

static bool read_ring(const vsi_sqlite_peers *peers, int place, unsigned char *bytes, size_t len, uint64_t position) {
  const size_t at = position % RING_BYTES, first = len < RING_BYTES - at ? len : RING_BYTES - at;
  const off_t ring = RINGS_AT + place * (off_t)RING_BYTES;
  return read_at(peers, bytes, first, ring + (off_t)at) &&
         (first == len || read_at(peers, bytes + first, len - first, ring));
}

static bool reserve(vsi_sqlite_peers *peers, size_t bytes) {
  return !VSI_ARRAY_RESERVE(peers->host, peers->bytes, 0, peers->room, bytes);
}

static uint32_t position_of(const vsi_sqlite_commit *commit, uint32_t table) {
  uint32_t at = 0;
  while (at + 1 < commit->uses_count && commit->uses[at].table != table) at++;
  return at;
}

/* Write a record into the buffer. ret_has_keys: whether there was room for the keys of the rows. Returns its size; 0:
 * there is no memory for it, or it is too large. */
static size_t encode(vsi_sqlite_peers *peers, const vsi_sqlite_commit *commit, const vsi_sqlite_written *written,
                     bool *ret_has_keys) {
  size_t bytes = sizeof(record);
  for (size_t i = 0; i < commit->uses_count; i++)
    bytes += sizeof(record_table) + filled(strlen(vsi_sqlite_tables_name(peers->tables, commit->uses[i].table)) + 1);
  const size_t pages_count = written->pages_count <= PAGES_MOST ? written->pages_count : 0;
  const size_t pages_bytes = filled(pages_count * sizeof *written->pages);
  const bool has_keys = bytes + commit->keys_count * sizeof(vsi_sqlite_key) + pages_bytes <= RECORD_BYTES;
  const size_t keys_count = has_keys ? commit->keys_count : 0;
  *ret_has_keys = has_keys;
  bytes += keys_count * sizeof(vsi_sqlite_key) + pages_bytes;
  if (bytes > RECORD_BYTES || !reserve(peers, bytes)) return 0;
  memset(peers->bytes, 0, bytes);
  unsigned char *at = peers->bytes + sizeof(record);
  for (size_t i = 0; i < commit->uses_count; i++) {
    const vsi_sqlite_use *use = &commit->uses[i];
    const char *name = vsi_sqlite_tables_name(peers->tables, use->table);
    const record_table table = {.columns = use->columns,
                                .known_columns = has_keys ? use->known_columns : 0,
                                .name_bytes = (uint32_t)filled(strlen(name) + 1)};
    memcpy(at, &table, sizeof table);
    memcpy(at + sizeof table, name, strlen(name));
    at += sizeof table + table.name_bytes;
  }
  for (size_t i = 0; i < keys_count; i++, at += sizeof(vsi_sqlite_key)) {
    vsi_sqlite_key key = commit->keys[i];
    key.table = position_of(commit, key.table);
    memcpy(at, &key, sizeof key);
  }
  if (pages_count) memcpy(at, written->pages, pages_count * sizeof *written->pages);
  record made = {.bytes = (uint32_t)bytes,
                 .number = written->number,
                 .salts = {written->salts[0], written->salts[1]},
                 .frame = written->frame,
                 .checksum = {written->checksum[0], written->checksum[1]},
                 .schema = written->schema,
                 .flags = (commit->changes_tabs ? CHANGES_TABS : 0u) | (commit->is_touch ? IS_TOUCH : 0u) |
                          (commit->has_removed ? HAS_REMOVED : 0u) | (written->has_inner ? HAS_INNER : 0u),
                 .tables_count = (uint32_t)commit->uses_count,
                 .keys_count = (uint32_t)keys_count,
                 .frames_count = (uint32_t)written->pages_count,
                 .pages_count = (uint32_t)pages_count};
  memcpy(peers->bytes, &made, sizeof made);
  made.check = vsi_siphash_1_3(key_of(peers->own.session, peers->own.end), peers->bytes + sizeof made.check,
                               bytes - sizeof made.check);
  memcpy(peers->bytes, &made.check, sizeof made.check);
  return bytes;
}

void vsi_sqlite_peers_share(vsi_sqlite_peers *peers, const vsi_sqlite_commit *commit,
                            const vsi_sqlite_written *written) {
  if (!is_sharing(peers) || !commit->knows_tables || commit->is_rough || !written->knows_schema || written->has_schema)
    return;
  bool has_keys;
  const size_t bytes = encode(peers, commit, written, &has_keys);
  const bool is_written = bytes && write_ring(peers, peers->bytes, bytes, peers->own.end);
  const int error = bytes && !is_written ? errno : 0;
  if (is_written) peers->own.end += bytes;
  if (is_written && has_keys) return;
  peers->unwritten_count++;
  if (error)
    log_once(peers, UNWRITTEN, "cannot write the file", error);
  else
    log_once(peers, LARGE, "there is no room for the rows of a commit", 0);
}

/* -------------------------------------------------------------------------------------------- others' commits ----- */

/* Find the number of a table that a record names. A render may just be reading it for the first time, so a name that is
 * not known yet is added, if there is room for it. */
static bool find_table(vsi_sqlite_peers *peers, const char *name, uint32_t *ret_table) {
  const bool is_full = peers->names_count == NAMES_MOST;
  bool is_added;
  if (vsi_sqlite_tables_find_or_add(peers->tables, name, !is_full, ret_table, &is_added)) return false;
  peers->names_count += is_added;
  return true;
}

/* Read the tables of a record. Returns their size; 0: the record is not valid. */
static size_t decode_tables(vsi_sqlite_peers *peers, const unsigned char *bytes, size_t len, uint32_t count) {
  size_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    record_table table;
    vsi_sqlite_use use = {.column = VSI_SQLITE_ANY_ROW};
    if (len - at < sizeof table) return 0;
    memcpy(&table, bytes + at, sizeof table);
    at += sizeof table;
    const char *name = (const char *)bytes + at;
    if (!table.name_bytes || table.name_bytes % 8 || table.name_bytes > len - at || name[table.name_bytes - 1])
      return 0;
    at += table.name_bytes;
    if (!find_table(peers, name, &use.table)) return 0;
    use.columns = table.columns;
    use.known_columns = table.known_columns;
    for (size_t j = 0; j < peers->uses.count; j++)
      if (peers->uses.uses[j].table == use.table) return 0;
    if (VSI_ARRAY_RESERVE(peers->host, peers->uses.uses, peers->uses.count, peers->uses.room, 1)) return 0;
    peers->uses.uses[peers->uses.count++] = use;
  }
  return at;
}

/* Read a record into uses and keys. */
static bool decode(vsi_sqlite_peers *peers, const unsigned char *bytes, const record *of, size_t *ret_keys_count) {
  const size_t len = of->bytes - sizeof *of;
  peers->uses.count = 0;
  const size_t at = decode_tables(peers, bytes, len, of->tables_count);
  const size_t keys_bytes = of->keys_count * sizeof(vsi_sqlite_key),
               pages_bytes = of->pages_count * sizeof *peers->pages;
  if (!at || len - at != keys_bytes + filled(pages_bytes)) return false;
  if (VSI_ARRAY_RESERVE(peers->host, peers->keys, 0, peers->keys_room, of->keys_count) ||
      VSI_ARRAY_RESERVE(peers->host, peers->pages, 0, peers->pages_room, of->pages_count))
    return false;
  if (keys_bytes) memcpy(peers->keys, bytes + at, keys_bytes);
  if (pages_bytes) memcpy(peers->pages, bytes + at + keys_bytes, pages_bytes);
  for (uint32_t i = 0; i < of->keys_count; i++) {
    vsi_sqlite_key *key = &peers->keys[i];
    if (key->table >= of->tables_count || key->column < VSI_SQLITE_ROWID || key->column >= VSI_SQLITE_KEYED_COLUMNS ||
        key->last < key->key)
      return false;
    key->table = peers->uses.uses[key->table].table;
  }
  vsi_sqlite_uses_sort(&peers->uses);
  *ret_keys_count = vsi_sqlite_keys_sort(peers->keys, of->keys_count);
  return true;
}

/* Return whether a record is of a commit. A lost one follows the commit before it in the same WAL, or is the first one
 * of another WAL. */
static bool is_of(const record *r, const vsi_sqlite_written *written) {
  const bool has_salts = memcmp(r->salts, written->salts, sizeof r->salts) == 0;
  if (!written->knows_schema || r->schema != written->schema) return false;
  if (written->is_lost) return r->frames_count && r->frame - r->frames_count == (has_salts ? written->frame : 0);
  return has_salts && r->frame == written->frame && memcmp(r->checksum, written->checksum, sizeof r->checksum) == 0;
}

/* Read the next record of a peer, if it is of a commit up to this number.
 *  Returns  OK | NOT_FOUND (there is none yet) | INVALID (it cannot be read) */
static vestry_err read_record(vsi_sqlite_peers *peers, int place, uint32_t number, record *ret_record) {
  const peer *of = &peers->all[place];
  const uint64_t there = of->is.end - of->next;
  const size_t first = there < FIRST_BYTES ? (size_t)there : FIRST_BYTES;
  if (!there) return VESTRY_NOT_FOUND;
  if (first < sizeof *ret_record || !reserve(peers, FIRST_BYTES) ||
      !read_ring(peers, place, peers->bytes, first, of->next))
    return VESTRY_INVALID;
  memcpy(ret_record, peers->bytes, sizeof *ret_record);
  const uint32_t bytes = ret_record->bytes;
  const int32_t ahead = (int32_t)(ret_record->number - number);
  if (bytes < sizeof *ret_record || bytes > RECORD_BYTES || bytes % 8 || bytes > there) return VESTRY_INVALID;
  if (ahead > 0 && ahead <= AHEAD_MOST) return VESTRY_NOT_FOUND;
  if (ahead) return VESTRY_OK;
  if (bytes > first && (!reserve(peers, bytes) || !read_ring(peers, place, peers->bytes, bytes, of->next)))
    return VESTRY_INVALID;
  const uint64_t check = vsi_siphash_1_3(key_of(of->is.session, of->next), peers->bytes + sizeof ret_record->check,
                                         bytes - sizeof ret_record->check);
  return check == ret_record->check ? VESTRY_OK : VESTRY_INVALID;
}

/* Find the record of a commit in the ring of a peer. lost: receives its salts and its frame. OK | NOT_FOUND */
static vestry_err find_in(vsi_sqlite_peers *peers, int place, const vsi_sqlite_written *written,
                          vsi_sqlite_written *lost, vsi_sqlite_commit *ret_commit) {
  peer *of = &peers->all[place];
  record r;
  vestry_err error;
  while (!(error = read_record(peers, place, written->number, &r))) {
    of->next += r.bytes;
    if (r.number != written->number || !is_of(&r, written)) continue;
    if (!decode(peers, peers->bytes + sizeof r, &r, &ret_commit->keys_count)) {
      reject(peers);
      return VESTRY_NOT_FOUND;
    }
    ret_commit->knows_tables = true;
    ret_commit->uses = peers->uses.uses;
    ret_commit->uses_count = peers->uses.count;
    ret_commit->keys = peers->keys;
    ret_commit->changes_tabs = r.flags & CHANGES_TABS;
    ret_commit->is_touch = r.flags & IS_TOUCH;
    ret_commit->has_removed = r.flags & HAS_REMOVED;
    ret_commit->has_inner = r.flags & HAS_INNER;
    ret_commit->knows_pages = r.pages_count;
    ret_commit->pages = peers->pages;
    ret_commit->pages_count = r.pages_count;
    lost->frame = r.frame;
    memcpy(lost->salts, r.salts, sizeof lost->salts);
    peers->found_count++;
    return VESTRY_OK;
  }
  const uint64_t lost_count = peers->lost_count;
  if (error != VESTRY_INVALID || !read_head(peers, place) || peers->lost_count != lost_count) return VESTRY_NOT_FOUND;
  reject(peers);
  of->next = of->is.end; /* where the next record will begin */
  return VESTRY_NOT_FOUND;
}

/* Return whether to wait further for the record of a commit. */
static bool may_wait(vsi_sqlite_peers *peers, uint32_t number) {
  const uint64_t now_ns = vsi_monotonic_ns();
  if (!peers->waited_from_ns || peers->waited_number != number) {
    peers->waited_from_ns = now_ns;
    peers->waited_number = number;
  }
  return now_ns - peers->waited_from_ns < WAIT_MS * VSI_NS_PER_MS;
}

static vestry_err find(vsi_sqlite_peers *peers, const vsi_sqlite_written *written, vsi_sqlite_written *lost,
                       vsi_sqlite_commit *ret_commit) {
  bool pending[PLACES], is_one_pending = false;
  if (!vsi_sqlite_peers_are_there(peers)) return VESTRY_NOT_FOUND;
  for (int i = 0; i < PLACES; i++) {
    pending[i] = false;
    if (!peers->all[i].is_there || !read_head(peers, i)) continue;
    if (!find_in(peers, i, written, lost, ret_commit)) {
      peers->waited_from_ns = 0;
      return VESTRY_OK;
    }
    pending[i] = is_pending(peers, i, written->number);
    is_one_pending |= pending[i];
  }
  if (is_one_pending && may_wait(peers, written->number)) return VESTRY_BUSY;
  for (int i = 0; i < PLACES; i++) peers->all[i].is_late |= pending[i];
  peers->late_count += is_one_pending;
  if (is_one_pending) log_once(peers, LATE, "another process has stopped, or is slow", 0);
  peers->waited_from_ns = 0;
  return VESTRY_NOT_FOUND;
}

vestry_err vsi_sqlite_peers_find(vsi_sqlite_peers *peers, const vsi_sqlite_written *written,
                                 vsi_sqlite_commit *ret_commit) {
  vsi_sqlite_written same;
  return find(peers, written, &same, ret_commit);
}

vestry_err vsi_sqlite_peers_find_lost(vsi_sqlite_peers *peers, vsi_sqlite_written *lost,
                                      vsi_sqlite_commit *ret_commit) {
  const vsi_sqlite_written wanted = *lost;
  return find(peers, &wanted, lost, ret_commit);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_peers_create(const vestry_host *host, sqlite3 *db, vsi_sqlite_tables *tables, uint32_t number,
                                   vsi_sqlite_peers **ret_peers) {
  static const char suffix[] = "-vestry";
  const char *name = sqlite3_db_filename(db, "main");
  const size_t len = name ? strlen(name) : 0;
  vsi_sqlite_peers *peers = vsi_calloc(host, 1, sizeof *peers);
  char *path = vsi_alloc(host, len + sizeof suffix);
  if (!peers || !path) {
    vsi_free(host, peers);
    vsi_free(host, path);
    return VESTRY_NO_MEMORY;
  }
  memcpy(path, name, len);
  memcpy(path + len, suffix, sizeof suffix);
  *peers = (vsi_sqlite_peers){.host = host, .db = db, .tables = tables, .path = path, .fd = -1, .place = -1};
  peers->own.shared = number;
  vsi_sqlite_peers_check(peers);
  *ret_peers = peers;
  return VESTRY_OK;
}

void vsi_sqlite_peers_destroy(vsi_sqlite_peers *peers) {
  if (!peers) return;
  /* A process that opens it meanwhile notices that it was removed, and creates another one. */
  if (peers->fd >= 0 && peers->can_write && !has_lock(peers, 0, PLACES + 1) && is_same_file(peers))
    (void)unlink(peers->path);
  close_file(peers);
  vsi_sqlite_uses_finish(peers->host, &peers->uses);
  vsi_free(peers->host, peers->keys);
  vsi_free(peers->host, peers->pages);
  vsi_free(peers->host, peers->bytes);
  vsi_free(peers->host, peers->path);
  vsi_free(peers->host, peers);
}

void vsi_sqlite_peers_stats_get(const vsi_sqlite_peers *peers, vestry_sqlite_stats *stats) {
  if (!peers) return;
  stats->peers_count = peers->count;
  stats->peer_commits_count = peers->found_count;
  stats->peer_late_count = peers->late_count;
  stats->peer_lost_count = peers->lost_count;
  stats->peer_rejected_count = peers->rejected_count;
  stats->peer_unwritten_count = peers->unwritten_count;
}
