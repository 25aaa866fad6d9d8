/* SPDX-License-Identifier: MIT */
/** What a person sees of the files that a form sends (vestry/app/upload.h): how far they are, what became of them, and
 *  a button that stops them.
 *
 *      <form method="post" action="/photos" enctype="multipart/form-data">
 *        <input type="hidden" name="csrf" value="…"> <input type="file" name="photo" multiple> <button>Send</button>
 *        vestry_html_upload(&html, &(vestry_upload_view_options){.signal = "_photos"});
 *      </form>
 *
 *  Without a script the form sends its files as ever. */
#ifndef VESTRY_UPLOAD_VIEW_H
#define VESTRY_UPLOAD_VIEW_H

#include <stdbool.h>

#include "vestry/html.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What it is called, and what it says, in words. Zero is the default. */
typedef struct vestry_upload_view_options {
  size_t size;           /**< sizeof(vestry_upload_view_options), or 0 */
  const char *signal;    /**< letters and underscores, at most 64: what the signals' names begin with. Each form of a
                              page has one of its own. NULL: "_upload" */
  bool resumes;          /**< the form's uploads go to a folder (vestry_uploads_options.folder). Then each file is sent
                              by itself, without the form's other fields, and goes on where it broke off: when the
                              network, or the server, is back, and when it is chosen again after a reload */
  const char *label;     /**< the name of the progress, as a screen reader says it; NULL: "Files that are sent" */
  const char *cancel;    /**< on the button; NULL: "Cancel" */
  const char *sending;   /**< {name} stands for the files' names; NULL: "Sending {name}…" */
  const char *kept;      /**< NULL: "Sent: {name}." */
  const char *failed;    /**< {why} stands for a sentence: that of the server's answer, else `broken` or the status.
                              NULL: "Not sent: {name}. {why}" */
  const char *broken;    /**< NULL: "The connection broke off." */
  const char *cancelled; /**< NULL: "Cancelled: {name}." */
  const char *waiting;   /**< NULL: "{name}: the connection broke off. It goes on as soon as it can." */
  const char *gone; /**< {why} of a file that cannot be read any more. NULL: "It was changed or removed after it was
                              chosen: choose it again." */
} vestry_upload_view_options;

/** Append it, inside of a form that sends files by POST. When the form is sent, what is in it is sent as it would be
 *  without a script, and the page stays. It has signals of the tab, which the client sends to no server if their names
 *  begin with an underscore; with the default for `signal`:
 *
 *      _uploadPercent  0 to 100. It changes at most ten times a second, and is 100 when the server has said that all is
 *                      kept, not before
 *      _uploadState    "": nothing was sent yet | "sending" | "waiting", for the network or the server, where it
 *                      resumes | "kept" | "failed" | "cancelled"
 *      _uploadText     what is said of it: in words, when it begins and when it is over, each once
 *
 *  It is a progress bar, a button, and a status, which a screen reader reads out; its class is vestry-upload. What is
 *  kept empties the form. An answer that leads to another address of this site (vestry_reply_redirect) is followed,
 *  unless it is the address of the page. While a form is sent, it is aria-busy and is not sent again. A button in the
 *  form that has data-upload-cancel does the same as the one here.
 *  It needs no inline script, style or 'unsafe-eval' beyond what the client does, and is left alone by patches.
 *  options  NULL: the defaults
 *  Returns  as vestry_html_add; INVALID also: a signal that can be none
 *  Threads  the builder's; does not block */
VESTRY_API vestry_err vestry_html_upload(vestry_html *html, const vestry_upload_view_options *options);

#ifdef __cplusplus
}
#endif
#endif
