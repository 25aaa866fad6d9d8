/* SPDX-License-Identifier: MIT */
/* essay: an upload that outlives its process */
/* An upload that can be resumed consists of two files: ID.part, the bytes so far, and ID.resume, its record. The client
 * has a secret, and ID is a hash of it. So neither the list of files nor the name of a kept file suffices to continue
 * an upload.
 *
 * A new record is written beside the old one, synced, and renamed over it, so that there is always a complete record.
 * It is written when the upload is created, at the end of each of its requests, and when the upload is done. The record
 * does not cover bytes that arrived since. If the machine was not rebooted since the record was written, the kernel
 * has all bytes that the process wrote, however the process ended, and the length of the file counts. Otherwise only
 * the synced bytes in the record count, because the file may be longer than the bytes that have reached the disk.
 *
 * The state in the record and the name of the file determine how an upload continues:
 *
 *     state   name     the upload
 *     COMES   ID.part  is incomplete: the client continues at the safe bytes
 *     COMES   ID       is complete, and `done` may have accepted it: see below
 *     DONE    any      has ended: the client learns this until the record expires
 *
 * A file with its final name is complete and on the disk. If its record has the state COMES, a failure came between the
 * renaming and the record of the call of `done`. `done` may have accepted the file, so the file is not renamed,
 * truncated or removed. The client gets an offset of one byte less than the length. When it sends this byte, `done` is
 * called with the same name, perhaps again. If the client does not return, the record is removed when it expires, and
 * the file stays.
 * If the record cannot be written because the disk is full, it is removed, which needs no space. When `done` refuses a
 * file, the file is removed first, and then the record.
 *
 * After a failed sync, a later one may succeed although bytes are lost. Therefore the upload continues from the bytes
 * that were synced before the failure.
 *
 * An upload expires by the host's clock, which cannot be set, so that no step of the system's clock removes uploads.
 * The time in the record is of the system's clock, because it also counts the time in which no process runs.
 *
 * One request at a time holds the file. A later request takes it over, because the client knows before the server that
 * the earlier connection is broken. A request that has lost the upload detects this before it writes. */
#include "app/upload/unfinished.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/upload/stored.h"
#include "app/upload/tus.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/memory.h"
#include "instance/instance.h"

enum { DIGEST_BYTES = 32, SWEPT_AT_ONCE = 16, ENTER_TRIES = 8 };
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
  if (!vsi_disk_put(disk, folder->fd, vsi_stored_name(u->id, VSI_STORED_NEXT, next), record, sizeof *record,
                    u->metadata, record->metadata_len))
    return VESTRY_IO;
  if (disk->rename(folder->fd, next, vsi_stored_name(u->id, VSI_STORED_RESUME, name))) {
    const int why = errno;
    (void)disk->remove(folder->fd, next);
    errno = why;
    return VESTRY_IO;
  }
  return disk->sync(folder->fd) ? VESTRY_IO : VESTRY_OK;
}

static int64_t host_s(const vestry_upload_folder *folder) {
  return (int64_t)(vsi_now_ns(folder->v->host) / 1000000000);
}

vestry_err vsi_unfinished_note(vsi_unfinished *u, uint64_t offset, uint32_t state) {
  vestry_upload_folder *folder = u->folder;
  vsi_mutex_lock(&folder->lock);
  vsi_unfinished_record record = u->record;
  vsi_mutex_unlock(&folder->lock);
  memcpy(record.boot, folder->boot, sizeof record.boot);
  record.synced = offset;
  record.state = state;
  record.expires_s = folder->disk->now_s() + folder->keep_s;
  const int64_t expires_s = host_s(folder) + folder->keep_s;
  vestry_err error = write_record(u, &record);
  vsi_mutex_lock(&folder->lock);
  u->expires_s = expires_s;
  if (!error) u->record.synced = offset;
  vsi_mutex_unlock(&folder->lock);
  return error;
}

bool vsi_unfinished_drop_record(const vsi_unfinished *u) {
  return vsi_stored_erase(u->folder, u->id, VSI_STORED_RESUME);
}

/* ----------------------------------------------------------------------------------------------- one upload ------- */

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

static int64_t idle_since_s(const vsi_unfinished *u) {
  return u->expires_s - u->folder->keep_s;
}

/* Uploads of one kind, unfinished or done: their counts, and the removable upload that has been idle for the longest
 * time. */
typedef struct shares {
  uint32_t of_person, unknown, all; /* of this person; of unknown persons; of all */
  vsi_unfinished *oldest_of_person, *oldest_unknown, *oldest;
} shares;

