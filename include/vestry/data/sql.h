/* SPDX-License-Identifier: MIT */
/** SQL: transactions and statements on a pool of connections, the same for SQLite and for PostgreSQL.
 *
 *      vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.path = "chat.db"}, &pool); // or vestry_postgres_…
 *
 *      err = vestry_sql_read(pool, "SELECT id, text FROM message WHERE room = $1", VESTRY_LIST(room), add_row, html);
 *
 *      static vestry_err post(vestry_sql_transaction *transaction, void *text) {
 *        return vestry_sql_run(transaction, "INSERT INTO message(text) VALUES($1)", VESTRY_LIST((char *)text), NULL,
 *                              NULL);
 *      }
 *      err = vestry_sql_act(pool, VESTRY_SQL_WRITE, post, text); // commits, or rolls back and returns the error
 *
 *  vestry_sql_read_rows reads rows into structs. vestry/data/sqlite.h and vestry/data/postgres.h create pools.
 *  Parameters of statements are $1, $2 and so on; the forms ? and ?1 work with SQLite only. */
#ifndef VESTRY_SQL_H
#define VESTRY_SQL_H

#include <stddef.h>

#include "vestry/app/form.h"
#include "vestry/app/once.h"
#include "vestry/app/page.h"
#include "vestry/app/secret.h"
#include "vestry/app/session.h"
#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Errors of the functions in this header that use the database. The host's log names the function, the database, the
 *  statement, the reason and a remedy. The log contains no values: "..." replaces the literals of a statement.
 *  - LIMIT: the database is not available now, and nothing was done. PostgreSQL's server cannot be reached, another
 *    program has been writing to SQLite's file for busy_ms, the disk is full, no descriptor is free, or no connection
 *    became free within wait_ms (options of the pool). A handler that returns LIMIT sends status 503; if it is guarded
 *    by vestry/app/once.h, the client repeats the request, and the action runs later
 *  - BUSY, PostgreSQL: another transaction conflicts (SQLSTATE 40001, 40P01), or another client has altered a table of
 *    the statement since it was prepared. Begin the transaction again, as vestry_sql_act does
 *  - TIMEOUT, EXISTS, PostgreSQL: see vestry/data/postgres.h
 *  - INVALID: the values do not fit the parameters; SQLite: the text has several statements, and none is run
 *  - TOO_LARGE, NO_MEMORY, IO: all other failures, for example an error in the SQL. IO, PostgreSQL: also, the
 *    connection was lost during a commit, so that it is unknown whether the transaction was committed. IO, SQLite: also
 *    if the file, or a file of its WAL, was removed, replaced or cut while the program has it open. This is checked
 *    when a transaction begins: for writing once in 10 ms, for reading once in 64 of a connection */

/** A pool of connections to one database. */
typedef struct vestry_sql_pool vestry_sql_pool;
/** A transaction: a connection of the pool, in use by one thread. */
typedef struct vestry_sql_transaction vestry_sql_transaction;
/** A row of a statement's result. */
typedef struct vestry_sql_row vestry_sql_row;

/** Close the connections and free the pool. All connections must have been released, and pages must not follow the pool
 *  any more (pages that follow a pool render again when a commit changes data that they have read:
 *  vestry_sqlite_pool_follow, vestry_postgres_create). NULL is accepted. Threads one; SQLite: blocks on the disk. */
VESTRY_API void vestry_sql_pool_destroy(vestry_sql_pool *pool);

/** Counters since the pool was created, and the current state. */
typedef struct vestry_sql_pool_stats {
  uint64_t checkouts_count;   /**< times that a connection was checked out */
  uint64_t waits_count;       /**< waits for a connection; SQLite: or for the end of another thread's write */
  uint64_t refused_count;     /**< waits that took longer than wait_ms: LIMIT */
  uint64_t prepared_count;    /**< statements that were prepared; should stop growing */
  uint64_t committed_count;   /**< committed transactions */
  uint64_t rolled_back_count; /**< transactions rolled back because of an error; PostgreSQL: those of renders, too */
  size_t checked_out_count;   /**< connections in use, now */
  uint64_t conflicts_count;   /**< PostgreSQL, of rolled_back_count: another transaction conflicted */
  uint64_t connects_count;    /**< PostgreSQL: connections that were opened */
  uint64_t failed_count;      /**< PostgreSQL: connections that could not be opened */
  size_t connected_count;     /**< PostgreSQL: connections not known to be lost, now */
  uint64_t wal_bytes;         /**< SQLite: size of the WAL after the last commit by vestry_sql_end */
  uint64_t wal_stuck_count;   /**< SQLite: times that a WAL beyond max_wal_bytes could not be emptied, because another
                                   connection read or wrote for long */
} vestry_sql_pool_stats;

/** Get a snapshot of the counters. Threads any; takes a lock briefly. */
VESTRY_API void vestry_sql_pool_stats_get(vestry_sql_pool *pool, vestry_sql_pool_stats *ret_stats);

/* ------------------------------------------------------------------------------------------ transactions --------- */

/** Kind of a transaction: its isolation, and whether its writes are kept. A thread that has a transaction of a pool
 *  cannot begin another one of that pool for writing. */
