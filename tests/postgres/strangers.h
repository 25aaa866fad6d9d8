/* SPDX-License-Identifier: MIT */
/* Other clients of the server: what they hold, change and take away, beside nodes of the role `site`. */
#ifndef TESTS_POSTGRES_STRANGERS_H
#define TESTS_POSTGRES_STRANGERS_H

#include <stddef.h>
#include <stdint.h>

enum {
  STRANGER_READS = 1,    /* reads of the role may fail until its end */
  STRANGER_WRITES = 2,   /* its writes may fail until then */
  STRANGER_SESSIONS = 4, /* only new sessions have it, so the existing ones are ended */
  STRANGER_ALONE = 8,    /* one at a time */
  STRANGER_HIDES = 16,   /* rows may be missing without an error */
  STRANGER_BRIEF = 32,   /* it ends by itself, a moment after its begin */
  STRANGER_ORACLE = 64   /* needs the oracle's tables and random numbers */
};

/* Of the role `site`, where it logs in with a password. */
#define STRANGERS_PASSWORD "that of site"

/* A client begins with the table @t, and ends. The nodes go on when it has begun. begin NULL: a setting of the role. */
typedef struct stranger {
  const char *begin, *end;
  unsigned is;
} stranger;
extern const stranger strangers[];
extern const size_t strangers_count;

/* End what the stranger holds, and let it begin another one with the table, by chance; except: none with these flags.
 * Returns its flags. */
unsigned strangers_act(const char *table, uint64_t chance, unsigned except);
/* End everything, before the tables are dropped. */
void strangers_rest(void);
/* End all sessions of vestry. */
void strangers_cut(void);
/* Return a setting of new sessions, by chance. None changes the result of a query. */
const char *strangers_setting(uint64_t chance);

#endif