static void take_oldest(vsi_unfinished **oldest, vsi_unfinished *u) {
  if (!*oldest || u->expires_s < (*oldest)->expires_s) *oldest = u;
}

/* idle_s: uploads that had a request after this time may not be removed */
static shares shares_locked(const vestry_upload_folder *folder, uint64_t person, bool are_done, int64_t idle_s) {
  shares found = {0};
  for (vsi_map_link *at = vsi_map_after(&folder->unfinished, NULL); at; at = vsi_map_after(&folder->unfinished, at)) {
    vsi_unfinished *u = VSI_MAP_OWNER(at, vsi_unfinished, in);
    if ((u->record.state == VSI_RECORD_DONE) != are_done) continue;
    const bool is_own = u->person == person && person != VSI_PERSON_EARLIER;
    found.all++;
    found.of_person += is_own;
    found.unknown += !u->person;
    if (u->holder || u->is_busy || idle_since_s(u) > idle_s) continue;
    if (is_own) take_oldest(&found.oldest_of_person, u);
    if (!u->person) take_oldest(&found.oldest_unknown, u);
    take_oldest(&found.oldest, u);
  }
  return found;
}

/* Decide whether there is room for one more. OK: *ret_goes is NULL, or a reference to an upload that must be removed
 * first | BUSY | LIMIT */
static vestry_err judge_locked(vsi_unfinished *u, const vsi_unfinished_plan *plan, int64_t now_s,
                               vsi_unfinished **ret_goes) {
  const shares found = shares_locked(u->folder, plan->person, false, now_s - VSI_UNFINISHED_IDLE_S);
  if (plan->person && found.of_person >= plan->max_per_person_count) {
    if (!found.oldest_of_person) return VESTRY_BUSY;
    *ret_goes = found.oldest_of_person;
  } else if (!plan->person && found.unknown >= u->folder->max_unfinished / 2) {
    *ret_goes = found.oldest_unknown;
  } else if (found.all >= u->folder->max_unfinished) {
    *ret_goes = found.oldest_unknown || !plan->person ? found.oldest_unknown : found.oldest;
  } else {
    return VESTRY_OK;
  }
  if (!*ret_goes) return VESTRY_LIMIT;
  VSI_REFS_TAKE(&(*ret_goes)->refs);
  return VESTRY_OK;
}

/* Add an upload to the map. Memory for the map is allocated without the lock. plan NULL: the upload was loaded.
 *  ret_goes  with plan: an upload that must be removed before another try; NULL: added */
static vestry_err enter_map(vsi_unfinished *u, const vsi_unfinished_plan *plan, vsi_unfinished **ret_goes) {
  vestry_upload_folder *folder = u->folder;
  vsi_map_room room = {NULL, 0};
  vsi_mutex_lock(&folder->lock);
  const unsigned bits = vsi_map_wanted(&folder->unfinished, folder->unfinished.count + 1);
  vsi_mutex_unlock(&folder->lock);
  vestry_err error = vsi_map_room_make(&room, folder->v->host, bits);
  const int64_t now_s = host_s(folder);
  vsi_mutex_lock(&folder->lock);
  vsi_map_room_take(&folder->unfinished, &room);
  if (folder->unfinished.buckets) error = VESTRY_OK;
  if (!error && plan) error = judge_locked(u, plan, now_s, ret_goes);
  if (!error && (!plan || !*ret_goes)) {
    vsi_map_add(&folder->unfinished, &u->in, hash_of(u->id));
    VSI_REFS_TAKE(&u->refs);
    folder->done_count += u->record.state == VSI_RECORD_DONE;
  }
  vsi_mutex_unlock(&folder->lock);
  vsi_map_room_free(&room, folder->v->host);
  return error;
}

/* Remove an upload from the map. false: it is busy with another holder, or was removed already */
static bool leave_map(vsi_unfinished *u, const void *holder) {
  vestry_upload_folder *folder = u->folder;
  vsi_mutex_lock(&folder->lock);
  const bool leaves = !u->is_gone && (!u->is_busy || (holder && u->holder == holder));
  if (leaves) {
    vsi_map_remove(&folder->unfinished, &u->in);
    folder->done_count -= u->record.state == VSI_RECORD_DONE;
    u->is_gone = true;
    u->holder = NULL;
  }
  vsi_mutex_unlock(&folder->lock);
  if (leaves) vsi_unfinished_unref(u);
  return leaves;
}

