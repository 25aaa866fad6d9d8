/* SPDX-License-Identifier: MIT */
/* essay: which rows a statement can read, by its program */
/* A page of the file contains about forty rows, but a lookup of one row by its key depends on that row only. The
 * program of a statement shows this. A cursor on a table is moved only by SeekRowid with a register. A cursor on an
 * index is moved only to the first entry of a key, and on to the next ones. Each entry is compared with the same key
 * before it is read. A range of further columns only leaves out some of them. If the register with the key is loaded
 * once, from a parameter or with a constant, the statement can see only rows with that key, whatever else it does with
 * them. A row with another key that is inserted, deleted or changed makes no difference.
 *
 * SQLite may use another plan on another connection. This does not matter, because the result depends on the statement
 * and not on its plan. One plan suffices to prove that the result depends on these rows alone.
 *
 * Every operation of the program must be listed here, with the registers that it writes and the way it moves a cursor.
 * A program with any other operation, for example of a later version of SQLite, may read anything. Only integers count,
 * because the comparison of texts depends on collations. */
#include "data/sqlite/program.h"

#include <stdlib.h>

#include "base/array.h"
#include "data/sql/syntax.h"

/* The registers that an operation writes, by its operands. */
typedef enum writes {
  NONE,
  P1 = 1,
  P2 = 2,
  P3 = 4,
  TO_P3 = 8,   /* from P2 to P3 */
  MANY = 16,   /* P3 + 1 registers from P2 on */
  MOVED = 32,  /* P3 registers from P1 on, and P3 from P2 on */
  IS_COPY = 64 /* of P1 */
} writes;

/* The way it moves the cursor P1. */
typedef enum moves {
  NOT,       /* P1 is not a cursor, or not one on the file */
  STAYS,     /* reads at the cursor */
  OPENS,     /* opens a tree of the file */
  OTHERWISE, /* opens another cursor with this number */
  ANYWHERE,
  TO_ROW,
  UP,
  DOWN,
  ENDS_UP,
  ENDS_DOWN,
  NEXT,
  PREVIOUS,
  LEADS /* moves the cursor P3 to the row of an entry */
} moves;

/* Operations with equal writes and moves; their names are separated by spaces. */
typedef struct kind {
  uint8_t writes, moves;
  const char *names;
} kind;

/* Operations that load a register with a value known to find_source, and those that follow the load of the end of a
 * range: an end that is NULL leaves the loop. */
enum { IS_VARIABLE, IS_INTEGER, IS_INT64, IS_AFFINITY, IS_NULL };

