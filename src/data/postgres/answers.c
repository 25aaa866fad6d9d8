/* SPDX-License-Identifier: MIT */
#include "data/postgres/answers.h"

#include <string.h>

#include "base/ascii.h"
#include "base/hash.h"
#include "base/wait.h"
#include "data/sql/syntax.h"

enum { COUNT_MOST = 256, BYTES_MOST = 4 << 20, WORD_BYTES = 32 };

/* ------------------------------------------------------------------------------------------------ questions ------- */

typedef char word[WORD_BYTES];

/* Words of statements that do more than read, or whose result depends on chance. */
static const char *const refused[] = {"for",   "into",        "insert",   "update", "delete",
                                      "merge", "tablesample", "operator", NULL};
/* Words that may stand before a parenthesis: of the language, and functions of the server without other results for the
 * same rows. */
static const char *const known[] = {"select",
                                    "from",
                                    "where",
                                    "and",
                                    "or",
                                    "not",
                                    "in",
                                    "exists",
                                    "on",
                                    "using",
                                    "join",
                                    "any",
                                    "some",
                                    "all",
                                    "as",
                                    "by",
                                    "when",
                                    "then",
                                    "else",
                                    "having",
                                    "limit",
                                    "offset",
                                    "union",
                                    "except",
                                    "intersect",
                                    "over",
                                    "filter",
                                    "between",
                                    "like",
                                    "ilike",
                                    "is",
                                    "lateral",
                                    "distinct",
                                    "case",
                                    "cast",
                                    "coalesce",
                                    "nullif",
                                    "greatest",
                                    "least",
                                    "count",
                                    "sum",
                                    "min",
                                    "max",
                                    "avg",
                                    "length",
                                    "lower",
                                    "upper",
                                    "abs",
                                    "round",
                                    "floor",
                                    "ceil",
                                    "substring",
                                    "substr",
                                    "trim",
                                    "left",
                                    "right",
                                    "concat",
                                    "concat_ws",
                                    "replace",
                                    "position",
                                    "row_number",
                                    "rank",
                                    "dense_rank",
                                    "lag",
                                    "lead",
                                    "first_value",
                                    "last_value",
                                    "string_agg",
                                    "array_agg",
                                    "json_agg",
                                    "jsonb_agg",
                                    "bool_and",
                                    "bool_or",
                                    "json_build_object",
                                    "jsonb_build_object",
                                    "to_char",
                                    "extract",
                                    "date_trunc",
                                    "numeric",
                                    "varchar",
                                    "array",
                                    "row",
                                    NULL};

static bool has(const char *const *words, const char *at) {
  for (; *words; words++)
    if (strcmp(*words, at) == 0) return true;
  return false;
}

/* Read a word in lower case; a long one is cut, and is in no list then. Returns its end. */
static const char *read_word(const char *at, word ret_word) {
  size_t len = 0;
  for (; vsi_sql_is_word(*at); at++)
    if (len < WORD_BYTES - 1) ret_word[len++] = (char)vsi_lower(*at);
  ret_word[len] = '\0';
  return at;
}

/* Return the end of a text or name in quotes; NULL: it has none. A doubled quote is read as two texts. */
static const char *skip_quoted(const char *at) {
  const char *end = strchr(at + 1, *at);
  return end ? end + 1 : NULL;
}

/* Return whether the text is a plain SELECT whose result depends on rows only, unless it reads a view (read_set.h). */
static bool is_plain(const char *sql) {
  word last = "";                        /* the token before; "": no word */
  bool is_first = true, is_part = false; /* is_part: of a qualified name, whose function could be any */
  for (const char *at = sql; at && *at;) {
    const char is = *at;
    if (vsi_is_space(is)) {
      at++;
    } else if (vsi_sql_is_word(is) && !vsi_is_digit(is)) {
      const bool is_qualified = is_part;
      at = read_word(at, last);
      if (is_first ? strcmp(last, "select") != 0 : has(refused, last)) return false;
      if (*at == '\'') return false; /* a text with escapes */
      if (is_qualified) strcpy(last, ".");
      is_first = is_part = false;
    } else if (is == '(' && *last && !has(known, last)) {
      return false;
    } else if (is_first || is == ';' || is == '\\' || strncmp(at, "--", 2) == 0 || strncmp(at, "/*", 2) == 0 ||
               (is == '$' && !vsi_is_digit(at[1]))) {
      return false;
    } else {
      is_part = is == '.';
      strcpy(last, is == '"' || is_part ? "." : "");
      at = is == '"' || is == '\'' ? skip_quoted(at) : at + 1;
      if (!at) return false;
    }
  }
  return !is_first;
}

