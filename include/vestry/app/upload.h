/* SPDX-License-Identifier: MIT */
/** Uploads: files that people send, of any size. A file goes to a folder, or to a writer of the application's, piece by
 *  piece, as it comes; no more than VESTRY_RECEIVE_BYTES of it wait in memory, and a disk or a writer that is slow
 *  slows its client down.
 *
 *      vestry_upload_folder_open(v, &(vestry_upload_folder_options){.path = "/var/lib/app/photos"}, &folder);
 *      vestry_uploads_create(v, &(vestry_uploads_options){.pattern = "/photos", .types = "image/png, image/jpeg",
 *                                                         .max_file_bytes = 20 << 20, .folder = folder,
 *                                                         .done = note_photos}, &uploads);
 *
 *      static vestry_err note_photos(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_kept_file file = {0};
 *        for (size_t i = 0; !vestry_uploads_kept(req, i, &file); i++) insert(app, file.stored, file.name, file.type);
 *        return vestry_reply_redirect(reply, 303, "/photos");
 *      }
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
 *  Uploads to a folder that break off are resumed, by tus 1.0.0 (https://tus.io/protocols/resumable-upload): a POST
 *  with Tus-Resumable makes one, whose address is below the pattern, at resume/SECRET, and PATCH, HEAD and DELETE there
 *  go on with it. The guards of the path look at each of these. It outlives its process. A folder has 10,000 unfinished
 *  ones at most, of clients that are not known half; beyond that one that had no request for a minute is dropped for
 *  LIMIT, the one that came least far.
 *
 *  A writer may block, as may the guards, allow and done of uploads. With civetweb each upload has a thread while it
 *  lasts. libmicrohttpd's threads are shared; so what blocks is called on up to eight threads of the server's adapter,
 *  and the uploads beyond wait for these (but in a daemon of the application's whose loop is the application's). */
#ifndef VESTRY_UPLOAD_H
#define VESTRY_UPLOAD_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Uploads to one path. */
typedef struct vestry_uploads vestry_uploads;
/** A folder that uploads go to. */
typedef struct vestry_upload_folder vestry_upload_folder;

/** A file that is about to come: what its client says, which may be a lie. Borrowed for the call. */
typedef struct vestry_incoming {
  size_t size;         /**< sizeof(vestry_incoming), or 0 */
  const char *field;   /**< of the form; "": the body is the file */
  const char *name;    /**< as its person's machine has it, without folders: UTF-8, no control characters, those of C1
                            and of the direction of text among them, no line separators; at most 255 bytes; "": none.
                            To be shown, and never to be a path */
  const char *type;    /**< in lower case, without parameters; "application/octet-stream" if nothing is said */
  uint64_t most_bytes; /**< no more than so many will come. Of a body that is the file and that has a length, that */
} vestry_incoming;

/** Where files go, if not to a folder. Calls of one file come one after the other, on threads of the server's, without
 *  a lock; what begin and write return is answered as what a guard returns (vestry_guard_fn). */
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
  const vestry_upload_writer *writer; /**< borrowed, until they are destroyed. NULL: there is a folder */
  void *app;                          /**< handed to begin, allow and done */
  vestry_handler_fn done;        /**< answers when all files of a request are kept; has the form's fields. NULL: 204 */
  const char *types;             /**< "image/png, image/jpeg": those that are taken; an asterisk for what
                                       is after the slash stands for all of that kind. NULL: all. Copied */
  uint64_t max_file_bytes;       /**< of each file; 0: 64 MiB */
  uint32_t max_files_count;      /**< of a form; 0: 1 */
  uint32_t max_count;            /**< uploads at once; 0: 1,000. Of clients that are not known half */
  uint32_t max_per_person_count; /**< at once, and unfinished ones, of one user or scope, or else of one address
                                      (vestry_options.is_behind_proxy); of a client that is not known none; 0: 16 */
  vestry_upload_folder *folder;  /**< instead of a writer; borrowed, until they are destroyed. `done` asks
                                      vestry_uploads_kept for what was kept; if it returns an error, nothing is */
  /** With a folder: whether this person may send this file. The guards have let the request pass. Called as a writer's
   *  begin, with what it returns. NULL: all may be sent. */
  vestry_err (*allow)(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file);
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

