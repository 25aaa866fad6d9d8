/* SPDX-License-Identifier: MIT */
/** Uploads: files that people send, of any size. A file goes to a writer of the application's piece by piece, as it
 *  comes; no more than VESTRY_RECEIVE_BYTES of it wait in memory, and a writer that is slow slows its client down.
 *
 *      static const vestry_upload_writer writer = {
 *          .begin = open_file, .write = write_piece, .end = keep_file, .abort = drop_file};
 *      vestry_uploads_create(v, &(vestry_uploads_options){.pattern = "/photos", .types = "image/png, image/jpeg",
 *                                                         .max_file_bytes = 20 << 20, .writer = &writer}, &uploads);
 *
 *  A POST to the pattern brings files: those of a form (multipart/form-data, as a browser sends it without a script),
 *  or one, as the body itself, whose name is in the header Upload-Name, percent-encoded. What can be refused by the
 *  head is refused before the body is read: a length beyond max_file_bytes 413, another type 415, more uploads at once
 *  than there may be 503, or of one person 429. The guards of the path look at a body that is a file before its first
 *  byte; at a form before its first file, with the fields that stand before it: so the fields `csrf` and `tabId` come
 *  first.
 *
 *  The files of one request are kept together or not at all: when the request is whole, each is ended, and then `done`
 *  answers. Whatever else happens, each file is aborted, once: the client goes away, or sends less than 32 KiB in the
 *  time that a server gives another request as a whole (request_timeout_ms of the adapters), or too much; the writer
 *  fails; a form is broken.
 *
 *  While a writer blocks, a server whose handlers share threads (libmicrohttpd) serves no other client on that thread;
 *  with civetweb each upload has a thread while it lasts. */
#ifndef VESTRY_UPLOAD_H
#define VESTRY_UPLOAD_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Uploads to one path. */
typedef struct vestry_uploads vestry_uploads;

/** A file that is about to come: what its client says, which may be a lie. Borrowed for the call. */
typedef struct vestry_incoming {
  size_t size;         /**< sizeof(vestry_incoming), or 0 */
  const char *field;   /**< of the form; "": the body is the file */
  const char *name;    /**< as its person's machine has it, without folders: UTF-8, no control characters, at most 255
                            bytes; "": none. To be shown, and never to be a path */
  const char *type;    /**< in lower case, without parameters; "application/octet-stream" if nothing is said */
  uint64_t most_bytes; /**< no more than so many will come. Of a body that is the file and that has a length, that */
} vestry_incoming;

/** Where files go. Calls of one file come one after the other, on threads of the server's, without a lock; what begin
 *  and write return is answered as what a guard returns (vestry_guard_fn). */
typedef struct vestry_upload_writer {
  size_t size; /**< sizeof(vestry_upload_writer), or 0 */
  /** A file comes. The place to look whether this person may send it: the guards have let the request pass.
   *  ret_file  on OK the writer's own, for the calls below
   *  Returns  OK | any error: it is answered, and so all files of the request are refused. LIMIT: 503 */
  vestry_err (*begin)(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                      void **ret_file);
  /** Some of it, in order. OK | any error: all files of the request are aborted. */
  vestry_err (*write)(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes, size_t len);
  /** All of it has been written, and the request is whole: keep it. The last call. OK | any error: those of the
   *  request's files that are not ended yet are aborted. */
  vestry_err (*end)(void *file, const vestry_request *req, vestry_reply *reply);
  /** It will not be whole: drop it. The last call.
   *  why  IO: the client has gone, or the server stops | TIMEOUT: it was too slow | TOO_LARGE | MALFORMED: the form |
   *       any other: what the writer or a guard returned */
  void (*abort)(void *file, vestry_err why);
} vestry_upload_writer;

/** Files of one form at most, whatever is said. */
#define VESTRY_UPLOAD_FILES_MAX 16

/** What may be sent. Zero is the default, but for pattern and writer. */
typedef struct vestry_uploads_options {
  size_t size;                        /**< sizeof(vestry_uploads_options), or 0 */
  const char *pattern;                /**< as vestry_route has it. Copied */
  const vestry_upload_writer *writer; /**< borrowed, until they are destroyed */
  void *app;                          /**< handed to begin and to done */
  vestry_handler_fn done;        /**< answers when all files of a request are kept; has the form's fields. NULL: 204 */
  const char *types;             /**< "image/png, image/jpeg": those that are taken; an asterisk for what
                                       is after the slash stands for all of that kind. NULL: all. Copied */
  uint64_t max_file_bytes;       /**< of each file; 0: 64 MiB */
  uint32_t max_files_count;      /**< of a form; 0: 1 */
  uint32_t max_count;            /**< uploads at once; 0: 1,000 */
  uint32_t max_per_person_count; /**< and of one scope, or, without a scope, of one address; 0: 16 */
} vestry_uploads_options;

/** Counters. begun = done + failed + open. */
typedef struct vestry_uploads_stats {
  size_t size;            /**< sizeof(vestry_uploads_stats), or 0 */
  uint64_t begun_count;   /**< requests that were let in */
  uint64_t done_count;    /**< all of their files were kept */
  uint64_t failed_count;  /**< none was, or not all */
  uint64_t refused_count; /**< requests that were not let in: too many at once */
  uint64_t written_bytes; /**< that writers have taken */
  uint32_t open_count;    /**< under way now */
} vestry_uploads_stats;

/** Take uploads: a route for POST, and the size of its bodies (vestry_body_limit).
 *  v            borrowed
 *  ret_uploads  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options: the host's log says which) | EXISTS (the route) | LIMIT, UNSUPPORTED (vestry_route)
 *           | NO_MEMORY | IO (no randomness)
 *  Threads  any */
VESTRY_API vestry_err vestry_uploads_create(vestry *v, const vestry_uploads_options *options,
                                            vestry_uploads **ret_uploads);
/** The route goes, and uploads that are under way are waited for: after the servers were stopped there are none. Before
 *  the instance is destroyed. NULL is accepted. Threads any, but none that handles a request; blocks */
VESTRY_API void vestry_uploads_destroy(vestry_uploads *uploads);

/** Counters, a snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_uploads_stats_get(vestry_uploads *uploads, vestry_uploads_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
