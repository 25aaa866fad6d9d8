/* SPDX-License-Identifier: MIT */
/** Static files: of a folder, or bytes in the program.
 *
 *      vestry_files *files;
 *      vestry_files_create(&(vestry_files_options){.folder = "static", .max_age_s = 3600}, &files);
 *      vestry_route(v, "GET", "/static/{path...}", vestry_files_handler, files);
 *
 *  Responses have the type of the name's extension, an ETag (a hash of the file), and support what caches and players
 *  request: 304 for an unchanged file, 412 for a changed one (If-Match, If-Unmodified-Since), one range of bytes. If
 *  `name.br` or `name.gz` exists beside a file, no older than it, clients that accept it get that. Requests cannot
 *  leave the folder: symbolic links, segments that begin with a dot, and files that are not regular are not found.
 *  docs/guide/files.md has the rules. */
#ifndef VESTRY_FILES_H
#define VESTRY_FILES_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Files for responses; any number of threads may use them at once. A file is read once, on the serving thread, for its
 *  ETag, and again only as far as it is sent, in pieces from its descriptor: a response holds at most one piece. The
 *  ETags of a thousand files are cached until the files change; a file that changed in the last 100 ms is hashed each
 *  time. To replace a file, write another and rename it. A file that is overwritten while it is sent arrives mixed; if
 *  it becomes shorter, the connection breaks. Serve many large files by a proxy. */
typedef struct vestry_files vestry_files;

/** A file in the program: a row of a table. Borrowed until vestry_files_destroy. */
typedef struct vestry_file {
  const char *path;         /**< without a '/' before it: "css/site.css" */
  const void *bytes;        /**< NULL: empty */
  size_t len;               /**< number of bytes */
  const char *content_type; /**< NULL: by its name */
  const void *br, *gzip;    /**< the encoded file; NULL: none */
  size_t br_len, gzip_len;  /**< their lengths */
} vestry_file;

/** Options of files. Zero is the default. */
typedef struct vestry_files_options {
  size_t size;                 /**< sizeof(vestry_files_options), or 0 */
  const vestry_host *host;     /**< borrowed, must outlive the files; NULL: the default */
  const char *folder;          /**< its path; opened once, and may contain symbolic links. NULL: embedded is set */
  const vestry_file *embedded; /**< a table of files; borrowed. NULL: folder is set */
  size_t embedded_count;       /**< number of its rows */
  uint64_t max_age_s;          /**< time for which caches need not revalidate; 0: caches revalidate each time
                                    (no-cache) */
  size_t max_file_bytes;       /**< maximum size of a file in the folder; 0: 16 MiB. A larger one gets 500 and a line in
                                    the log */
} vestry_files_options;

/** Create files.
 *  ret_files  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a folder and a table, or neither; a row without path or bytes, or with a type that is not a
 *           valid header value) | NOT_FOUND (no such folder; the log gives the reason) | LIMIT (no descriptor is free)
 *           | IO | NO_MEMORY
 *  Threads  any; blocks on the file system */
VESTRY_API vestry_err vestry_files_create(const vestry_files_options *options, vestry_files **ret_files);
/** Destroy files, after the last request that uses them (after vestry_unroute, or vestry_destroy). NULL is accepted.
 *  Threads any. */
VESTRY_API void vestry_files_destroy(vestry_files *files);

/** Answer with a file: set status, headers and body, depending on the request's headers. A Cache-Control in the reply
 *  stays. If the reply has a status other than 200 (an error page), or the method is neither GET nor HEAD, the whole
 *  file is the body.
 *  path  below the folder, or of the table; may be text of a client
 *  Returns  OK | NOT_FOUND (no such file; a path out of the folder; NULL) | TOO_LARGE (answered 500) | IO | LIMIT (no
 *           descriptor is free; no room, as for vestry_reply_body) | NO_MEMORY. The reply is unchanged after an error,
 *           except LIMIT and NO_MEMORY
 *  Threads  the handler's; blocks on the file system */
VESTRY_API vestry_err vestry_reply_file(const vestry_request *req, vestry_reply *reply, vestry_files *files,
                                        const char *path);

/** Answer with the file that the route's parameter "path" names: a vestry_handler_fn. app: the vestry_files. */
VESTRY_API vestry_err vestry_files_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Size of an integrity value. */
#define VESTRY_FILES_INTEGRITY_BYTES 72

/** Get the value of the attribute `integrity` of a script or link for a file as it is now: "sha384-…".
 *  buffer  receives VESTRY_FILES_INTEGRITY_BYTES, terminated; untouched on failure
 *  Returns  OK | INVALID (capacity) | NOT_FOUND | TOO_LARGE | LIMIT | IO | NO_MEMORY
 *  Threads  any; blocks on the file system */
VESTRY_API vestry_err vestry_files_integrity(vestry_files *files, const char *path, char *buffer, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
