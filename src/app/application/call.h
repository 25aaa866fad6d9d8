/* SPDX-License-Identifier: MIT */
/* An application, its mounted entries, and the calls of their functions. */
#ifndef VSI_APPLICATION_CALL_H
#define VSI_APPLICATION_CALL_H

#include <jansson.h>

#include "vestry/app/application.h"

/* An entry of the table, the context of its handler, render, job or guard. */
typedef struct vsi_mounted {
  vestry_entry is;
  vestry_application *app;
  vestry_page_options options; /* PAGE: as given */
  vestry_page *page;           /* PAGE: made */
} vsi_mounted;

typedef struct vsi_application {
  vestry_application is; /* the first member */
  const vestry_host *host;
  const vestry_application_database *database;
  void *follower;
  bool is_following, has_started;              /* has_started: the threads of the jobs */
  bool is_uncompressed, acts_repeat, has_acts; /* has_acts: entries of the kind ACT */
  vestry_sql_kind isolation;
  void *own;
  void (*end)(vestry_application *app, void *own); /* NULL: nothing of the program has to end */
  void *node;
  void (*leave)(vestry_application *app, void *node); /* NULL: it is in no cluster */
  vestry_application_document document;
  vsi_mounted *entries;
  size_t entries_count;
  /* The storages of parts in the database; NULL: memory. */
  vestry_sql_sessions *sessions;
  vestry_sql_once *once;
  vestry_forms_storage *forms;
  char *name;
  struct vsi_scripts *scripts; /* the file of the library's scripts */
} vsi_application;

static inline vsi_application *vsi_application_of(vestry_application *app) {
  return (vsi_application *)app;
}

/* A form in the content of a document. */
typedef struct vsi_content_form {
  struct vsi_content_form *next;
  const char *name;
} vsi_content_form;

/* A call. Its memory is freed when it ends. */
typedef struct vsi_entry_call {
  vestry_call is; /* the first member */
  const vsi_mounted *entry;
  const vestry_request *req; /* as in `is`, but also outside of the function */
  vestry_reply *reply;       /* likewise, also during a transaction; NULL: none */
  struct vsi_entry_call_block *blocks;
  vsi_content_form *forms; /* in the content, whose hidden fields follow behind it; in blocks */
  json_t *signals;         /* of vestry_call_signals, for after the commit */
  json_t *wrong;           /* messages of refused fields of a form, by their names; NULL: none */
  const char *url;         /* of vestry_call_go; in blocks; NULL: none */
  const char *said;        /* of vestry_call_refuse; in blocks; NULL: not refused */
  uint64_t accepted_ns;    /* of a form: sent to the client, so that the mark has it, too; 0: not yet */
  bool has_document;       /* it has begun */
  bool has_content;        /* its content has begun, and not ended */
  bool has_mark;           /* its transaction has marked its submission as done */
} vsi_entry_call;

/* Run a transaction as vestry_application_act. has_mark: whether fn has marked its submission, so that it is safe to
 * repeat it if the answer to the commit is lost */
vestry_err vsi_application_act(vestry_application *app, vestry_sql_act_fn fn, void *ctx, const bool *has_mark);

static inline vsi_entry_call *vsi_entry_call_of(vestry_call *call) {
  return (vsi_entry_call *)call;
}

/* Begin a call of an entry. req, reply: NULL in a job or a part. */
void vsi_entry_call_begin(vsi_entry_call *call, const vsi_mounted *entry, const vestry_request *req,
                          vestry_reply *reply);
/* Forget what a transaction has done that runs again. */
void vsi_entry_call_again(vsi_entry_call *call, vestry_sql_transaction *transaction);
/* Free the memory of a call. Returns its error. */
vestry_err vsi_entry_call_end(vsi_entry_call *call);
/* Allocate bytes that are zero and freed with the call, aligned for any type. NULL: no memory, and the call has
 * failed. */
void *vsi_entry_call_alloc(vsi_entry_call *call, size_t bytes);
/* Copy the result of a printf format. NULL: as above. */
char *vsi_entry_call_print(vsi_entry_call *call, const char *format, va_list arguments) VESTRY_PRINTF(2, 0);
/* Send the signals of an accepted call. They are JSON, and no event unless the program has added one: the response to a
 * request that is repeated, for example after a restart of the server, is stored only if it is no stream
 * (vestry/app/once.h). */
vestry_err vsi_entry_call_patch(vsi_entry_call *call);
/* Send the sentence of a refused act as the signal `_said.act`, in the same way. */
vestry_err vsi_entry_call_say(vsi_entry_call *call);
/* Log a mistake of the program in a call, and end the call with INVALID. */
void vsi_entry_call_mistake(vestry_call *call, const char *function, const char *why);

#endif
