/* SPDX-License-Identifier: MIT */
/* essay: the progress of an upload, shown by its page */
/* The browser script of a form that sends files, and the HTML of its display. The script is written into an attribute
 * (data-init), which the Datastar client evaluates, so the document needs no script element. A document has one script
 * for all forms. It listens at the document, so that it also serves a form that a patch inserts.
 *
 * Source of the progress. The browser reports the bytes that it has sent (XMLHttpRequest; fetch does not). The
 * alternative would be the bytes that the server has received, through the page's stream. However, a proxy that buffers
 * a complete body before it forwards it, as nginx does by default, would make this 0 until the end. A page without a
 * stream would show nothing, and each upload would need ten events a second. A user waits for the bytes to leave the
 * user's machine, and the browser knows best how many have left. The browser does not know whether the server has the
 * file, so the display stops at 99, and shows 100 after the server's response.
 *
 * Confirmation. A response of 200 proves nothing: a proxy may have redirected the request to a log-in page, which
 * XMLHttpRequest has followed. The files of a form are kept if the response has the header Vestry-Kept (receive.c), and
 * a part of a resumed file if it has Upload-Offset. After any other response from another address the upload has
 * failed, and the tab goes to that address. An upload that was refused in this way, or with 401 or 403, is not deleted,
 * so that it can be resumed after a new log-in.
 *
 * Redirects to another site, as to a common log-in. XMLHttpRequest reports them like a broken connection, so that a
 * resumed upload would wait for the network without end. A guard's redirect arrives as 403 with its Location
 * (VSI_UPLOAD_HEADER), to which the tab goes. A proxy knows nothing of that header. Therefore a request without a body
 * that finds no server is repeated with fetch, which reports that there is a redirect, though not its target (`look`).
 * Then the upload ends, and the text says what to do: the tab cannot know where the log-in is, and if it left the page,
 * the files would have to be selected again. For a form that is sent as a whole, `look` sends a HEAD to its address.
 *
 * Resuming. A form whose uploads go to a folder is sent file by file (resume.h). After a failed request, the script
 * queries the server for the offset and never guesses it. The tab stores the address of the upload, so that the same
 * file is also resumed if it is selected again after a reload.
 *
 * Failures. There are three kinds:
 *
 *   file     Before each request with bytes of a file, one byte is read at the position where the request begins. A
 *            file that was removed or changed after it was selected cannot be read, and ends the upload. Without this
 *            check a removed file would be sent as an empty one, because the browser then returns the size 0.
 *   server   408, 409, 423, 425, 429 and 5xx are tried again, up to eight times; any other response ends the upload.
 *   network  The script waits for the network without limit. It gives up only if the server is reachable but requests
 *            with bytes fail again and again (eight retries) without progress, because a device in between rejects
 *            them.
 *
 * The pauses grow until the server has more of the file than ever before; a response alone is not progress.
 *
 * A form's field may have the name of a property of forms (elements, reset). Therefore the script gets such properties
 * from the prototype.
 *
 * The script contains no regular expressions, and no '$' or '@' in strings, because the client parses expressions
 * first. */
#include "vestry/app/upload_view.h"

#include <string.h>

#include "app/upload/receive.h"
#include "html/script.h"

enum { SIGNAL_MOST = 64 };

VSI_SCRIPTS(view); /* view.js */

static bool is_signal(const char *name) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  size_t len = strlen(name);
  return len && len <= SIGNAL_MOST && strspn(name, letters) == len && !strstr(name, "__");
}

static const char *or_else(const char *word, const char *other) {
  return word ? word : other;
}

vestry_err vestry_html_upload(vestry_html *html, const vestry_upload_view_options *given) {
  if (!html) return VESTRY_INVALID;
  vestry_upload_view_options o = given ? *given : (vestry_upload_view_options){0};
  if ((o.signal && !is_signal(o.signal)))
    return vsi_html_fail(
        vsi_html_of(html), VESTRY_INVALID,
        "vestry_html_upload: an option is invalid; a signal consists of at most 64 letters and single underscores");
  const char *signal = or_else(o.signal, "_upload");
  vestry_html_add(html, "<div class=\"vestry-upload\" data-ignore-morph data-upload=\"%-s\" data-sending=\"%s\"",
                  signal, or_else(o.sending, "Sending {name}…"));
  vestry_html_add(html, " data-kept=\"%s\" data-failed=\"%s\" data-broken=\"%s\" data-cancelled=\"%s\"",
                  or_else(o.kept, "Sent: {name}."), or_else(o.failed, "Not sent: {name}. {why}"),
                  or_else(o.broken, "The connection was lost."), or_else(o.cancelled, "Cancelled: {name}."));
  vestry_html_add(html, " data-waiting=\"%s\" data-gone=\"%s\" data-elsewhere=\"%s\"%-s",
                  or_else(o.waiting, "{name}: the connection was lost. The upload continues as soon as possible."),
                  or_else(o.gone, "The file was changed or removed after it was chosen: choose it again."),
                  or_else(o.elsewhere, "The request was redirected, probably to a log-in: open this page in another "
                                       "tab, log in there, and send again here."),
                  o.resumes ? " data-resumes" : "");
  vestry_html_add(html, " data-signals__ifmissing=\"{%-sPercent: 0, %-sState: '', %-sText: ''}\"", signal, signal,
                  signal);
  vestry_html_add(html,
                  " data-init=\"window.vestryUpload = window.vestryUpload || %-s('" VSI_UPLOAD_HEADER
                  "', '" VSI_KEPT_HEADER "')\"",
                  VSI_SCRIPT(html, view));
  vestry_html_add(html,
                  "><progress max=\"100\" value=\"0\" hidden aria-label=\"%s\" data-attr:value=\"$%-sPercent\""
                  " data-attr:hidden=\"!['sending', 'waiting'].includes($%-sState)\"></progress>",
                  or_else(o.label, "Upload progress"), signal, signal);
  vestry_html_add(html,
                  "<button type=\"button\" data-upload-cancel hidden data-attr:hidden=\"!['sending', "
                  "'waiting'].includes($%-sState)\">"
                  "%s</button>",
                  signal, or_else(o.cancel, "Cancel"));
  return vestry_html_add(html, "<p role=\"status\" data-text=\"$%-sText\"></p></div>", signal);
}