static bool add(vsi_postgres_question *q, const void *bytes, size_t len) {
  if (len > sizeof q->bytes - q->len) return false;
  if (len) memcpy(q->bytes + q->len, bytes, len);
  q->len += len;
  return true;
}

/* Add a value: its type, and its number, or its length and bytes. */
static bool add_value(vsi_postgres_question *q, const vestry_value *value) {
  const char type = (char)value->type;
  if (!add(q, &type, 1)) return false;
  switch (value->type) {
  case VESTRY_VALUE_NULL: return true;
  case VESTRY_VALUE_BOOLEAN: return add(q, &value->boolean, sizeof value->boolean);
  case VESTRY_VALUE_INTEGER: return add(q, &value->integer, sizeof value->integer);
  case VESTRY_VALUE_NUMBER: return add(q, &value->number, sizeof value->number);
  case VESTRY_VALUE_STRING: return value->text && add(q, value->text, strlen(value->text) + 1);
  default: return false;
  }
}

bool vsi_postgres_question_write(vsi_postgres_question *q, const char *sql, const vestry_value *values) {
  q->len = 0;
  if (values && values->type != VESTRY_VALUE_LIST) return false;
  if (!add(q, sql, strlen(sql) + 1) || !is_plain(sql)) return false;
  const size_t sql_len = q->len;
  for (size_t i = 0; values && i < values->count; i++)
    if (!add_value(q, &values->items[i])) return false;
  const uint64_t of_sql = vsi_hash_bytes(0, q->bytes, sql_len);
  q->statement = UINT64_C(1) << (of_sql >> 58);
  q->hash = vsi_hash_bytes(of_sql, q->bytes + sql_len, q->len - sql_len);
  return true;
}

/* -------------------------------------------------------------------------------------------------- answers ------- */

vsi_postgres_answer *vsi_postgres_answer_create(const vestry_host *host, const vsi_postgres_question *question,
                                                uint64_t seq) {
  vsi_postgres_answer *answer = vsi_alloc(host, sizeof *answer + question->len);
  if (!answer) return NULL;
  *answer = (vsi_postgres_answer){.by_question = {.hash = question->hash},
                                  .host = host,
                                  .seq = seq,
                                  .at_ns = vsi_monotonic_ns(),
                                  .statement = question->statement,
                                  .len = question->len};
  memcpy(answer->question, question->bytes, question->len);
  VSI_REFS_INIT(&answer->refs, 1);
  return answer;
}

void vsi_postgres_answer_unref(vsi_postgres_answer *answer) {
  if (!answer || !VSI_REFS_DROP(&answer->refs)) return;
  PQclear(answer->result);
  vsi_free(answer->host, answer);
}

static void drop(vsi_postgres_answers *answers, vsi_postgres_answer *answer) {
  vsi_map_remove(&answers->by_question, &answer->by_question);
  vsi_map_remove(&answers->by_number, &answer->by_number);
  TAILQ_REMOVE(&answers->line, answer, in);
  answers->bytes -= answer->bytes;
  vsi_postgres_answer_unref(answer);
}

static bool is_of(const vsi_postgres_answer *answer, const char *question, size_t len) {
  return answer->len == len && memcmp(answer->question, question, len) == 0;
}

