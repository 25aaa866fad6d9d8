/* SPDX-License-Identifier: MIT */
/** Forms that come back: what is typed into a form is kept for its tab while it is typed, and a reload, or a visit
 *  elsewhere, finds it again in its fields.
 *
 *      static const char *const fields[] = {"title", "text", "urgent"};          // what is kept; nothing else is
 *      vestry_forms_create(v, &(vestry_forms_options){.pages = pages}, &forms);
 *      vestry_forms_add(forms, "report", fields, 3);
 *      vestry_route(v, "POST", "/kept", vestry_forms_handler, forms);
 *
 *      vestry_form *form;                                                         // in a render, or in a handler
 *      vestry_html_add(html, "<form method=\"post\" action=\"/report\" ");
 *      vestry_form_open(forms, render->request, render, html, "report", &form);
 *      vestry_html_add(html, "><input name=\"title\" " VESTRY_FORM_FIELD " value=\"%s\">",
 *                      vestry_form_text(form, "title", ""));
 *      vestry_html_add(html, "<textarea name=\"text\" " VESTRY_FORM_FIELD ">%s</textarea>",
 *                      vestry_form_text(form, "text", ""));
 *      vestry_html_add(html, "<input type=\"checkbox\" name=\"urgent\" value=\"yes\" " VESTRY_FORM_FIELD "%-s></form>",
 *                      vestry_form_has(form, "urgent", "yes", false) ? " checked" : "");
 *      vestry_form_close(form);
 *
 *      vestry_forms_clear(forms, req, "report");                                  // the submit was taken
 *
 *  The page has the attributes of vestry/app/tab.h above its forms, and the Datastar client. Half a second after a
 *  change begins, and when the page goes or is hidden, the form sends the values of its declared fields to `path`, one
 *  request at a time. The browser keeps no copy: what the server has is what comes back. A document shows none of it,
 *  for its tab is a guess; the page asks when it begins, and puts what is kept into the fields that were not touched
 *  since. A render whose tab is known, as a stream's, has it as plain HTML. No render overwrites what is being typed: a
 *  field with VESTRY_FORM_FIELD is left alone by morphs, for as long as the form is of the same generation. What clears
 *  a form begins a new generation: its element has another id, so that a live page replaces it. A letter of an earlier
 *  generation that comes late is refused, and so is one that a later one has overtaken. A field that has an id of its
 *  own stays, with its text: the client moves an element by its id from the former form into the next one. So a form
 *  that stays on its page after a clear has its fields within their labels, without ids.
 *
 *  A tab that is duplicated, or comes back after the browser has crashed, has the form of the tab that it was made
 *  from, as a copy of its own.
 *
 *  Never kept, whatever is declared: passwords, files, hidden fields, fields that are disabled or have autocomplete
 *  "off", "one-time-code", "current-password", "new-password" or "cc-…", a password that is shown as text, and what is
 *  in an element with VESTRY_FORM_NEVER. The browser decides that, and its console has a warning for each declared
 *  field that is not kept for its type or its autocomplete. The server takes nothing but declared fields. An element
 *  with contenteditable is no field of a form, and is not kept.
 *
 *  Forms are kept within bounds, in the memory of this process: a restart forgets them, until a page that is still open
 *  is typed into; another process does not have them. Or in a database (vestry/data/sql.h,
 *  vestry/data/sql.h): then they outlive any process, all processes of that database have them, and a form
 *  is cleared in the transaction of its submit. */
#ifndef VESTRY_FORM_H
#define VESTRY_FORM_H

#include "vestry/app/page.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The forms of an instance, and what is kept of them. */
typedef struct vestry_forms vestry_forms;
/** One form in one render: what is kept of it. */
typedef struct vestry_form vestry_form;
/** Where forms are kept, if not in memory. */
typedef struct vestry_forms_storage vestry_forms_storage;

/** A form's name has at most so many bytes, and a field's. */
#define VESTRY_FORM_NAME_MAX_BYTES ((size_t)64)
/** Fields of a form at most. */
#define VESTRY_FORM_FIELDS_MAX ((size_t)64)
/** The attribute of each kept field: input, textarea, select. Without it a live page may overwrite what is typed. */
#define VESTRY_FORM_FIELD "data-ignore-morph"
/** The attribute of a field, or of what has several, that is never kept. */
#define VESTRY_FORM_NEVER "data-form-never"

/** How forms are kept. Zero is the default, in brackets. */
typedef struct vestry_forms_options {
  size_t size;                /**< sizeof(vestry_forms_options), or 0 */
  vestry_pages *pages;        /**< whose pages have these forms: they render again when a form is cleared.
                                   Borrowed [none] */
  const char *path;           /**< where vestry_forms_handler is mounted ["/kept"]. Copied */
  uint64_t ttl_ms;            /**< a form is kept this long after it was last changed [7 days]; at most 400 days */
  size_t max_form_bytes;      /**< of the fields of one form [64 KiB]; beyond it the letter is answered 413, and what
                                   was kept before stays */
  size_t max_per_scope_count; /**< forms of one scope, of all its tabs [64]; the one that was changed longest ago makes
                                   room. Not of the scope without a name, which is everybody's: in memory a tab of it
                                   has so many, in a database there is no such bound */
  size_t max_bytes;           /**< of all forms [64 MiB]; likewise. At most half of it is anonymous users'
                                   (vestry_session_is_anonymous; with vestry_options.scope, requests without a scope),
                                   whose forms make room before those of users */
  vestry_forms_storage *storage; /**< of sqlite_forms.h or postgres_forms.h (vestry/data/); for these forms alone.
                                      Borrowed, until they are destroyed [the memory of this process] */
} vestry_forms_options;

