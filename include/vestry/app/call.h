/* SPDX-License-Identifier: MIT */
/** The functions of an application, in one table: each entry has a function, which the library calls.
 *
 *      VESTRY_STRUCT(note, (int, id), (const char *, text));       // vestry/data/sql.h
 *
 *      static void home(vestry_call *call) {                       // a live page
 *        vestry_call_document(call, "Shelf");
 *        vestry_call_form(call, &form, NULL);
 *        vestry_call_content(call);
 *        vestry_rows notes = vestry_call_rows(call, &note_shape, "SELECT id, text FROM note", NULL);
 *        for (const note *at; (at = vestry_next(&notes));) vestry_html_add(call->html, "<p>%s</p>", at->text);
 *      }
 *      static void add(vestry_call *call) {                        // an accepted form, in a transaction
 *        const note *sent = call->values;
 *        vestry_call_run(call, "INSERT INTO note(text) VALUES($1)", VESTRY_LIST(sent->text));
 *      }
 *      static void drop(vestry_call *call) {                       // a button
 *        vestry_call_run(call, "DELETE FROM note WHERE id = $1", VESTRY_LIST(vestry_call_path(call, "id")));
 *      }
 *      static const vestry_entry entries[] = {
 *          VESTRY_PAGE("/", home), VESTRY_FORM(&form, add), VESTRY_ACT("/note/{id}/drop", drop), {0}};
 *
 *  docs/guide/application.md has the rules. vestry/app/application.h has the application itself. */
#ifndef VESTRY_CALL_H
#define VESTRY_CALL_H

#include "vestry/app/clock.h"
#include "vestry/app/csp.h"
#include "vestry/app/input.h"
#include "vestry/app/page.h"
#include "vestry/data/jobs.h"
#include "vestry/data/sql.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vestry_application; /* vestry/app/application.h */

/** One call of an entry's function. Read only, valid during the call; a member that the kind of the entry does not have
 *  is NULL. Its error sticks: after the first error, all functions of this header do nothing, and the call ends with
 *  this error. Therefore, the function checks no errors. It returns early where it would use a missing row. */
typedef struct vestry_call {
  struct vestry_application *app;
  void *own;                 /**< vestry_application_options.own */
  const vestry_request *req; /**< all but jobs and parts */
  vestry_reply *reply;   /**< HANDLER, GUARD, DOCUMENT, PAGE, ERROR_DOCUMENT; not in a transaction, which may run again,
                            but with has_reply of the entry */
  vestry_html *html;     /**< PAGE, DOCUMENT, HANDLER, PART, ERROR_DOCUMENT */
  vestry_render *render; /**< PAGE, PART */
  vestry_sql_transaction *transaction; /**< ACT, FORM, JOB, EVERY, if the application has a database */
  vestry_job *job;                     /**< JOB, EVERY */
  const void *values;                  /**< FORM: the struct of its fields */
  int64_t key;                         /**< JOB: of vestry_call_enqueue; PART: of vestry_call_part. Otherwise 0 */
  const char *user;                    /**< name of the user who has logged in; NULL: none */
  const char *guest; /**< name of the guest (vestry/app/guest.h), also if the entry has just made it; NULL: none */
  vestry_value me;   /**< scope of the request, as bytes for a column with the owner of a row; else a null */
  vestry_err error;  /**< the first error, or OK */
} vestry_call;

/** The function of an entry.
 *  Threads  that of the handler, render or job; may block. The function of a transaction may be called several times,
 *           each time from the beginning, so it changes nothing but the database */
typedef void (*vestry_call_fn)(vestry_call *call);

/** Kind of an entry. */
typedef enum vestry_entry_kind {
  VESTRY_ENTRY_PAGE = 1, /**< GET: a live page (vestry/app/page.h) */
  VESTRY_ENTRY_DOCUMENT, /**< GET: an ordinary document in the same frame; its reads are not followed */
  VESTRY_ENTRY_HANDLER,  /**< any request, without a transaction: it fills the reply, or begins a document */
  VESTRY_ENTRY_ACT,      /**< a request that changes data, in a transaction; the response is 204 */
  VESTRY_ENTRY_FORM,     /**< an accepted form, in a transaction */
  VESTRY_ENTRY_JOB, /**< a job (vestry/data/jobs.h), in a transaction that also ends the job: its effect on the database
                           occurs exactly once */
  VESTRY_ENTRY_EVERY,         /**< a scheduled job, in a transaction */
  VESTRY_ENTRY_GUARD,         /**< before all routes at and below a path; an error or vestry_call_go ends the request */
  VESTRY_ENTRY_PART,          /**< a part that pages share, shown by vestry_call_part */
  VESTRY_ENTRY_ERROR_DOCUMENT /**< the document of responses 400 to 599; call->req->error is the status */
} vestry_entry_kind;

