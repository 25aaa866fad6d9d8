/* SPDX-License-Identifier: MIT */
/** Fields of a form, declared once: a page shows them with their rules, and a handler reads them by the same rules.
 *
 *      typedef struct note {                       // a form of vestry/app/call.h can use VESTRY_STRUCT instead
 *        char text[VESTRY_TEXT_BYTES(200)];
 *        char colour[8];
 *        bool is_urgent;
 *      } note;
 *      static const vestry_choice colours[] = {{"red", "Red"}, {"green", "Green"}, {0}};
 *      static const vestry_input note_inputs[] = {
 *          VESTRY_INPUT(note, text, .label = "Note", .min = 1, .max = 200),
 *          VESTRY_INPUT(note, colour, .label = "Colour", .min = 1, .choices = colours),
 *          VESTRY_INPUT(note, is_urgent, .label = "Urgent")};
 *
 *      vestry_inputs_add(html, note_inputs, 3, NULL);                       // a page, inside a form
 *      error = vestry_inputs_read(req, note_inputs, 3, &note, messages);    // its handler
 *
 *  The same fields are signals of a page, which a handler reads, changes and sends back. docs/guide/signals.md has an
 *  example. A form of vestry/app/application.h has its fields, token, nonce and messages. docs/guide/forms.md has the
 *  rules. */
#ifndef VESTRY_INPUT_H
#define VESTRY_INPUT_H

#include "vestry/app/form.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Type of a field's member. */
typedef enum vestry_input_kind {
  VESTRY_INPUT_TEXT = 1, /**< an array of char */
  VESTRY_INPUT_INTEGER,  /**< an int64_t */
  VESTRY_INPUT_NUMBER,   /**< a double */
  VESTRY_INPUT_CHECK,    /**< a bool: a check box */
  VESTRY_INPUT_BORROWED, /**< a const char *, of a form of vestry/app/call.h, whose call has the text. It needs a max or
                              choices; the rules of TEXT apply */
  VESTRY_INPUT_JSON      /**< a json_t *: any JSON, of a signal only, and not shown. Borrowed from the request, whose
                              limits bound it (vestry_options.signals). NULL: there is none */
} vestry_input_kind;

/** A value that a field may have. */
typedef struct vestry_choice {
  const char *value; /**< sent by the browser and stored in the member: a text, or the digits of an integer */
  const char *label; /**< shown to the user [the value] */
} vestry_choice;

/** A field and its rules. Made by VESTRY_INPUT; zero selects the default, which is given in [brackets]. Texts are
 *  borrowed. */
typedef struct vestry_input {
  const char *name;       /**< of the member, the input, and the signal */
  const char *path;       /**< of the signal, if it is in objects: "errors.name" [the name] */
  vestry_input_kind kind; /**< type of the member */
  uint32_t offset, bytes; /**< of the member in its struct */
  uint32_t struct_bytes;  /**< sizeof the struct */
  const char *label;      /**< text beside the input, and in messages [the name] */
  int64_t min, max;       /**< TEXT: number of characters (Unicode code points) without white space at both ends; max 0:
                               as many as fit into the member as UTF-8, and never more than that. A max that is larger
                               than the member is refused. INTEGER, NUMBER: the bounds; both 0: any. JavaScript has
                               the integers from -(2^53 - 1) to 2^53 - 1 only: send larger ones as texts */
  const char *allowed;    /**< TEXT: characters that it may contain, and ranges of them, such as "a-z0-9-"; all ASCII
                               [all but control characters] */
  const char *type; /**< TEXT: type of the input. "password": a password or a code. No document contains its value, also
                         not that of a refused form or of `values`; it is not stored while it is typed, and white space
                         at its ends counts. So is a text whose attributes contain "password" or "one-time-code".
                         "date", "time", "datetime-local": a moment as the browser sends it, such as "2026-12-31",
                         "23:59", "2026-12-31T23:59", which exists; other texts break the rule. Other types, such as
                         "email", concern the browser only [text] */
  bool has_lines;   /**< TEXT: several lines, as LF */
  const vestry_choice *choices; /**< TEXT, INTEGER: the only values that the field may have, ended by a choice of zeros;
                                     max, allowed and has_lines do not apply. A text with min 0 may also be empty
                                     [any value] */
  bool is_list;                 /**< show the choices as a list that opens (`select`) [as radio buttons] */
  bool is_hidden; /**< TEXT, INTEGER: a value of the page, such as the row that its path names: not shown, but sent, and
                       kept in the document of a refused form. It is that of `values`, and is not stored while text is
                       typed. A client can send another one: the handler checks that its user may change that row */
  const char *message;    /**< sentence for the user if a rule is broken [made from label and rules, in English] */
  const char *attributes; /**< HTML for the start tag of the input, such as "autocomplete=\"name\"" [none] */
} vestry_input;

#ifndef __cplusplus
/* clang-format off */
/** Describe a field by a member of a struct, followed by further members of vestry_input. A member of another type than
 *  those of vestry_input_kind does not compile. */
