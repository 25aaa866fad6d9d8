/* A scope and a key in one run of bytes: length of the scope (LEB128), the scope, the encoded key. Equal runs are equal
 * scopes and keys, and the first key_offset bytes alone tell scopes apart. */
#ifndef VSI_STORE_SCOPED_KEY_H
#define VSI_STORE_SCOPED_KEY_H

#include "vestry/store.h"

/* Usual keys are made on the stack, so that a look-up allocates nothing; longer ones are allocated. */
#define VSI_SCOPED_KEY_STACK_BYTES 256

typedef struct vsi_scoped_key {
  vestry_scoped_key key; /* points into this struct, which must stay where it is */
  const vestry_host *host;
  unsigned char *heap; /* NULL: on the stack */
  unsigned char stack[VSI_SCOPED_KEY_STACK_BYTES];
} vsi_scoped_key;

/* OK (finish it) | INVALID | TOO_LARGE | NO_MEMORY. */
vestry_err vsi_scoped_key_init(vsi_scoped_key *scoped, const vestry_host *host, vestry_scope scope,
                               const vestry_key *key);
void vsi_scoped_key_finish(vsi_scoped_key *scoped);

/* A key as it was put, from its bytes. */
vestry_scoped_key vsi_scoped_key_read(const unsigned char *data, size_t len);

/* Whether a key is of a scope. */
bool vsi_scoped_key_is_of(const vestry_scoped_key *key, const vestry_scope *scope);

#endif
