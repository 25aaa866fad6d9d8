/* SPDX-License-Identifier: MIT */
/** Uploads: files of any size that clients send, to a folder or to a writer of the application.
 *
 *      vestry_upload_folder_open(v, &(vestry_upload_folder_options){.path = "/var/lib/app/photos"}, &folder);
 *      vestry_uploads_create(v, &(vestry_uploads_options){.pattern = "/photos", .types = "image/png, image/jpeg",
 *                            .max_file_bytes = 20 << 20, .folder = folder, .done = note_photos}, &uploads);
 *
 *      static vestry_err note_photos(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_kept_file file = {0};
 *        for (size_t i = 0; !vestry_uploads_kept(req, i, &file); i++) insert(app, file.stored, file.name, file.type);
 *        return vestry_reply_redirect(reply, 303, "/photos");
 *      }
 *
 *  At most VESTRY_RECEIVE_BYTES of a file wait in memory: a slow disk or writer slows its client down.
 *  docs/guide/uploads.md has the protocols and the answers. */
#ifndef VESTRY_UPLOAD_H
#define VESTRY_UPLOAD_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Uploads to one path. A POST brings the files of a form (multipart/form-data), or one file as the body, whose name is
 *  in the header Upload-Name, percent-encoded.
 *  - Refused before the body is read: a length beyond max_file_bytes with 413, another type 415, too many uploads 503,
 *    or 429 if they are of one user.
 *  - The guards of the path run before the first byte of a body that is a file; for a form they run before its first
 *    file, with the fields that precede it. Therefore, put the fields `csrf` and `tabId` first.
 *  - The files of one request are kept together or not at all. When the request is complete, each file is ended, and
 *    then `done` answers. Otherwise each file is aborted once: the client disconnects, sends less than 32 KiB in the
 *    adapter's request_timeout_ms, or sends too much; the writer fails; the form is malformed.
 *  - Uploads to a folder can be resumed by tus 1.0.0, also after a restart.
 *  - A writer, the guards, allow and done may block. With civetweb each upload has a thread; libmicrohttpd runs
 *    blocking functions on up to eight threads of the adapter, and further uploads wait for them (not in a daemon whose
 *    loop is the application's). */
typedef struct vestry_uploads vestry_uploads;
/** A folder for uploads. */
typedef struct vestry_upload_folder vestry_upload_folder;

/** A file that arrives, as its client describes it; the description may be forged. Borrowed during the call. */
typedef struct vestry_incoming {
  size_t size;         /**< sizeof(vestry_incoming), or 0 */
  const char *field;   /**< name of the form's field; "": the body is the file */
  const char *name;    /**< name on the user's machine, without folders: UTF-8 without control characters (C1 and those
                            of text direction included) and line separators; at most 255 bytes; "": none. For display
                            only; never use it as a path */
  const char *type;    /**< in lower case, without parameters; "application/octet-stream" if it is missing */
  uint64_t most_bytes; /**< maximum size of the file; for a body that is the file and has a length: this length */
} vestry_incoming;

/** A destination of files other than a folder. Calls for one file come one after the other, on threads of the server,
 *  no lock held. Errors of begin and write are answered as those of a guard (vestry_guard_fn). */
typedef struct vestry_upload_writer {
  size_t size; /**< sizeof(vestry_upload_writer), or 0 */
  /** Begin a file, and check whether the user may send it; the guards have accepted the request.
   *  ret_file  on OK: state of the writer, passed to the calls below
   *  Returns  OK | any error, with which the request and all of its files are refused. LIMIT: 503 */
  vestry_err (*begin)(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                      void **ret_file);
  /** Write the next bytes of a file. OK | any error: all files of the request are aborted. */
  vestry_err (*write)(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes, size_t len);
  /** Keep a file: all of it has been written, and the request is complete. The last call for the file. OK | any error:
   *  the files of the request that have not ended yet are aborted. */
  vestry_err (*end)(void *file, const vestry_request *req, vestry_reply *reply);
  /** Drop an incomplete file. The last call for it.
   *  why  IO: the client has disconnected, or the server stops | TIMEOUT: it was too slow | TOO_LARGE | MALFORMED: the
   *       form | any other: the error of the writer or of a guard */
  void (*abort)(void *file, vestry_err why);
} vestry_upload_writer;

/** Maximum number of files in one form, whatever max_files_count is. */
#define VESTRY_UPLOAD_FILES_MAX 16

/** Options of uploads. Zero is the default, except for pattern and writer. */
typedef struct vestry_uploads_options {
  size_t size;                        /**< sizeof(vestry_uploads_options), or 0 */
  const char *pattern;                /**< as in vestry_route. Copied */
  const vestry_upload_writer *writer; /**< borrowed until vestry_uploads_destroy. NULL: folder is set */
  void *app;                          /**< passed to begin, allow and done */
  vestry_handler_fn done;             /**< answers when all files of a request are kept; has the form's fields. NULL:
                                           204 */
  const char *types;                  /**< accepted types: "image/png, image/jpeg"; an asterisk after the slash stands
                                           for all subtypes. NULL: all. Copied */
  uint64_t max_file_bytes;            /**< maximum size of each file; 0: 64 MiB */
  uint32_t max_files_count;           /**< maximum number of files in a form; 0: 1 */
  uint32_t max_count;                 /**< maximum number of concurrent uploads; 0: 1,000. Clients without a user, scope
                                           or known address share half of them */
  uint32_t max_per_person_count;      /**< maximum number of concurrent and unfinished uploads of one user or scope, or
                                           else of one address (vestry_options.is_behind_proxy). 0: 16. Beyond it, the
                                           unfinished upload of this person with the fewest bytes is dropped, if it had
                                           no request for a minute; otherwise the new one gets 429. A client without
                                           any of them has no maximum */
  vestry_upload_folder *folder;       /**< instead of a writer; borrowed until vestry_uploads_destroy. `done` gets the
                                           files by vestry_uploads_kept; if it returns an error, none is kept */
  /** Check, with a folder, whether the user may send this file; the guards have accepted the request. Called and
   *  answered as begin of a writer. NULL: every file is allowed. */
  vestry_err (*allow)(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file);
  size_t max_fields_bytes; /**< maximum size of a form's text fields together, names included, each with a byte for its
                                end; beyond it 413. 0: vestry_bounds.max_body_bytes, at least 64 KiB. It is counted in
                                vestry_bounds.max_request_bytes: if requests hold more than half of that, 503 */
} vestry_uploads_options;

/** Counters. begun = done + failed + open. */
typedef struct vestry_uploads_stats {
  size_t size;            /**< sizeof(vestry_uploads_stats), or 0 */
  uint64_t begun_count;   /**< accepted requests */
  uint64_t done_count;    /**< requests whose files were all kept */
  uint64_t failed_count;  /**< requests whose files were not, or not all, kept */
  uint64_t refused_count; /**< requests refused because there were too many at once */
  uint64_t written_bytes; /**< accepted by writers */
  uint32_t open_count;    /**< running now */
} vestry_uploads_stats;

/** Accept uploads on a path: adds a route for POST and the limit of its bodies (vestry_body_limit).
 *  v            borrowed
 *  ret_uploads  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options; the host's log names them) | EXISTS (the route) | LIMIT, UNSUPPORTED (vestry_route)
 *           | NO_MEMORY | IO (no randomness)
 *  Threads  any */
VESTRY_API vestry_err vestry_uploads_create(vestry *v, const vestry_uploads_options *options,
                                            vestry_uploads **ret_uploads);
/** Remove the route, wait for running uploads (none after the servers were stopped), and free. Call it before the
 *  instance is destroyed. NULL is accepted.
 *  Threads  any that handles no request; blocks */
VESTRY_API void vestry_uploads_destroy(vestry_uploads *uploads);

/** Get a snapshot of the counters. Threads any; takes a lock briefly. */
VESTRY_API void vestry_uploads_stats_get(vestry_uploads *uploads, vestry_uploads_stats *ret_stats);

/** A file in a folder. */
typedef struct vestry_kept_file {
  size_t size;        /**< sizeof(vestry_kept_file), or 0 */
  const char *stored; /**< its name in the folder */
  const char *path;   /**< the folder's path, as given, and that name */
  const char *field;  /**< field, name and type are as in vestry_incoming */
  const char *name;
  const char *type;
  uint64_t bytes;
} vestry_kept_file;
/** Options of a folder. Zero is the default, except for path. */
typedef struct vestry_upload_folder_options {
  size_t size;        /**< sizeof(vestry_upload_folder_options), or 0 */
  const char *path;   /**< path of an existing folder that only uploads use; may end in a symbolic link */
  uint64_t max_bytes; /**< maximum size of all its files, incomplete ones included; 0: 10 GiB */
  /** Called once for each file that had begun and was not kept; nothing of it remains. For an upload that can be
   *  resumed not when it breaks off, but when it expires or is deleted.
   *  file  valid during the call; nothing exists at its path
   *  why   as for abort of a writer; the error of `done`; TIMEOUT: expired; CLOSED: deleted by its client
   *  Called on a thread of a server or of the instance, no lock held. NULL: not reported */
  void (*dropped)(void *app, const vestry_kept_file *file, vestry_err why);
  void *app;              /**< passed to dropped */
  uint64_t unfinished_ms; /**< time for which a broken upload can be resumed; 0: a day */
} vestry_upload_folder_options;

/** Open a folder. Only one process at a time can have it open. Each file has a name of 32 digits (0 to 9, a to f) that
 *  vestry chooses. The file appears under this name when it is complete and on the disk: it is written to a temporary
 *  file, which is synced and renamed, and then the folder is synced. Opening removes incomplete files that a crash
 *  left; the files of one request stay or go together. A file for which `done` was running, or about to run, may have
 *  been accepted, and stays. Files with other names are neither touched nor counted.
 *  v           borrowed
 *  ret_folder  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options) | NOT_FOUND (no folder) | BUSY (a process has it open) | IO | NO_MEMORY. The host's
 *           log gives the reason
 *  Threads  any; reads the list of files */
VESTRY_API vestry_err vestry_upload_folder_open(vestry *v, const vestry_upload_folder_options *options,
                                                vestry_upload_folder **ret_folder);
/** Close a folder, after its uploads were destroyed and before the instance is. Its files stay. NULL is accepted.
 *  Threads any. */
VESTRY_API void vestry_upload_folder_close(vestry_upload_folder *folder);

/** Remove a kept file, so that its bytes are free again. The bytes of a file that is removed otherwise count until the
 *  folder is opened again.
 *  stored  its name in the folder
 *  Returns  OK | NOT_FOUND | INVALID (not in the form of such a name) | IO
 *  Threads  any; waits for the disk */
VESTRY_API vestry_err vestry_upload_folder_remove(vestry_upload_folder *folder, const char *stored);

/** Contents of a folder. */
typedef struct vestry_upload_folder_stats {
  size_t size;            /**< sizeof(vestry_upload_folder_stats), or 0 */
  uint64_t used_bytes;    /**< size of all files, incomplete ones with their reserved size */
  uint64_t kept_count;    /**< complete files */
  uint64_t coming_count;  /**< incomplete files */
  uint64_t refused_count; /**< files refused for lack of room, in the folder or on the disk */
  uint64_t failed_count;  /**< files that failed because of another error of the disk; the host's log has it */
} vestry_upload_folder_stats;
/** Get a snapshot of the counters. Threads any; takes a lock briefly. */
VESTRY_API void vestry_upload_folder_stats_get(vestry_upload_folder *folder, vestry_upload_folder_stats *ret_stats);

/** Get a file of the request in `done`, by index from 0. The file is on the disk. ret_file is valid until `done`
 *  returns.
 *  Returns  OK | NOT_FOUND (no more files; the uploads have no folder) | INVALID
 *  Threads  that of the request */
VESTRY_API vestry_err vestry_uploads_kept(const vestry_request *req, size_t index, vestry_kept_file *ret_file);

#ifdef __cplusplus
}
#endif
#endif
