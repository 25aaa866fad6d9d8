/* SPDX-License-Identifier: MIT */
/* essay: an upload that outlives its process */
/* An upload that can be resumed is two files: ID.part, what came of it, and ID.resume, its record. The client knows a
 * secret, and ID is a hash of that. So the folder's list, and the name of a file that was kept, are not enough to go on
 * with an upload.
 *
 * A record is written beside the former one, synced, and renamed over it, so that there always is a whole one: when the
 * upload is made, whenever a request of it ends, and when it is done. What came since is in the file without a word in
 * the record. If the machine has run all the time (its boot is the record's), the kernel still has what the process
 * wrote, however that one ended, and the file's length counts. Otherwise only what was synced counts, as the record
 * says: a file can be longer than what of it is on the disk.
 *
 * Between the rename of a file that is whole and the record that says so a crash may come. Then the file gets its
 * former name again, and its client is told of one byte less than there is. It sends that one, and the file is kept as
 * if nothing had been: the application may be told twice of one file, under one name, and never not at all.
 *
 * One request at a time has the file. A later one takes it over, since the client knows better than the server that the
 * former one is broken, and a request whose upload was taken over finds that out before it writes. */
#include "upload/unfinished.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/memory.h"
#include "instance/instance.h"
#include "upload/tus.h"

enum { DIGEST_BYTES = 32, SWEPT_AT_ONCE = 16 };
static const char mark[16] = "vestry upload 1";

/* ----------------------------------------------------------------------------------------------------- names ------ */

static void digest_of(const void *first, size_t first_len, const void *second, size_t second_len,
                      unsigned char digest[DIGEST_BYTES]) {
  struct sha256_ctx sha;
  sha256_init(&sha);
  sha256_update(&sha, first_len, first);
  if (second_len) sha256_update(&sha, second_len, second);
  sha256_digest(&sha, DIGEST_BYTES, digest);
}

static void id_of(const char *secret, char id[VSI_STORED_LEN + 1]) {
  unsigned char digest[DIGEST_BYTES];
  digest_of("upload", 6, secret, VSI_UNFINISHED_SECRET_LEN, digest);
  vsi_hex_write(id, digest, VSI_STORED_LEN / 2);
}

static void owner_of(const char *secret, vestry_scope scope, unsigned char owner[VSI_UNFINISHED_OWNER_BYTES]) {
  unsigned char digest[DIGEST_BYTES];
  digest_of(secret, VSI_UNFINISHED_SECRET_LEN, scope.data, scope.len, digest);
  memcpy(owner, digest, VSI_UNFINISHED_OWNER_BYTES);
}

static uint64_t hash_of(const char *id) {
  uint64_t hash;
  unsigned char bytes[sizeof hash];
  vsi_hex_read(bytes, id, sizeof bytes);
  memcpy(&hash, bytes, sizeof hash);
  return hash;
}

static const char *name_of(const char *id, const char *after, char name[VSI_STORED_ROOM]) {
  snprintf(name, VSI_STORED_ROOM, "%.*s%s", (int)VSI_STORED_LEN, id, after);
  return name;
}

static vsi_unfinished *find_locked(vestry_upload_folder *folder, const char *id) {
  for (vsi_map_link *at = vsi_map_first(&folder->unfinished, hash_of(id)); at; at = vsi_map_further(at)) {
    vsi_unfinished *u = VSI_MAP_OWNER(at, vsi_unfinished, in);
    if (memcmp(u->id, id, VSI_STORED_LEN) == 0) return u;
  }
  return NULL;
}

/* ---------------------------------------------------------------------------------------------------- records ----- */