#define VESTRY_INPUT(type, member, ...)                                                                                \
  {.name = #member,                                                                                                    \
   .kind = _Generic(&((type *)0)->member, char (*)[sizeof ((type *)0)->member]: VESTRY_INPUT_TEXT,                     \
                    const char **: VESTRY_INPUT_BORROWED, int64_t *: VESTRY_INPUT_INTEGER, bool *: VESTRY_INPUT_CHECK, \
                    double *: VESTRY_INPUT_NUMBER, json_t **: VESTRY_INPUT_JSON),                                      \
   .offset = (uint32_t)offsetof(type, member), .bytes = (uint32_t)sizeof ((type *)0)->member,                          \
   .struct_bytes = (uint32_t)sizeof(type), __VA_ARGS__}
/** Set inputs and inputs_count of a form: VESTRY_INPUTS(VESTRY_INPUT(…), …), outside of functions. */
#define VESTRY_INPUTS(...)                                                                                             \
  .inputs = (const vestry_input[]){__VA_ARGS__},                                                                       \
  .inputs_count = sizeof((const vestry_input[]){__VA_ARGS__}) / sizeof(vestry_input)
/* clang-format on */
#endif

/** Size of an array for a text of max characters: at most four bytes each, and a NUL. */
#define VESTRY_TEXT_BYTES(max) (4 * (max) + 1)
/** Return whether a text, for example of a signal, has at most max characters, and at least min without the white space
 *  at both ends. A line break CR LF, as forms send it, is one character. NULL: false. Threads any; does not block. */
VESTRY_API bool vestry_text_has(const char *text, size_t min, size_t max);

/** Size of the message about a field. */
#define VESTRY_INPUT_MESSAGE_BYTES 256

/** Read fields into a struct: from the form in the body of a request, or, if the body is no form, from its signals,
 *  which may be forged. White space at both ends of a text is removed, but not of a secret, and a line ends with LF
 *  only. Nothing is converted: the text "4" of a signal is no number. A field that is missing in a form is empty, or a
 *  box that is not ticked. A signal that is absent or null leaves the value of the struct.
 *  values    before: the defaults. After: the sent values, within the rules; a field that breaks a rule has its default
 *  messages  as many as fields: a sentence for the user about the field, "" if it breaks no rule. NULL: none
 *  Returns  OK | MALFORMED (a field breaks a rule, or the default of an absent signal does) | INVALID (req, fields or
 *           values are NULL; a field is BORROWED, or its declaration cannot work: a text's max and choices fit into its
 *           member, choices of an integer are integers, min is at most max. The host's log names the field and the
 *           remedy) | NO_MEMORY
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_inputs_read(const vestry_request *req, const vestry_input *fields, size_t count,
                                         void *values, char (*messages)[VESTRY_INPUT_MESSAGE_BYTES]);

/** Make the signals by which a page gets the values of a struct, for vestry_reply_patch_signals,
 *  vestry_connection_patch_signals or vestry_call_signals:
 *      json_t *changed = NULL;
 *      vestry_err error = vestry_inputs_signals(fields, 3, &now, &was, messages, &changed);
 *      if (changed) error = vestry_reply_patch_signals(reply, VESTRY_VALUES(changed));
 *      json_decref(changed);
 *  Of a JSON object only changed members are in it, and null for each member that is gone, because the page merges it
 *  (RFC 7386).
 *  now          a struct. JSON that is NULL is null, which removes the signal
 *  was          what the page has: a copy of the struct that vestry_inputs_read has filled. NULL: all fields are made
 *  messages     of vestry_inputs_read: a field with a message is made, because the page has another value than `was`.
 *               NULL: none has
 *  ret_signals  a new reference, owned by the caller (json_decref); NULL if nothing has changed; untouched on failure
 *  Returns  OK | EXISTS (two paths are equal, or one is inside the other) | INVALID (an argument is NULL, a text is not
 *           UTF-8, a number is not finite) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_inputs_signals(const vestry_input *fields, size_t count, const void *now, const void *was,
                                            char (*messages)[VESTRY_INPUT_MESSAGE_BYTES], json_t **ret_signals);

/** What fields contain first. Zero: they are empty. The first member that is set counts. */
typedef struct vestry_inputs_shown {
  const vestry_request *req; /**< what the user has sent, for a form with an error */
  const vestry_form *form;   /**< the stored text of the tab (vestry/app/form.h); then each field has
                                  VESTRY_FORM_FIELD. Where none is stored, that of values */
  const void *values;        /**< a struct */
} vestry_inputs_shown;

/** Append fields to a form: each is an input in its label, with attributes by which the browser checks its rules. Radio
 *  buttons are in a `fieldset`, whose `legend` is the label.
 *  shown  NULL: empty fields
 *  Returns  as vestry_html_add; INVALID also as vestry_inputs_read */
VESTRY_API vestry_err vestry_inputs_add(vestry_html *html, const vestry_input *fields, size_t count,
                                        const vestry_inputs_shown *shown);

#ifdef __cplusplus
}
#endif
#endif
