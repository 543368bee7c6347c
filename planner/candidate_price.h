// CandidatePrice: what a strategy comes to in a search, as far as the search has to know it.
//
// Ops that run at the same time on a GPU slow each other down, and a step in which they do takes several times as long to compose of
// templates, or has to be written out. So it is first composed as if each op ran alone: its peak of memory is that of the step, and its
// time is never longer (property test). That is enough of a strategy that does not fit, or takes too long even so.
#pragma once

#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "planner/search.h"

namespace helm::planner {

// Composed as if each op ran alone, with Candidate::alone; to the end where templates do not apply, or on CPUs, where that is the same.
Result<Candidate> PriceAlone(const config::RunConfig& config, const ir::Strategy& strategy, sim::PriceBook& prices,
                             const Cancellation& cancellation);

// To the end, whatever it takes.
Result<Candidate> PriceToTheEnd(const config::RunConfig& config, const ir::Strategy& strategy, sim::PriceBook& prices,
                                const Cancellation& cancellation);

// The same, of templates; kUnavailable where the step would have to be written out.
Result<Candidate> PriceOfTemplates(const config::RunConfig& config, const ir::Strategy& strategy, sim::PriceBook& prices,
                                   const Cancellation& cancellation);

// Prices those of the ranked candidates to the end that are told of beside the best plan: the fastest, and those that nothing faster is
// smaller than. The others, those whose steps would have to be written out for it, and those that are cut short are left out as too slow.
// Fails where one cannot be priced for another reason.
// REQUIRES: fastest first; the fastest was priced to the end.
Status PriceThoseShown(const config::RunConfig& config, sim::PriceBook& prices, const Cancellation& cancellation, SearchResult& result);

// Left out, since its step takes at least so long.
Rejection TooSlow(const ir::Strategy& strategy, Duration bound, const Candidate& fastest);

}  // namespace helm::planner