typedef enum vestry_sql_kind {
  /** For reading, in a render or a handler. If the thread already has a transaction of this pool, also one for writing,
   *  it joins that one; each begin needs an end. (SQLite: except a READ_ASIDE transaction, see below.)
   *  - PostgreSQL: one snapshot; rolled back at the end.
   *  - SQLite: no snapshot. Each statement sees what is committed when it begins, so a commit between two statements
   *    is visible to the second statement only. A page that has read both renders again after that commit; a handler's
   *    response does not change. For one snapshot use one statement, or the statements between "BEGIN" and "COMMIT". */
  VESTRY_SQL_READ = 1,
  /** For reading data on which the page does not depend.
   *  - SQLite: uses a separate connection, whose reads are not recorded. If the data changes, the page renders again
   *    only if it has named a topic for it (vestry_render_topic). A thread can have a READ_ASIDE transaction and
   *    another one at the same time; neither joins the other. On a small pool this can be a deadlock, if several
   *    threads hold one connection each and wait for a second one; then end the first transaction before you begin the
   *    second.
   *  - PostgreSQL: same as READ. A render depends on the rows that it reads, and on no others. */
  VESTRY_SQL_READ_ASIDE,
  /** For writing. PostgreSQL: READ COMMITTED, each statement sees what is committed when it begins. SQLite: one writer
   *  at a time (BEGIN IMMEDIATE), so that no writer of this process gets a "database is busy"; the same for the next
   *  two kinds. */
  VESTRY_SQL_WRITE,
  /** For writing. PostgreSQL: one snapshot; rows that another transaction has written since cannot be written. */
  VESTRY_SQL_REPEATABLE_READ,
  /** For writing, as if no other transaction ran at the same time. */
  VESTRY_SQL_SERIALIZABLE
} vestry_sql_kind;

/** Begin a transaction.
 *  ret_transaction  owned by the caller, who ends it with vestry_sql_end; untouched on failure
 *  Returns  OK | INVALID (also: the transaction is for writing, and this thread has one already) | the errors above
 *  Threads  any; waits at most wait_ms for a connection, and blocks on the network or the disk. The transaction belongs
 *           to this thread */
VESTRY_API vestry_err vestry_sql_begin(vestry_sql_pool *pool, vestry_sql_kind kind,
                                       vestry_sql_transaction **ret_transaction);
/** End a transaction. If it is for writing, it is committed if error is OK, and rolled back otherwise. NULL: does
 *  nothing.
 *  Returns  error; if that is OK, the result of the commit: the errors above
 *  Threads  the thread that began it; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_end(vestry_sql_transaction *transaction, vestry_err error);

/** Runs the statements of a transaction, on the calling thread. It may be called several times, each time from the
 *  beginning, so it must change nothing but the database. OK | any error: the transaction is rolled back. */
typedef vestry_err (*vestry_sql_act_fn)(vestry_sql_transaction *transaction, void *ctx);
/** Run a transaction for writing, and commit it. PostgreSQL: if another transaction conflicts, run it again from the
 *  beginning, after a delay that grows each time.
 *  Returns  OK | an error of fn | BUSY (after tries_count attempts) | as vestry_sql_begin
 *  Threads  any; blocks as vestry_sql_begin and vestry_sql_end. After a conflict it sleeps, less than half a second
 *           each time */
VESTRY_API vestry_err vestry_sql_act(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx);

/* --------------------------------------------------------------------------------------------- statements -------- */

/** Return a column's value as text with a terminating NUL, in the database's text format. Columns are numbered from 0.
 *  NULL: the value is null, or there is no such column. Valid until the function that received the row returns.
 *  Threads that of this function, also for the next functions. */
VESTRY_API const char *vestry_sql_text(const vestry_sql_row *row, size_t column);
/** Return a column's value as an integer; true is 1. 0: the value is null, or not an integer. */
VESTRY_API int64_t vestry_sql_integer(const vestry_sql_row *row, size_t column);
/** Get the bytes of a BLOB or bytea, or the text of a value of another type.
 *  buffer   receives the bytes if there are at most capacity. NULL, with capacity 0: the bytes are only counted
 *  Returns  the number of bytes. 0: none, or the value is null */
VESTRY_API size_t vestry_sql_bytes(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity);

/** Receives a row, on the thread that runs the statement. It may run other statements in the same transaction. */
typedef void (*vestry_sql_row_fn)(const vestry_sql_row *row, void *ctx);
/** Store the first column in the int64_t to which ctx points: a vestry_sql_row_fn. */
VESTRY_API void vestry_sql_row_integer(const vestry_sql_row *row, void *ctx);

