/* SPDX-License-Identifier: MIT */
/* Storages of forms: memory (form_kept.c), or a database (data/sql/forms.c). The functions in ops are the whole
 * interface. They are called while the instance holds no lock. */
#ifndef VSI_PAGE_FORM_STORAGE_H
#define VSI_PAGE_FORM_STORAGE_H

#include "vestry/app/form.h"
#include "vestry/app/tab.h"
#include "vestry/html.h"

/* Identifies a stored form. Borrowed. */
typedef struct vsi_form_key {
  vestry_scope scope;
  const char *tab;  /* VESTRY_TAB_ID_BYTES - 1 digits */
  const char *name; /* terminated */
  bool is_anonymous;
  uint64_t person; /* hash of the client's address, of all nodes; 0: it has a user or scope, or no known address */
} vsi_form_key;

/* The stored values of a form: pairs of a field and a value, both terminated, one after the other. */
typedef struct vsi_form_state {
  uint64_t generation, number; /* generation of the form; number of the message with these values */
  size_t len;                  /* 0: no values */
  char *pairs;                 /* NULL: none */
} vsi_form_state;

/* Each function may also return an error of its storage, after which nothing has changed: LIMIT (not now) | IO. */
typedef struct vsi_form_storage_ops {
  /* Get a copy of the state; the caller frees its pairs with the storage's host. A zeroed state means that nothing is
   * stored. If a render follows the storage, it runs again when the generation of the form changes. Returns OK |
   * NO_MEMORY. */
  vestry_err (*find)(vestry_forms_storage *storage, const vsi_form_key *key, vsi_form_state *ret_state);
  /* Store a state, unless the stored state is later. pairs are copied. ret_state: the stored state afterwards, without
   * pairs. Returns OK | EXISTS (the stored state is later) | NO_MEMORY. */
  vestry_err (*put)(vestry_forms_storage *storage, const vsi_form_key *key, const vsi_form_state *state,
                    vsi_form_state *ret_state);
  /* Clear a form, and reject messages of earlier generations from then on. notifies: call on_cleared when a render
   * can read this, which is after the commit of this thread's transaction. Returns OK | NO_MEMORY. */
  vestry_err (*clear)(vestry_forms_storage *storage, const vsi_form_key *key, bool notifies, vsi_form_state *ret_state);
  /* Copy the form of another tab to this tab, which has none. ret_state: the stored state afterwards, without pairs.
   * Returns OK | EXISTS (this tab has one) | NOT_FOUND (the other tab has none) | NO_MEMORY. */
  vestry_err (*copy)(vestry_forms_storage *storage, const vsi_form_key *key, const char *tab,
                     vsi_form_state *ret_state);
  /* Delete all forms of a scope. */
  vestry_err (*forget)(vestry_forms_storage *storage, vestry_scope scope);
  /* Get counters and current sizes. */
  void (*count)(vestry_forms_storage *storage, vestry_forms_stats *stats);
} vsi_form_storage_ops;

struct vestry_forms_storage {
  const vsi_form_storage_ops *ops;
  /* The forms that use this storage; NULL: none. */
  vestry_forms *forms;
  const vestry_host *host;
  vestry_forms_options bounds; /* with all defaults */
  void (*on_cleared)(vestry_forms *forms, const char *tab, const char *name);
};

/* Return whether a message is late: the stored state is the same or later. */
static inline bool vsi_form_is_late(const vsi_form_state *message, const vsi_form_state *there) {
  return message->generation < there->generation ||
         (message->generation == there->generation && message->number <= there->number);
}

/* Return whether the text of a field is secret: shown in no document, and not stored. */
bool vsi_form_is_secret(const struct vestry_input *field);

/* Create the storage in memory. options: with all defaults. Returns OK | NO_MEMORY | IO (no randomness). */
vestry_err vsi_form_kept_create(const vestry_host *host, const vestry_forms_options *options,
                                vestry_forms_storage **ret_kept);
void vsi_form_kept_destroy(vestry_forms_storage *kept);

#endif
