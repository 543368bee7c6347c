#include "exec/launch_environment.h"

#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "core/hash.h"
#include "core/text.h"
#include "exec/node_list.h"

namespace helm::exec {
namespace {

using Variables = std::function<const char*(const char*)>;

constexpr int64_t kRanksMost = 1 << 24;
constexpr const char* kLoopback = "127.0.0.1";
// Above the ports that Linux gives out by itself (net.ipv4.ip_local_port_range: 32768 to 60999).
constexpr int kFirstPort = 61440;
constexpr uint64_t kPorts = 4096;
constexpr int kDefaultPort = 29500;  // torchrun's

// Reads variables and collects what is wrong with them.
class Reader {
 public:
  explicit Reader(const Variables& variable) : variable_(variable) {}

  bool Has(const char* name) const { return variable_(name) != nullptr; }

  // The first of these that is set; the first when none is.
  const char* FirstOf(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      if (Has(name)) return name;
    }
    return *names.begin();
  }

  std::string TextOr(const char* name, const std::string& otherwise) const {
    const char* value = variable_(name);
    return value == nullptr ? otherwise : value;
  }

  std::string Text(const char* name) {
    const std::string text = TextOr(name, "");
    if (text.empty()) Complain(fmt::format("environment variable {} is not set", name));
    return text;
  }

  int64_t Number(const char* name, int64_t least, int64_t most) {
    const std::string text = Text(name);
    const std::optional<int64_t> value = ParseInt64(text);
    if (!text.empty() && (!value || *value < least || *value > most)) {
      Complain(fmt::format("environment variable {} is '{}'; allowed: {} to {}", name, text, least, most));
    }
    return value.value_or(least);
  }

  int64_t NumberOr(const char* name, int64_t least, int64_t most, int64_t otherwise) {
    return Has(name) ? Number(name, least, most) : otherwise;
  }

  void Complain(const std::string& what) { problems_ += fmt::format("error: {}\n", what); }

  Status status(std::string_view fix) const {
    return problems_.empty() ? OkStatus() : InvalidError(fmt::format("{}fix: {}", problems_, fix));
  }