/** Run one statement. It is prepared once for each connection, and the prepared statement is kept.
 *  sql     one statement
 *  values  its parameters, a list as VESTRY_LIST(id, text) makes it: nulls, booleans, integers, numbers, texts, and
 *          bytes (vestry_value_bytes). Borrowed; NULL: no parameters
 *  row     called for each row. PostgreSQL: after all rows have arrived, which are in memory until the function
 *          returns. NULL: rows are discarded
 *  Returns  OK (at least one row, or a statement without a result) | NOT_FOUND (the result has no row) | the errors
 *           above. After some failures the transaction can only be ended: with PostgreSQL, whenever the server rejects
 *           a statement; with SQLite, after no memory, a full or failing disk, and ROLLBACK as a conflict clause or in
 *           a trigger. With SQLite, all later statements of the transaction return the error of that failure, and so
 *           does vestry_sql_end if its argument is OK
 *  Threads  the thread that began the transaction; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_run(vestry_sql_transaction *transaction, const char *sql, const vestry_value *values,
                                     vestry_sql_row_fn row, void *ctx);
/** Run one statement in a separate transaction, and commit it. If this thread has a transaction, the statement runs in
 *  that transaction. If the statement itself begins a transaction (BEGIN), that is rolled back, with a message in the
 *  log (PostgreSQL: INVALID). Returns as vestry_sql_run and vestry_sql_begin. Threads any; blocks as these. */
VESTRY_API vestry_err vestry_sql_run_alone(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                           vestry_sql_row_fn row, void *ctx);
/** Run a statement for reading. In the render of a page that follows the pool, the page renders again when a commit
 *  changes the data that the statement has read. In a document, and outside of renders, it is the same as
 *  vestry_sql_run_alone. SQLite: this is always the same as vestry_sql_run_alone, whose reads in a render are recorded
 *  as well. PostgreSQL: all these reads of one render use one snapshot, and nothing that they write is kept. Returns,
 *  threads: as vestry_sql_run_alone. */
VESTRY_API vestry_err vestry_sql_read(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                      vestry_sql_row_fn row, void *ctx);

/* ------------------------------------------------------------------------------------------- rows by name -------- */

/** Rows as structs. A struct is described once; a statement's columns are matched with its members by name, and types,
 *  nulls and lengths are checked. VESTRY_STRUCT declares a struct with its description, and VESTRY_ROW describes a
 *  declared one:
 *
 *      VESTRY_STRUCT(room, (int64_t, id), (const char *, name));       // a struct room, and room_shape
 *
 *      typedef struct message {
 *        int64_t id;
 *        char author[41];
 *        const char *text;             // of any length
 *        int64_t edited_ms;
 *        bool is_unedited;             // edited_ms is null
 *      } message;
 *      static const vestry_sql_shape message_shape =                  // outside of functions
 *          VESTRY_ROW(message, id, author, text, (edited_ms, is_unedited));
 *
 *      static vestry_err add(void *row, void *html) {
 *        const message *is = row;
 *        return vestry_html_add(html, "<li><b>%s</b> %s</li>", is->author, is->text);
 *      }
 *      message room;                                                   // for one row at a time
 *      err = vestry_sql_read_rows(pool, "SELECT id, author, text, edited_ms FROM message WHERE room = $1",
 *                                 VESTRY_LIST(number), VESTRY_EACH_ROW(&message_shape, &room, add, html));
 *
 *  The database's names are compared without regard to the case of ASCII letters. The statement may have further
 *  columns. If a column has another name than its member, write AS in the statement. A member is one of these:
 *
 *  - any signed or unsigned integer, from an integer; PostgreSQL: also from a numeric without a fraction. A value out
 *    of range: TOO_LARGE
 *  - bool, from a boolean, or from an integer 0 or 1. Another integer: INVALID
 *  - double, from any number
 *  - char[N], from a text, which is copied; PostgreSQL: from all types but integers, floats, boolean and bytea. N bytes
 *    or more: TOO_LARGE. A text with a zero character: INVALID
 *  - const char *, the same, borrowed until the function of VESTRY_EACH_ROW returns. Elsewhere: INVALID
 *  - unsigned char[N], from exactly N bytes of a BLOB or bytea. Another length: INVALID
 *
 *  A null is INVALID, unless the member is declared with a bool for it. Columns are checked with the first row.
 *  The log names the column and a remedy, without values. */

/** Type of a member: see VESTRY_ROW. */
typedef enum vestry_sql_member {
  VESTRY_SQL_INTEGER = 1, /**< a signed integer */
  VESTRY_SQL_UNSIGNED,    /**< an unsigned integer */
  VESTRY_SQL_BOOLEAN,     /**< a bool */
  VESTRY_SQL_NUMBER,      /**< a double */
  VESTRY_SQL_TEXT,        /**< an array of char */
  VESTRY_SQL_BORROWED,    /**< a const char * */
  VESTRY_SQL_BYTES        /**< an array of unsigned char */
} vestry_sql_member;

/** A member of a struct that is read from a column. Made by VESTRY_ROW. */
typedef struct vestry_sql_column {
  const char *name;         /**< of the column and the member */
  vestry_sql_member member; /**< its type */
  uint32_t offset, bytes;   /**< of the member in its struct */
  uint32_t null_offset;     /**< offset plus 1 of a bool that is set to whether the value is null; 0: it must not be */
} vestry_sql_column;

/** Maximum number of columns of a shape. */
#define VESTRY_SQL_SHAPE_MAX 64

/** The description of a struct. Made by VESTRY_ROW. */
typedef struct vestry_sql_shape {
  const vestry_sql_column *columns; /**< borrowed */
  size_t columns_count;             /**< 1 to VESTRY_SQL_SHAPE_MAX */
  size_t bytes;                     /**< sizeof the struct */
} vestry_sql_shape;

