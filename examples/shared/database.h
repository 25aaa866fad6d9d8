/* The file of an example that keeps something: its tables are made, or brought to this version, and what goes wrong is
 * said so that somebody can help. */
#ifndef EXAMPLES_DATABASE_H
#define EXAMPLES_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "vestry/error.h"

struct database {
  const char *program;
  const char *path; /* of the file */
  /* What makes the tables of this version, from nothing or from any version before; run in a transaction. */
  const char *schema;
  int version; /* user_version of a file that has them; a file that has a later one is left as it is */
};

/* Open a connection, and see to it that the tables are there, in WAL mode. flags: SQLITE_OPEN_FULLMUTEX, say. Processes
 * may do so at once. Returns the connection, the caller's; NULL: it cannot be, and why has been said. */
sqlite3 *database_open(const struct database *database, int flags);
/* What a handler returns for it. LIMIT: not now, as when the disk is full or another program writes: nothing was done,
 * and who repeats it (vestry/once.h) is served when that is over. IO: anything else. */
vestry_err database_error(int status);
/* Say that something failed: the program, the function, the file, why, and what helps. */
void database_say(const struct database *database, sqlite3 *db, int status, const char *function);

#endif
