/* SPDX-License-Identifier: MIT */
/* Results of reads, which the renders of one commit share. One thread at a time, but references may be dropped by any.
 *
 * A commit often concerns several pages with the same read, such as the private pages of the members of a chat. The
 * first of them reads, and the others take its result. They depend on its set in the index, so the next commit that
 * matches the set renders all of them.
 *
 * A render may show a result if these conditions hold:
 *
 *     its fragment has had no refresh since the transaction of the read began, so all that it must show was visible
 *     the set of the read is in the index: no published commit has changed the result
 *     the result is all that the render reads, so that one render never shows two snapshots
 *     the result depends on rows only, and not on the connection or on chance
 *
 * Renders of one commit run on several threads. So a read that is under way is in a list, and a render that needs the
 * same result waits for it (index.c). It does not wait for statements whose last result could not be shared.
 *
 * The third is found out by rendering: a further read makes the render run again without sharing (database.c). For the
 * fourth, a statement is shared only if it is a plain SELECT that calls known functions of the server, and that has
 * read ordinary tables. A row-level policy or an operator of the application may call any function; its result is at
 * most VSI_POSTGRES_SHARED_MS old. */
#ifndef VSI_POSTGRES_ANSWERS_H
#define VSI_POSTGRES_ANSWERS_H

#include <libpq-fe.h>
#include <sys/queue.h>

#include "base/map.h"
#include "base/refs.h"
#include "vestry/value.h"

enum {
  VSI_POSTGRES_QUESTION_BYTES = 1024, /* of a statement with its values */
  VSI_POSTGRES_ANSWER_BYTES = 65536,  /* of the memory of one result */
  VSI_POSTGRES_SHARED_MS = 1000
};

/* A statement with its values. */
typedef struct vsi_postgres_question {
  uint64_t hash;
  uint64_t statement; /* a bit for the statement without its values */
  size_t len;
  char bytes[VSI_POSTGRES_QUESTION_BYTES];
} vsi_postgres_question;

/* Write a question. Returns false if renders must not share the result, or if it is too long. */
bool vsi_postgres_question_write(vsi_postgres_question *question, const char *sql, const vestry_value *values);

/* The result of a question. The members from `result` on are constant while it is in the table. */
typedef struct vsi_postgres_answer {
  vsi_map_link by_question, by_number;
  uint64_t number;                     /* of the set of the read; 0: it has ended. Guarded by the index's lock */
  TAILQ_ENTRY(vsi_postgres_answer) in; /* in the line, or in the list of coming answers */
  bool is_coming; /* changed by the render that reads, and guarded by the index's lock for others */
  vsi_refs refs;
  const vestry_host *host;
  PGresult *result; /* owned; NULL: not known yet */
  uint64_t seq;     /* number of the last refresh before the render of the read began */
  uint64_t at_ns;   /* monotonic time when that render began */
  uint64_t statement;
  size_t bytes, len;
  char question[];
} vsi_postgres_answer;

/* Create an answer without a result, and with one reference; NULL: no memory. */
vsi_postgres_answer *vsi_postgres_answer_create(const vestry_host *host, const vsi_postgres_question *question,
                                                uint64_t seq);
/* Drop a reference. NULL is accepted. */
void vsi_postgres_answer_unref(vsi_postgres_answer *answer);

/* The table. Initialize the host, the line and the list; the rest is zero. */
typedef struct vsi_postgres_answers {
  const vestry_host *host;
  vsi_map by_question, by_number;
  TAILQ_HEAD(, vsi_postgres_answer) line;   /* the oldest first */
  TAILQ_HEAD(, vsi_postgres_answer) coming; /* whose renders have not ended; they own them */
  uint64_t shareable;                       /* bits of statements whose last result could be shared */
  size_t bytes;
} vsi_postgres_answers;

void vsi_postgres_answers_finish(vsi_postgres_answers *answers);
/* Add an answer whose read begins now, for vsi_postgres_answers_is_coming. */
void vsi_postgres_answers_begin(vsi_postgres_answers *answers, vsi_postgres_answer *answer);
/* Remove it, if it is still coming: other renders cannot show it. */
void vsi_postgres_answers_give_up(vsi_postgres_answers *answers, vsi_postgres_answer *answer);
/* Return whether to wait for an answer, which vsi_postgres_answers_find may find when its render has ended. */
bool vsi_postgres_answers_is_coming(const vsi_postgres_answers *answers, const vsi_postgres_question *question,
                                    uint64_t seq);
/* Add an answer whose set, with this number, was just entered, and take a reference to it. It replaces an older one to
 * the same question. Without memory, or if it is too large, nothing is added. */
void vsi_postgres_answers_put(vsi_postgres_answers *answers, vsi_postgres_answer *answer, uint64_t number);
/* Find the answer that a render may show whose fragment was last refreshed by the refresh `seq`. NULL: none */
vsi_postgres_answer *vsi_postgres_answers_find(const vsi_postgres_answers *answers,
                                               const vsi_postgres_question *question, uint64_t seq);
/* End the answer whose set has this number, because the set has ended. A later answer frees it, on the thread of a
 * render, because freeing a result takes longer than all that the follower does for a commit. */
void vsi_postgres_answers_end(vsi_postgres_answers *answers, uint64_t number);

#endif