/** Receives a row that was read into the memory given to VESTRY_EACH_ROW, as vestry_sql_row_fn.
 *  Returns  OK | any error: it is called for no further row, and the statement returns the error, after it has run to
 *           its end */
typedef vestry_err (*vestry_sql_shaped_fn)(void *row, void *ctx);

/** Where rows are stored, and how many there may be. Made by the next four macros. */
typedef struct vestry_sql_rows {
  const vestry_sql_shape *shape; /**< borrowed for the call, as all pointers */
  void *rows;                    /**< memory for max_count structs */
  size_t row_bytes;              /**< sizeof of one */
  size_t max_count;              /**< maximum number of rows; ignored with fn */
  size_t *ret_count;             /**< number of rows, 0 after an error. NULL: not wanted */
  bool is_optional;              /**< no row is OK. false: NOT_FOUND */
  vestry_sql_shaped_fn fn;       /**< called for each row, which is read into the first of `rows`; NULL: none */
  void *ctx;                     /**< passed to fn */
} vestry_sql_rows;

#ifndef __cplusplus
/* clang-format off */
/** The type of a member; another type than those listed above does not compile. */
#define VESTRY_SQL_MEMBER(type, member)                                                                                \
  _Generic(&((type *)0)->member,                                                                                       \
           bool *: VESTRY_SQL_BOOLEAN, signed char *: VESTRY_SQL_INTEGER, short *: VESTRY_SQL_INTEGER,                 \
           int *: VESTRY_SQL_INTEGER, long *: VESTRY_SQL_INTEGER, long long *: VESTRY_SQL_INTEGER,                     \
           unsigned char *: VESTRY_SQL_UNSIGNED, unsigned short *: VESTRY_SQL_UNSIGNED,                                \
           unsigned *: VESTRY_SQL_UNSIGNED, unsigned long *: VESTRY_SQL_UNSIGNED,                                      \
           unsigned long long *: VESTRY_SQL_UNSIGNED, double *: VESTRY_SQL_NUMBER, const char **: VESTRY_SQL_BORROWED, \
           char (*)[sizeof ((type *)0)->member]: VESTRY_SQL_TEXT,                                                      \
           unsigned char (*)[sizeof ((type *)0)->member]: VESTRY_SQL_BYTES)
/** Describe a struct by the names of its members: the initializer of a static vestry_sql_shape outside of functions.
 *  The value of a member is not null, unless it stands in parentheses with a bool member, as in `(edited_ms,
 *  is_unedited)`: then a null sets it to zero ("" for a text, NULL for a const char *), and the bool to whether the
 *  value was null. At most 32 members. */
#define VESTRY_ROW(type, ...)                                                                                          \
  VESTRY_SHAPE_(type, VESTRY_COLUMNS_(VESTRY_COLUMN_, type, __VA_ARGS__))
#define VESTRY_SHAPE_(type, ...)                                                                                       \
  {(const vestry_sql_column[]){__VA_ARGS__},                                                 \
   sizeof((const vestry_sql_column[]){__VA_ARGS__}) / sizeof(vestry_sql_column), sizeof(type)}
/** Declare a struct, outside of functions, and its description `NAME_shape`: VESTRY_STRUCT(message, (int64_t, id),
 *  (const char *, text), (int64_t, edited_ms, is_unedited)). Each member is a type and a name, in parentheses; a third
 *  word is a further member, the bool of VESTRY_ROW. It can also be the struct of a form (vestry/app/input.h). At most
 *  32 members, without arrays. */
#define VESTRY_STRUCT(name, ...)                                                                                       \
  typedef struct name {                                                                                                \
    VESTRY_COLUMNS_(VESTRY_MEMBER_, name, __VA_ARGS__)                                                                 \
  } name;                                                                                                              \
  VESTRY_UNUSED_ static const vestry_sql_shape name##_shape =                                                          \
      VESTRY_SHAPE_(name, VESTRY_COLUMNS_(VESTRY_MEMBER_COLUMN_, name, __VA_ARGS__))
#ifdef __GNUC__
#define VESTRY_UNUSED_ __attribute__((unused)) /* a struct of a form only */
#else
#define VESTRY_UNUSED_
#endif
#define VESTRY_MEMBER_(type, x) VESTRY_VALUES_PASTE(VESTRY_MEMBER_, VESTRY_COLUMNS_COUNT x) x
#define VESTRY_MEMBER_2(type, member) type member;
#define VESTRY_MEMBER_3(type, member, is_null) type member; bool is_null;
#define VESTRY_MEMBER_COLUMN_(type, x)                                                                                 \
  VESTRY_VALUES_PASTE(VESTRY_MEMBER_COLUMN_, VESTRY_COLUMNS_COUNT x)(type, VESTRY_MEMBER_WORDS_ x)
#define VESTRY_MEMBER_WORDS_(...) __VA_ARGS__
#define VESTRY_MEMBER_COLUMN_2(...) VESTRY_MEMBER_COLUMN_20(__VA_ARGS__)
#define VESTRY_MEMBER_COLUMN_20(type, of, member) VESTRY_COLUMN_0(type, member)
#define VESTRY_MEMBER_COLUMN_3(...) VESTRY_MEMBER_COLUMN_30(__VA_ARGS__)
#define VESTRY_MEMBER_COLUMN_30(type, of, member, is_null) VESTRY_COLUMN_3(type, member, is_null)
#define VESTRY_COLUMN_AT_(type, member)                                                                                \
  VESTRY_SQL_MEMBER(type, member), (uint32_t)offsetof(type, member), (uint32_t)sizeof ((type *)0)->member