typedef struct vestry_application_form vestry_application_form;

/** An entry of an application's table. Made by the macros below, to which further members can be given, such as
 *  VESTRY_PAGE("/game/{code}", game, .makes_guest = true). All pointers are borrowed until
 *  vestry_application_destroy. */
typedef struct vestry_entry {
  vestry_entry_kind kind; /**< 0: the end of the table */
  const char *name;       /**< pattern of a path (vestry/routes.h); JOB, EVERY: the kind of the job; PART: its id */
  vestry_call_fn fn;
  const char *method;                  /**< HANDLER, ACT: the method [POST] */
  const vestry_application_form *form; /**< FORM */
  const vestry_page_options *page;     /**< PAGE: options, but render and handler; without app, its functions get the
                                            application [none] */
  const char *share; /**< PAGE: a share key (vestry_page_serve): one render for all tabs of a path, in which no user is
                          known [each tab has a private page] */
  uint64_t period_ms, offset_ms;    /**< EVERY: as for vestry_jobs_every */
  const char *element, *attributes; /**< PART: as in vestry_page_part */
  bool has_reply;   /**< ACT, FORM: without a transaction, and with call->reply, for example for a log-in */
  bool makes_guest; /**< PAGE, DOCUMENT, HANDLER, ACT, FORM: a person who has not logged in becomes a guest; needs
                         options.guests of the application */
} vestry_entry;

#ifndef __cplusplus
/* clang-format off */
/** A row of kind PAGE. Members of vestry_entry may follow. */
#define VESTRY_PAGE(path, ...) {.kind = VESTRY_ENTRY_PAGE, .name = (path), .fn = __VA_ARGS__}
/** A row of kind DOCUMENT. Members of vestry_entry may follow. */
#define VESTRY_DOCUMENT(path, ...) {.kind = VESTRY_ENTRY_DOCUMENT, .name = (path), .fn = __VA_ARGS__}
/** A row of kind HANDLER. Members of vestry_entry may follow. */
#define VESTRY_HANDLER(is_method, path, ...)                                                                           \
  {.kind = VESTRY_ENTRY_HANDLER, .method = (is_method), .name = (path), .fn = __VA_ARGS__}
/** A row of kind ACT. Members of vestry_entry may follow. */
#define VESTRY_ACT(path, ...) {.kind = VESTRY_ENTRY_ACT, .name = (path), .fn = __VA_ARGS__}
/** A row of kind FORM. Members of vestry_entry may follow. */
#define VESTRY_FORM(is_form, ...) {.kind = VESTRY_ENTRY_FORM, .form = (is_form), .fn = __VA_ARGS__}
/** A row of kind JOB. Members of vestry_entry may follow. */
#define VESTRY_JOB(job, ...) {.kind = VESTRY_ENTRY_JOB, .name = (job), .fn = __VA_ARGS__}
/** A row of kind EVERY. Members of vestry_entry may follow. */
#define VESTRY_EVERY(job, ms, ...) {.kind = VESTRY_ENTRY_EVERY, .name = (job), .period_ms = (ms), .fn = __VA_ARGS__}
/** A row of kind GUARD. Members of vestry_entry may follow. */
#define VESTRY_GUARD(prefix, ...) {.kind = VESTRY_ENTRY_GUARD, .name = (prefix), .fn = __VA_ARGS__}
/** A row of kind PART. Members of vestry_entry may follow. */
#define VESTRY_PART(id, ...) {.kind = VESTRY_ENTRY_PART, .name = (id), .fn = __VA_ARGS__}
/** A row of kind ERROR_DOCUMENT. Members of vestry_entry may follow. */
#define VESTRY_ERROR_DOCUMENT(...) {.kind = VESTRY_ENTRY_ERROR_DOCUMENT, .fn = __VA_ARGS__}
/* clang-format on */
#endif

/* ------------------------------------------------------------------------------------------------ the call -------- */

