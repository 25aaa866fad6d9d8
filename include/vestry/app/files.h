/* SPDX-License-Identifier: MIT */
/** Static files: a folder, or bytes in the program.
 *
 *      vestry_files *files;
 *      vestry_files_create(&(vestry_files_options){.folder = "static", .max_age_s = 3600}, &files);
 *      vestry_route(v, "GET", "/static/{path...}", vestry_files_handler, files);
 *
 *  Answers have the type that the name's ending says, an ETag, and what caches and players ask for: 304 for what has
 *  not changed, 412 for what is another by now (If-Match, If-Unmodified-Since), one range of bytes. A file that has
 *  `name.br` or `name.gz` beside it, no older than itself, is sent so encoded to clients that accept it.
 *
 *  There is no way out of the folder: no symbolic link is followed, no segment begins with a dot, and what is no
 *  regular file is not there. An ETag is a hash of the file. Files are read for that when they are first asked for, on
 *  the thread that serves, and then only as far as they are sent, piece by piece from their descriptors: an answer
 *  holds no more than a piece, and HEAD, 304 and ranges read nothing else. (A thousand files are remembered, each until
 *  it changes; one that has changed in the last tenth of a second is hashed each time.)
 *
 *  Replace a file (write another, rename it) and the next request has the new one. One that is written over while it is
 *  being sent arrives mixed; one that becomes shorter breaks the connection off. Many large files belong to a proxy in
 *  front. */
#ifndef VESTRY_FILES_H
#define VESTRY_FILES_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Files that can be answered with. Any number of threads may use it at once. */
typedef struct vestry_files vestry_files;

/** A file in the program: a row of a table. All is borrowed for as long as the vestry_files live. */
typedef struct vestry_file {
  const char *path;         /**< without a '/' before it: "css/site.css" */
  const void *bytes;        /**< NULL: empty */
  size_t len;               /**< of the bytes */
  const char *content_type; /**< NULL: by its name */
  const void *br, *gzip;    /**< the same, encoded; NULL: not */
  size_t br_len, gzip_len;  /**< of these */
} vestry_file;

/** Where files are. Zero is the default. */
typedef struct vestry_files_options {
  size_t size;                 /**< sizeof(vestry_files_options), or 0 */
  const vestry_host *host;     /**< NULL: the default. Must outlive it */
  const char *folder;          /**< its path; it is opened once, and may be reached by links. Or NULL … */
  const vestry_file *embedded; /**< … and a table; borrowed */
  size_t embedded_count;       /**< rows of it */
  uint64_t max_age_s;          /**< for so long no cache asks again; 0: caches ask each time (no-cache) */
  size_t
      max_file_bytes; /**< of a file in the folder; 0: 16 MiB. Larger ones are answered 500, with a line in the log */
} vestry_files_options;

/** ret_files  untouched on failure
 *  Returns    OK | INVALID (a folder and a table, or neither; a row without path or bytes, or with a type that is no
 *             header's value) | NOT_FOUND (no such folder; the log says why) | LIMIT (no descriptor is free) | IO |
 *             NO_MEMORY
 *  Threads    any; blocks on the file system */
VESTRY_API vestry_err vestry_files_create(const vestry_files_options *options, vestry_files **ret_files);
/** Free it, when no request uses it any more (after vestry_unroute, or vestry_destroy). NULL is accepted. Any
 *  thread. */
VESTRY_API void vestry_files_destroy(vestry_files *files);

/** Answer with a file: status, headers and body, by what the request asks for. A Cache-Control that the reply has
 *  already stays. If it has a status already, other than 200 (an error page), or the method is neither GET nor
 *  HEAD, the file is the body, and no more is asked.
 *  path     below the folder, or of the table; may be what a client sent
 *  Returns  OK | NOT_FOUND (no such file; a path that leads elsewhere; NULL) | TOO_LARGE (answered 500) | IO | LIMIT
 *           (no descriptor is free; there is no room, as vestry_reply_body says) | NO_MEMORY; but for the last two the
 *           reply is then as it was
 *  Threads  the handler's; blocks on the file system */
VESTRY_API vestry_err vestry_reply_file(const vestry_request *req, vestry_reply *reply, vestry_files *files,
                                        const char *path);

/** A handler that answers with the file that the route's parameter "path" names. app: the vestry_files. */
VESTRY_API vestry_err vestry_files_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Room for what vestry_files_integrity writes. */
#define VESTRY_FILES_INTEGRITY_BYTES 72

/** What the attribute `integrity` of a script or link says of a file as it is now: "sha384-…".
 *  buffer   receives VESTRY_FILES_INTEGRITY_BYTES, terminated; untouched on failure
 *  Returns  OK | INVALID (capacity) | NOT_FOUND | TOO_LARGE | LIMIT | IO | NO_MEMORY
 *  Threads  any; blocks on the file system */
VESTRY_API vestry_err vestry_files_integrity(vestry_files *files, const char *path, char *buffer, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
