/* SPDX-License-Identifier: MIT */
/* Static files. A representation is a file's bytes in one content coding. Its ETag is a hash of the file's identity
 * (known.c), or of the bytes of an embedded file. Therefore the ETag is strong (RFC 9110, section 8.8.1), and differs
 * between codings (8.8.3.3), which are separate files. */
#include "vestry/app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/files/conditions.h"
#include "app/files/known.h"
#include "base/ascii.h"
#include "base/field.h"
#include "base/held_log.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/encoding.h"
#include "http/reply.h"

enum { MAX_FILE_BYTES = 16 * 1024 * 1024, NAME_BYTES = 4096 + 4, LEAST_OPEN = 64 };
#define CHECK_NS UINT64_C(1000000000) /* between two checks of whether the folder was replaced */
/* The content codings of a file, in the order of preference. */
enum { BR, GZIP, PLAIN, CODINGS };
static const char *const coding_names[] = {"br", "gzip"}, *const endings[] = {".br", ".gz", ""};

struct vestry_files {
  const vestry_host *host;
  vestry_files_options options;
  int folder;  /* -1: files are in the table `embedded` */
  char *place; /* the folder's absolute path, which a later chdir does not change */
  _Atomic(uint64_t) checked_ns;
  vsi_repeated_log changes; /* of the folder */
  size_t max_open;          /* descriptors of files that responses may hold */
  _Atomic(size_t) open;     /* how many they hold; relaxed: a mere count */
  char (*etags)[CODINGS][VSI_ETAG_BYTES];
};

typedef struct representation {
  const char *bytes; /* of an embedded file; NULL: read from the file */
  size_t len;
  char etag[VSI_ETAG_BYTES];
} representation;

/* A file that exists, before its coding and conditions are evaluated. */
typedef struct found {
  const vestry_file *row; /* NULL: a file of the folder */
  size_t index;
  int fd; /* -1: an embedded file */
  struct stat stat;
} found;

/* ------------------------------------------------------------------------------- create and destroy -------------- */

static void bytes_of(const vestry_file *row, int coding, const void **ret_bytes, size_t *ret_len) {
  *ret_bytes = coding == BR ? row->br : coding == GZIP ? row->gzip : row->bytes;
  *ret_len = coding == BR ? row->br_len : coding == GZIP ? row->gzip_len : row->len;
}

static vestry_err take_table(vestry_files *files) {
  size_t count = files->options.embedded_count;
  for (size_t i = 0; i < count; i++) {
    const vestry_file *row = &files->options.embedded[i];
    if (!row->path || (!row->bytes && row->len) || (row->content_type && !vsi_is_field_value(row->content_type)))
      return vsi_mistake(files->host, "vestry_files_create",
                         "a row of embedded has no path, has no bytes, or has an invalid content_type");
  }
  files->etags = vsi_calloc(files->host, count ? count : 1, sizeof *files->etags);
  if (!files->etags) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    for (int coding = 0; coding < CODINGS; coding++) {
      const void *bytes;
      size_t len;
      bytes_of(&files->options.embedded[i], coding, &bytes, &len);
      vsi_etag_write(bytes ? bytes : "", bytes ? len : 0, files->etags[i][coding]);
    }
  }
  return VESTRY_OK;
}