/** End a call with an error, for example NOT_FOUND for a page whose row does not exist, or FAILED for an act that its
 *  user may not do. The first error counts; OK does nothing. The function still has to return. A transaction is rolled
 *  back, and the request is answered as for that error of a handler, but FAILED is 403 except in a page (whose options
 *  have `allow`), with the reply of the function if that has a body and the status of an error. Threads the call's,
 *  also for all following functions; does not block. */
VESTRY_API void vestry_call_fail(vestry_call *call, vestry_err error);
/** End a call with NOT_FOUND if the row or text that it needs is NULL. A helper can return its result:
 *      return vestry_call_need(call, vestry_call_row(call, &game_shape, …));
 *  and the entry's function returns, too, because it has no row: if (!(game = game_of(call))) return;
 *  Returns  the row
 *  Threads  any; does not block */
static inline const void *vestry_call_need(vestry_call *call, const void *row) {
  if (!row) vestry_call_fail(call, VESTRY_NOT_FOUND);
  return row;
}
/** Refuse a form or an act, with a sentence for its user by a printf format: the transaction is rolled back, and a
 *  vestry_call_go before or after has no effect. A form shows the sentence and keeps its text. For an act, the page's
 *  signal `_said.act` has the sentence until the next press. Threads the call's; does not block. */
VESTRY_API void vestry_call_refuse(vestry_call *call, const char *format, ...) VESTRY_PRINTF(2, 3);
/** Lead the browser to a URL by a printf format: names and numbers of the program, no text of a client. In a
 *  transaction, after the commit. Not in a part or a job. In a page, return then, without a document. Threads the
 *  call's; does not block. */
VESTRY_API void vestry_call_go(vestry_call *call, const char *format, ...) VESTRY_PRINTF(2, 3);
/** Set signals of the page that has sent an act or a form, after the commit: vestry_reply_patch_signals. In a handler,
 *  at once. signals: an object, copied; of several calls the last one counts. Threads the call's; does not block. */
VESTRY_API void vestry_call_signals(vestry_call *call, const vestry_value *signals);
/** Get the time at which the request came, for example to compare it with a deadline: when its handling began. That is
 *  after its head was complete, and before the body was read, guards ran, or a transaction waited for another one. The
 *  time is the same each time that the function of a transaction runs.
 *  Returns  milliseconds since 1970, by the clock of the documents (vestry_application_document.clock), or else by that
 *           of the system | 0: a job, a part or a page
 *  Threads  the call's; as now_ms of the clock */
VESTRY_API int64_t vestry_call_came_ms(vestry_call *call);

/** Return a parameter of the path as an integer, also in a helper of the entry's function. A value that is no integer
 *  ends the call with NOT_FOUND. A name that the entry's path does not have ends it with INVALID, and the log names it.
 *  Returns  the integer | 0: the call has failed. A statement with this value then does nothing
 *  Threads  the call's; does not block */
VESTRY_API int64_t vestry_call_path(vestry_call *call, const char *name);
/** Read a value of the request, as vestry_request_get, for example a text of the path, or an integer within bounds. A
 *  missing or malformed one ends the call: as vestry_call_path for a parameter of the path, otherwise with the error of
 *  vestry_request_get.
 *  Returns  whether it was read */
VESTRY_API bool vestry_call_get(vestry_call *call, vestry_in in, const char *name, vestry_into into);
/** Read a signal of the request, or a member of data-payload (vestry/app/press.h), as vestry_signals_get. A missing or
 *  malformed one ends the call. Returns whether it was read. */
VESTRY_API bool vestry_call_signal(vestry_call *call, const char *path, vestry_into into);

/* ------------------------------------------------------------------------------------------------ database -------- */

/** Rows of a statement. Private members, but count. */
typedef struct vestry_rows {
  size_t count; /**< number of rows; 0 also after an error */
  void *next;   /**< private */
} vestry_rows;

/** Run a statement: in the transaction of the call, or, if it has none, as vestry_sql_read. Its rows are discarded.
 *  values   its parameters, as for vestry_sql_run; NULL: none
 *  Returns  true: it returned a row, or it is a statement without a result | false: no row, which is no error, or the
 *           call has failed
 *  Threads  blocks on the network or the disk, also the next five functions */
VESTRY_API bool vestry_call_run(vestry_call *call, const char *sql, const vestry_value *values);
/** Run a statement as vestry_call_run, and return the first column of its first row as an integer; 0: no row, or a
 *  null, or the call has failed. */
