/* SPDX-License-Identifier: MIT */
/** Persistent forms: text typed into a form is stored for its tab, so that a reload or a later visit restores it.
 *
 *      vestry_forms_create(v, &(vestry_forms_options){.pages = pages}, &forms);
 *      vestry_forms_add(forms, "report", report_inputs, 2);                  // of vestry/app/input.h
 *      vestry_route(v, "POST", "/kept", vestry_forms_handler, forms);
 *
 *      vestry_html_add(html, "<form method=\"post\" action=\"/report\" ");                // in a render or a handler
 *      vestry_form_open(forms, render->request, render, html, "report", &form);
 *      vestry_html_add(html, "><input name=\"title\" " VESTRY_FORM_FIELD " value=\"%s\"></form>",
 *                      vestry_form_text(form, "title", ""));
 *      vestry_form_close(form);
 *      vestry_forms_clear(forms, req, "report");                                         // when the submit is accepted
 *
 *  The page needs the Datastar client and, above its forms, the attributes of vestry/app/tab.h.
 *  docs/guide/kept-forms.md has the rules. */
#ifndef VESTRY_FORM_H
#define VESTRY_FORM_H

#include "vestry/app/page.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The forms of an instance, and their stored values.
 *  - The page sends the values to vestry_forms_options.path half a second after a change begins, and when the page is
 *    hidden or left, one request at a time. They are stored in the memory of this process until it ends, or in a
 *    database (vestry/data/sql.h). In a database they survive restarts and are shared by all processes, and a form can
 *    be cleared in the transaction that stores its submit.
 *  - A document contains no stored values, because vestry cannot be sure which tab requests it. The page requests the
 *    values and fills the fields that the user has not touched. A render whose tab is known, for example for a stream,
 *    contains the values as HTML.
 *  - A form has a generation; clearing the form begins the next one. Within a generation, patches do not change a field
 *    that has VESTRY_FORM_FIELD. In the next generation the form's element has another id, so that a live page replaces
 *    the whole form. A message of an earlier generation, or one that arrives after a later message, is ignored. If a
 *    form stays on its page after the submit, give its fields no ids, and put labels around them: the client would move
 *    a field with an id, including its text, into the next form.
 *  - A tab that the user duplicates or restores begins with a copy of the form.
 *  - Never stored, even if declared: passwords, files, hidden and disabled fields, a password shown as text, fields
 *    with autocomplete "off", "one-time-code", "current-password", "new-password" or "cc-…", and those in an element
 *    with VESTRY_FORM_NEVER. The browser decides this and warns in its console. The server accepts declared fields
 *    only. contenteditable is not supported. */
typedef struct vestry_forms vestry_forms;
/** The stored values of one form, in one render. Use it on the render's thread, or the handler's. */
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

/** Attribute that the form's element has while the server rejects the typed text, so that it is not stored. Its value
 *  is the status, for example 413 if the text is too long, or 401 after a redirect. A style sheet can show a warning:
 *  `form[data-form-rejected] .not-kept { display: block }`. */
#define VESTRY_FORM_REJECTED "data-form-rejected"

/** Options of forms. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_forms_options {
  vestry_pages *pages;           /**< pages that contain these forms; they render again when a form is cleared. Borrowed
                                      [none] */
  const char *path;              /**< path of vestry_forms_handler ["/kept"]. Copied */
  uint64_t ttl_ms;               /**< time from a form's last change until it expires [7 days]; at most 400 days */
  size_t max_form_bytes;         /**< maximum size of the fields of one form [256 KiB, or a quarter of max_bytes if that
                                      is less, but at least 64 KiB]; at most a quarter of max_bytes. Beyond it the
                                      message gets 413, and the stored values stay. A message with three times this size
                                      must fit in vestry_bounds.max_body_bytes */
  size_t max_per_scope_count;    /**< maximum number of forms of one scope, in all its tabs [64]; beyond it the form of
                                      the scope that changed longest ago is evicted. In the scope without an owner,
                                      which all users share, memory applies the maximum to each tab, and a database
                                      applies none */
  size_t max_bytes;              /**< maximum size of all forms [64 MiB], with the same eviction. Anonymous users
                                      (vestry_session_is_anonymous; with vestry_options.scope: requests in the scope
                                      without an owner) have at most half of it, and their forms are evicted before
                                      those of logged-in users. In memory, the forms of one address without a user have
                                      at most a quarter of that half, or without sessions and scopes of all. In a
                                      database they can have more until there is no room; then they are evicted
                                      first */
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
 *  accepted. Threads any; does not block. */
VESTRY_API void vestry_forms_destroy(vestry_forms *forms);

