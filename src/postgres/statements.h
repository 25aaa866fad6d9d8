/* SPDX-License-Identifier: MIT */
/* The statements of one connection that are kept prepared. */
#ifndef VSI_POSTGRES_STATEMENTS_H
#define VSI_POSTGRES_STATEMENTS_H

#include "postgres/link.h"

typedef struct vsi_postgres_prepared {
  char *sql;
  uint64_t used; /* the look that has found it last */
  uint64_t number;
} vsi_postgres_prepared;

typedef struct vsi_postgres_statements {
  const vestry_host *host;
  vsi_postgres_prepared *all;
  size_t count, most;
  uint64_t looks, prepared; /* prepared: also the number of the last one */
} vsi_postgres_statements;

enum { VSI_POSTGRES_STATEMENT_NAME_BYTES = 32 };

/* Zeroed before. OK | NO_MEMORY */
vestry_err vsi_postgres_statements_init(vsi_postgres_statements *statements, const vestry_host *host, size_t most);
void vsi_postgres_statements_finish(vsi_postgres_statements *statements);
/* None is prepared: the connection is another one. */
void vsi_postgres_statements_forget(vsi_postgres_statements *statements);
/* The name of one, prepared unless it is. Without a place for it the one used longest ago is given up.
 *  ret_result  what the server said against it; the caller's. NULL: the connection is lost. Set on IO alone
 *  Returns     OK | NO_MEMORY | IO */
vestry_err vsi_postgres_statements_find(vsi_postgres_statements *statements, PGconn *db, const char *sql,
                                        uint64_t until_ns, char name[VSI_POSTGRES_STATEMENT_NAME_BYTES],
                                        PGresult **ret_result);

#endif
