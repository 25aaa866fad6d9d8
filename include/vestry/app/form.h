/* SPDX-License-Identifier: MIT */
/** Persistent forms: text typed into a form is stored for its tab, so that a reload or a later visit restores it.
 *
 *      vestry_forms_create(v, &(vestry_forms_options){.pages = pages}, &forms);
 *      vestry_forms_add(forms, "report", (const char *const[]){"title", "urgent"}, 2);   // only these are stored
 *      vestry_route(v, "POST", "/kept", vestry_forms_handler, forms);
 *
 *      vestry_html_add(html, "<form method=\"post\" action=\"/report\" ");                // in a render or a handler
 *      vestry_form_open(forms, render->request, render, html, "report", &form);
 *      vestry_html_add(html, "><input name=\"title\" " VESTRY_FORM_FIELD " value=\"%s\"></form>",
 *                      vestry_form_text(form, "title", ""));
 *      vestry_form_close(form);
 *      vestry_forms_clear(forms, req, "report");                                         // when the submit is accepted
 *
 *  The page needs the attributes of vestry/app/tab.h above its forms, and the Datastar client. docs/guide/forms.md has
 *  the rules. */
#ifndef VESTRY_FORM_H
#define VESTRY_FORM_H

#include "vestry/app/page.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The forms of an instance, and their stored values.
 *  - Values are sent to `path` half a second after a change begins, and when the page goes or is hidden, one request at
 *    a time. They are stored in the memory of this process, until it ends, or in a database (vestry/data/sql.h), which
 *    survives restarts, serves all processes and clears a form in the transaction of its submit.
 *  - A document shows no stored values, because vestry cannot be sure for which tab it is requested; the page requests
 *    them and fills the untouched fields. A render whose tab is known, for example of a stream, has them as HTML.
 *  - Renders do not change a field with VESTRY_FORM_FIELD while the form keeps its generation. Clearing a form begins a
 *    new generation: its element gets another id, so that a live page replaces it. Messages of an older generation, and
 *    messages that a later one has overtaken, are rejected. Give the fields of a form that stays on its page labels
 *    around them instead of ids, because the client moves an element with an id, and its text, into the next form.
 *  - A duplicated or restored tab has a copy of the form.
 *  - Never stored, even if declared: passwords, files, hidden and disabled fields, a password shown as text, fields
 *    with autocomplete "off", "one-time-code", "current-password", "new-password" or "cc-…", and those in an element
 *    with VESTRY_FORM_NEVER. The browser decides this and warns in its console. The server accepts declared fields
 *    only. contenteditable is not supported. */
typedef struct vestry_forms vestry_forms;
/** The stored values of one form, in one render. */
typedef struct vestry_form vestry_form;
/** A storage for forms, instead of memory. */
typedef struct vestry_forms_storage vestry_forms_storage;

/** Maximum length of the name of a form or field in bytes. */
#define VESTRY_FORM_NAME_MAX_BYTES ((size_t)64)
/** Maximum number of fields in a form. */
#define VESTRY_FORM_FIELDS_MAX ((size_t)64)
/** Attribute of each stored field: input, textarea, select. Without it a live page may overwrite typed text. */
#define VESTRY_FORM_FIELD "data-ignore-morph"
/** Attribute of a field, or of an element around fields, that is never stored. */
#define VESTRY_FORM_NEVER "data-form-never"

/** Attribute of a form's element while the typed text is not stored because the server rejects it: the status, for
 *  example 413 if the text is too long, or 401 after a redirect. A page can show this by its style sheet:
 *  `form[data-form-rejected] .not-kept { display: block }`. */
#define VESTRY_FORM_REJECTED "data-form-rejected"

/** Options of forms. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_forms_options {
  size_t size;                   /**< sizeof(vestry_forms_options), or 0 */
  vestry_pages *pages;           /**< pages with these forms, which render again when a form is cleared. Borrowed
                                      [none] */
  const char *path;              /**< path of vestry_forms_handler ["/kept"]. Copied */
  uint64_t ttl_ms;               /**< time from a form's last change until it expires [7 days]; at most 400 days */
  size_t max_form_bytes;         /**< maximum size of the fields of one form [256 KiB, or a quarter of max_bytes if that
                                      is less, but at least 64 KiB]; beyond it the message gets 413, and the stored
                                      values stay. A message with three times this size must fit in
                                      vestry_bounds.max_body_bytes */
  size_t max_per_scope_count;    /**< maximum number of forms of one scope, in all its tabs [64]; beyond it the form
                                      that changed longest ago is evicted. For the empty scope, which all users share,
                                      it applies to each tab in memory, and not at all in a database */
  size_t max_bytes;              /**< maximum size of all forms [64 MiB], with the same eviction. Anonymous users
                                      (vestry_session_is_anonymous; with vestry_options.scope: requests without a scope)
                                      have at most half of it, and their forms are evicted before those of users */
  vestry_forms_storage *storage; /**< a storage for these forms alone, of vestry/data/sql.h. Borrowed until
                                      vestry_forms_destroy [memory] */
} vestry_forms_options;