 private:
  const Variables& variable_;
  std::string problems_;
};

// The variables in which a launcher says rank and size.
struct Names {
  const char* rank;
  const char* size;
};

Names NamesOf(Launcher launcher, const Reader& reader) {
  switch (launcher) {
    case Launcher::kTorchrun:
      return {"RANK", "WORLD_SIZE"};
    case Launcher::kOpenMpi:
      return {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"};
    case Launcher::kPmi:
      return {"PMI_RANK", "PMI_SIZE"};
    case Launcher::kSlurm:
      // Inside salloc's shell SLURM_NTASKS is the allocation's; what srun started has the step's number.
      return {"SLURM_PROCID", reader.FirstOf({"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"})};
  }
  HELM_CHECK(false, "a launcher without variables");
}

bool Started(Launcher launcher, const Reader& reader) {
  const Names names = NamesOf(launcher, reader);
  if (launcher != Launcher::kSlurm) return reader.Has(names.rank) || reader.Has(names.size);
  return reader.Has(names.rank) && reader.TextOr(names.size, "") != "1";
}

// torchrun's agent made this process, whatever started the agent.
bool StartedByAgent(const Reader& reader) { return reader.Has("TORCHELASTIC_RUN_ID") || reader.Has("TORCHELASTIC_USE_AGENT_STORE"); }

bool SameText(const Reader& reader, const char* a, const char* b) { return reader.TextOr(a, "") == reader.TextOr(b, ""); }

bool Agree(const Reader& reader, Launcher a, Launcher b) {
  const Names first = NamesOf(a, reader);
  const Names second = NamesOf(b, reader);
  return SameText(reader, first.rank, second.rank) && SameText(reader, first.size, second.size);
}

// The innermost of the launchers whose variables are here.
std::optional<Launcher> Choose(Reader& reader) {
  if (Started(Launcher::kTorchrun, reader)) return Launcher::kTorchrun;
  if (Started(Launcher::kOpenMpi, reader)) return Launcher::kOpenMpi;
  const bool slurm = Started(Launcher::kSlurm, reader);
  // With srun --mpi=pmi2 they say the same, and Slurm says more; mpiexec inside an allocation starts ranks that Slurm does not know.
  if (Started(Launcher::kPmi, reader)) return slurm && Agree(reader, Launcher::kPmi, Launcher::kSlurm) ? Launcher::kSlurm : Launcher::kPmi;
  if (slurm) return Launcher::kSlurm;
  return std::nullopt;
}

// RANK that was set by hand beside a launcher, and PMIX_RANK beside one that uses PMIx, must say what it says.
void CheckAgreement(Reader& reader, Launcher chosen) {
  const auto must_equal = [&](const char* a, const char* b) {
    if (!reader.Has(a) || !reader.Has(b) || SameText(reader, a, b)) return;
    reader.Complain(fmt::format("environment variables {} ('{}') and {} ('{}') contradict each other", a, reader.TextOr(a, ""), b,
                                reader.TextOr(b, "")));
  };
  if (chosen == Launcher::kTorchrun) {
    if (StartedByAgent(reader)) return;
    for (const Launcher other : {Launcher::kOpenMpi, Launcher::kPmi, Launcher::kSlurm}) {
      if (!Started(other, reader)) continue;
      must_equal("RANK", NamesOf(other, reader).rank);
      must_equal("WORLD_SIZE", NamesOf(other, reader).size);
      return;  // the innermost alone
    }
  } else if (chosen != Launcher::kPmi) {
    must_equal("PMIX_RANK", NamesOf(chosen, reader).rank);
  }
}

// The first host of Slurm's list; loopback when there is no other.
std::string SlurmHost(Reader& reader) {
  const char* name = reader.FirstOf({"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"});
  const std::string list = reader.Text(name);
  if (list.empty()) return "";
  const Result<std::vector<std::string>> hosts = ExpandNodeList(list);
  if (!hosts.ok()) {
    reader.Complain(fmt::format("environment variable {}: {}", name, hosts.status().message()));
    return "";
  }
  return hosts->size() == 1 ? kLoopback : hosts->front();
}

// Loopback, unless the launcher says that there are ranks elsewhere: it does not say where rank 0 is.
std::string HostOfLocalRanks(Reader& reader, const char* local_size, int64_t world_size) {
  const int64_t local = reader.NumberOr(local_size, 1, world_size, world_size);
  if (local == world_size) return kLoopback;
  reader.Complain(
      fmt::format("{} of {} ranks are on this machine ({}), and MASTER_ADDR does not say where rank 0 is", local, world_size, local_size));
  return "";
}

std::string HostOf(Reader& reader, const LaunchEnvironment& environment) {
  if (reader.Has("MASTER_ADDR") || environment.launcher == Launcher::kTorchrun) return reader.Text("MASTER_ADDR");
  switch (environment.launcher) {
    case Launcher::kOpenMpi:
      return HostOfLocalRanks(reader, "OMPI_COMM_WORLD_LOCAL_SIZE", environment.world_size);
    case Launcher::kPmi:
      return HostOfLocalRanks(reader, reader.FirstOf({"MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"}), environment.world_size);
    case Launcher::kSlurm:
      return SlurmHost(reader);
    case Launcher::kTorchrun:
      break;
  }
  HELM_CHECK(false, "torchrun's host is MASTER_ADDR");
}

// The same on every rank of a job, and another for another job on the same machine.
int PortOf(Reader& reader, Launcher launcher) {
  if (reader.Has("MASTER_PORT") || launcher == Launcher::kTorchrun) return static_cast<int>(reader.Number("MASTER_PORT", 1, 65535));
  std::string job;
  if (launcher == Launcher::kSlurm && reader.Has("SLURM_JOB_ID")) {
    job = reader.TextOr("SLURM_JOB_ID", "") + "." + reader.TextOr("SLURM_STEP_ID", "");
  } else if (launcher == Launcher::kOpenMpi) {
    job = reader.TextOr(reader.FirstOf({"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"}), "");
  }
  return job.empty() ? kDefaultPort : kFirstPort + static_cast<int>(Hash64(job) % kPorts);
}

int64_t LocalRankOf(Reader& reader, const LaunchEnvironment& environment) {
  const int64_t most = environment.world_size - 1;
  switch (environment.launcher) {
    case Launcher::kTorchrun:
      return reader.NumberOr("LOCAL_RANK", 0, most, environment.rank);
    case Launcher::kOpenMpi:
      return reader.NumberOr("OMPI_COMM_WORLD_LOCAL_RANK", 0, most, environment.rank);
    case Launcher::kPmi:
      return reader.NumberOr(reader.FirstOf({"MPI_LOCALRANKID", "PMI_LOCAL_RANK"}), 0, most, environment.rank);
    case Launcher::kSlurm:
      return reader.Number("SLURM_LOCALID", 0, most);
  }
  HELM_CHECK(false, "a launcher without a local rank");
}

std::string FixFor(Launcher launcher, const Reader& reader) {
  const Names names = NamesOf(launcher, reader);
  const std::string alone = fmt::format("unset {} and {} to let helm-exec spawn the ranks itself", names.rank, names.size);
  switch (launcher) {
    case Launcher::kTorchrun:
      return "start with torchrun, which sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, or " + alone;
    case Launcher::kOpenMpi:
      return "start with mpirun; over several machines with -x MASTER_ADDR=HOST (where rank 0 is); or " + alone;
    case Launcher::kPmi:
      return "start with mpiexec; over several machines with MASTER_ADDR=HOST (where rank 0 is) in the environment; or " + alone;
    case Launcher::kSlurm:
      return "start with srun, which sets SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID and SLURM_STEP_NODELIST, or " + alone;
  }
  return alone;
}

}  // namespace

std::string_view Name(Launcher launcher) {
  switch (launcher) {
    case Launcher::kTorchrun:
      return "torchrun";
    case Launcher::kOpenMpi:
      return "Open MPI";
    case Launcher::kPmi:
      return "PMI";
    case Launcher::kSlurm:
      return "Slurm";
  }
  return "";
}

Result<std::optional<LaunchEnvironment>> ReadLaunchEnvironment(const Variables& variable) {
  Reader reader(variable);
  const std::optional<Launcher> launcher = Choose(reader);
  if (!launcher && reader.Has("PMIX_RANK") && !reader.Has("SLURM_PROCID")) {
    return InvalidError(
        "error: PMIX_RANK is set, but no variable says how many ranks there are\nfix: start with mpirun, srun or torchrun, set RANK, "
        "WORLD_SIZE, MASTER_ADDR and MASTER_PORT, or unset PMIX_RANK to let helm-exec spawn the ranks itself");
  }
  if (!launcher) return std::optional<LaunchEnvironment>();
  CheckAgreement(reader, *launcher);
  const Names names = NamesOf(*launcher, reader);
  LaunchEnvironment environment{.launcher = *launcher};
  environment.world_size = reader.Number(names.size, 1, kRanksMost);
  environment.rank = reader.Number(names.rank, 0, environment.world_size - 1);
  environment.local_rank = LocalRankOf(reader, environment);
  environment.host = HostOf(reader, environment);
  environment.port = PortOf(reader, *launcher);
  environment.launcher_serves_store = reader.TextOr("TORCHELASTIC_USE_AGENT_STORE", "") == "True" && *launcher == Launcher::kTorchrun;
  HELM_RETURN_IF_ERROR(reader.status(FixFor(*launcher, reader)));
  return std::optional<LaunchEnvironment>(environment);
}

}  // namespace helm::exec
