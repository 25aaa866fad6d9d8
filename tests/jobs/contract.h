/* SPDX-License-Identifier: MIT */
/* The contract of jobs, for each database: each runs the same tests. */
#ifndef TESTS_JOBS_CONTRACT_H
#define TESTS_JOBS_CONTRACT_H

#include "jobs/crew.h"

/* Run the contract's tests. Returns the number of failed tests. */
int jobs_contract_run(const crew_database *database);

/* The parts of the contract. */
int jobs_contract_run_keys(void);
int jobs_contract_run_leases(void);
int jobs_contract_run_ticks(void);
int jobs_contract_run_threads(void);
int jobs_contract_run_hostile(void);
int jobs_contract_run_pages(void);

/* Also run that many histories of a model. The environment variable JOBS_HISTORIES replaces the number. */
int jobs_contract_run_model(const crew_database *database, uint64_t histories_count);
/* Return whether JOBS_HISTORIES is set; then only the model runs. */
bool jobs_contract_is_model_alone(void);

#endif
