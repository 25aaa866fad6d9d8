/* SPDX-License-Identifier: MIT */
/* What is promised of jobs, in whichever database they are: each runs the same tests. */
#ifndef TESTS_JOBS_CONTRACT_H
#define TESTS_JOBS_CONTRACT_H

#include "jobs/crew.h"

/* Run all that is promised. Returns how many tests failed. */
int jobs_contract_run(const crew_database *database);

/* Its parts. */
int jobs_contract_run_keys(void);
int jobs_contract_run_leases(void);
int jobs_contract_run_ticks(void);
int jobs_contract_run_threads(void);
int jobs_contract_run_hostile(void);
int jobs_contract_run_pages(void);

/* Beside those: so many histories of a model, unless the environment has another number, JOBS_HISTORIES. */
int jobs_contract_run_model(const crew_database *database, uint64_t histories_count);
/* Whether it has: then nothing else is run. */
bool jobs_contract_is_model_alone(void);

#endif
