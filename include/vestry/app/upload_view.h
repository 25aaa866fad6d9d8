/* SPDX-License-Identifier: MIT */
/** The display of a form's uploads (vestry/app/upload.h): progress, result, and a button that cancels them.
 *
 *      <form method="post" action="/photos" enctype="multipart/form-data">
 *        <input type="hidden" name="csrf" value="…"> <input type="file" name="photo" multiple> <button>Send</button>
 *        vestry_html_upload(&html, &(vestry_upload_view_options){.signal = "_photos"});
 *      </form>
 *
 *  Without scripts the form sends its files as usual. */
#ifndef VESTRY_UPLOAD_VIEW_H
#define VESTRY_UPLOAD_VIEW_H

#include <stdbool.h>

#include "vestry/html.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Name and texts of a display. Zero is the default. */
typedef struct vestry_upload_view_options {
  size_t size;           /**< sizeof(vestry_upload_view_options), or 0 */
  const char *signal;    /**< prefix of the signals' names: letters and underscores, at most 64, unique for each form of
                              a page. NULL: "_upload" */
  bool resumes;          /**< the form's uploads go to a folder (vestry_uploads_options.folder). Each file is then sent
                              by itself, without the form's other fields, and is resumed when the network or the server
                              is back, and when it is selected again after a reload */
  const char *label;     /**< name of the progress bar for screen readers; NULL: "Upload progress" */
  const char *cancel;    /**< on the button; NULL: "Cancel" */
  const char *sending;   /**< {name} stands for the files' names; NULL: "Sending {name}…" */
  const char *kept;      /**< NULL: "Sent: {name}." */
  const char *failed;    /**< {why} stands for a sentence: that of the server's response, otherwise `broken` or the
                              status. NULL: "Not sent: {name}. {why}" */
  const char *broken;    /**< NULL: "The connection was lost." */
  const char *cancelled; /**< NULL: "Cancelled: {name}." */
  const char *waiting;   /**< NULL: "{name}: the connection was lost. The upload continues as soon as possible." */
  const char *gone;      /**< {why} of a file that cannot be read any more. NULL: "The file was changed or removed
                              after it was chosen: choose it again." */
} vestry_upload_view_options;

/** Append the display inside a form that sends files by POST. The submitted form is sent with its fields as without
 *  scripts, and the page stays. The state is in signals of the tab, which the client sends to no server if their names
 *  begin with an underscore; with the default for `signal`:
 *
 *      _uploadPercent  0 to 100. Changes at most ten times a second; 100 only when the server has confirmed that all
 *                      files are kept
 *      _uploadState    "": nothing was sent yet | "sending" | "waiting" (for the network or the server, if it
 *                      resumes) | "kept" | "failed" | "cancelled"
 *      _uploadText     the state in words: once at the beginning, and once at the end
 *
 *  The display has a progress bar, a button, and a status, which a screen reader reads out; its class is vestry-upload.
 *  After success the form is emptied. The redirect of `done` (vestry_reply_redirect) is followed, unless it is the
 *  address of the page. The redirect of a guard or of the writer's begin is a rejection: the files were not sent and
 *  stay selected, and the tab goes to its address. Such a redirect to another site looks like a lost connection,
 *  because the browser hides it from scripts; answer 401 instead. While a form is sent, it is aria-busy and cannot be
 *  sent again. A button in the form with data-upload-cancel cancels, too.
 *  It needs no inline script, style or 'unsafe-eval' beyond what the client needs, and patches do not change it.
 *  options  NULL: the defaults
 *  Returns  as vestry_html_add; INVALID also: a malformed signal
 *  Threads  the builder's; does not block */
VESTRY_API vestry_err vestry_html_upload(vestry_html *html, const vestry_upload_view_options *options);

#ifdef __cplusplus
}
#endif
#endif