#define VESTRY_COLUMN_0(type, member) {#member, VESTRY_COLUMN_AT_(type, member), 0},
#define VESTRY_COLUMN_1(type, pair) VESTRY_COLUMN_2(type, VESTRY_COLUMN_PAIR_ pair)
#define VESTRY_COLUMN_2(...) VESTRY_COLUMN_3(__VA_ARGS__)
#define VESTRY_COLUMN_3(type, member, is_null)                                                                         \
  {#member, VESTRY_COLUMN_AT_(type, member),                                                                           \
   (uint32_t)(offsetof(type, is_null) + 1 + 0 * sizeof(char[_Generic(((type *)0)->is_null, bool: 1)]))},
#define VESTRY_COLUMN_PAIR_(member, is_null) member, is_null
#define VESTRY_COLUMN_IS_PAIR_(...) ~, 1
#define VESTRY_COLUMN_SECOND_(...) VESTRY_COLUMN_SECOND(__VA_ARGS__)
#define VESTRY_COLUMN_SECOND(a, b, ...) b
#define VESTRY_COLUMN_(type, x)                                                                                        \
  VESTRY_VALUES_PASTE(VESTRY_COLUMN_, VESTRY_COLUMN_SECOND_(VESTRY_COLUMN_IS_PAIR_ x, 0, ~))(type, x)
#define VESTRY_COLUMNS_COUNT_(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19,    \
                              c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30, c31, c32, count, ...)             \
  count