/** Create them.
 *  v          borrowed; must not be destroyed before
 *  options    NULL: the defaults
 *  ret_forms  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options: the host's log says which) | NO_MEMORY | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_forms_create(vestry *v, const vestry_forms_options *options, vestry_forms **ret_forms);
/** No request and no render may use them any more. Before vestry_pages_destroy. NULL is accepted. */
VESTRY_API void vestry_forms_destroy(vestry_forms *forms);

/** Declare a form, before requests are served.
 *  name    letters, digits, '-' and '_', at most VESTRY_FORM_NAME_MAX_BYTES; copied
 *  fields  the names of those that are kept: of one letter at least, at most VESTRY_FORM_NAME_MAX_BYTES bytes; copied
 *  count   1 to VESTRY_FORM_FIELDS_MAX
 *  Returns  OK | EXISTS | INVALID (the host's log says why) | NO_MEMORY
 *  Threads  one */
VESTRY_API vestry_err vestry_forms_add(vestry_forms *forms, const char *name, const char *const *fields, size_t count);

/** Takes what forms send: for vestry_route, method POST, at `path`; app is the vestry_forms. A guard of forged requests
 *  (vestry/app/csrf.h) is satisfied by the page's signal `_csrf`, which each letter says. Answered 200 also if the
 *  letter was too late; 400 (also: the tab is not of this scope), 404 (no such form), 413, 503 (a database that is full
 *  or locked: the page says it again). */
VESTRY_API vestry_err vestry_forms_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Write the attributes of a form's element, id and all, and find what is kept for the request's tab, if it is known
 *  (vestry_tab_is_known).
 *  render    the render that it is for, which renders again when the form is cleared; NULL: none. In a shared render or
 *            a part nothing is kept: such a form has no tab
 *  html      inside of the start tag of the form
 *  name      a declared one; or that, a ':' and what tells this form from others of its kind, "comment:17", letters,
 *            digits, '-' and '_', together at most VESTRY_FORM_NAME_MAX_BYTES. Each stands in a page once
 *  ret_form  to be closed; untouched on failure
 *  Returns  OK | INVALID (name; as vestry_html_add) | NOT_FOUND (not declared) | NO_MEMORY | IO (no randomness) | what
 *           the storage says
 *  Threads  the handler's or render's; takes a lock briefly, or reads the database */
VESTRY_API vestry_err vestry_form_open(vestry_forms *forms, const vestry_request *req, vestry_render *render,
                                       vestry_html *html, const char *name, vestry_form **ret_form);
/** NULL is accepted. */
VESTRY_API void vestry_form_close(vestry_form *form);
/** The text that is kept for a field, valid until the form is closed; if none is, initial. */
VESTRY_API const char *vestry_form_text(const vestry_form *form, const char *field, const char *initial);
/** Whether a box or radio button with that value is ticked, or an option selected; if nothing is kept, initial. */
VESTRY_API bool vestry_form_has(const vestry_form *form, const char *field, const char *value, bool initial);

/** Forget what was typed into a form of this request's tab, and refuse what still comes of it: once its
 *  submit is taken.
 *  Until then call nothing: a submit that is refused keeps its text. With a storage, a thread that has a connection to
 *  write clears in its transaction: both are committed, or neither.
 *  Returns  OK | INVALID | NOT_FOUND (not declared; the request has no tab) | NO_MEMORY (it is kept) | what the storage
 *           says (likewise)
 *  Threads  the handler's; takes a lock briefly, or blocks on the disk */
VESTRY_API vestry_err vestry_forms_clear(vestry_forms *forms, const vestry_request *req, const char *name);
/** Forget all forms of the request's scope, in all tabs: before vestry_session_logout. (After it no request finds them
 *  any more, but they take room until ttl_ms is over.) Threads the handler's; as vestry_forms_clear. */
VESTRY_API void vestry_forms_forget(vestry_forms *forms, const vestry_request *req);

/** Counters, since they were created, and sizes now. letters = kept + late + refused. */
typedef struct vestry_forms_stats {
  size_t size;             /**< sizeof(vestry_forms_stats), or 0 */
  uint64_t messages_count; /**< that came */
  uint64_t kept_count;     /**< of these were kept, or cleared the form, or asked */
  uint64_t late_count;     /**< came after a later one, or after the form was cleared */
  uint64_t refused_count;  /**< were none, or too large, or of no tab, or there was no memory, or the storage failed */
  uint64_t cleared_count;  /**< forms, by vestry_forms_clear; once that is committed */
  uint64_t evicted_count;  /**< forms that made room. Rises: an attack, or a bound is too low */
  uint64_t expired_count;  /**< forms whose time was over */
  size_t forms_count;      /**< now, also those that are only known to be cleared. Of a database: by all processes */
  size_t bytes;            /**< likewise. Of a database: in steps of 512 a form */
} vestry_forms_stats;

/** A snapshot. Threads any; takes a lock briefly, or reads the database (if it cannot, the sizes are 0). */
VESTRY_API void vestry_forms_stats_get(vestry_forms *forms, vestry_forms_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
