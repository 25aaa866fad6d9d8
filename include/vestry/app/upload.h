/* SPDX-License-Identifier: MIT */
/** Uploads: receive files of any size into a folder, or by a writer of the application.
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
 *  At most VESTRY_RECEIVE_BYTES of a file wait in memory, so a slow disk or writer slows its client down.
 *  docs/guide/uploads.md describes protocols and responses. */
#ifndef VESTRY_UPLOAD_H
#define VESTRY_UPLOAD_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Uploads to one path. The body of a POST is a form with files (multipart/form-data), or one file, whose
 *  percent-encoded name is in the header Upload-Name.
 *  - Rejected before the body is read: uploads beyond max_count (503), or beyond max_per_person_count (429). Also, if
 *    the body is one file: a file longer than max_file_bytes (413), or of another type (415). Files of a form are
 *    checked as they arrive.
 *  - If the body is a file, the guards of the path run before its first byte. For a form they run before its first
 *    file, and read only the fields that precede it. Therefore, put the fields `csrf` and `tabId` first.
 *  - The files of one request are kept together or not at all, unless a writer's `end` fails, so that the files ended
 *    before that stay, or the process ends meanwhile (vestry_upload_folder_open). When the request is complete, each
 *    file is ended, and then `done` answers the request. Each file is aborted once instead if the client disconnects,
 *    sends less than 32 KiB in the adapter's request_timeout_ms, or sends too much; if the writer fails; or if the form
 *    is malformed.
 *  - Uploads to a folder can be resumed by the protocol tus 1.0.0, even after a restart of the server.
 *  - A writer, the guards, allow and done may block. With civetweb each upload has a thread. The adapter of
 *    libmicrohttpd has up to eight threads for uploads; further uploads wait for a free thread. Exception: in a daemon
 *    whose event loop the application runs, uploads run on the thread of that loop. */
typedef struct vestry_uploads vestry_uploads;
/** A folder for uploads. */
typedef struct vestry_upload_folder vestry_upload_folder;

/** Description of an arriving file by its client, which may be forged. Valid during the call. */
typedef struct vestry_incoming {
  const char *field;  /**< name of the form's field; "" if the body is the file */
  const char *name;   /**< name on the user's machine, without folders: UTF-8 without control characters (C1 and those
                            of text direction included) and line separators; at most 255 bytes, the ending of a
                            longer name included; "": none. For display only; never use it as a path */
  const char *type;   /**< media type in lower case, without parameters; "application/octet-stream" if it is missing */
  uint64_t max_bytes; /**< maximum size of the file; if the body is the file and has a Content-Length: this length */
} vestry_incoming;

/** A destination of files other than a folder. Calls for one file never overlap; they run on threads of the server, no
 *  lock held. Errors of begin and write are answered like errors of a guard (vestry_guard_fn). */
typedef struct vestry_upload_writer {
  /** Begin a file, and check whether the user may send it; the guards have accepted the request.
   *  ret_file  on OK: state of the writer, passed to the calls below
   *  Returns  OK | any error: the request is rejected with this error, and its other files are aborted. LIMIT is
   *           answered 503 */
  vestry_err (*begin)(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                      void **ret_file);
  /** Write the next bytes of a file. OK | any error: all files of the request are aborted. */
  vestry_err (*write)(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes, size_t len);
  /** Keep a file: all its bytes have been written, and the request is complete. The last call for the file. OK | any
   *  error: the files of the request whose end was not called are aborted. */
  vestry_err (*end)(void *file, const vestry_request *req, vestry_reply *reply);
  /** Drop a file. The last call for the file.
   *  why  IO: the client has disconnected, or the server stops | TIMEOUT: it was too slow | TOO_LARGE | MALFORMED: the
   *       form | any other: the error of the writer or of a guard */
  void (*abort)(void *file, vestry_err why);
} vestry_upload_writer;

/** Maximum number of files in one form, and of vestry_uploads_options.max_files_count. */
#define VESTRY_UPLOAD_FILES_MAX 16

/** Options of uploads. Zero is the default, except for pattern, and for writer or folder. */
typedef struct vestry_uploads_options {
  const char *pattern;                /**< path, as in vestry_route. Copied */
  const vestry_upload_writer *writer; /**< borrowed until vestry_uploads_destroy. Set either this or folder */
  void *app;                          /**< passed to begin, allow and done */
  vestry_handler_fn done;             /**< answers the request when its files are complete; can read the form's fields.
                                           NULL: 204 */
  const char *types;                  /**< accepted media types: "image/png, image/jpeg"; an asterisk after the slash
                                           stands for all subtypes. NULL: all. Copied */
  uint64_t max_file_bytes;            /**< maximum size of each file, at most VESTRY_BODY_BYTES_MAX / 32; 0: 64 MiB */
  uint32_t max_files_count;           /**< maximum number of files in a form; 0: 1 */
  uint32_t max_count;                 /**< maximum number of concurrent uploads; 0: 1,000. All clients without a user,
                                           scope and known address together have at most half of this number */
  uint32_t max_per_person_count;      /**< maximum number of concurrent uploads of one person, and also of unfinished
                                           ones that can be resumed; 0: 16. A person is a user or scope, or otherwise an
                                           address (vestry_options.is_behind_proxy); clients without any of them have no
                                           such maximum. Beyond it a new upload gets 429. Exception: if unfinished
                                           uploads of the person had no request for a minute, the one that has been idle
                                           for the longest time is removed instead */
  vestry_upload_folder *folder;       /**< instead of a writer; borrowed until vestry_uploads_destroy. `done` gets the
                                           files by vestry_uploads_kept; if `done` returns an error, the files are
                                           removed */
  /** For a folder: check whether the user may send this file; the guards have accepted the request. Called like begin
   *  of a writer, and an error has the same effect. NULL: every file is allowed. */
  vestry_err (*allow)(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file);
  size_t max_fields_bytes; /**< maximum total size of a form's text fields: names and values, with one more byte for
                                each; beyond it 413. At most VESTRY_BODY_BYTES_MAX / 4. 0: vestry_bounds.max_body_bytes,
                                but at least 64 KiB. The fields count towards vestry_bounds.max_request_bytes: while
                                requests hold more than half of that, a form gets 503 */
} vestry_uploads_options;

