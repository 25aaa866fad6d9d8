/* SPDX-License-Identifier: MIT */
/* Uploads over a disk that fails at calls chosen by a seed, and restarts after it. A file that `done` accepted
 * stays; a file that it rejected is removed.
 *
 * UPLOAD_DISK_SEEDS=10000 build/bin/test_upload_disk runs more seeds; UPLOAD_DISK_SEED=N begins with seed N. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/upload/room.h"
#include "app/upload/tus.h"
#include "runtime/random.h"
#include "support/folder.h"
#include "upload/shelf.h"

enum { MOST = 64, SIZE = 6000, PATH = 128, KEEP_S = 3600 };

/* The state of a file. */
typedef enum fate { COMES, ACCEPTED, REFUSED, BROKEN } fate;

typedef struct file {
  char id[VSI_STORED_LEN + 1]; /* "": `done` was not called */
  int number;                  /* determines its bytes */
  size_t len;
  fate fate;
  char path[PATH];     /* of a resumable file */
  bool is_answered;    /* its client has received the last answer */
  int dones, together; /* calls of `done`; files in its request */
} file;

static struct {
  site on;
  char path[FOLDER_BYTES];
  vestry_upload_folder *folder;
  vestry_uploads *uploads;
  file files[MOST];
  size_t count;
  bool refuses;
  int number;   /* of the request's first file */
  bool has_two; /* two failures */
  int died_in;  /* number of the request at which the disk failed */
  uint64_t random;
  char what[128]; /* description of the run */
} s;

static uint64_t draw(uint64_t below) {
  s.random = s.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (s.random >> 33) % below;
}

/* ---- the disk ---------------------------------------------------------------------------------------------------- */

/* TWICE: a second call, soon after, fails too. DEAD: every later call fails, as if the process was killed. */
typedef enum failure { FULL, BROKEN_ONCE, SHORT, TWICE, DEAD, KINDS } failure;

static struct {
  int calls, fails_at, fails_again;
  failure kind;
  int64_t now_s;
  struct {
    ino_t inode;
    off_t synced, len;
  } known[256]; /* files that were written to */
  size_t count;
} disk;

static bool fails(void) {
  const int at = disk.calls++;
  const bool is_it = at == disk.fails_at || (disk.kind == DEAD && disk.fails_at >= 0 && at > disk.fails_at) ||
                     (disk.kind == TWICE && at == disk.fails_again);
  if (at == disk.fails_at) s.died_in = s.number;
  if (is_it) errno = disk.kind == FULL || disk.kind == SHORT ? ENOSPC : EIO;
  return is_it;
}

static size_t known_of(int fd) {
  struct stat about;
  size_t i = 0;
  assert_int_equal(fstat(fd, &about), 0);
  while (i < disk.count && disk.known[i].inode != about.st_ino) i++;
  if (i < disk.count) return i;
  assert_true(disk.count < sizeof disk.known / sizeof *disk.known);
  disk.known[disk.count].inode = about.st_ino;
  disk.known[disk.count].synced = disk.known[disk.count].len = 0;
  return disk.count++;
}

/* Bytes that were not synced are lost: other bytes replace them. */
static void lose(int fd, size_t i) {
  for (off_t at = disk.known[i].synced; at < disk.known[i].len; at++) (void)!pwrite(fd, "?", 1, at);
  disk.known[i].len = disk.known[i].synced;
}