static vsi_postgres_answer *look(const vsi_postgres_answers *answers, uint64_t hash, const char *question, size_t len) {
  for (vsi_map_link *at = vsi_map_first(&answers->by_question, hash); at; at = vsi_map_further(at)) {
    vsi_postgres_answer *answer = VSI_MAP_OWNER(at, vsi_postgres_answer, by_question);
    if (is_of(answer, question, len)) return answer;
  }
  return NULL;
}

void vsi_postgres_answers_finish(vsi_postgres_answers *answers) {
  for (vsi_postgres_answer *at; (at = TAILQ_FIRST(&answers->line));) drop(answers, at);
  vsi_map_finish(&answers->by_question, answers->host);
  vsi_map_finish(&answers->by_number, answers->host);
}

static void come(vsi_postgres_answers *answers, vsi_postgres_answer *answer) {
  if (answer->is_coming) TAILQ_REMOVE(&answers->coming, answer, in);
  answer->is_coming = false;
}

void vsi_postgres_answers_begin(vsi_postgres_answers *answers, vsi_postgres_answer *answer) {
  TAILQ_INSERT_TAIL(&answers->coming, answer, in);
  answer->is_coming = true;
}

void vsi_postgres_answers_give_up(vsi_postgres_answers *answers, vsi_postgres_answer *answer) {
  if (answer->is_coming) answers->shareable &= ~answer->statement;
  come(answers, answer);
}

bool vsi_postgres_answers_is_coming(const vsi_postgres_answers *answers, const vsi_postgres_question *q, uint64_t seq) {
  const vsi_postgres_answer *answer;
  if (!(answers->shareable & q->statement)) return false;
  TAILQ_FOREACH(answer, &answers->coming, in)
  if (answer->by_question.hash == q->hash && answer->seq >= seq && is_of(answer, q->bytes, q->len)) return true;
  return false;
}

void vsi_postgres_answers_put(vsi_postgres_answers *answers, vsi_postgres_answer *answer, uint64_t number) {
  const uint64_t hash = answer->by_question.hash;
  vsi_postgres_answer *former = look(answers, hash, answer->question, answer->len);
  if (former) drop(answers, former);
  answer->bytes = sizeof *answer + answer->len + PQresultMemorySize(answer->result);
  if (answer->bytes > VSI_POSTGRES_ANSWER_BYTES) return;
  if (vsi_map_reserve(&answers->by_question, answers->host, answers->by_question.count + 1) ||
      vsi_map_reserve(&answers->by_number, answers->host, answers->by_number.count + 1))
    return;
  while (answers->by_number.count == COUNT_MOST || answers->bytes + answer->bytes > BYTES_MOST)
    drop(answers, TAILQ_FIRST(&answers->line));
  come(answers, answer);
  answers->shareable |= answer->statement;
  answer->number = number;
  VSI_REFS_TAKE(&answer->refs);
  answers->bytes += answer->bytes;
  vsi_map_add(&answers->by_question, &answer->by_question, hash);
  vsi_map_add(&answers->by_number, &answer->by_number, vsi_hash_number(number));
  TAILQ_INSERT_TAIL(&answers->line, answer, in);
}

vsi_postgres_answer *vsi_postgres_answers_find(const vsi_postgres_answers *answers, const vsi_postgres_question *q,
                                               uint64_t seq) {
  vsi_postgres_answer *answer = look(answers, q->hash, q->bytes, q->len);
  const uint64_t most_ns = VSI_POSTGRES_SHARED_MS * UINT64_C(1000000);
  const bool is_current = answer && answer->number && answer->seq >= seq;
  return is_current && vsi_monotonic_ns() - answer->at_ns < most_ns ? answer : NULL;
}

void vsi_postgres_answers_end(vsi_postgres_answers *answers, uint64_t number) {
  if (!answers->by_number.count) return;
  vsi_map_link *at = vsi_map_first(&answers->by_number, vsi_hash_number(number)); /* numbers have different hashes */
  if (at) VSI_MAP_OWNER(at, vsi_postgres_answer, by_number)->number = 0;
}
