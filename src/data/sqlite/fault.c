/* SPDX-License-Identifier: MIT */
#include "data/sqlite/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"

vestry_err vsi_sqlite_code(int result) {
  switch (result & 0xff) {
  case SQLITE_OK:
  case SQLITE_ROW:
  case SQLITE_DONE: return VESTRY_OK;
  case SQLITE_NOMEM: return VESTRY_NO_MEMORY;
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return VESTRY_BUSY;
  case SQLITE_TOOBIG: return VESTRY_TOO_LARGE;
  case SQLITE_FULL: return VESTRY_LIMIT;
  default: return VESTRY_IO;
  }
}

/* Return a remedy; NULL: none. system: the errno of the failed system call. */
static const char *advice(int result, int system) {
  if (system == ENOSPC || system == EDQUOT) return "free space on the disk";
  if (system == EMFILE || system == ENFILE) return "raise the limit of descriptors (ulimit -n)";
  switch (result & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return "another program is writing to the database; wait until it has finished, or make its transactions shorter "
           "if it is a process of the same deployment";
  case SQLITE_NOMEM: return "give the process more memory";
  case SQLITE_FULL: return "free space on the disk";
  case SQLITE_READONLY:
  case SQLITE_PERM: return "permit this user to write to the file and its folder";
  case SQLITE_CANTOPEN: return "create the folder, and permit this user to write to it";
  case SQLITE_NOTADB: return "the file is not a SQLite database; choose another file";
  case SQLITE_CORRUPT:
    return "first check the disk and the system's log, because a disk that fails looks like this, and a copy of the "
           "file on another disk may be whole; if `PRAGMA integrity_check` of the copy fails, too, restore a backup, "
           "or recover data with `.recover` of the sqlite3 shell";
  case SQLITE_IOERR: return "check whether the disk is full or broken, or ulimit -f is too low";
  default: return NULL;
  }
}

vestry_err vsi_sqlite_fail(const vsi_call *call, sqlite3 *db, int result, const char *doing) {
  const vestry_err error = vsi_sqlite_code(result);
  if (!error) return VESTRY_OK;
  const int kind = result & 0xff, extended = db ? sqlite3_extended_errcode(db) : result;
  if ((extended & 0xff) == kind) result = extended;
  const int system = db && (kind == SQLITE_CANTOPEN || kind == SQLITE_IOERR) ? sqlite3_system_errno(db) : 0;
  /* The connection's message is that of its last call, which may be another one. */
  const bool has_message = db && (extended & 0xff) == kind;
  const char *why = has_message ? sqlite3_errmsg(db) : sqlite3_errstr(result), *helps = advice(result, system);
  /* Without SQLite's message, which can cite values. */
  const uint32_t reason = vsi_log_reason(call->function) ^ vsi_log_reason(doing) ^ (uint32_t)result;
  vsi_log_repeated(call->host, call->repeated, reason, VESTRY_LOG_ERROR, "%s, %s: %s: %s (%d)%s%s%s%s", call->function,
                   call->name, doing, why, result, system ? ", " : "", system ? strerror(system) : "",
                   helps ? "; " : "", helps ? helps : "");
  return error;
}

bool vsi_sqlite_text_cites(const char *message) {
  for (const char *at = message; (at = strchr(at, '"')) != NULL; at++) {
    const char first = at[1];
    if (first == '\'' || first == '"' || vsi_is_digit(first)) return true;
    if ((first == 'x' || first == 'X') && at[2] == '\'') return true;
  }
  return strstr(message, "string literal") != NULL;
}

vestry_err vsi_sqlite_fail_passing(const vsi_call *call, sqlite3 *db, int result, const char *doing) {
  const int kind = result & 0xff, system = db && kind == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
  const bool is_passing = kind == SQLITE_BUSY || kind == SQLITE_LOCKED || kind == SQLITE_IOERR ||
                          kind == SQLITE_PROTOCOL || system == EMFILE || system == ENFILE || system == ENOMEM;
  const vestry_err error = vsi_sqlite_fail(call, db, result, doing);
  return is_passing ? VESTRY_LIMIT : error;
}