/* MustBeInt: the converted register compares as before. */
static const kind kinds[] = {
    [IS_VARIABLE] = {P2, NOT, "Variable"},
    [IS_INTEGER] = {P2, NOT, "Integer"},
    [IS_INT64] = {P2, NOT, "Int64"},
    [IS_AFFINITY] = {NONE, NOT, "Affinity"},
    [IS_NULL] = {NONE, NOT, "IsNull"},
    {NONE, NOT,
     "Init Goto Halt HaltIfNull Transaction TableLock Noop Explain Expire ReleaseReg Jump Compare Permutation Once "
     "If IfNot NotNull Eq Ne Lt Le Gt Ge ElseEq ResultRow Return MustBeInt RealAffinity Filter"},
    {P1, NOT,
     "CollSeq Gosub InitCoroutine EndCoroutine Yield SoftNull AddImm Cast AggFinal IfPos IfNotZero DecrJumpZero "
     "MemMax FilterAdd RowSetAdd RowSetTest"},
    {P2, NOT, "BeginSubrtn Real String8 String Blob ReadCookie Not BitNot IsTrue ZeroOrNull OffsetLimit"},
    {P2 | TO_P3, NOT, "Null"},
    {MOVED, NOT, "Move"},
    {MANY | IS_COPY, NOT, "Copy"},
    {P2 | IS_COPY, NOT, "SCopy IntCopy"},
    {P3, NOT,
     "Concat Add Subtract Multiply Divide Remainder BitAnd BitOr ShiftLeft ShiftRight And Or Function PureFunc "
     "MakeRecord AggStep AggStep1 AggInverse AggValue"},
    {P1 | P3, NOT, "RowSetRead"},
    {NONE, OPENS, "OpenRead ReopenIdx"},
    {NONE, OTHERWISE, "OpenEphemeral OpenAutoindex OpenPseudo OpenDup SorterOpen"},
    {P3, STAYS, "Column IfNullRow"},
    {P2, STAYS, "Rowid IdxRowid"},
    {NONE, STAYS, "NullRow Close FinishSeek ColumnsUsed"},
    {NONE, TO_ROW, "SeekRowid NotExists"},
    {NONE, UP, "SeekGE SeekGT"},
    {NONE, DOWN, "SeekLE SeekLT"},
    {NONE, ENDS_UP, "IdxGE IdxGT"},
    {NONE, ENDS_DOWN, "IdxLE IdxLT"},
    {NONE, NEXT, "Next"},
    {NONE, PREVIOUS, "Prev"},
    {NONE, LEADS, "DeferredSeek"},
    {NONE, ANYWHERE,
     "Rewind Last Found NotFound NoConflict IfNoHope SeekHit Sort SorterSort SorterNext SorterInsert SorterCompare "
     "ResetSorter Insert IdxInsert Delete SequenceTest"},
    {P2, ANYWHERE, "Count SorterData RowData Sequence"},
    {P2 | P3, ANYWHERE, "NewRowid"},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static bool has_word(const char *words, const char *word) {
  size_t len = strlen(word);
  for (const char *at = words; len && (at = strstr(at, word)) != NULL; at += len)
    if ((at == words || at[-1] == ' ') && (!at[len] || at[len] == ' ')) return true;
  return false;
}

static uint16_t kind_of(const char *name) {
  uint16_t i = 0;
  while (i < KINDS && !has_word(kinds[i].names, name)) i++;
  return i;
}

void vsi_sqlite_program_add(vsi_sqlite_program *program, const char *name, int p1, int p2, int p3, const char *p4) {
  uint16_t which = program->is_unknown ? KINDS : kind_of(name);
  program->is_large |= which < KINDS && program->count == VSI_SQLITE_OPERATIONS_MAX;
  if (which == KINDS || program->is_large ||
      VSI_ARRAY_RESERVE(program->host, program->operations, program->count, program->room, 1)) {
    program->is_unknown = true;
    return;
  }
  program->operations[program->count++] =
      (vsi_sqlite_operation){.kind = which, .p1 = p1, .p2 = p2, .p3 = p3, .p4 = p4 ? strtoll(p4, NULL, 10) : 0};
}

void vsi_sqlite_program_finish(vsi_sqlite_program *program) {
  vsi_free(program->host, program->operations);
  program->operations = NULL;
  program->count = program->room = 0;
}

/* -------------------------------------------------------------------------------------------------- registers ----- */

static bool writes_to(const vsi_sqlite_operation *is, int at) {
  uint8_t what = kinds[is->kind].writes;
  return (what & P1 && is->p1 == at) || (what & P2 && is->p2 == at) || (what & P3 && is->p3 == at) ||
         (what & TO_P3 && at >= is->p2 && at <= is->p3) || (what & MANY && at >= is->p2 && at <= is->p2 + is->p3) ||
         (what & MOVED && ((at >= is->p1 && at < is->p1 + is->p3) || (at >= is->p2 && at < is->p2 + is->p3)));
}

/* Find the operation that loads a register; NULL: none, or several. */
static const vsi_sqlite_operation *find_load(const vsi_sqlite_program *program, int at) {
  const vsi_sqlite_operation *found = NULL;
  for (uint32_t i = 0; i < program->count; i++) {
    if (!writes_to(&program->operations[i], at)) continue;
    if (found) return NULL;
    found = &program->operations[i];
  }
  return found;
}

/* Return whether a register always has the same integer, or the value of one parameter. */
static bool find_source(const vsi_sqlite_program *program, int at, vsi_sqlite_source *ret_source) {
  for (uint32_t copies = 0; copies <= program->count; copies++) { /* in case that they form a ring */
    const vsi_sqlite_operation *load = find_load(program, at);
    if (!load) return false;
    *ret_source = (vsi_sqlite_source){.parameter = 0};
    if (!(kinds[load->kind].writes & IS_COPY)) {
      if (load->kind == IS_VARIABLE) ret_source->parameter = (uint32_t)load->p1;
      if (load->kind == IS_INTEGER) ret_source->value = load->p1;
      if (load->kind == IS_INT64) ret_source->value = load->p4;
      return load->kind == IS_VARIABLE ? load->p1 > 0 : load->kind == IS_INTEGER || load->kind == IS_INT64;
    }
    at = load->p1 + at - load->p2;
  }
  return false;
}

/* ---------------------------------------------------------------------------------------------------- cursors ----- */

static moves moves_of(const vsi_sqlite_operation *is) {
  return (moves)kinds[is->kind].moves;
}

/* Return whether the operation at that place compares the entry with the key from that register on, and ends after
 * it. */
static bool is_end(const vsi_sqlite_program *program, int64_t at, int cursor, moves how, int key) {
  if (at < 0 || at >= program->count) return false;
  const vsi_sqlite_operation *is = &program->operations[at];
  return moves_of(is) == how && is->p1 == cursor && is->p3 == key && is->p4 >= 1;
}

/* Return whether no operation from that place on uses the cursor. */
static bool is_left(const vsi_sqlite_program *program, int64_t at, int cursor) {
  if (at < 0) return false;
  for (; at < program->count; at++)
    if (moves_of(&program->operations[at]) != NOT && program->operations[at].p1 == cursor) return false;
  return true;
}

/* Skip the operations from that place on that load the end of a range, and do not use the cursor. */
static int64_t skip_loads(const vsi_sqlite_program *program, int64_t at, int cursor) {
  for (; at < program->count; at++) {
    const vsi_sqlite_operation *is = &program->operations[at];
    const bool loads = is->kind <= IS_AFFINITY || kinds[is->kind].writes & IS_COPY;
    if (is->kind == IS_NULL ? !is_left(program, is->p2, cursor) : !loads) break;
  }
  return at;
}

static bool add(const vsi_sqlite_program *program, int at, bool is_rowid, vsi_sqlite_source *sources, int *count) {
  vsi_sqlite_source source;
  if (!find_source(program, at, &source)) return false;
  if (*count > VSI_SQLITE_SOURCES_MAX) return true;
  source.is_rowid = is_rowid;
  for (int i = 0; i < *count; i++)
    if (sources[i].parameter == source.parameter && sources[i].value == source.value &&
        sources[i].is_rowid == source.is_rowid)
      return true;
  if (*count < VSI_SQLITE_SOURCES_MAX) sources[*count] = source;
  ++*count;
  return true;
}

/* Follow the operations of a cursor. false: it may be anywhere. */
static bool follow(const vsi_sqlite_program *program, int cursor, vsi_sqlite_source *sources, int *count,
                   bool *ret_is_led) {
  int key = -1; /* of the entries that it reads */
  moves ends = NOT;
  for (uint32_t i = 0; i < program->count; i++) {
    const vsi_sqlite_operation *is = &program->operations[i];
    moves how = moves_of(is);
    if (how == LEADS && is->p3 == cursor) *ret_is_led = true;
    if (how == NOT || is->p1 != cursor) continue;
    switch (how) {
    case STAYS:
    case OPENS:
    case LEADS: break;
    case TO_ROW:
      if (!add(program, is->p3, true, sources, count)) return false;
      break;
    case UP:
    case DOWN:
      ends = how == UP ? ENDS_UP : ENDS_DOWN;
      key = is->p3;
      if (is->p4 < 1 || !is_end(program, skip_loads(program, (int64_t)i + 1, cursor), cursor, ends, key) ||
          !add(program, key, false, sources, count))
        return false;
      break;
    case ENDS_UP:
    case ENDS_DOWN: break; /* checked where it matters */
    case NEXT:
    case PREVIOUS:
      if (ends != (how == NEXT ? ENDS_UP : ENDS_DOWN) || !is_end(program, is->p2, cursor, ends, key)) return false;
      break;
    default: return false;
    }
  }
  return true;
}

int vsi_sqlite_program_sources(const vsi_sqlite_program *program, uint32_t root,
                               vsi_sqlite_source ret_sources[VSI_SQLITE_SOURCES_MAX]) {
  int count = 0;
  bool is_led = false;
  if (program->is_unknown) return -1;
  for (uint32_t i = 0; i < program->count; i++) {
    const vsi_sqlite_operation *is = &program->operations[i];
    if (moves_of(is) != OPENS || is->p3 != 0 || (uint32_t)is->p2 != root) continue;
    for (uint32_t j = 0; j < program->count; j++) { /* the number must belong to this tree only */
      const vsi_sqlite_operation *other = &program->operations[j];
      if (i != j && other->p1 == is->p1 && (moves_of(other) == OTHERWISE || moves_of(other) == OPENS)) return -1;
    }
    if (!follow(program, is->p1, ret_sources, &count, &is_led)) return -1;
  }
  return count || is_led ? count : -1;
}

/* -------------------------------------------------------------------------------------------- bound values -------- */

/* Skip a value that was written for a parameter. */
static const char *skip_value(const char *at, bool *ret_is_integer) {
  const char *begin = at;
  *ret_is_integer = false;
  if (strncmp(at, "NULL", 4) == 0) return at + 4;
  if (strncmp(at, "zeroblob(", 9) == 0) return at + strcspn(at, ")") + 1;
  if (at[0] == 'x' && at[1] == '\'') at++;
  if (*at == '\'') return vsi_sql_skip(VSI_SQL_SQLITE, at);
  if (*at == '-') at++;
  at += strspn(at, "0123456789");
  *ret_is_integer = at > begin && at[-1] != '-' && *at != '.' && *at != 'e';
  if (*at == '.') at += 1 + strspn(at + 1, "0123456789");
  if (*at == 'e') at += 1 + strspn(at + 1, "+-0123456789");
  return at;
}

/* Return the number of a named parameter. */
static uint32_t find_parameter(sqlite3_stmt *statement, const char *name, size_t len) {
  int number = sqlite3_bind_parameter_count(statement);
  for (const char *is; number; number--)
    if ((is = sqlite3_bind_parameter_name(statement, number)) && strncmp(is, name, len) == 0 && !is[len]) break;
  return (uint32_t)number;
}

/* SQLite reports the bound values only in the expanded text of the statement, in which values replace parameters. Both
 * texts are scanned together; if they differ in anything else, nothing is known. */
uint64_t vsi_sqlite_bound(sqlite3_stmt *statement, const uint32_t *wanted, uint32_t count, int64_t *ret_values) {
  const char *text = sqlite3_sql(statement);
  char *expanded = text ? sqlite3_expanded_sql(statement) : NULL;
  const char *at = expanded;
  uint64_t known = 0;
  uint32_t last = 0;
  while (at && *text) {
    const char *end, *shown;
    vsi_sql_next(VSI_SQL_SQLITE, text, &end, &shown);
    if (!strchr("?:@$#", *text)) {
      if (strncmp(text, at, (size_t)(end - text)) != 0) break;
      at += end - text;
      text = end;
      continue;
    }
    const size_t len = (size_t)(end - text);
    const bool goes_on = *text == '$' && (text[len] == ':' || text[len] == '('); /* $a::b(c), as in Tcl */
    if (goes_on || *text == '#' || (len == 1 && *text != '?')) break;
    const uint32_t number = len == 1       ? last + 1
                            : *text == '?' ? (uint32_t)strtoul(text + 1, NULL, 10)
                                           : find_parameter(statement, text, len);
    if (number > last) last = number;
    bool is_integer;
    const char *behind = skip_value(at, &is_integer);
    for (uint32_t i = 0; i < count && is_integer; i++) {
      if (wanted[i] != number) continue;
      ret_values[i] = strtoll(at, NULL, 10);
      known |= UINT64_C(1) << i;
    }
    at = behind;
    text += len;
  }
  if (!at || *text || *at) known = 0;
  sqlite3_free(expanded);
  return known;
}
