/* SPDX-License-Identifier: MIT */
/* Where forms are kept: in memory (form.h), or in a database (data/sqlite/forms.c, data/postgres/forms.c). A
 * storage is whole in its ops; none is called while the instance holds a lock. */
#ifndef VSI_PAGE_FORM_STORAGE_H
#define VSI_PAGE_FORM_STORAGE_H

#include "vestry/app/form.h"
#include "vestry/app/tab.h"
#include "vestry/html.h"

/* Whose form it is. Borrowed. */
typedef struct vsi_form_key {
  vestry_scope scope;
  const char *tab;  /* VESTRY_TAB_ID_BYTES - 1 digits */
  const char *name; /* terminated */
  bool is_anonymous;
} vsi_form_key;

/* What is kept of one: pairs of a field and a value, both terminated, one after the other. */
typedef struct vsi_form_state {
  uint64_t generation, number; /* of the form; of the letter that said it */
  size_t len;                  /* 0: nothing */
  char *pairs;                 /* NULL: none */
} vsi_form_state;

/* Each may also say what its storage fails with: LIMIT (not now) | IO. Nothing has changed then. */
typedef struct vsi_form_storage_ops {
  /* A copy; pairs are the caller's to free, by the storage's host. Zeroes: there is none. In a render that follows the
   * storage, the render is made again when the form is of another generation. OK | NO_MEMORY */
  vestry_err (*find)(vestry_forms_storage *storage, const vsi_form_key *key, vsi_form_state *ret_state);
  /* Keep a state, unless what is there is later. Copies pairs. ret_state: of what is there then, without pairs.
   * OK | EXISTS (what is there is later) | NO_MEMORY */
  vestry_err (*put)(vestry_forms_storage *storage, const vsi_form_key *key, const vsi_form_state *state,
                    vsi_form_state *ret_state);
  /* Nothing is kept from here on, and what is of an earlier generation will not be. tells: on_cleared is called once
   * that can be read, which it cannot be before the transaction of this thread is committed. OK | NO_MEMORY */
  vestry_err (*clear)(vestry_forms_storage *storage, const vsi_form_key *key, bool tells, vsi_form_state *ret_state);
  /* The form of another tab for this one, which has none. ret_state: of what is there then, without pairs.
   * OK | EXISTS (it has one) | NOT_FOUND (the other has none) | NO_MEMORY */
  vestry_err (*copy)(vestry_forms_storage *storage, const vsi_form_key *key, const char *tab,
                     vsi_form_state *ret_state);
  /* All of a scope. */
  vestry_err (*forget)(vestry_forms_storage *storage, vestry_scope scope);
  /* Counters and sizes of what is kept. */
  void (*count)(vestry_forms_storage *storage, vestry_forms_stats *stats);
} vsi_form_storage_ops;

struct vestry_forms_storage {
  const vsi_form_storage_ops *ops;
  /* Of the forms that have it; NULL: none has. */
  vestry_forms *forms;
  const vestry_host *host;
  vestry_forms_options bounds; /* with all defaults */
  void (*on_cleared)(vestry_forms *forms, const char *tab, const char *name);
};

/* Whether a letter comes after what is there. */
static inline bool vsi_form_is_late(const vsi_form_state *letter, const vsi_form_state *there) {
  return letter->generation < there->generation ||
         (letter->generation == there->generation && letter->number <= there->number);
}

/* options: with all defaults. OK | NO_MEMORY | IO */
vestry_err vsi_form_kept_create(const vestry_host *host, const vestry_forms_options *options,
                                vestry_forms_storage **ret_kept);
void vsi_form_kept_destroy(vestry_forms_storage *kept);

/* What a form that is kept does in the browser. */

/* Write it as the attribute `data-init`. fields: a JavaScript array. tag: of the scope. All are safe in code. */
vestry_err vsi_form_script(vestry_html *html, const char *name, const char *fields, const char *path, const char *tag);

#endif
