#include "exec/rank_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <vector>

#include <fmt/format.h>

#include "cluster/cluster_reader.h"
#include "core/json.h"
#include "core/text.h"
#include "exec/child_process.h"
#include "exec/progress.h"
#include "exec/run.h"
#include "exec/session.h"
#include "runtime/communicator.h"

namespace helm::exec {
namespace {

using nlohmann::ordered_json;

Result<RankRequest> RequestFromJson(const ordered_json& document) {
  constexpr std::string_view kContext = "request";
  RankRequest request;
  HELM_ASSIGN_OR_RETURN(const ordered_json* job, JsonObject(document, "job", kContext));
  HELM_ASSIGN_OR_RETURN(request.job, JobFromJson(*job));
  HELM_ASSIGN_OR_RETURN(request.world_size, JsonInt64(document, "world_size", kContext));
  HELM_ASSIGN_OR_RETURN(const std::string device, JsonString(document, "device", kContext));
  request.device = device == ir::Name(ir::DeviceKind::kCuda) ? ir::DeviceKind::kCuda : ir::DeviceKind::kCpu;
  HELM_ASSIGN_OR_RETURN(const int64_t port, JsonInt64(document, "port", kContext));
  HELM_ASSIGN_OR_RETURN(const int64_t timeout, JsonInt64(document, "timeout_ms", kContext));
  request.port = static_cast<int>(port);
  request.timeout = std::chrono::milliseconds(timeout);
  return request;
}

// What this process was told about itself (kRankVariable).
struct Identity {
  int64_t rank = 0;
  int64_t ranks = 0;
  pid_t parent = 0;
};

std::optional<Identity> IdentityFromEnvironment() {
  const char* text = std::getenv(kRankVariable);
  if (text == nullptr) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const std::string& part : Split(text, ',')) numbers.push_back(ParseInt64(part).value_or(-1));
  if (numbers.size() != 3 || numbers[0] < 0 || numbers[1] <= numbers[0] || numbers[2] <= 0) return std::nullopt;
  return Identity{numbers[0], numbers[1], static_cast<pid_t>(numbers[2])};
}

class RankProcess {
 public:
  RankProcess(const Identity& identity, ProgressBoard& board) : identity_(identity), progress_(board.of(identity.rank)) {}

  void Serve() {
    progress_.Enter(RankStage::kIdle);
    while (const std::optional<std::string> path = NextRequest()) {
      const Status status = RunGuarded(*path);
      if (status.ok()) progress_.Enter(RankStage::kIdle);  // after a failure the parent wants to know where it was
      Reply({{"code", static_cast<int>(status.code())}, {"message", status.message()}});
    }
  }

 private:
  // None: the parent wants no more.
  std::optional<std::string> NextRequest() {
    while (true) {
      const size_t end = received_.find('\n');
      if (end != std::string::npos) {
        const std::string line = received_.substr(0, end);
        received_.erase(0, end + 1);
        return line;
      }
      char buffer[4096];
      const ssize_t count = recv(kTalkDescriptor, buffer, sizeof buffer, 0);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return std::nullopt;
      received_.append(buffer, static_cast<size_t>(count));
    }
  }

  void Reply(const ordered_json& message) {
    const std::string line = message.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
    // The parent being gone is no news: this process is about to be killed.
    (void)send(kTalkDescriptor, line.data(), line.size(), MSG_NOSIGNAL);
  }

  Status RunGuarded(const std::string& path) {
    try {
      return RunRequest(path);
    } catch (const std::exception& error) {
      return InternalError(fmt::format("error: rank {}: {}", identity_.rank, error.what()));
    }
  }

  Status RunRequest(const std::string& path) {
    progress_.Enter(RankStage::kJoining);
    HELM_ASSIGN_OR_RETURN(const ordered_json document, ReadJsonFile(path));
    HELM_ASSIGN_OR_RETURN(const RankRequest request, RequestFromJson(document));
    std::unique_ptr<runtime::World> world;
    if (request.world_size > 1) {
      runtime::Rendezvous rendezvous;
      rendezvous.port = request.port;
      rendezvous.rank = identity_.rank;
      rendezvous.world_size = request.world_size;
      rendezvous.external_store = true;
      rendezvous.timeout = request.timeout;
      HELM_ASSIGN_OR_RETURN(const cluster::Cluster cluster, cluster::ClusterFromJson(request.job.plan.cluster));
      rendezvous.network = cluster.emulated_network;
      HELM_ASSIGN_OR_RETURN(world, runtime::World::Join(rendezvous, request.device));
    }
    SessionContext context{.world = world.get(), .progress = &progress_, .timeout = request.timeout};
    if (identity_.rank == 0) {
      context.on_step = [this](int64_t step, double loss) { Reply({{"step", step}, {"loss", loss}}); };
    }
    HELM_ASSIGN_OR_RETURN(const std::optional<JobRecord> record, RunSession(request.job, context));
    return record ? WriteJsonFile(RecordPath(request.job), ToJson(*record)) : OkStatus();
  }

  Identity identity_;
  RankProgress& progress_;
  std::string received_;
};

}  // namespace

ordered_json ToJson(const RankRequest& request) {
  return {{"job", ToJson(request.job)},
          {"world_size", request.world_size},
          {"device", ir::Name(request.device)},
          {"port", request.port},
          {"timeout_ms", request.timeout.count()}};
}

Result<RankReply> ParseReply(const std::string& line) {
  constexpr std::string_view kContext = "answer of a rank";
  HELM_ASSIGN_OR_RETURN(const ordered_json document, ParseJson(line, std::string(kContext)));
  RankReply reply;
  if (document.contains("code")) {
    HELM_ASSIGN_OR_RETURN(const int64_t code, JsonInt64(document, "code", kContext));
    HELM_ASSIGN_OR_RETURN(const std::string message, JsonString(document, "message", kContext));
    reply.end = code == 0 ? OkStatus() : Status(static_cast<StatusCode>(code), message.empty() ? "no reason given" : message);
    return reply;
  }
  HELM_ASSIGN_OR_RETURN(reply.step, JsonInt64(document, "step", kContext));
  HELM_ASSIGN_OR_RETURN(reply.loss, JsonDouble(document, "loss", kContext));
  return reply;
}

std::string RecordPath(const Job& job) { return fmt::format("{}/{}.record.json", job.folder, job.tag); }

bool IsSpawnedRank() { return IdentityFromEnvironment().has_value(); }

int RunSpawnedRank() {
  const std::optional<Identity> identity = IdentityFromEnvironment();
  if (!identity) return static_cast<int>(StatusCode::kInternal);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != identity->parent) return static_cast<int>(StatusCode::kRankFailed);  // it died before this process asked
  const Result<std::unique_ptr<ProgressBoard>> board = ProgressBoard::Open(kBoardDescriptor, identity->ranks);
  if (!board.ok()) return static_cast<int>(board.status().code());
  RankProcess(*identity, **board).Serve();
  return 0;
}

}  // namespace helm::exec