#define VESTRY_COLUMNS_COUNT(...)                                                                                      \
  VESTRY_COLUMNS_COUNT_(__VA_ARGS__, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13,   \
                        12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define VESTRY_COLUMNS_(each, type, ...)                                                                               \
  VESTRY_VALUES_PASTE(VESTRY_COLUMNS_, VESTRY_COLUMNS_COUNT(__VA_ARGS__))(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_1(each, type, a) each(type, a)
#define VESTRY_COLUMNS_2(each, type, a, ...) each(type, a) VESTRY_COLUMNS_1(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_3(each, type, a, ...) each(type, a) VESTRY_COLUMNS_2(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_4(each, type, a, ...) each(type, a) VESTRY_COLUMNS_3(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_5(each, type, a, ...) each(type, a) VESTRY_COLUMNS_4(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_6(each, type, a, ...) each(type, a) VESTRY_COLUMNS_5(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_7(each, type, a, ...) each(type, a) VESTRY_COLUMNS_6(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_8(each, type, a, ...) each(type, a) VESTRY_COLUMNS_7(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_9(each, type, a, ...) each(type, a) VESTRY_COLUMNS_8(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_10(each, type, a, ...) each(type, a) VESTRY_COLUMNS_9(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_11(each, type, a, ...) each(type, a) VESTRY_COLUMNS_10(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_12(each, type, a, ...) each(type, a) VESTRY_COLUMNS_11(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_13(each, type, a, ...) each(type, a) VESTRY_COLUMNS_12(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_14(each, type, a, ...) each(type, a) VESTRY_COLUMNS_13(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_15(each, type, a, ...) each(type, a) VESTRY_COLUMNS_14(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_16(each, type, a, ...) each(type, a) VESTRY_COLUMNS_15(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_17(each, type, a, ...) each(type, a) VESTRY_COLUMNS_16(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_18(each, type, a, ...) each(type, a) VESTRY_COLUMNS_17(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_19(each, type, a, ...) each(type, a) VESTRY_COLUMNS_18(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_20(each, type, a, ...) each(type, a) VESTRY_COLUMNS_19(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_21(each, type, a, ...) each(type, a) VESTRY_COLUMNS_20(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_22(each, type, a, ...) each(type, a) VESTRY_COLUMNS_21(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_23(each, type, a, ...) each(type, a) VESTRY_COLUMNS_22(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_24(each, type, a, ...) each(type, a) VESTRY_COLUMNS_23(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_25(each, type, a, ...) each(type, a) VESTRY_COLUMNS_24(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_26(each, type, a, ...) each(type, a) VESTRY_COLUMNS_25(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_27(each, type, a, ...) each(type, a) VESTRY_COLUMNS_26(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_28(each, type, a, ...) each(type, a) VESTRY_COLUMNS_27(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_29(each, type, a, ...) each(type, a) VESTRY_COLUMNS_28(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_30(each, type, a, ...) each(type, a) VESTRY_COLUMNS_29(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_31(each, type, a, ...) each(type, a) VESTRY_COLUMNS_30(each, type, __VA_ARGS__)
#define VESTRY_COLUMNS_32(each, type, a, ...) each(type, a) VESTRY_COLUMNS_31(each, type, __VA_ARGS__)
/** Exactly one row, into the struct to which `row` points. None: NOT_FOUND; several: INVALID. */
#define VESTRY_ONE_ROW(shape, row)                                                                                     \
  (&(const vestry_sql_rows){(shape), (row), sizeof *(row), 1, NULL, false, NULL, NULL})
/** At most one row: *ret_count, a size_t, is 0 or 1. Several: INVALID. */
#define VESTRY_ONE_ROW_OR_NONE(shape, row, ret_count)                                                                  \
  (&(const vestry_sql_rows){(shape), (row), sizeof *(row), 1, (ret_count), true, NULL, NULL})
/** All rows, into an array; *ret_count, a size_t, is their number, which may be 0. More than the array has elements:
 *  TOO_LARGE. */
#define VESTRY_ALL_ROWS(shape, array, ret_count)                                                                       \
  (&(const vestry_sql_rows){(shape), (array), sizeof *(array),                                \
                            sizeof(array) / sizeof *(array), (ret_count), true, NULL, NULL})
/** All rows, one after the other into the struct to which `row` points, for which fn (vestry_sql_shaped_fn) is called.
 *  No row is OK. */
#define VESTRY_EACH_ROW(shape, row, fn, ctx)                                                                           \
  (&(const vestry_sql_rows){(shape), (row), sizeof *(row), 0, NULL, true, (fn), (ctx)})
/* clang-format on */
#endif

/** Run a statement as vestry_sql_run, and read its rows into structs. Unlike there, no row is OK if the rows are
 *  optional.
 *  rows     made by one of the macros above
 *  Returns  OK | NOT_FOUND (no row, and not optional) | INVALID (also: a column is missing, or exists twice; a value
 *           has another type, or is null; several rows instead of one) | TOO_LARGE (also: a value or the number of rows
 *           exceeds its memory) | an error of fn | as vestry_sql_run. After an error the structs may have been written,
 *           and the statement may have changed data: end its transaction with the error
 *  Threads  as vestry_sql_run */
VESTRY_API vestry_err vestry_sql_run_rows(vestry_sql_transaction *transaction, const char *sql,
                                          const vestry_value *values, const vestry_sql_rows *rows);
/** The same as vestry_sql_read: in the render of a page that follows the pool, the page depends on what is read;
 *  elsewhere the statement may also write. Returns, threads: as vestry_sql_run_rows and vestry_sql_read. If an error is
 *  found in its rows, what the statement has written outside of a transaction is committed nevertheless. */
VESTRY_API vestry_err vestry_sql_read_rows(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                           const vestry_sql_rows *rows);

/* ---------------------------------------------------------------------------------------------- sessions --------- */

/** Sessions of one database: a storage for vestry/app/session.h, in a table that vestry creates.
 *
 *      vestry_sql_sessions_create(pool, NULL, &stored);
 *      vestry_sessions_create(
 *          v, &(vestry_session_options){.storage = &vestry_sql_sessions_ops, .storage_ctx = stored});
 *
 *  A user who logs in at one node is logged in at all nodes, and stays logged in after a restart or a crash. The table,
 *  vestry_session, contains a hash of each session's id, so that a stolen database opens no session. The memory of a
 *  node is a cache of the table: a session that one node has ended ends at the others within a second.
 *  Expired sessions are deleted even if their cookies never come back: each log-in deletes
 *  some of them, by the database's clock, which is the same for all nodes. */
typedef struct vestry_sql_sessions vestry_sql_sessions;

/** Options of stored sessions. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_sql_sessions_options {
  uint64_t idle_ms;            /**< as in vestry_session_options [7 days] */
  uint64_t lifetime_ms;        /**< as in vestry_session_options [30 days] */
  uint32_t max_per_user_count; /**< maximum number of sessions of one user; at another log-in the oldest session is
                                    removed, unless it is younger than a second [100] */
} vestry_sql_sessions_options;

/** Create the storage, and the table if it does not exist.
 *  pool          borrowed; must not be destroyed before the storage
 *  options       NULL: the defaults
 *  ret_sessions  owned by the caller, who destroys it after the instance. Untouched on failure
 *  Returns  OK | INVALID | the errors above (IO also: a later version of vestry has made the table; nothing was
 *           changed). The log has the reason and a remedy
 *  Threads  any; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_sessions_create(vestry_sql_pool *pool, const vestry_sql_sessions_options *options,
                                                 vestry_sql_sessions **ret_sessions);
/** Free the storage; the sessions stay in the table. NULL is accepted. Threads any; does not block. */
VESTRY_API void vestry_sql_sessions_destroy(vestry_sql_sessions *sessions);

/** Functions for vestry_session_options.storage; storage_ctx is the vestry_sql_sessions. They use separate
 *  transactions, so a thread that calls vestry_session_login, or a function that ends sessions, must have no
 *  transaction of this pool. */
extern VESTRY_API const vestry_session_storage_ops vestry_sql_sessions_ops;

/* ---------------------------------------------------------------------------------------------- the secret ------- */

/** Set the secret of an instance (vestry/app/secret.h) to the one in the database. If there is none yet, 32 random
 *  bytes become the secret, in the table vestry_secret, which vestry creates. All processes with this database then
 *  have the same secret, also after a restart. A person who reads the database can make tokens and ids of tabs: keep
 *  it as private as the program's other secrets. To use a secret from elsewhere, call vestry_secret_set instead.
 *  pool  borrowed for the call
 *  v     as for vestry_secret_set: before its pages are created and before the first request
 *  Returns  OK | INVALID | EXISTS (a secret is set) | the errors above (IO also: a later version of vestry has made the
 *           table, or the stored secret is damaged). The log has the reason and a remedy
 *  Threads  any, without a transaction; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_secret_set(vestry_sql_pool *pool, vestry *v);

/* -------------------------------------------------------------------------------- actions that run once ---------- */

/** Submissions of one database: a storage for vestry/app/once.h, in a table that vestry creates. A submission that is
 *  repeated at another node, or after a restart, gets the stored response, and its handler runs at one node only.
 *
 *      vestry_sql_once_create(pool, NULL, &stored);
 *      vestry_once_create(v, &(vestry_once_options){.storage = &vestry_sql_once_ops, .storage_ctx = stored}, &once);
 *
 *  If a node dies while it runs a submission, the node holds the submission for lease_ms:
 *  - During the lease a repetition waits for vestry_once_options.wait_ms and then gets 503, because the node may
 *    still be alive.
 *  - After the lease a repetition gets 409, and the action does not run again, because it is unknown how far the
 *    handler came. Therefore, lease_ms must be longer than any handler takes.
 *  - If handlers may run twice without harm, set runs_again: one repetition then runs after the lease. An example is
 *    a handler that stores the nonce together with its data, in one transaction.
 *  - Acts and forms of an application (vestry/app/application.h) need neither: their transaction marks the row.
 *
 *  A row of the table, vestry_once, contains a hash of the submission's nonce, and the response, encrypted with another
 *  hash of the nonce. A reader of the database, or of a copy, learns neither the nonce nor the response. */
typedef struct vestry_sql_once vestry_sql_once;

/** Options of stored submissions. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_sql_once_options {
  uint64_t lifetime_ms;     /**< a submission is deleted this long after it began [10 minutes] */
  uint64_t lease_ms;        /**< time for which the node that runs a submission holds it; at most lifetime_ms
                                     [1 minute, or lifetime_ms if that is shorter] */
  bool runs_again;          /**< run a submission again if its lease has ended and it is unknown whether it was
                                     done */
  uint32_t per_owner_count; /**< maximum number of submissions of one user or scope [1,000]; beyond it the oldest
                                     finished ones are deleted. Each node checks this once in 64 submissions, so each
                                     node can exceed the maximum by 64. Submissions without a scope have no maximum if
                                     this is 0; otherwise it also applies to all of them together */
} vestry_sql_once_options;