static vestry_err write_record(vsi_unfinished *u, const vsi_unfinished_record *record) {
  vestry_upload_folder *folder = u->folder;
  const vsi_disk *disk = folder->disk;
  char next[VSI_STORED_ROOM], name[VSI_STORED_ROOM];
  int fd = disk->make(folder->fd, name_of(u->id, VSI_STORED_NEXT, next));
  if (fd < 0) return VESTRY_IO;
  uint64_t at = 0;
  bool is_written = vsi_disk_write(disk, fd, record, sizeof *record, &at) &&
                    vsi_disk_write(disk, fd, u->metadata, record->metadata_len, &at);
  vestry_err error = is_written && !disk->sync(fd) ? VESTRY_OK : VESTRY_IO;
  if (!error && disk->rename(folder->fd, next, name_of(u->id, VSI_STORED_RESUME, name))) error = VESTRY_IO;
  const int why = errno;
  if (error) (void)disk->remove(folder->fd, next);
  close(fd);
  if (!error && disk->sync(folder->fd)) return VESTRY_IO;
  errno = why;
  return error;
}

vestry_err vsi_unfinished_note(vsi_unfinished *u, uint64_t offset, bool is_done) {
  vestry_upload_folder *folder = u->folder;
  vsi_mutex_lock(&folder->lock);
  vsi_unfinished_record record = u->record;
  vsi_mutex_unlock(&folder->lock);
  memcpy(record.boot, folder->boot, sizeof record.boot);
  record.synced = offset;
  record.is_done = is_done;
  record.expires_s = folder->disk->now_s() + folder->keep_s;
  vestry_err error = write_record(u, &record);
  vsi_mutex_lock(&folder->lock);
  u->record.expires_s = record.expires_s;
  u->record.is_done = is_done;
  vsi_mutex_unlock(&folder->lock);
  return error;
}

static void remove_files(vestry_upload_folder *folder, const char *id) {
  char name[VSI_STORED_ROOM];
  (void)folder->disk->remove(folder->fd, name_of(id, VSI_STORED_PART, name)); /* first: without a record it is swept */
  (void)folder->disk->remove(folder->fd, name_of(id, VSI_STORED_RESUME, name));
}

/* ------------------------------------------------------------------------------------------------------ one ------- */

static vsi_unfinished *make(vestry_upload_folder *folder, size_t metadata_len) {
  vsi_unfinished *u = vsi_calloc(folder->v->host, 1, sizeof *u + metadata_len + 1);
  if (!u) return NULL;
  u->folder = folder;
  VSI_REFS_INIT(&u->refs, 1);
  memcpy(u->record.mark, mark, sizeof mark);
  u->record.metadata_len = (uint32_t)metadata_len;
  return u;
}

void vsi_unfinished_unref(vsi_unfinished *u) {
  if (u && VSI_REFS_DROP(&u->refs)) vsi_free(u->folder->v->host, u);
}

/* Room in the map is made without the lock: nothing is called under it. */
static vestry_err enter_map(vsi_unfinished *u, uint32_t max_per_person_count) {
  vestry_upload_folder *folder = u->folder;
  vsi_map_room room = {NULL, 0};
  vsi_mutex_lock(&folder->lock);
  const unsigned bits = vsi_map_wanted(&folder->unfinished, folder->unfinished.count + 1);
  vsi_mutex_unlock(&folder->lock);
  vestry_err error = vsi_map_room_make(&room, folder->v->host, bits);
  uint32_t others = 0;
  vsi_mutex_lock(&folder->lock);
  vsi_map_room_take(&folder->unfinished, &room);
  if (folder->unfinished.buckets) error = VESTRY_OK;
  for (vsi_map_link *at = vsi_map_after(&folder->unfinished, NULL); at; at = vsi_map_after(&folder->unfinished, at)) {
    const vsi_unfinished *other = VSI_MAP_OWNER(at, vsi_unfinished, in);
    others += other->person == u->person && !other->record.is_done;
  }
  if (!error && u->person && others >= max_per_person_count) error = VESTRY_BUSY;
  if (!error && folder->unfinished.count >= VSI_UNFINISHED_MOST) error = VESTRY_LIMIT;
  if (!error) {
    vsi_map_add(&folder->unfinished, &u->in, hash_of(u->id));
    VSI_REFS_TAKE(&u->refs);
    if (!u->record.is_done) folder->stats.coming_count++;
  }
  vsi_mutex_unlock(&folder->lock);
  vsi_map_room_free(&room, folder->v->host);
  return error;
}