struct vestry_input;

/** Declare a form, before requests are served.
 *  name    letters, digits, '-' and '_', at most VESTRY_FORM_NAME_MAX_BYTES; copied
 *  fields  the form's fields (vestry/app/input.h), of which those are stored that are neither hidden nor secret, nor
 *          JSON. Their names are copied: letters, digits and the characters - _ . [ ] and :, each name of 1 to
 *          VESTRY_FORM_NAME_MAX_BYTES bytes. Of fields that are in no struct, the names are sufficient
 *  count   of fields, with 1 to VESTRY_FORM_FIELDS_MAX stored ones
 *  Returns  OK | EXISTS, INVALID (the host's log gives the reason) | NO_MEMORY
 *  Threads  one at a time */
VESTRY_API vestry_err vestry_forms_add(vestry_forms *forms, const char *name, const struct vestry_input *fields,
                                       size_t count);

/** Receive the values of forms: a handler for vestry_route, method POST, at `path`; app is the vestry_forms. Each
 *  message contains the page's signal `_csrf`, so that a CSRF guard (vestry/app/csrf.h) accepts it. Responds with 200,
 *  also to a late message, which it ignores; 400 (malformed, or the tab id was not issued for this scope); 404 (no such
 *  form); 413 (max_form_bytes); or 503 (the database is full or locked; the page repeats the message). */
VESTRY_API vestry_err vestry_forms_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Write the attributes of a form's element, including its id, and load the values that are stored for the request's
 *  tab, if the tab is known (vestry_tab_is_known).
 *  render    the render that contains the form; it runs again when the form is cleared. NULL: none. In a shared page or
 *            a part no tab is known, so that nothing is stored for the form
 *  html      inside the start tag of the form
 *  name      a declared name, or a declared name with ':' and a suffix that distinguishes several such forms, for
 *            example "comment:17". The suffix consists of letters, digits, '-' and '_'. At most
 *            VESTRY_FORM_NAME_MAX_BYTES in all; unique in the page
 *  ret_form  owned by the caller, until vestry_form_close; untouched on failure
 *  Returns  OK | INVALID (name; as vestry_html_add) | NOT_FOUND (not declared) | LIMIT (as vestry_render_topic) |
 *           NO_MEMORY | IO (no randomness) | an error of the storage
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

/** Clear a form of the request's tab when its submit is accepted, and ignore late messages of it. Do not call this for
 *  a rejected submit, so that its text stays. With a storage, call it in the write transaction that stores the submit,
 *  on the same thread: then both changes are committed, or neither.
 *  Returns  OK | INVALID | NOT_FOUND (not declared; the request has no tab) | NO_MEMORY (not cleared) | an error of the
 *           storage (not cleared)
 *  Threads  the handler's; takes a lock briefly, or blocks on the disk */
VESTRY_API vestry_err vestry_forms_clear(vestry_forms *forms, const vestry_request *req, const char *name);
/** Delete all forms of the request's scope, in all tabs. Call it before vestry_session_logout, because after a log-out
 *  no request can find these forms, and they take space until ttl_ms is over. Do not call this for a request in the
 *  scope without an owner, because all users share that scope, and the forms of all of them would be deleted. Threads
 *  the handler's; as vestry_forms_clear. */
VESTRY_API void vestry_forms_forget(vestry_forms *forms, const vestry_request *req);

/** Counters since vestry_forms_create, and current sizes. messages = kept + late + refused. */
typedef struct vestry_forms_stats {
  uint64_t messages_count; /**< received messages */
  uint64_t kept_count;     /**< messages whose values were stored, or that cleared the form or requested its values */
  uint64_t late_count;     /**< messages that arrived after a later one, or after the form was cleared */
  uint64_t refused_count;  /**< messages rejected because they were malformed, too large or without a tab, because of
                                lack of memory, or by an error of the storage */
  uint64_t cleared_count;  /**< forms cleared by vestry_forms_clear, counted at the commit */
  uint64_t evicted_count;  /**< evicted forms. A rise indicates an attack, or a maximum that is too low */
  uint64_t expired_count;  /**< expired forms */
  size_t forms_count;      /**< current number of records, including those of cleared forms, which contain only the
                                generation. In a database: of all processes */
  size_t bytes;            /**< current size of the records. In a database: in steps of 512 for each form */
} vestry_forms_stats;

/** Get a snapshot of the counters. Threads any; takes a lock briefly, or reads the database (sizes are 0 if it
 *  cannot). */
VESTRY_API void vestry_forms_stats_get(vestry_forms *forms, vestry_forms_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