VESTRY_API int64_t vestry_call_integer(vestry_call *call, const char *sql, const vestry_value *values);
/** Run a statement as vestry_call_run, and return the first column of its first row as a text, valid during the call;
 *  NULL: no row, or a null, or the call has failed. */
VESTRY_API const char *vestry_call_text(vestry_call *call, const char *sql, const vestry_value *values);
/** Run a statement as vestry_call_run, and return its row as a struct (VESTRY_STRUCT of vestry/data/sql.h). Several
 *  rows end the call with INVALID, as other errors of vestry_sql_read_rows.
 *  Returns  the struct, valid during the call, also its members of the type const char * | NULL: no row, or the call
 *           has failed */
VESTRY_API void *vestry_call_row(vestry_call *call, const vestry_sql_shape *shape, const char *sql,
                                 const vestry_value *values);
/** Run a statement as vestry_call_run, and return all its rows, which are in memory until the call ends. For more than
 *  some thousands of rows use vestry_sql_read_rows with VESTRY_EACH_ROW. */
VESTRY_API vestry_rows vestry_call_rows(vestry_call *call, const vestry_sql_shape *shape, const char *sql,
                                        const vestry_value *values);
/** Run a statement as vestry_call_run, and return its rows, with the columns `value` and `label`, both text, as choices
 *  of a field, for `adapt` of a form. Valid during the call; NULL: the call has failed. */
VESTRY_API const vestry_choice *vestry_call_choices(vestry_call *call, const char *sql, const vestry_value *values);
/** Return the next row, as vestry_call_row; NULL: there is no further one. Does not block. */
static inline void *vestry_next(vestry_rows *rows) {
  void **is = (void **)rows->next;
  if (!is) return NULL;
  rows->next = *is;
  return is + 2;
}

/** Enqueue a job of an entry JOB in the transaction of a call.
 *  kind   name of the entry, or a kind of vestry_jobs_on in this process. Any other one ends the call with INVALID, and
 *         the log names it. Enqueue a job that only another program runs by vestry_jobs_enqueue
 *  key    an integer for the job: call->key
 *  at_ms  the job begins at this time or later, since 1970 (vestry_clock_ms). Orders of the same kind, key and time are
 *         one job. 0: at once, a job for each order
 *  Threads  the call's; blocks on the network or the disk */
VESTRY_API void vestry_call_enqueue(vestry_call *call, const char *kind, int64_t key, int64_t at_ms);

/* ------------------------------------------------------------------------------------------------ documents ------- */

/** The frame of all documents of an application: pages, documents, refused forms and errors. Zero selects the default,
 *  which is given in [brackets]. All pointers are borrowed until vestry_application_destroy. */
typedef struct vestry_application_document {
  const char *title; /**< text of the title, where a document has none [the application's name] */
  /** Return the language of a document, the value of its attribute lang, by the request, for example its cookie
   *  or Accept-Language. NULL: "en". Threads the call's; may block ["en"] */
  const char *(*language)(vestry_call *call);
  const char *client;        /**< URL of the Datastar client [VESTRY_DATASTAR_CDN_URL] */
  const char *head;          /**< HTML of the program for the head, for example links to style sheets [none] */
  const vestry_clock *clock; /**< the server's clock for pages (vestry/app/clock.h) [none]. The application serves it at
                                  its url, unless the program has a route there */
  /** A button with data-press in a document sends a POST request with these options (vestry/app/press.h) [if the table
   *  has a VESTRY_ACT: csrf, and once with deduplicate, as far as the application has them; otherwise none]. Each press
   *  clears `_said.act`. A document with this has no
   *  other element with vestry_html_presses */
  const vestry_backend_action_options *presses;
  const char *begin, *end;  /**< HTML of the program after the start tag of the body, and before its end tag [none] */
  const vestry_csp *policy; /**< policy of each document (vestry/app/csp.h) [none] */
} vestry_application_document;

/** Begin a document: the head, with the Datastar client and vestry_html_early, and the start tag of the body with the
 *  signal `_csrf`, the tab's id and the attributes of vestry_once. Continue with HTML that never changes, forms, and
 *  vestry_call_content. The library writes all end tags. PAGE, DOCUMENT, HANDLER, ERROR_DOCUMENT; before any
 *  HTML. In a render for a stream only the title is written. Threads the call's; does not block. */