/* false: it was not there any more */
static bool leave_map(vsi_unfinished *u, const void *holder) {
  vestry_upload_folder *folder = u->folder;
  vsi_mutex_lock(&folder->lock);
  const bool leaves = !u->is_gone && (!u->is_busy || (holder && u->holder == holder));
  if (leaves) {
    vsi_map_remove(&folder->unfinished, &u->in);
    u->is_gone = true;
    u->holder = NULL;
  }
  vsi_mutex_unlock(&folder->lock);
  if (leaves) vsi_unfinished_unref(u);
  return leaves;
}

static vestry_err make_files(vsi_unfinished *u) {
  char name[VSI_STORED_ROOM];
  int fd = u->folder->disk->make(u->folder->fd, name_of(u->id, VSI_STORED_PART, name));
  if (fd < 0) return VESTRY_IO;
  close(fd);
  vestry_err error = vsi_unfinished_note(u, 0, false);
  const int why = errno;
  if (error) remove_files(u->folder, u->id);
  errno = why;
  return error;
}

vestry_err vsi_unfinished_create(vestry_upload_folder *folder, const vsi_unfinished_plan *plan,
                                 char secret[VSI_UNFINISHED_SECRET_LEN + 1], vsi_unfinished **ret) {
  const vestry_host *host = folder->v->host;
  const size_t metadata_len = plan->metadata ? strlen(plan->metadata) : 0;
  unsigned char bytes[VSI_UNFINISHED_SECRET_LEN / 2];
  errno = 0;
  if (host->random(host->ctx, bytes, sizeof bytes)) return VESTRY_IO;
  vsi_hex_write(secret, bytes, sizeof bytes);
  vsi_unfinished *u = make(folder, metadata_len);
  if (!u) return VESTRY_NO_MEMORY;
  id_of(secret, u->id);
  owner_of(secret, plan->scope, u->record.owner);
  if (metadata_len) memcpy(u->metadata, plan->metadata, metadata_len);
  u->record.length = plan->length;
  u->record.expires_s = INT64_MAX; /* it is not swept while it is made */
  u->person = plan->person;
  snprintf(u->record.name, sizeof u->record.name, "%s", plan->name);
  snprintf(u->record.type, sizeof u->record.type, "%s", plan->type);
  vestry_err error = enter_map(u, plan->max_per_person_count);
  if (!error && (error = make_files(u))) {
    const int why = errno;
    if (leave_map(u, NULL)) vsi_upload_folder_over(folder, false, 0);
    errno = why;
  }
  if (error)
    vsi_unfinished_unref(u);
  else
    *ret = u;
  return error;
}

vsi_unfinished *vsi_unfinished_find(vestry_upload_folder *folder, const char *secret, vestry_scope scope) {
  unsigned char owner[VSI_UNFINISHED_OWNER_BYTES];
  char id[VSI_STORED_LEN + 1];
  if (!secret || strlen(secret) != VSI_UNFINISHED_SECRET_LEN || !vsi_hex_is(secret, VSI_UNFINISHED_SECRET_LEN))
    return NULL;
  id_of(secret, id);
  owner_of(secret, scope, owner);
  vsi_mutex_lock(&folder->lock);
  vsi_unfinished *u = find_locked(folder, id);
  if (u && memcmp(u->record.owner, owner, sizeof owner) != 0) u = NULL;
  if (u && !u->holder && u->record.expires_s <= folder->disk->now_s()) u = NULL; /* it is to be swept */
  if (u) VSI_REFS_TAKE(&u->refs);
  vsi_mutex_unlock(&folder->lock);
  return u;
}

static uint64_t offset_locked(const vsi_unfinished *u) {
  return u->offset == u->record.length && u->offset && !u->record.is_done ? u->offset - 1 : u->offset;
}