/** Create the storage, and the table if it does not exist. As vestry_sql_sessions_create.
 *  ret_once  owned by the caller, who destroys it after the vestry_once. Untouched on failure */
VESTRY_API vestry_err vestry_sql_once_create(vestry_sql_pool *pool, const vestry_sql_once_options *options,
                                             vestry_sql_once **ret_once);
/** Free the storage; the submissions stay in the table. NULL is accepted. Threads any; does not block. */
VESTRY_API void vestry_sql_once_destroy(vestry_sql_once *once);

/** Functions for vestry_once_options.storage; storage_ctx is the vestry_sql_once. While the server is away, requests
 *  with a nonce get 503, and their actions do not run. */
extern VESTRY_API const vestry_once_storage_ops vestry_sql_once_ops;

/* ------------------------------------------------------------------------------------------------- forms --------- */

/** Create a forms storage, which keeps the persistent forms of vestry/app/form.h in the tables vestry_form and
 *  vestry_form_cleared of the application's database, for all nodes that use it. As vestry_sql_sessions_create.
 *
 *      vestry_sql_forms_create(pool, &stored);
 *      vestry_forms_create(v, &(vestry_forms_options){.pages = pages, .storage = stored}, &forms);
 *
 *      static vestry_err report(vestry_sql_transaction *transaction, void *ctx) {     // in the handler of the submit
 *        vestry_err err = vestry_sql_run(transaction, "INSERT INTO report(title) VALUES($1)", VESTRY_LIST(title), NULL,
 *                                        NULL);
 *        return err ? err : vestry_forms_clear(forms, req, "report");
 *      }                                                            // both are committed, or neither
 *
 *  This also holds if vestry_sql_act runs the transaction several times.
 *  - Durability: stored values survive a killed node. All nodes with the database and the secret (vestry_secret_set)
 *    find them. SQLite: the pool's `synchronous` setting determines how durable they are.
 *  - Refresh: storing typed text refreshes no page. Clearing a form refreshes its page after the commit: at this node
 *    always, at other nodes if their pages follow the database or belong to the same cluster. PostgreSQL (levels:
 *    vestry/data/postgres.h): at level READS, pages with other forms are refreshed as well, in rare cases, because the
 *    tab and name of a form select one of 4,096 rows, and two forms may share a row. At level TABLES clearing a form
 *    refreshes all pages with forms.
 *  - Bounds: those of vestry_forms_options, for all nodes together. PostgreSQL: if more than eight nodes store forms at
 *    once, max_bytes may be exceeded slightly until the next form is stored. When max_bytes is reached, 1/32 of it is
 *    freed, first of addresses without a user that have more than a quarter. An address is stored as a hash with a key
 *    from the secret of vestry_secret_set, or else a random key of each node. The age of a form has a precision of a
 *    tenth of ttl_ms. Expired forms are no longer found; they are deleted in batches when other forms are stored.
 *  - Failure: while the server is away, or the database is locked or full, typed text is rejected with 503, and the
 *    page sends it again after about five seconds, then at growing intervals of up to half a minute. Values stored
 *    before stay.
 *  ret_storage  for vestry_forms_options.storage, of one vestry_forms at a time. Owned by the caller; untouched on
 *               failure */