/** Create the forms of an instance.
 *  v          borrowed until vestry_forms_destroy
 *  options    NULL: the defaults
 *  ret_forms  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options; the host's log names them) | NO_MEMORY | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_forms_create(vestry *v, const vestry_forms_options *options, vestry_forms **ret_forms);
/** Destroy forms, after the last request and render that uses them and before vestry_pages_destroy. NULL is
 *  accepted. */
VESTRY_API void vestry_forms_destroy(vestry_forms *forms);

/** Declare a form, before requests are served.
 *  name    letters, digits, '-' and '_', at most VESTRY_FORM_NAME_MAX_BYTES; copied
 *  fields  names of the stored fields, each of 1 to VESTRY_FORM_NAME_MAX_BYTES bytes; copied
 *  count   1 to VESTRY_FORM_FIELDS_MAX
 *  Returns  OK | EXISTS | INVALID (the host's log gives the reason) | NO_MEMORY
 *  Threads  one */
VESTRY_API vestry_err vestry_forms_add(vestry_forms *forms, const char *name, const char *const *fields, size_t count);

/** Receive the values of forms: a handler for vestry_route, method POST, at `path`; app is the vestry_forms. Each
 *  message contains the page's signal `_csrf`, so that a CSRF guard (vestry/app/csrf.h) accepts it. Responds 200, also
 *  to a message that is too late; 400 (also if the tab is not of this scope), 404 (no such form), 413, or 503 (the
 *  database is full or locked; the page repeats the message). */
VESTRY_API vestry_err vestry_forms_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Write the attributes of a form's element, its id included, and load the stored values of the request's tab, if it is
 *  known (vestry_tab_is_known).
 *  render    the render that contains the form, which runs again when the form is cleared; NULL: none. A form in a
 *            shared render or a part has no tab, and nothing is stored
 *  html      inside the start tag of the form
 *  name      a declared name; or a declared name, ':' and a suffix of letters, digits, '-' and '_' that identifies one
 *            of several forms, "comment:17"; at most VESTRY_FORM_NAME_MAX_BYTES. Unique in the page
 *  ret_form  owned by the caller, until vestry_form_close; untouched on failure
 *  Returns  OK | INVALID (name; as vestry_html_add) | NOT_FOUND (not declared) | NO_MEMORY | IO (no randomness) | an
 *           error of the storage
 *  Threads  the handler's or the render's; takes a lock briefly, or reads the database */
VESTRY_API vestry_err vestry_form_open(vestry_forms *forms, const vestry_request *req, vestry_render *render,
                                       vestry_html *html, const char *name, vestry_form **ret_form);
/** Close a form. NULL is accepted. */
VESTRY_API void vestry_form_close(vestry_form *form);
/** Get the stored text of a field, valid until the form is closed; initial if none is stored. */
VESTRY_API const char *vestry_form_text(const vestry_form *form, const char *field, const char *initial);
/** Return whether a check box or radio button with that value is checked, or an option selected; initial if nothing is
 *  stored. */
VESTRY_API bool vestry_form_has(const vestry_form *form, const char *field, const char *value, bool initial);

/** Clear a form of the request's tab when its submit is accepted, and reject late messages for it. Do not call this for
 *  a refused submit, so that its text stays. With a storage, a thread that has a write connection clears the form in
 *  its transaction: both are committed, or neither.
 *  Returns  OK | INVALID | NOT_FOUND (not declared; the request has no tab) | NO_MEMORY (not cleared) | an error of the
 *           storage (not cleared)
 *  Threads  the handler's; takes a lock briefly, or blocks on the disk */
VESTRY_API vestry_err vestry_forms_clear(vestry_forms *forms, const vestry_request *req, const char *name);
/** Delete all forms of the request's scope, in all tabs. Call it before vestry_session_logout, because afterwards no
 *  request finds them, but they take space until ttl_ms is over. Threads the handler's; as vestry_forms_clear. */
VESTRY_API void vestry_forms_forget(vestry_forms *forms, const vestry_request *req);

/** Counters since vestry_forms_create, and current sizes. messages = kept + late + refused. */
typedef struct vestry_forms_stats {
  size_t size;             /**< sizeof(vestry_forms_stats), or 0 */
  uint64_t messages_count; /**< received messages */
  uint64_t kept_count;     /**< messages whose values were stored, or that cleared the form or requested its values */
  uint64_t late_count;     /**< messages that arrived after a later one, or after the form was cleared */
  uint64_t refused_count;  /**< messages that were malformed, too large or of no tab, or refused for lack of memory or
                                by an error of the storage */
  uint64_t cleared_count;  /**< forms cleared by vestry_forms_clear, counted at the commit */
  uint64_t evicted_count;  /**< evicted forms. If it rises: an attack, or a maximum is too low */
  uint64_t expired_count;  /**< expired forms */
  size_t forms_count;      /**< current number, with those of which only the clearing is stored. In a database: of all
                                processes */
  size_t bytes;            /**< current size, likewise. In a database: in steps of 512 for each form */
} vestry_forms_stats;

/** Get a snapshot of the counters. Threads any; takes a lock briefly, or reads the database (sizes are 0 if it
 *  cannot). */
VESTRY_API void vestry_forms_stats_get(vestry_forms *forms, vestry_forms_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