uint64_t vsi_unfinished_offset(vsi_unfinished *u, int64_t *ret_expires_s) {
  vsi_mutex_lock(&u->folder->lock);
  const uint64_t offset = offset_locked(u);
  *ret_expires_s = u->record.expires_s;
  vsi_mutex_unlock(&u->folder->lock);
  return offset;
}

bool vsi_unfinished_is_done(vsi_unfinished *u) {
  vsi_mutex_lock(&u->folder->lock);
  const bool is_done = u->record.is_done;
  vsi_mutex_unlock(&u->folder->lock);
  return is_done;
}

vestry_err vsi_unfinished_hold(vsi_unfinished *u, const void *holder, uint64_t offset) {
  vestry_err error = VESTRY_OK;
  vsi_mutex_lock(&u->folder->lock);
  if (u->is_gone)
    error = VESTRY_NOT_FOUND;
  else if (u->is_busy)
    error = VESTRY_BUSY;
  else if (offset != offset_locked(u))
    error = VESTRY_EXISTS;
  if (!error) {
    u->folder->stats.used_bytes -= u->offset - offset; /* the last byte of one that had all */
    u->offset = offset;
    u->holder = holder;
    u->is_busy = true;
  }
  vsi_mutex_unlock(&u->folder->lock);
  return error;
}

bool vsi_unfinished_enter(vsi_unfinished *u, const void *holder) {
  vsi_mutex_lock(&u->folder->lock);
  const bool is_holder = !u->is_gone && u->holder == holder;
  if (is_holder) u->is_busy = true;
  vsi_mutex_unlock(&u->folder->lock);
  return is_holder;
}

void vsi_unfinished_leave(vsi_unfinished *u, uint64_t offset, bool lets_go) {
  vsi_mutex_lock(&u->folder->lock);
  u->offset = offset;
  u->is_busy = false;
  if (lets_go) u->holder = NULL;
  vsi_mutex_unlock(&u->folder->lock);
}

bool vsi_unfinished_remove(vsi_unfinished *u, const void *holder, vestry_err why) {
  vestry_upload_folder *folder = u->folder;
  if (!leave_map(u, holder)) return false;
  remove_files(folder, u->id);
  if (holder || u->record.is_done) return true; /* the holder gives the room back, or it is the kept file's */
  vsi_upload_folder_over(folder, false, u->offset);
  if (!folder->dropped) return true;
  char path[VSI_STORED_ROOM]; /* nothing is there */
  const vestry_kept_file told = {.size = sizeof told,
                                 .stored = u->id,
                                 .path = name_of(u->id, VSI_STORED_PART, path),
                                 .field = "",
                                 .name = u->record.name,
                                 .type = u->record.type,
                                 .bytes = u->offset};
  folder->dropped(folder->app, &told, why);
  return true;
}

/* ------------------------------------------------------------------------------------------------------ all ------- */

static bool is_text(const char *text, size_t room) {
  return memchr(text, '\0', room) != NULL;
}

static bool is_whole(const vsi_unfinished_record *r) {
  return memcmp(r->mark, mark, sizeof mark) == 0 && r->metadata_len <= VSI_TUS_METADATA_BYTES &&
         r->length < UINT64_C(1) << 62 && is_text(r->boot, sizeof r->boot) && is_text(r->name, sizeof r->name) &&
         is_text(r->type, sizeof r->type);
}

/* *ret NULL: there is no whole record. OK | NO_MEMORY */
static vestry_err read_record(vestry_upload_folder *folder, const char *record_name, vsi_unfinished **ret) {
  vsi_unfinished_record record;
  *ret = NULL;
  int fd = folder->disk->open(folder->fd, record_name);
  if (fd < 0) return VESTRY_OK;
  bool is_read = pread(fd, &record, sizeof record, 0) == (ssize_t)sizeof record && is_whole(&record);
  vsi_unfinished *u = is_read ? make(folder, record.metadata_len) : NULL;
  if (u) {
    memcpy(u->id, record_name, VSI_STORED_LEN);
    u->record = record;
    is_read = pread(fd, u->metadata, record.metadata_len, sizeof record) == (ssize_t)record.metadata_len;
  }
  close(fd);
  if (u && is_read && strlen(u->metadata) == record.metadata_len) {
    *ret = u;
    return VESTRY_OK;
  }
  const bool no_memory = is_read && !u;
  vsi_unfinished_unref(u);
  return no_memory ? VESTRY_NO_MEMORY : VESTRY_OK;
}