VESTRY_API vestry_err vestry_sql_forms_create(vestry_sql_pool *pool, vestry_forms_storage **ret_storage);
/** Free the storage, after vestry_forms_destroy. No transaction that has cleared a form may be open. NULL is
 *  accepted. Threads any; does not block. */
VESTRY_API void vestry_sql_forms_destroy(vestry_forms_storage *storage);

/* ------------------------------------------------------------------------------------------ states of tabs ------- */

/** States of tabs in one database: bytes by (scope, tab), in a table that vestry creates. The handlers of a tab write
 *  its state, for example the channel that it shows, or a draft, and its page reads it, at any node. A write refreshes
 *  the page of that tab, and no other.
 *
 *      vestry_sql_tabs_create(pages, pool, NULL, &tabs);
 *      vestry_sql_tab_set(tabs, req, draft, len);                        // a handler: the tab's page renders again
 *      vestry_sql_tab_get(tabs, req, render, draft, sizeof draft, &len); // its render
 *
 *  SQLite: if the calling thread has a transaction, both functions run in it; the pages must follow the pool
 *  (vestry_sqlite_pool_follow). PostgreSQL: both use a separate transaction, and the calling thread must have none of
 *  this pool, because a reader of an older snapshot would miss later writes. There is one exception: in the render of a
 *  page that follows the pool (vestry_postgres_create), vestry_sql_tab_get may come after vestry_sql_read. It then
 *  reads the same snapshot, and the page renders again after a later write. At level TABLES, the writes of all tabs
 *  then render the page; to avoid this, call vestry_sql_tab_get first. Pages of other nodes are refreshed by topics of
 *  the cluster, if there is one. */
typedef struct vestry_sql_tabs vestry_sql_tabs;

/** Options of states of tabs. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_sql_tabs_options {
  uint32_t ttl_s;           /**< a state is deleted this long after it was last written or read [30 days] */
  uint32_t anonymous_ttl_s; /**< same as ttl_s, for anonymous users (vestry_session_is_anonymous) [half of ttl_s] */
  uint32_t per_scope_count; /**< maximum number of states of one scope; beyond it the state that expires first is
                                 removed [64]. It does not apply to the scope without an owner, which all users
                                 share */
  size_t max_bytes;         /**< maximum size of one state [64 KiB]; at most 64 MiB */
  uint32_t max_count; /**< maximum number of states of all scopes; beyond it those that expire first are removed, those
                           without a user before those of users, and first of addresses that have more than a quarter
                           of this number. A node counts the states of other nodes once in 1,024 new states, so each
                           node can exceed it by 1,024 [100,000] */
} vestry_sql_tabs_options;

/** Create the storage, and its tables if they do not exist. As vestry_sql_sessions_create.
 *  pages     borrowed; must not be destroyed before the storage
 *  ret_tabs  owned by the caller; untouched on failure */
VESTRY_API vestry_err vestry_sql_tabs_create(vestry_pages *pages, vestry_sql_pool *pool,
                                             const vestry_sql_tabs_options *options, vestry_sql_tabs **ret_tabs);
/** Free the storage, after vestry_stop: no request and no render may use it any more. NULL is accepted. Threads any;
 *  does not block. */
VESTRY_API void vestry_sql_tabs_destroy(vestry_sql_tabs *tabs);

/** Read the state of the tab that sent a request (vestry/app/tab.h). For a request of a document, the tab is only
 *  assumed. Therefore read state that must not appear in another tab only if vestry_tab_is_known(req) returns true. In
 *  a render, the page renders again when the state is written.
 *  req       the handler's, or vestry_render.request
 *  render    the render that reads; NULL: none
 *  buffer    receives the state, at most capacity bytes
 *  ret_len   its length, also with TOO_LARGE. 0: the tab has no state. Untouched on all other failures
 *  Returns  OK | INVALID | NOT_FOUND (the request has no tab, or the render is shared) | TOO_LARGE (capacity) | the
 *           errors above
 *  Threads  that of the handler or of the render; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_tab_get(vestry_sql_tabs *tabs, const vestry_request *req, vestry_render *render,
                                         void *buffer, size_t capacity, size_t *ret_len);
/** Write the state of a tab, and refresh its page.
 *  data  copied; len 0: the state is deleted. SQLite: data that are stored already change and refresh nothing
 *  Returns  OK | INVALID | NOT_FOUND (the request has no tab) | TOO_LARGE (max_bytes) | the errors above
 *  Threads  that of the handler, not that of a render; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_tab_set(vestry_sql_tabs *tabs, const vestry_request *req, const void *data,
                                         size_t len);

#ifdef __cplusplus
}
#endif
#endif
