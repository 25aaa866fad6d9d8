/* SPDX-License-Identifier: MIT */
/** Upload display: shows the progress and the result of a form's uploads (vestry/app/upload.h), with a button to
 *  cancel.
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
  const char *signal;    /**< prefix of the signals' names: at most 64 letters and single underscores, unique for each
                              form of a page. NULL: "_upload" */
  bool resumes;          /**< resume uploads, which requires a folder (vestry_uploads_options.folder). Each file is then
                              sent in a separate request, without the form's other fields. It is resumed when the
                              network or the server is back, and when the user selects it again after a reload */
  const char *label;     /**< name of the progress bar for screen readers; NULL: "Upload progress" */
  const char *cancel;    /**< text of the button; NULL: "Cancel" */
  const char *sending;   /**< text while files are sent; {name} stands for their names here and below. NULL: "Sending
                              {name}…" */
  const char *kept;      /**< NULL: "Sent: {name}." */
  const char *failed;    /**< {why} stands for the sentence in the server's response, or otherwise for `broken` or the
                              status. NULL: "Not sent: {name}. {why}" */
  const char *broken;    /**< NULL: "The connection was lost." */
  const char *cancelled; /**< NULL: "Cancelled: {name}." */
  const char *waiting;   /**< NULL: "{name}: the connection was lost. The upload continues as soon as possible." */
  const char *gone;      /**< {why} if the browser cannot read a file any more. NULL: "The file was changed or removed
                              after it was chosen: choose it again." */
  const char *elsewhere; /**< {why} if a proxy redirects the request to another site, usually to a log-in. NULL: "The
                              request was redirected, probably to a log-in: open this page in another tab, log in
                              there, and send again here." */
} vestry_upload_view_options;

/** Append the display, inside a form that sends files by POST. A script then sends the form, with the same fields, and
 *  the page stays open. The state is in signals of the tab. If `signal` begins with an underscore, the Datastar client
 *  does not send them to the server. With the default for `signal`:
 *
 *      _uploadPercent  0 to 100, changed at most ten times a second; 100 only when the server has confirmed that it
 *                      keeps all files
 *      _uploadState    "" (nothing was sent yet) | "sending" | "waiting" (with `resumes`: for the network or the
 *                      server) | "kept" | "failed" | "cancelled"
 *      _uploadText     the state as text, set once at the beginning and once at the end
 *
 *  The display, an element of class vestry-upload, has a progress bar, a button, and a status, which screen readers
 *  announce. After success the form is emptied. The redirect of `done` (vestry_reply_redirect) is followed, unless it
 *  is the address of the page. The redirect of a guard or of the writer's begin is a rejection: the files were not sent
 *  and stay selected, and the tab goes to its address, which may be on another site, because the script gets 403 with
 *  this Location. A proxy's redirect to another site is hidden from scripts, so the text `elsewhere` is shown. While a
 *  form is sent, it is aria-busy and cannot be sent again. A button in the form with the attribute data-upload-cancel
 *  also cancels.
 *  It needs no inline script, style or 'unsafe-eval' beyond what the client needs, and patches do not change it.
 *  options  NULL: the defaults
 *  Returns  as vestry_html_add; INVALID also if `signal` is malformed
 *  Threads  the thread that uses html; does not block */
VESTRY_API vestry_err vestry_html_upload(vestry_html *html, const vestry_upload_view_options *options);

#ifdef __cplusplus
}
#endif
#endif