static int make_file(int folder, const char *name) {
  const int fd = fails() ? -1 : vsi_disk_of_system.make(folder, name);
  if (fd < 0) return -1;
  const size_t i = known_of(fd); /* a new file may have the inode number of a removed one */
  disk.known[i].synced = disk.known[i].len = 0;
  return fd;
}
static int open_file(int folder, const char *name) {
  return fails() ? -1 : vsi_disk_of_system.open(folder, name);
}
static ssize_t write_file(int fd, const void *bytes, size_t len, off_t at) {
  const bool is_short = fails();
  if (is_short && (disk.kind != SHORT || len < 2)) return -1;
  const ssize_t written = vsi_disk_of_system.write(fd, bytes, is_short ? len / 2 : len, at);
  const size_t i = known_of(fd);
  if (is_short) disk.fails_at = disk.calls; /* the next call fails, because the disk is full */
  if (at < disk.known[i].synced) disk.known[i].synced = at;
  if (at + written > disk.known[i].len) disk.known[i].len = at + written;
  return written;
}
static int cut_file(int fd, off_t len) {
  if (fails()) return -1;
  const size_t i = known_of(fd);
  if (disk.known[i].synced > len) disk.known[i].synced = len;
  if (disk.known[i].len > len) disk.known[i].len = len;
  return vsi_disk_of_system.truncate(fd, len);
}
/* A failed sync loses the unwritten bytes, and the next sync succeeds without reporting that. */
static int sync_file(int fd) {
  struct stat about;
  assert_int_equal(fstat(fd, &about), 0);
  const bool is_failing = fails();
  const int why = errno;
  if (S_ISREG(about.st_mode) && !(is_failing && disk.kind == DEAD)) {
    const size_t i = known_of(fd);
    if (is_failing) lose(fd, i);
    disk.known[i].synced = disk.known[i].len = about.st_size;
  }
  errno = why;
  return is_failing ? -1 : 0;
}
static int rename_file(int folder, const char *from, const char *to) {
  return fails() ? -1 : vsi_disk_of_system.rename(folder, from, to);
}
static int remove_file(int folder, const char *name) {
  return fails() ? -1 : vsi_disk_of_system.remove(folder, name);
}
static int64_t scripted_now_s(void) {
  return disk.now_s;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static const char *text_of(int number) {
  static char text[SIZE];
  for (size_t i = 0; i < SIZE; i++) text[i] = (char)('a' + (number * 7 + (int)i * 31 + (int)(i / 251)) % 26);
  return text;
}

static file *begin_file(size_t len) {
  assert_true(s.count < MOST);
  file *one = &s.files[s.count];
  *one = (file){.number = (int)s.count++, .len = len, .together = 1};
  return one;
}

static vestry_err done(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_kept_file kept = {0};
  for (size_t i = 0; !vestry_uploads_kept(req, i, &kept); i++) {
    file *one = &s.files[s.number + (int)i];
    snprintf(one->id, sizeof one->id, "%s", kept.stored);
    assert_int_equal(kept.bytes, one->len);
    one->fate = s.refuses ? REFUSED : ACCEPTED;
    one->dones++;
  }
  return s.refuses ? VESTRY_EXISTS : VESTRY_OK;
}

static void open_folder(void) {
  static vsi_disk scripted;
  const vestry_upload_folder_options options = {.path = s.path, .unfinished_ms = KEEP_S * 1000};
  assert_int_equal(vestry_upload_folder_open(s.on.v, &options, &s.folder), VESTRY_OK);
  scripted = vsi_disk_of_system;
  scripted.make = make_file;
  scripted.open = open_file;
  scripted.write = write_file;
  scripted.truncate = cut_file;
  scripted.sync = sync_file;
  scripted.rename = rename_file;
  scripted.remove = remove_file;
  scripted.now_s = scripted_now_s;
  s.folder->disk = &scripted;
  const vestry_uploads_options uploads = {
      .pattern = "/files", .max_file_bytes = SIZE, .max_files_count = 3, .folder = s.folder, .done = done};
  assert_int_equal(vestry_uploads_create(s.on.v, &uploads, &s.uploads), VESTRY_OK);
}

static void close_folder(void) {
  vestry_uploads_destroy(s.uploads);
  vestry_upload_folder_close(s.folder);
}

/* Restart the process; is_boot: restart the machine, which loses bytes that were not synced. */
static void restart(bool is_boot) {
  close_folder();
  DIR *list = opendir(s.path);
  assert_non_null(list);
  for (const struct dirent *at; is_boot && (at = readdir(list));) {
    if (at->d_name[0] == '.') continue;
    int fd = openat(dirfd(list), at->d_name, O_RDWR);
    assert_true(fd >= 0);
    lose(fd, known_of(fd));
    if (strstr(at->d_name, VSI_STORED_RESUME)) assert_int_equal(pwrite(fd, "another", 7, 16), 7); /* the boot id */
    close(fd);
  }
  closedir(list);
  disk.fails_at = -1;
  disk.kind = FULL;
  open_folder();
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int ask(wire r, char location[PATH], size_t *ret_offset) {
  char offset[PATH] = "", place[PATH] = "";
  wire_request(&s.on, &r, NULL, NULL);
  const int status = r.status;
  (void)wire_value(&r, "Upload-Offset", offset, sizeof offset);
  if (wire_value(&r, "Location", place, sizeof place) && location) snprintf(location, PATH, "%s", place);
  if (ret_offset) *ret_offset = strtoul(offset, NULL, 10);
  wire_finish(&r);
  return status;
}

static void send_body(void) {
  file *one = begin_file(1 + draw(SIZE));
  s.number = one->number;
  const int status =
      ask((wire){.method = "POST", .path = "/files", .body = text_of(one->number), .body_len = one->len}, NULL, NULL);
  if (one->fate == COMES) one->fate = BROKEN;
  assert_true((one->fate == ACCEPTED) == (status == 204));
}

static void send_form(void) {
  static char body[4 * SIZE];
  size_t len = 0, count = 2 + draw(2);
  s.number = (int)s.count;
  for (size_t i = 0; i < count; i++) {
    file *one = begin_file(1 + draw(SIZE));
    one->together = (int)count;
    len += (size_t)sprintf(body + len, "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n");
    memcpy(body + len, text_of(one->number), one->len);
    len += one->len;
    len += (size_t)sprintf(body + len, "\r\n");
  }
  len += (size_t)sprintf(body + len, "--b--\r\n");
  const int status = ask((wire){.method = "POST",
                                .path = "/files",
                                .headers = {{"Content-Type", "multipart/form-data; boundary=b"}},
                                .body = body,
                                .body_len = len},
                         NULL, NULL);
  for (size_t i = s.count - count; i < s.count; i++) {
    if (s.files[i].fate == COMES) s.files[i].fate = BROKEN;
    assert_true((s.files[i].fate == ACCEPTED) == (status == 204));
  }
}

/* Resume the upload at the offset that its client receives, in at most `pieces` requests. */
static void resume(file *one, size_t pieces) {
  size_t offset;
  for (size_t i = 0; i < pieces && !one->is_answered; i++) {
    const int status =
        ask((wire){.method = "HEAD", .path = one->path, .headers = {{"Tus-Resumable", "1.0.0"}}}, NULL, &offset);
    if (status != 200) return;
    one->is_answered = offset == one->len;
    char number[32];
    snprintf(number, sizeof number, "%zu", offset);
    const size_t left = one->len - offset, len = left && draw(2) ? 1 + draw(left) : left;
    s.number = one->number;
    const int answer =
        ask((wire){.method = "PATCH",
                   .path = one->path,
                   .headers = {{"Tus-Resumable", "1.0.0"}, {"Upload-Offset", number}, {"Content-Type", VSI_TUS_TYPE}},
                   .body = text_of(one->number) + offset,
                   .body_len = len,
                   .read_error = VESTRY_OK},
            NULL, &offset);
    if (answer == 204 && offset == one->len) {
      assert_int_equal(one->fate, ACCEPTED);
      one->is_answered = true;
    }
    if (one->fate == REFUSED) return;
  }
}

static void begin_resumable(void) {
  char number[32];
  file *one = begin_file(1 + draw(SIZE));
  s.number = one->number;
  snprintf(number, sizeof number, "%zu", one->len);
  const int status = ask(
      (wire){.method = "POST", .path = "/files", .headers = {{"Tus-Resumable", "1.0.0"}, {"Upload-Length", number}}},
      one->path, NULL);
  if (status == 201)
    resume(one, 1 + draw(4));
  else
    one->fate = BROKEN;
}

static void act(uint64_t which, bool refuses) {
  s.refuses = refuses;
  switch (which) {
  case 0: send_body(); return;
  case 1: send_form(); return;
  case 2:
    for (size_t i = 0; i < s.count; i++)
      if (*s.files[i].path && s.files[i].fate == COMES) {
        resume(&s.files[i], 3);
        return;
      }
    /* fall through */
  default: begin_resumable(); return;
  }
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static bool has(const file *one) {
  char path[PATH], bytes[SIZE + 1];
  if (!*one->id) return false;
  snprintf(path, sizeof path, "%s/%s", s.path, one->id);
  FILE *in = fopen(path, "rb");
  if (!in) return false;
  assert_int_equal(fread(bytes, 1, sizeof bytes, in), one->len);
  fclose(in);
  assert_memory_equal(bytes, text_of(one->number), one->len);
  return true;
}

/* Count the kept files. */
static size_t check_kept(bool has_died) {
  size_t kept = 0;
  for (int i = 0; i < (int)s.count; i++) {
    const file *one = &s.files[i];
    const bool is_last = has_died && i >= s.died_in && i < s.died_in + s.files[s.died_in].together, is_there = has(one);
    kept += is_there;
    if (one->fate == ACCEPTED) assert_true(is_there);
    /* On a disk that fails twice, a refused file can be neither removed nor renamed, and a record can neither note the
     * call of `done` nor be deleted. */
    if (is_last || s.has_two) continue;
    assert_true(one->fate != REFUSED || !is_there);
    assert_true(one->dones <= 1);
  }
  return kept;
}

/* Files with a final name are the kept ones, and perhaps files for which `done` was not called: of a killed process's
 * request, or one whose name could not be taken back on a disk that fails twice. */
static void check_names(size_t kept, bool has_died) {
  const size_t there = shelf_check(s.path, s.folder).kept;
  const size_t unseen = has_died ? (size_t)s.files[s.died_in].together : s.has_two;
  assert_in_range(there, kept, kept + unseen);
}

/* Run some actions with a failure among them, restart the process or the machine, let clients resume, and let the
 * rest expire. */
static void run(uint64_t seed, failure kind, int fails_at, bool is_boot, int *ret_calls) {
  snprintf(s.what, sizeof s.what, "seed %llu, call %d fails, kind %d, %s", (unsigned long long)seed, fails_at,
           (int)kind, is_boot ? "boot" : "no boot");
  s.random = seed * UINT64_C(2654435761) + 1;
  s.count = 0;
  s.refuses = false;
  s.has_two = kind == TWICE;
  memset(&disk, 0, sizeof disk);
  disk.now_s = time(NULL); /* a folder is opened with the system's clock */
  disk.fails_at = fails_at;
  disk.fails_again = fails_at + 1 + (int)((seed + (uint64_t)fails_at) % 4);
  disk.kind = kind;
  folder_make(s.path, "disk");
  open_folder();
  act(seed % 4, seed / 4 % 2);
  for (size_t acts = draw(5); acts; acts--) act(draw(4), draw(4) == 0);
  *ret_calls = disk.calls;
  const bool has_died = kind == DEAD && disk.calls > fails_at;
  restart(is_boot);
  check_names(check_kept(has_died), has_died);
  for (size_t i = 0; i < s.count; i++) { /* `done` is called again for files in doubt, with the same result */
    file *one = &s.files[i];
    const fate before = one->fate;
    if (!*one->path || before == REFUSED || before == BROKEN || draw(3) == 0) continue;
    s.refuses = before != ACCEPTED && draw(4) == 0;
    one->is_answered = false;
    resume(one, 20);
    if (before == COMES && !has_died) assert_true(one->fate != COMES);
  }
  restart(is_boot && draw(2));
  site_pass_ms(&s.on, UINT64_C(2000) * KEEP_S);
  restart(false);
  check_names(check_kept(has_died), has_died);
  assert_int_equal(shelf_read(s.path).coming, 0);
  close_folder();
  folder_remove(s.path);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* Each call of the first seeds fails once, in each way. */
/* capability: L1 */
TEST_CASE(each_failing_disk_call_keeps_files_consistent) {
  size_t runs = 0;
  for (uint64_t seed = 0; seed < 8; seed++)
    for (int of = 0; of < KINDS; of++)
      for (int at = 0, calls = 1; at < calls; at++, runs++) run(seed, (failure)of, at, at % 2, &calls);
  print_message("%zu runs\n", runs);
}

/* capability: L1 */
TEST_CASE(random_disk_failures_keep_files_consistent) {
  const uint64_t first = random_setting("UPLOAD_DISK_SEED", 100), count = random_setting("UPLOAD_DISK_SEEDS", 150);
  for (uint64_t seed = first; seed < first + count; seed++) {
    int calls;
    run(seed, FULL, -1, false, &calls);
    run(seed, (failure)(seed % KINDS), (int)(seed * 7919 % (uint64_t)calls), seed / KINDS % 2, &calls);
  }
  print_message("%llu seeds from %llu\n", (unsigned long long)count, (unsigned long long)first);
}

static int begin(void **state) {
  site_begin(&s.on, (vestry_options){0});
  return 0;
}

static int end(void **state) {
  print_message("the last run: %s\n", s.what);
  site_end(&s.on);
  return 0;
}

int main(void) {
  return cases_run("upload/disk", begin, end);
}
