/* SPDX-License-Identifier: MIT */
/* The memory adapter as a seam for the contract: a stepped instance with a manual clock. */
#ifndef TESTS_TESTING_MEMORY_SEAM_H
#define TESTS_TESTING_MEMORY_SEAM_H

#include "testing/contract/seam.h"

extern const vsi_contract_seam memory_seam;

#endif