VESTRY_API void vestry_call_document(vestry_call *call, const char *title);
/** Begin the content, `<main id="content">`: in a page vestry_render_begin. Its end comes with that of the function, or
 *  from the next function. Threads the call's; does not block. */
VESTRY_API void vestry_call_content(vestry_call *call);
/** End the content. HTML and forms that never change can follow. Threads the call's; does not block. */
VESTRY_API void vestry_call_content_end(vestry_call *call);
/** Append a part to the content of a page: all pages with this part and key share one render of it. Its element has the
 *  id of the entry, for a key other than 0 followed by "-" and the key.
 *  name  of the entry
 *  key   call->key in the part's function
 *  Threads  the call's; renders the part, or waits for its render */
VESTRY_API void vestry_call_part(vestry_call *call, const char *name, int64_t key);

/* ------------------------------------------------------------------------------------------------ forms ----------- */

/** Set texts and choices in a copy of a form and of its inputs, before it is shown, read, or shown again as refused:
 *
 *      static void adapt(vestry_call *call, vestry_application_form *form, vestry_input *inputs) {
 *        if (is_german(call->req)) inputs[0].label = "Notiz";
 *        inputs[1].choices = vestry_call_choices(call, "SELECT id || '' AS value, name AS label FROM room", NULL);
 *      }
 *
 *  What it sets lives as long as the call. It changes no names, kinds, action or is_kept. An entry of the form reads
 *  outside of its transaction.
 *  Threads  the call's; may block */
typedef void (*vestry_adapt_fn)(vestry_call *call, vestry_application_form *form, vestry_input *inputs);

/** A form that works with and without JavaScript, declared once: its page shows it with the token, a nonce, the id of
 *  the tab, a place for messages, and its fields; its entry reads the fields by the same rules, and calls its function
 *  only if all are kept.
 *
 *      VESTRY_STRUCT(note, (const char *, text));                  // vestry/data/sql.h
 *      static const vestry_application_form form = {
 *          .action = "/note", .button = "Add",
 *          VESTRY_INPUTS(VESTRY_INPUT(note, text, .label = "Note", .min = 1, .max = 200))};
 *
 *  With JavaScript, messages are shown in the form, and an accepted one is emptied. Each field that breaks a rule also
 *  has its message behind its label, in a `small` that describes it, and `aria-invalid`. Without it, the response to a
 *  refused form is a document with the same form and the message (422), and that to an accepted one leads to `page`, or
 *  to the URL of vestry_call_go. Zero selects the default, which is given in [brackets]; texts are borrowed. */
struct vestry_application_form {
  const char *action;         /**< path of its entry, without parameters: a field with is_hidden has the value */
  const char *name;           /**< of its signals: letters, digits and '_', unique in its page ["form"] */
  const vestry_input *inputs; /**< vestry/app/input.h; with its number made by VESTRY_INPUTS. No field is called csrf,
                                   once or tabId */
  size_t inputs_count;
  const char *button;     /**< text of its button ["Send"] */
  const char *attributes; /**< HTML for the start tag of the form, such as "class=\"line\"", without an id [none] */
  bool is_kept;           /**< store its text while it is typed (vestry/app/form.h); the transaction of its entry clears
                               it. Needs options.forms of the application */
  const char *sending;    /**< shown until the page has its result ["Sending…"] */
  const char *failed;     /**< shown if it was not accepted for another reason than a message ["This was not sent. Try
                               again."] */
  const char *page;       /**< path to which an accepted form leads a browser without JavaScript ["/"] */
  const char *title;      /**< of the document of a refused form [that of the frame] */
  vestry_adapt_fn adapt;  /**< sets its texts by the language of the user, or its choices by the rows of a database
                               [none] */
};

/** Append a form. In a page it is in the document, before vestry_call_content or after vestry_call_content_end, so that
 *  no event changes typed text; in a render for a stream nothing is appended there. In the content it can come and go
 *  with a state of the page, or change its choices; it is not kept, and typed text stays unless `values` change. In an
 *  ordinary document the browser sends it itself, with and without JavaScript, and its text is not stored.
 *  values   what it contains first, a struct of its fields; NULL: nothing
 *  Threads  the call's; does not block, but as vestry_form_open if the form is kept */
VESTRY_API void vestry_call_form(vestry_call *call, const vestry_application_form *form, const void *values);

#ifdef __cplusplus
}
#endif
#endif