/** A file of a folder's. */
typedef struct vestry_kept_file {
  size_t size;        /**< sizeof(vestry_kept_file), or 0 */
  const char *stored; /**< its name in the folder */
  const char *path;   /**< the folder's, as it was given, and that name */
  const char *field;  /**< as vestry_incoming has it, like the next two */
  const char *name;
  const char *type;
  uint64_t bytes;
} vestry_kept_file;
/** What a folder is. Zero is the default, but for path. */
typedef struct vestry_upload_folder_options {
  size_t size;      /**< sizeof(vestry_upload_folder_options), or 0 */
  const char *path; /**< of a folder that is there, for files of uploads alone; with a symbolic link at its end, too */
  uint64_t max_bytes; /**< of all files in it together, also of those that are coming; 0: 10 GiB */
  /** A file that had begun to come was not kept, and nothing is left of it: once for each. Of one that can be resumed
   *  only then, and not when it breaks off.
   *  file  for the call; its path leads nowhere
   *  why   as a writer's abort; what `done` returned; TIMEOUT: it has expired; CLOSED: its client has deleted it
   *  On a thread of a server's or of the instance's, without a lock. NULL: nothing is told */
  void (*dropped)(void *app, const vestry_kept_file *file, vestry_err why);
  void *app;              /**< handed to dropped */
  uint64_t unfinished_ms; /**< an upload that was broken off can be resumed for so long after that; 0: a day */
} vestry_upload_folder_options;

/** Open a folder. A file in it is named by 32 digits (0 to 9, a to f) that vestry chooses, never by what a client says,
 *  and it is there under its name only when it is whole and on the disk: it comes into a temporary file beside it,
 *  which is synced and renamed, and then the folder is synced. What a crash left of files that were coming is removed
 *  here; files of one request stay together or go together. A file for which `done` was running, or about to, may have
 *  been accepted, and stays. Files of other names are left alone, and not counted. A folder is one process's at a time.
 *  v           borrowed
 *  ret_folder  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options) | NOT_FOUND (no folder) | BUSY (a process has it open) | IO | NO_MEMORY. The host's
 *           log says why
 *  Threads  any; reads the folder's list */
VESTRY_API vestry_err vestry_upload_folder_open(vestry *v, const vestry_upload_folder_options *options,
                                                vestry_upload_folder **ret_folder);
/** After the uploads to it were destroyed, and before the instance is. Its files stay. NULL is accepted. Threads any */
VESTRY_API void vestry_upload_folder_close(vestry_upload_folder *folder);

/** Remove a kept file; its bytes can be used by others. (What is removed otherwise counts until the folder is opened
 *  again.)
 *  stored   its name in the folder
 *  Returns  OK | NOT_FOUND | INVALID (no such name can be) | IO
 *  Threads  any; waits for the disk */
VESTRY_API vestry_err vestry_upload_folder_remove(vestry_upload_folder *folder, const char *stored);

/** What a folder has. */
typedef struct vestry_upload_folder_stats {
  size_t size;            /**< sizeof(vestry_upload_folder_stats), or 0 */
  uint64_t used_bytes;    /**< of all files in it, and promised to those that are coming */
  uint64_t kept_count;    /**< files that are whole */
  uint64_t coming_count;  /**< files that are not */
  uint64_t refused_count; /**< files for which there was no room, here or on the disk */
  uint64_t failed_count;  /**< files that the disk failed for another reason: the host's log has it */
} vestry_upload_folder_stats;
/** A snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_upload_folder_stats_get(vestry_upload_folder *folder, vestry_upload_folder_stats *ret_stats);

/** In `done`: the files of the request, from 0 on; they are on the disk. What is given is valid until `done` returns.
 *  OK | NOT_FOUND (there are no more; the uploads go to no folder) | INVALID. Threads that of the request */
VESTRY_API vestry_err vestry_uploads_kept(const vestry_request *req, size_t index, vestry_kept_file *ret_file);

#ifdef __cplusplus
}
#endif
#endif
