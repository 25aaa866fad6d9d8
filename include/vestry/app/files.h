/* SPDX-License-Identifier: MIT */
/** Static files: serve the files of a folder, or bytes in the program.
 *
 *      vestry_files *files;
 *      vestry_files_create(&(vestry_files_options){.folder = "static", .max_age_s = 3600}, &files);
 *      vestry_route(v, "GET", "/static/{path...}", vestry_files_handler, files);
 *
 *  The extension determines the Content-Type. The ETag of a file in a folder is a hash of its device, inode, length and
 *  times; that of an embedded file is a hash of its bytes. Responses support conditions (304 for an unchanged file; 412
 *  for a changed one, by If-Match or If-Unmodified-Since) and one range of bytes. If a compressed `name.br` or
 *  `name.gz` exists beside `name` and is not older, clients that accept this encoding receive it. Requests cannot leave
 *  the folder: a symbolic link, a path segment that begins with a dot, or a file that is not regular gets 404.
 *  docs/guide/uploads.md#static-files has the rules. */
#ifndef VESTRY_FILES_H
#define VESTRY_FILES_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A set of files to serve; any number of threads may use it at once. The ETag of a file in a folder differs between
 *  machines, and a file that changed in the last 100 ms has another one in each response. A response reads the bytes
 *  that it sends in pieces, and holds a descriptor and at most one piece. Exception: while responses hold an eighth of
 *  the descriptors that the process may have (RLIMIT_NOFILE, at the creation), a response holds all its bytes. To
 *  replace a file, write a new one and rename it. If a file is overwritten while it is sent, the client receives a
 *  mixture of old and new bytes; if it becomes shorter, the connection breaks. Serve many large files by a proxy. */
typedef struct vestry_files vestry_files;

/** A file in the program's memory: a row of vestry_files_options.embedded. Borrowed until vestry_files_destroy. */
typedef struct vestry_file {
  const char *path;         /**< without a leading '/': "css/site.css" */
  const void *bytes;        /**< NULL: empty */
  size_t len;               /**< number of bytes */
  const char *content_type; /**< NULL: determined by the extension of path */
  const void *br, *gzip;    /**< the encoded file; NULL: none */
  size_t br_len, gzip_len;  /**< their lengths in bytes */
} vestry_file;

/** Options of files. Zero is the default. */
typedef struct vestry_files_options {
  const vestry_host *host;     /**< borrowed, must outlive the files; NULL: the default */
  const char *folder;          /**< path of the folder; the path may contain symbolic links. If the path leads to
                                    another folder later, the files of that one are served after at most a second. Set
                                    either this or embedded */
  const vestry_file *embedded; /**< table of files; borrowed. Set either this or folder */
  size_t embedded_count;       /**< number of rows of embedded */
  uint64_t max_age_s;          /**< time during which caches need not revalidate; 0: they revalidate each time
                                    (no-cache) */
  size_t max_file_bytes;       /**< maximum size of a file in the folder; 0: 16 MiB. A request for a larger file gets
                                    500 and a line in the log */
} vestry_files_options;

/** Create a set of files from a folder or a table.
 *  ret_files  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a folder and a table, or neither; a row without a path, with bytes NULL but not len 0, or
 *           with a type that is not a valid header value) | NOT_FOUND (no such folder; the log gives the reason) |
 *           LIMIT (no descriptor is free) | IO | NO_MEMORY
 *  Threads  any; blocks on the file system */
VESTRY_API vestry_err vestry_files_create(const vestry_files_options *options, vestry_files **ret_files);
/** Destroy a set of files, after the last request that uses it (after vestry_destroy). The files on the disk stay. NULL
 *  is accepted. Threads any. */
VESTRY_API void vestry_files_destroy(vestry_files *files);

/** Answer with a file: set status, headers and body, depending on the request's headers. A Cache-Control that the reply
 *  already has is not changed. Conditions and ranges are ignored, and the body is the whole file, if the reply has a
 *  status other than 200 (an error page) or the method is neither GET nor HEAD.
 *  path  path below the folder, or in the table; may come from a client unchecked
 *  Returns  OK | NOT_FOUND (no such file; a path that leaves the folder; NULL) | TOO_LARGE (max_file_bytes; answered
 *           500) | IO | LIMIT (no descriptor is free; or as for vestry_reply_body) | NO_MEMORY. NOT_FOUND leaves the
 *           reply unchanged; after any other error the reply may have some of the headers
 *  Threads  the handler's; blocks on the file system */
VESTRY_API vestry_err vestry_reply_file(const vestry_request *req, vestry_reply *reply, vestry_files *files,
                                        const char *path);

/** Answer with the file that the route's parameter "path" names: a vestry_handler_fn whose app is the vestry_files. */
VESTRY_API vestry_err vestry_files_handler(const vestry_request *req, vestry_reply *reply, void *app);

#ifdef __cplusplus
}
#endif
#endif