static vestry_err make_files(vsi_unfinished *u) {
  char name[VSI_STORED_ROOM];
  if (!vsi_upload_folder_is_there(u->folder)) return VESTRY_IO;
  int fd = u->folder->disk->make(u->folder->fd, vsi_stored_name(u->id, VSI_STORED_PART, name));
  if (fd < 0) return VESTRY_IO;
  close(fd);
  vestry_err error = vsi_unfinished_note(u, 0, VSI_RECORD_COMES);
  const int why = errno;
  if (error) {
    (void)u->folder->disk->remove(u->folder->fd, name); /* the file first, because a start removes a file without a
                                                           record */
    (void)vsi_unfinished_drop_record(u);
  }
  errno = why;
  return error;
}

/* Add an upload, and remove others as long as that makes room. */
static vestry_err enter(vsi_unfinished *u, const vsi_unfinished_plan *plan) {
  for (int tries = 0; tries < ENTER_TRIES; tries++) {
    vsi_unfinished *goes = NULL;
    vestry_err error = enter_map(u, plan, &goes);
    if (error || !goes) return error;
    (void)vsi_unfinished_remove(goes, VESTRY_LIMIT);
    vsi_unfinished_unref(goes);
  }
  return VESTRY_LIMIT;
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
  u->expires_s = INT64_MAX; /* so that it is not swept while it is created */
  u->person = plan->person;
  snprintf(u->record.name, sizeof u->record.name, "%s", plan->name);
  snprintf(u->record.type, sizeof u->record.type, "%s", plan->type);
  vestry_err error = enter(u, plan);
  if (!error && (error = make_files(u))) {
    const int why = errno;
    (void)leave_map(u, NULL);
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
  if (!secret || strlen(secret) < VSI_UNFINISHED_SECRET_LEN || !vsi_hex_is(secret, VSI_UNFINISHED_SECRET_LEN))
    return NULL;
  id_of(secret, id);
  owner_of(secret, scope, owner);
  const int64_t now_s = host_s(folder);
  vsi_mutex_lock(&folder->lock);
  vsi_unfinished *u = find_locked(folder, id);
  if (u && memcmp(u->record.owner, owner, sizeof owner) != 0) u = NULL;
  if (u && !u->holder && u->expires_s <= now_s) u = NULL; /* it is about to be swept */
  if (u) VSI_REFS_TAKE(&u->refs);
  vsi_mutex_unlock(&folder->lock);
  return u;
}

static uint64_t offset_locked(const vsi_unfinished *u) {
  return u->offset == u->record.length && u->offset && u->record.state != VSI_RECORD_DONE ? u->offset - 1 : u->offset;
}

uint64_t vsi_unfinished_offset(vsi_unfinished *u, int64_t *ret_expires_s) {
  vsi_mutex_lock(&u->folder->lock);
  const uint64_t offset = offset_locked(u);
  *ret_expires_s = u->expires_s - host_s(u->folder) + u->folder->disk->now_s();
  vsi_mutex_unlock(&u->folder->lock);
  return offset;
}

bool vsi_unfinished_is_done(vsi_unfinished *u) {
  vsi_mutex_lock(&u->folder->lock);
  const bool is_done = u->record.state == VSI_RECORD_DONE;
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
    if (!u->is_whole) { /* for a complete file: the last byte arrives again */
      u->folder->used_bytes -= u->offset - offset;
      u->offset = offset;
    }
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
  u->offset = u->is_whole ? u->record.length : offset;
  u->is_busy = false;
  if (lets_go) u->holder = NULL;
  vsi_mutex_unlock(&u->folder->lock);
}

/* Find a record to drop, if there are too many records of uploads that are done. A client may still query the result of
 * such an upload, so as many records are kept as there may be unfinished uploads. The oldest record goes: of the person
 * of the last upload, if the person is unknown or has a sixteenth of the records; otherwise of unknown persons;
 * otherwise of all. So a client that finishes many uploads does not make others send theirs again. Returns a reference,
 * or NULL. */
static vsi_unfinished *find_surplus(vestry_upload_folder *folder, const vsi_unfinished *last) {
  vsi_unfinished *goes = NULL;
  vsi_mutex_lock(&folder->lock);
  if (folder->done_count > folder->max_unfinished) {
    const shares found = shares_locked(folder, last->person, true, INT64_MAX);
    goes = found.oldest_unknown ? found.oldest_unknown : found.oldest;
    if (found.oldest_of_person && (!last->person || found.of_person > folder->max_unfinished / 16))
      goes = found.oldest_of_person;
  }
  if (goes) VSI_REFS_TAKE(&goes->refs);
  vsi_mutex_unlock(&folder->lock);
  return goes;
}

void vsi_unfinished_accept(vsi_unfinished *u) {
  vestry_upload_folder *folder = u->folder;
  if (vsi_unfinished_note(u, u->record.length, VSI_RECORD_DONE) && !vsi_unfinished_drop_record(u))
    vsi_log_repeated(
        folder->v->host, &folder->failures, vsi_log_reason("record"), VESTRY_LOG_ERROR,
        "upload to %s: %s is stored, but its record can be neither written nor removed: %s. After a restart the "
        "client may continue the upload, and done is called again",
        folder->path, u->id, strerror(errno));
  vsi_mutex_lock(&folder->lock);
  u->record.state = VSI_RECORD_DONE;
  folder->done_count++;
  vsi_mutex_unlock(&folder->lock);
  vsi_unfinished *surplus = find_surplus(folder, u);
  if (surplus) (void)vsi_unfinished_remove(surplus, VESTRY_LIMIT);
  vsi_unfinished_unref(surplus);
}

void vsi_unfinished_refuse(vsi_unfinished *u, const void *holder) {
  (void)leave_map(u, holder);
}

bool vsi_unfinished_remove(vsi_unfinished *u, vestry_err why) {
  vestry_upload_folder *folder = u->folder;
  char name[VSI_STORED_ROOM];
  if (!leave_map(u, NULL)) return false;
  const bool is_kept = u->record.state == VSI_RECORD_DONE || u->is_whole;
  if (!is_kept) /* on failure a start removes the file, because it has no record */
    (void)vsi_stored_erase(folder, u->id, VSI_STORED_PART);
  (void)vsi_unfinished_drop_record(u);
  if (is_kept) return true;
  vsi_upload_folder_give(folder, u->offset);
  if (!folder->dropped) return true;
  const vestry_kept_file kept = {.stored = u->id,
                                 .path = vsi_stored_name(u->id, VSI_STORED_PART, name), /* no file exists there */
                                 .field = "",
                                 .name = u->record.name,
                                 .type = u->record.type,
                                 .bytes = u->offset};
  folder->dropped(folder->app, &kept, why);
  return true;
}

/* ---------------------------------------------------------------------------------- all uploads of a folder ------- */

static bool is_text(const char *text, size_t room) {
  return memchr(text, '\0', room) != NULL;
}

static bool is_whole(const vsi_unfinished_record *r) {
  return memcmp(r->mark, mark, sizeof mark) == 0 && r->metadata_len <= VSI_TUS_METADATA_BYTES &&
         r->length < UINT64_C(1) << 62 && is_text(r->boot, sizeof r->boot) && is_text(r->name, sizeof r->name) &&
         is_text(r->type, sizeof r->type);
}

/* Return the time of expiry of an upload of an earlier process. It is at most keep_s away, because the system's clock
 * may have been set since. */
static int64_t resumed_s(const vestry_upload_folder *folder, int64_t record_s) {
  const int64_t now_s = folder->disk->now_s(), most_s = now_s + folder->keep_s;
  return host_s(folder) + (record_s <= now_s ? 0 : record_s < most_s ? record_s - now_s : folder->keep_s);
}

/* Read a record. *ret NULL: it is incomplete. OK | NO_MEMORY | IO */
static vestry_err read_record(vestry_upload_folder *folder, const char *record_name, vsi_unfinished **ret) {
  vsi_unfinished_record record;
  *ret = NULL;
  int fd = folder->disk->open(folder->fd, record_name);
  if (fd < 0) return errno == ELOOP ? VESTRY_OK : VESTRY_IO;
  ssize_t len = pread(fd, &record, sizeof record, 0), more = 0;
  bool is_read = len == (ssize_t)sizeof record && is_whole(&record);
  vsi_unfinished *u = is_read ? make(folder, record.metadata_len) : NULL;
  if (u) {
    memcpy(u->id, record_name, VSI_STORED_LEN);
    u->record = record;
    u->expires_s = resumed_s(folder, record.expires_s);
    u->person = VSI_PERSON_EARLIER;
    more = pread(fd, u->metadata, record.metadata_len, sizeof record);
  }
  close(fd);
  if (u && more == (ssize_t)record.metadata_len && strlen(u->metadata) == record.metadata_len) {
    *ret = u;
    return VESTRY_OK;
  }
  const bool no_memory = is_read && !u;
  vsi_unfinished_unref(u);
  if (len < 0 || more < 0) return VESTRY_IO; /* the record may be complete */
  return no_memory ? VESTRY_NO_MEMORY : VESTRY_OK;
}

/* Get the length of a file; -1: it does not exist. OK | IO */
static vestry_err find_length(const vestry_upload_folder *folder, const char *name, int64_t *ret_len) {
  struct stat about;
  *ret_len = -1;
  if (fstatat(folder->fd, name, &about, AT_SYMLINK_NOFOLLOW)) return errno == ENOENT ? VESTRY_OK : VESTRY_IO;
  if (S_ISREG(about.st_mode)) *ret_len = about.st_size;
  return VESTRY_OK;
}

/* Determine how many bytes of the file are safe, and truncate the file to them. On failure it is truncated when the
 * upload continues. */
static void take_part(vsi_unfinished *u, uint64_t len) {
  const vestry_upload_folder *folder = u->folder;
  const bool is_same_boot = *folder->boot && strcmp(folder->boot, u->record.boot) == 0;
  char part[VSI_STORED_ROOM];
  u->offset = len;
  if (!is_same_boot && u->offset > u->record.synced) u->offset = u->record.synced;
  if (u->offset > u->record.length) u->offset = u->record.length;
  if (len == u->offset) return;
  int fd = folder->disk->open(folder->fd, vsi_stored_name(u->id, VSI_STORED_PART, part));
  if (fd >= 0) (void)folder->disk->truncate(fd, (off_t)u->offset);
  if (fd >= 0) close(fd);
}

/* Find the file of an upload that is not done. *ret_is_there false: it has none. OK | IO */
static vestry_err find_file(vsi_unfinished *u, bool *ret_is_there) {
  const vestry_upload_folder *folder = u->folder;
  char part[VSI_STORED_ROOM];
  int64_t part_len, named_len;
  vestry_err error = find_length(folder, vsi_stored_name(u->id, VSI_STORED_PART, part), &part_len);
  if (!error) error = find_length(folder, u->id, &named_len);
  if (error) return error;
  *ret_is_there = part_len >= 0 || named_len >= 0;
  if (named_len < 0) {
    if (part_len >= 0) take_part(u, (uint64_t)part_len);
    return VESTRY_OK;
  }
  u->offset = u->record.length;
  u->is_whole = true;
  return VESTRY_OK;
}

vestry_err vsi_unfinished_load(vestry_upload_folder *folder, const char *record_name) {
  vsi_unfinished *u;
  bool is_there = false;
  vestry_err error = read_record(folder, record_name, &u);
  if (error) return error;
  if (u && u->record.state == VSI_RECORD_DONE) {
    u->offset = u->record.length;
    is_there = true;
  } else if (u) {
    error = find_file(u, &is_there);
    if (is_there && !u->is_whole) folder->used_bytes += u->offset;
  }
  if (!error && is_there) error = enter_map(u, NULL, NULL);
  vsi_unfinished_unref(u);
  if (error || is_there) return error;
  return folder->disk->remove(folder->fd, record_name) && errno != ENOENT ? VESTRY_IO : VESTRY_OK;
}

bool vsi_unfinished_has(vestry_upload_folder *folder, const char *name) {
  vsi_mutex_lock(&folder->lock);
  const vsi_unfinished *u = find_locked(folder, name);
  const bool has = u && u->record.state != VSI_RECORD_DONE && !u->is_whole;
  vsi_mutex_unlock(&folder->lock);
  return has;
}

void vsi_unfinished_lost(vestry_upload_folder *folder, const char *name) {
  vsi_mutex_lock(&folder->lock);
  vsi_unfinished *u = find_locked(folder, name);
  if (u && (u->is_busy || u->record.state == VSI_RECORD_DONE || !u->is_whole)) u = NULL;
  if (u) VSI_REFS_TAKE(&u->refs);
  vsi_mutex_unlock(&folder->lock);
  if (u) (void)vsi_unfinished_remove(u, VESTRY_CLOSED);
  vsi_unfinished_unref(u);
}

void vsi_unfinished_sweep(vestry_upload_folder *folder) {
  vsi_unfinished *swept[SWEPT_AT_ONCE];
  size_t count;
  const int64_t now_s = host_s(folder);
  do {
    count = 0;
    vsi_mutex_lock(&folder->lock);
    for (vsi_map_link *at = vsi_map_after(&folder->unfinished, NULL); at && count < SWEPT_AT_ONCE;
         at = vsi_map_after(&folder->unfinished, at)) {
      vsi_unfinished *u = VSI_MAP_OWNER(at, vsi_unfinished, in);
      if (u->holder || u->is_busy || u->expires_s > now_s) continue;
      VSI_REFS_TAKE(&u->refs);
      swept[count++] = u;
    }
    vsi_mutex_unlock(&folder->lock);
    for (size_t i = 0; i < count; i++) {
      (void)vsi_unfinished_remove(swept[i], VESTRY_TIMEOUT);
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