/* What it has, of what the file has. false: there is no file. */
static bool find_part(vsi_unfinished *u) {
  vestry_upload_folder *folder = u->folder;
  char part[VSI_STORED_ROOM];
  struct stat about;
  name_of(u->id, VSI_STORED_PART, part);
  if (fstatat(folder->fd, part, &about, AT_SYMLINK_NOFOLLOW) && renameat(folder->fd, u->id, folder->fd, part))
    return false;
  if (fstatat(folder->fd, part, &about, AT_SYMLINK_NOFOLLOW) || !S_ISREG(about.st_mode)) return false;
  const bool is_same_boot = *folder->boot && strcmp(folder->boot, u->record.boot) == 0;
  u->offset = (uint64_t)about.st_size;
  if (!is_same_boot && u->offset > u->record.synced) u->offset = u->record.synced;
  if (u->offset > u->record.length) u->offset = u->record.length;
  if ((uint64_t)about.st_size == u->offset) return true;
  int fd = folder->disk->open(folder->fd, part);
  const bool is_cut = fd >= 0 && !folder->disk->truncate(fd, (off_t)u->offset);
  if (fd >= 0) close(fd);
  return is_cut;
}

vestry_err vsi_unfinished_load(vestry_upload_folder *folder, const char *record_name) {
  vsi_unfinished *u;
  vestry_err error = read_record(folder, record_name, &u);
  if (error) return error;
  if (!u || (!u->record.is_done && !find_part(u))) {
    vsi_unfinished_unref(u);
    return folder->disk->remove(folder->fd, record_name) && errno != ENOENT ? VESTRY_IO : VESTRY_OK;
  }
  if (u->record.is_done)
    u->offset = u->record.length;
  else
    folder->stats.used_bytes += u->offset;
  error = enter_map(u, 0);
  vsi_unfinished_unref(u);
  return error;
}

bool vsi_unfinished_has(vestry_upload_folder *folder, const char *name) {
  vsi_mutex_lock(&folder->lock);
  const bool has = find_locked(folder, name) != NULL;
  vsi_mutex_unlock(&folder->lock);
  return has;
}

void vsi_unfinished_sweep(vestry_upload_folder *folder) {
  vsi_unfinished *swept[SWEPT_AT_ONCE];
  size_t count;
  const int64_t now_s = folder->disk->now_s();
  do {
    count = 0;
    vsi_mutex_lock(&folder->lock);
    for (vsi_map_link *at = vsi_map_after(&folder->unfinished, NULL); at && count < SWEPT_AT_ONCE;
         at = vsi_map_after(&folder->unfinished, at)) {
      vsi_unfinished *u = VSI_MAP_OWNER(at, vsi_unfinished, in);
      if (u->holder || u->is_busy || u->record.expires_s > now_s) continue;
      VSI_REFS_TAKE(&u->refs);
      swept[count++] = u;
    }
    vsi_mutex_unlock(&folder->lock);
    for (size_t i = 0; i < count; i++) {
      (void)vsi_unfinished_remove(swept[i], NULL, VESTRY_TIMEOUT);
      vsi_unfinished_unref(swept[i]);
    }
  } while (count == SWEPT_AT_ONCE);
}

void vsi_unfinished_forget(vestry_upload_folder *folder) {
  for (vsi_map_link *next, *at = vsi_map_after(&folder->unfinished, NULL); at; at = next) {
    next = vsi_map_after(&folder->unfinished, at);
    vsi_unfinished_unref(VSI_MAP_OWNER(at, vsi_unfinished, in));
  }
  vsi_map_finish(&folder->unfinished, folder->v->host);
}
