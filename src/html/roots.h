/* Whether HTML is one element, and which. */
#ifndef VSI_HTML_ROOTS_H
#define VSI_HTML_ROOTS_H

#include <stdbool.h>

#include "vestry/host.h"

/* Elements as they stand in an event: each line but the first has its key before it ("data: elements "), which the
 * client does not see. */

enum { VSI_HTML_BINDS_MAX = 8 };

/* Its elements that bind signals (data-bind), equal ones once: by a hash of the tag as it is written, but for its id,
 * and of a textarea's text. */
typedef struct vsi_html_binds {
  size_t count;
  bool too_many; /* more than there is room for */
  uint64_t hashes[VSI_HTML_BINDS_MAX];
} vsi_html_binds;

/* true: it is one element for certain, and ret_id is the value of its id attribute as written (len 0: none, or one with
 * a character reference). false: it is not, or that cannot be told without a whole parser. ret_binds: what
 * is bound in it, if true. No memory; linear. */
bool vsi_html_one_root(vestry_slice html, vestry_slice *ret_id, vsi_html_binds *ret_binds);

#endif
