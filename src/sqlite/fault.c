#include "sqlite/sqlite.h"

vestry_err vsi_sqlite_fault(const vestry_sqlite *database, sqlite3 *db, int result, const char *doing) {
  switch (result & 0xff) {
  case SQLITE_OK:
  case SQLITE_ROW:
  case SQLITE_DONE: return VESTRY_OK;
  case SQLITE_NOMEM: return VESTRY_NO_MEMORY;
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return VESTRY_BUSY;
  case SQLITE_TOOBIG: return VESTRY_TOO_LARGE;
  default: break;
  }
  vsi_sqlite_log(database->host, VESTRY_LOG_ERROR, "SQLite, %s: %s: %s (%d)", database->path, doing,
                 db ? sqlite3_errmsg(db) : sqlite3_errstr(result), result);
  return (result & 0xff) == SQLITE_FULL ? VESTRY_LIMIT : VESTRY_IO;
}
