// Perfetto trace: a timeline as the protobuf that ui.perfetto.dev opens, and an archive of two timelines on one time axis. Writing only.
//
// Not HELM's own file of a timeline (ir/timeline.h): times are rounded down to nanoseconds. A process is a rank, a track of it a stream or
// the memory of a storage role; invariant: slices of one track do not overlap. Flows join a collective's launch with its work, its members
// with each other, and a send with its recv; a flow goes from the slice that begins first to the one that begins last, as Perfetto demands,
// so where a recv was posted before its send began, the arrow points from recv to send. Format and field numbers: docs/formats/perfetto.md.
#pragma once

#include <string>

#include "core/status.h"
#include "ir/timeline.h"

namespace helm::formats {

// Bytes of a `perfetto.protos.Trace`. Fails (invalid) when the timeline has no events, or when two events of one stream overlap.
Result<std::string> ToPerfettoTrace(const ir::Timeline& timeline);

// Bytes of a tar archive: a manifest that puts both on one time axis from 0 on, and a trace of each, file and machine named by its title
// (ir::TitlesApart): `predicted.pftrace`, `measured.pftrace`. Fails as ToPerfettoTrace does.
Result<std::string> ToPerfettoArchive(const ir::Timeline& first, const ir::Timeline& second);

}  // namespace helm::formats