static vestry_err open_folder(vestry_files *files) {
  files->folder = open(files->options.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (files->folder >= 0) {
    files->place = vsi_folder_path(files->host, files->options.folder);
    return files->place ? VESTRY_OK : VESTRY_NO_MEMORY;
  }
  const vestry_err error = vsi_folder_error();
  vsi_log(files->host, VESTRY_LOG_ERROR, "files: cannot open the folder %s: %s", files->options.folder,
          strerror(errno));
  return error;
}

/* Return how many descriptors responses may hold, so that most of them stay free for connections. */
static size_t open_most(void) {
  const long most = sysconf(_SC_OPEN_MAX) / 8;
  return most > LEAST_OPEN ? (size_t)most : LEAST_OPEN;
}

vestry_err vestry_files_create(const vestry_files_options *options, vestry_files **ret_files) {
  vestry_files_options own = options ? *options : (vestry_files_options){0};
  const vestry_host *host = vsi_host(own.host);
  if (!ret_files) return vsi_mistake(host, "vestry_files_create", "ret_files is NULL");
  if (!own.folder == !own.embedded)
    return vsi_mistake(host, "vestry_files_create", "exactly one of folder and embedded must be set");
  vestry_files *files = vsi_calloc(host, 1, sizeof *files);
  if (!files) return VESTRY_NO_MEMORY;
  files->host = host;
  files->options = own;
  files->folder = -1;
  files->max_open = open_most();
  if (!own.max_file_bytes) files->options.max_file_bytes = MAX_FILE_BYTES;
  vestry_err error = own.folder ? open_folder(files) : take_table(files);
  files->options.folder = NULL; /* it is borrowed only during this call */
  if (error)
    vestry_files_destroy(files);
  else
    *ret_files = files;
  return error;
}

void vestry_files_destroy(vestry_files *files) {
  if (!files) return;
  if (files->folder >= 0) close(files->folder);
  vsi_free(files->host, files->etags);
  vsi_free(files->host, files->place);
  vsi_free(files->host, files);
}

/* ------------------------------------------------------------------------------------------- finding -------------- */

/* A deployment may replace the folder (mv, or another target of a symbolic link). Open the one at the path then. dup3
 * exchanges the folder under its descriptor at once, so other threads find a file in one of the two. */
static void follow_folder(vestry_files *files) {
  const uint64_t now_ns = files->host->now_ns(files->host->ctx);
  uint64_t checked_ns = atomic_load_explicit(&files->checked_ns, memory_order_relaxed); /* relaxed: only a time */
  if (now_ns - checked_ns < CHECK_NS) return;
  if (!atomic_compare_exchange_strong_explicit(&files->checked_ns, &checked_ns, now_ns, memory_order_relaxed,
                                               memory_order_relaxed) || /* another thread checks */
      vsi_folder_is_at(files->folder, files->place))
    return;
  const int fd = open(files->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_open = fd >= 0 && dup3(fd, files->folder, O_CLOEXEC) >= 0;
  vsi_log_repeated(files->host, &files->changes, 0, is_open ? VESTRY_LOG_INFO : VESTRY_LOG_WARN,
                   is_open ? "files: the folder %s was replaced; its new files are served%s%s"
                           : "files: the folder %s was moved or removed; its former files are served%s%s",
                   files->place, is_open ? "" : ": ", is_open ? "" : strerror(errno));
  if (fd >= 0) close(fd);
}

static vestry_err find(vestry_files *files, const char *path, found *ret_found) {
  *ret_found = (found){.fd = -1};
  if (files->folder >= 0) follow_folder(files);
  if (files->folder >= 0) return vsi_folder_open(files->folder, path, &ret_found->fd, &ret_found->stat);
  for (size_t i = 0; path && i < files->options.embedded_count; i++) {
    if (strcmp(files->options.embedded[i].path, path) != 0) continue;
    ret_found->row = &files->options.embedded[i];
    ret_found->index = i;
    return VESTRY_OK;
  }
  return VESTRY_NOT_FOUND;
}

static void lose(found *f) {
  if (f->fd >= 0) close(f->fd);
  f->fd = -1;
}

/* Find the encoded form of a file. NOT_FOUND: there is none, it is older than the plain file, or it is too large. */
static vestry_err find_encoded(const vestry_files *files, const char *path, int coding, const found *plain,
                               found *ret_found) {
  *ret_found = *plain;
  ret_found->fd = -1;
  if (plain->row) return (coding == BR ? plain->row->br : plain->row->gzip) ? VESTRY_OK : VESTRY_NOT_FOUND;
  char name[NAME_BYTES];
  snprintf(name, sizeof name, "%s%s", path, endings[coding]);
  vestry_err error = vsi_folder_open(files->folder, name, &ret_found->fd, &ret_found->stat);
  if (error) return error;
  const struct timespec *made = &ret_found->stat.st_mtim, *changed = &plain->stat.st_mtim;
  bool is_old = made->tv_sec < changed->tv_sec || (made->tv_sec == changed->tv_sec && made->tv_nsec < changed->tv_nsec);
  if (!is_old && (uint64_t)ret_found->stat.st_size <= files->options.max_file_bytes) return VESTRY_OK;
  lose(ret_found);
  return VESTRY_NOT_FOUND;
}

static vestry_err represent(const vestry_files *files, const found *f, int coding, representation *ret) {
  *ret = (representation){0};
  if (f->row) {
    const void *bytes;
    bytes_of(f->row, coding, &bytes, &ret->len);
    ret->bytes = bytes ? bytes : "";
    memcpy(ret->etag, files->etags[f->index][coding], sizeof ret->etag);
    return VESTRY_OK;
  }
  if ((uint64_t)f->stat.st_size > files->options.max_file_bytes) return VESTRY_TOO_LARGE;
  ret->len = (size_t)f->stat.st_size;
  vsi_known_etag(&f->stat, ret->etag);
  return VESTRY_OK;
}

/* Replace a file by the encoded form that the client prefers, if there is one. Returns the coding. */
static int choose(const vestry_files *files, const char *path, const char *accept, found *f) {
  found encoded[PLAIN];
  const char *offered[PLAIN];
  if (!accept) return PLAIN;
  for (int coding = 0; coding < PLAIN; coding++)
    offered[coding] = find_encoded(files, path, coding, f, &encoded[coding]) ? NULL : coding_names[coding];
  size_t chosen = PLAIN;
  /* If the client accepts no coding at all, send the plain file (RFC 9110, section 12.5.3 permits it). */
  if (vsi_accept_choose(accept, offered, PLAIN, &chosen)) chosen = PLAIN;
  for (size_t coding = 0; coding < PLAIN; coding++)
    if (coding != chosen) lose(&encoded[coding]);
  if (chosen == PLAIN) return PLAIN;
  lose(f);
  *f = encoded[chosen];
  return (int)chosen;
}

/* ----------------------------------------------------------------------------------------- answering -------------- */

/* Return whether the file fails If-Match. If-Unmodified-Since counts only without If-Match, and only if the date of the
 * file is known (RFC 9110, sections 13.1.4 and 13.2.2). */
static bool is_another(const vestry_request *req, const char *etag, const int64_t *modified_s) {
  const char *tags = vestry_request_header(req, "If-Match");
  const char *since = vestry_request_header(req, "If-Unmodified-Since");
  int64_t since_s;
  if (tags) return !vsi_etag_is_listed(tags, etag, false);
  return since && modified_s && vsi_http_date_read(since, &since_s) && *modified_s > since_s;
}

/* Return whether the client has this file, by If-None-Match. If-Modified-Since counts only without it (RFC 9110,
 * sections 13.1.3 and 13.2.2). */
static bool is_known(const vestry_request *req, const char *etag, const int64_t *modified_s) {
  const char *tags = vestry_request_header(req, "If-None-Match");
  const char *since = vestry_request_header(req, "If-Modified-Since");
  int64_t since_s;
  if (tags) return vsi_etag_is_listed(tags, etag, true);
  return since && modified_s && vsi_http_date_read(since, &since_s) && *modified_s <= since_s;
}

/* Return whether If-Range permits a partial response: it is absent or equals this ETag (section 13.1.5). A date there
 * never matches, because a client that has received an ETag must send the ETag. */
static bool may_be_part(const vestry_request *req, const char *etag) {
  const char *only_if = vestry_request_header(req, "If-Range");
  return !only_if || strcmp(only_if, etag) == 0;
}

/* Add the headers of a file. modified NULL: the date is not known. The only error is NO_MEMORY. */
static vestry_err add_headers(const vestry_files *files, vestry_reply *reply, const char *etag, const char *modified,
                              int coding) {
  char age[40] = "no-cache";
  if (files->options.max_age_s) snprintf(age, sizeof age, "max-age=%" PRIu64, files->options.max_age_s);
  const vestry_header headers[] = {
      {"X-Content-Type-Options", "nosniff"},
      {"ETag", etag},
      {"Vary", "Accept-Encoding"},
      {"Accept-Ranges", "bytes"},
      {vsi_reply_header_find(reply, "Cache-Control") ? NULL : "Cache-Control", age},
      {modified ? "Last-Modified" : NULL, modified},
      {coding == PLAIN ? NULL : "Content-Encoding", coding == PLAIN ? NULL : coding_names[coding]},
  };
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < sizeof headers / sizeof *headers; i++)
    if (headers[i].name) error = vestry_reply_header(reply, headers[i].name, headers[i].value);
  return error;
}

/* A file that a response reads while it is sent. */
typedef struct sent_file {
  vsi_open_file file; /* first */
  vestry_files *files;
} sent_file;

static void give_back(vsi_open_file *file) {
  sent_file *sent = (sent_file *)file;
  vestry_files *files = sent->files;
  close(file->fd);
  vsi_free(files->host, sent);
  atomic_fetch_sub_explicit(&files->open, 1, memory_order_relaxed);
}

/* Return a file to send, which owns the descriptor; NULL: responses hold too many, or no memory. */
static vsi_open_file *send_open(vestry_files *files, int fd) {
  sent_file *sent = NULL;
  if (atomic_fetch_add_explicit(&files->open, 1, memory_order_relaxed) < files->max_open)
    sent = vsi_alloc(files->host, sizeof *sent);
  if (sent)
    *sent = (sent_file){{fd, give_back}, files};
  else
    atomic_fetch_sub_explicit(&files->open, 1, memory_order_relaxed);
  return sent ? &sent->file : NULL;
}

/* Set the body. More than VESTRY_BODY_PIECE_BYTES of a file are read while they are sent. Fewer are read now, and so is
 * a file for which send_open returns NULL. */
static vestry_err give_body(vestry_reply *reply, vestry_files *files, const char *type, found *f,
                            const representation *r, size_t first, size_t len) {
  if (r->bytes) return vsi_reply_borrow_body(reply, type, r->bytes + first, len);
  vsi_open_file *file = len > VESTRY_BODY_PIECE_BYTES ? send_open(files, f->fd) : NULL, here = {.fd = f->fd};
  if (file) {
    f->fd = -1;
    vestry_err error = vsi_reply_take_file(reply, type, file, first, len);
    if (error) file->give_back(file);
    return error;
  }
  char *bytes;
  vestry_err error = vsi_reply_make_room(reply, len);
  if (!error) error = vsi_open_file_load(reply->host, &here, first, len, &bytes);
  return error ? error : vsi_reply_take_body(reply, type, bytes, len);
}

/* Return whether this document gets a nonce (vestry/app/csp.h). If so, its bytes are made for one client and differ
 * from the file, so ranges and encoded forms of the file do not apply. */
static bool gets_nonce(const vestry_reply *reply, const char *type) {
  return reply->document.apply && vsi_strncasecmp(type, "text/html", 9) == 0;
}

/* Answer with the file, or with 304, 412, a range (206) or 416. is_conditional: the conditions and Range count. */
static vestry_err answer(const vestry_request *req, vestry_reply *reply, vestry_files *files, found *f,
                         const char *type, int coding, bool is_conditional, const representation *r) {
  int64_t modified_s = f->row ? 0 : (int64_t)f->stat.st_mtim.tv_sec;
  char modified[VSI_HTTP_DATE_BYTES], range[3 * 20 + 16];
  bool is_dated = !f->row && vsi_http_date_write(modified_s, modified);
  if (is_conditional && is_another(req, r->etag, is_dated ? &modified_s : NULL)) return vestry_reply_status(reply, 412);
  vestry_err error = add_headers(files, reply, r->etag, is_dated ? modified : NULL, coding);
  if (error) return error;
  if (is_conditional && is_known(req, r->etag, is_dated ? &modified_s : NULL)) {
    reply->knows_len = true;
    reply->len = r->len;
    return vestry_reply_status(reply, 304);
  }
  size_t first = 0, last = 0;
  vsi_range part = VSI_RANGE_WHOLE;
  const bool has_parts = coding == PLAIN && !gets_nonce(reply, type);
  if (is_conditional && has_parts && strcmp(req->method, "GET") == 0 && may_be_part(req, r->etag)) /* 14.2: GET only */
    part = vsi_range_read(vestry_request_header(req, "Range"), r->len, &first, &last);
  if (part == VSI_RANGE_WHOLE) return give_body(reply, files, type, f, r, 0, r->len);
  if (part == VSI_RANGE_PART)
    snprintf(range, sizeof range, "bytes %zu-%zu/%zu", first, last, r->len);
  else
    snprintf(range, sizeof range, "bytes */%zu", r->len);
  error = vestry_reply_header(reply, "Content-Range", range);
  if (!error) error = vestry_reply_status(reply, part == VSI_RANGE_PART ? 206 : 416);
  if (error || part == VSI_RANGE_UNSATISFIABLE) return error;
  return give_body(reply, files, type, f, r, first, last - first + 1);
}

vestry_err vestry_reply_file(const vestry_request *req, vestry_reply *reply, vestry_files *files, const char *path) {
  /* Conditions count only if the response would otherwise be 200 (section 13.2.1), and only for GET and HEAD. */
  bool is_get = strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
  bool is_conditional = is_get && (!reply->status || reply->status == 200);
  found f;
  vestry_err error = find(files, path, &f);
  if (error) return error;
  const char *type = f.row && f.row->content_type ? f.row->content_type : vsi_content_type(path);
  /* Ranges refer to the plain bytes. */
  bool by_range = is_conditional && vestry_request_header(req, "Range");
  bool is_plain = by_range || gets_nonce(reply, type);
  const char *accept = is_plain ? NULL : vestry_request_header(req, "Accept-Encoding");
  int coding = choose(files, path, accept, &f);
  representation r;
  error = represent(files, &f, coding, &r);
  if (error == VESTRY_TOO_LARGE) vsi_reply_refuse(reply, error, "a file is larger than max_file_bytes");
  if (!error) error = answer(req, reply, files, &f, type, coding, is_conditional, &r);
  lose(&f);
  return vsi_reply_remember(reply, error);
}

vestry_err vestry_files_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_file(req, reply, app, vestry_request_value(req, VESTRY_IN_PATH, "path"));
}