/** Counters of uploads. begun_count = done_count + failed_count + open_count. */
typedef struct vestry_uploads_stats {
  uint64_t begun_count;   /**< accepted requests */
  uint64_t done_count;    /**< requests whose files were all kept */
  uint64_t failed_count;  /**< requests whose files were not kept, or not all */
  uint64_t refused_count; /**< requests rejected because of max_count or max_per_person_count */
  uint64_t written_bytes; /**< bytes that writers accepted */
  uint32_t open_count;    /**< running requests */
} vestry_uploads_stats;

/** Accept uploads on a path: add a route for POST, and the limit of its bodies (vestry_body_limit); with a folder also
 *  the routes of tus.
 *  v            borrowed
 *  ret_uploads  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options; the host's log names them) | EXISTS (a route) | LIMIT, UNSUPPORTED (vestry_route)
 *           | NO_MEMORY | IO (no randomness)
 *  Threads  any */
VESTRY_API vestry_err vestry_uploads_create(vestry *v, const vestry_uploads_options *options,
                                            vestry_uploads **ret_uploads);
/** Remove the routes, and free the uploads, when no upload is running: after vestry_server_destroy of all servers of
 *  the instance, and before vestry_destroy. vestry_server_stop does not end an upload whose client has gone silent.
 *  NULL is accepted.
 *  Threads  any that handles no request; does not block */
VESTRY_API void vestry_uploads_destroy(vestry_uploads *uploads);

/** Get a snapshot of the counters. Threads any; takes a lock briefly. */
VESTRY_API void vestry_uploads_stats_get(vestry_uploads *uploads, vestry_uploads_stats *ret_stats);

/** A file in a folder. */
typedef struct vestry_kept_file {
  const char *stored; /**< name in the folder, chosen by vestry */
  const char *path;   /**< the folder's path, as given, followed by '/' and stored */
  const char *field;  /**< field, name and type are as in vestry_incoming */
  const char *name;
  const char *type;
  uint64_t bytes;
} vestry_kept_file;
/** Options of a folder. Zero is the default, except for path. */
typedef struct vestry_upload_folder_options {
  const char *path;   /**< path of an existing folder that only uploads use; may end in a symbolic link */
  uint64_t max_bytes; /**< maximum size of all its files, incomplete ones included; 0: 10 GiB */
  /** Called once for each file that had begun and was not kept, after all its bytes were removed. If an upload that can
   *  be resumed breaks off, this is not called until the upload expires, is deleted, or is removed.
   *  file  valid during the call; no file exists at its path
   *  why   as for abort of a writer; the error of `done`; TIMEOUT: expired; CLOSED: deleted by its client; LIMIT:
   *        removed to make room for another upload
   *  Called on a thread of a server or of the instance, no lock held. NULL: not reported */
  void (*dropped)(void *app, const vestry_kept_file *file, vestry_err why);
  void *app;              /**< passed to dropped */
  uint64_t unfinished_ms; /**< time during which a broken upload can be resumed; 0: a day */
} vestry_upload_folder_options;

/** Open a folder. Only one process at a time can have it open. vestry names each file by 32 hexadecimal digits (0
 *  to 9, a to f). A file has this name only when it is complete and on the disk: it is written under a temporary name,
 *  synced and renamed, and then the folder is synced. After a crash, opening the folder removes incomplete files. Files
 *  that have their names stay, because `done` may have accepted them: of one request perhaps only some, if the crash
 *  came between two renames. Files with other names are neither touched nor counted. If the folder is moved or replaced
 *  later, its uploads get 500, and the log has the reason, until it is moved back or opened again.
 *  v           borrowed
 *  ret_folder  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options) | NOT_FOUND (no folder) | BUSY (a process has it open) | IO | NO_MEMORY. The host's
 *           log gives the reason
 *  Threads  any; blocks while it reads the list of files */
VESTRY_API vestry_err vestry_upload_folder_open(vestry *v, const vestry_upload_folder_options *options,
                                                vestry_upload_folder **ret_folder);
/** Close a folder, after its uploads were destroyed and before the instance is. Its files stay. NULL is accepted.
 *  Threads any. */
VESTRY_API void vestry_upload_folder_close(vestry_upload_folder *folder);

/** Remove a kept file, and free its bytes in max_bytes. If a file is removed by other means, its bytes count until the
 *  folder is opened again.
 *  stored  name of the file in the folder
 *  Returns  OK | NOT_FOUND | INVALID (not a name of 32 digits) | IO
 *  Threads  any; waits for the disk */
VESTRY_API vestry_err vestry_upload_folder_remove(vestry_upload_folder *folder, const char *stored);

/** Get a file of the request, in `done`. The file is on the disk.
 *  index     from 0
 *  ret_file  its texts are valid until `done` returns
 *  Returns  OK | NOT_FOUND (no file has this index; the uploads have no folder) | INVALID
 *  Threads  that of the request */
VESTRY_API vestry_err vestry_uploads_kept(const vestry_request *req, size_t index, vestry_kept_file *ret_file);

#ifdef __cplusplus
}
#endif
#endif
