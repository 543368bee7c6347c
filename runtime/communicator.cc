#include "runtime/communicator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/check.h"
#include "runtime/device.h"
#include "runtime/process_group.h"

namespace helm::runtime {
namespace {

constexpr const char* kLoopback = "127.0.0.1";

bool IsLoopback(const std::string& host) { return host == kLoopback || host == "localhost" || host == "::1"; }

class TcpStoreServer final : public StoreServer {
 public:
  explicit TcpStoreServer(c10::intrusive_ptr<c10d::TCPStore> store) : store_(std::move(store)) {}
  int port() const override { return store_->getPort(); }

 private:
  c10::intrusive_ptr<c10d::TCPStore> store_;
};

class StoreWorld final : public World {
 public:
  StoreWorld(const Rendezvous& rendezvous, c10::intrusive_ptr<c10d::Store> store) : rendezvous_(rendezvous), store_(std::move(store)) {}

  int64_t rank() const override { return rendezvous_.rank; }
  int64_t size() const override { return rendezvous_.world_size; }
  const Rendezvous& rendezvous() const { return rendezvous_; }

  Status Barrier() override { return AllGatherText("").status(); }

  Result<std::vector<std::string>> AllGatherText(const std::string& text) override {
    const int64_t round = round_++;
    try {
      store_->set(Key(round, rank()), text);
      HELM_RETURN_IF_ERROR(WaitForAll(round));
      std::vector<std::string> texts;
      for (const std::vector<uint8_t>& value : store_->multiGet(Keys(round))) texts.emplace_back(value.begin(), value.end());
      // Everybody has passed the previous round, so nobody reads the one before it any more.
      if (round >= 2) store_->deleteKey(Key(round - 2, rank()));
      return texts;
    } catch (const std::exception& error) {
      return RankFailedError("error: rank " + std::to_string(rank()) + ": lost the store at " + rendezvous_.host + ":" +
                             std::to_string(rendezvous_.port) + ": " + error.what());
    }
  }

  Result<double> AllReduceMaximum(double value) override {
    char text[40];
    std::snprintf(text, sizeof text, "%a", value);  // hexadecimal: exact
    HELM_ASSIGN_OR_RETURN(const std::vector<std::string> all, AllGatherText(text));
    double maximum = value;
    for (const std::string& other : all) maximum = std::max(maximum, std::strtod(other.c_str(), nullptr));
    return maximum;
  }

  Result<std::unique_ptr<ProcessGroup>> Connect(const Device& device, const std::string& name, const std::vector<int64_t>& members) {
    const std::string prefix = "group/" + std::to_string(groups_++) + "/" + name;  // a name comes again with the next interpreter
    const auto own = std::find(members.begin(), members.end(), rank());
    if (own == members.end()) return std::unique_ptr<ProcessGroup>();
    GroupAddress address;
    address.store = c10::make_intrusive<c10d::PrefixStore>(prefix + "/" + std::to_string(members.front()), store_);
    address.rank = own - members.begin();
    address.size = static_cast<int64_t>(members.size());
    address.loopback = IsLoopback(rendezvous_.host);
    address.timeout = rendezvous_.timeout;
    return device.Connect(address);
  }

 private:
  static std::string Key(int64_t round, int64_t rank) { return "round/" + std::to_string(round) + "/" + std::to_string(rank); }

  std::vector<std::string> Keys(int64_t round) const {
    std::vector<std::string> keys;
    for (int64_t rank = 0; rank < size(); ++rank) keys.push_back(Key(round, rank));
    return keys;
  }

  Status WaitForAll(int64_t round) {
    try {
      store_->wait(Keys(round), rendezvous_.timeout);
      return OkStatus();
    } catch (const std::exception& error) {
      std::string missing;
      for (int64_t other = 0; other < size(); ++other) {
        if (!store_->check({Key(round, other)})) missing += (missing.empty() ? "" : ", ") + std::to_string(other);
      }
      if (missing.empty()) throw;
      return RankFailedError("error: rank " + std::to_string(rank()) + " waited " + std::to_string(rendezvous_.timeout.count() / 1000) +
                             " s at a barrier for rank " + missing);
    }
  }

  Rendezvous rendezvous_;
  c10::intrusive_ptr<c10d::Store> store_;
  int64_t round_ = 0;
  int64_t groups_ = 0;
};

}  // namespace

Result<std::unique_ptr<StoreServer>> StoreServer::Start() {
  try {
    c10d::TCPStoreOptions options;
    options.port = 0;
    options.isServer = true;
    options.waitWorkers = false;
    return std::unique_ptr<StoreServer>(std::make_unique<TcpStoreServer>(c10::make_intrusive<c10d::TCPStore>(kLoopback, options)));
  } catch (const std::exception& error) {
    return UnavailableError(std::string("error: cannot serve a store on the loopback interface: ") + error.what());
  }
}

Result<std::unique_ptr<World>> World::Join(const Rendezvous& rendezvous, ir::DeviceKind) {
  try {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(rendezvous.port);
    options.isServer = !rendezvous.external_store && rendezvous.rank == 0;
    options.waitWorkers = false;
    options.timeout = rendezvous.timeout;
    auto server = c10::make_intrusive<c10d::TCPStore>(rendezvous.host, options);
    auto store = c10::make_intrusive<c10d::PrefixStore>("helm", std::move(server));
    return std::unique_ptr<World>(std::make_unique<StoreWorld>(rendezvous, std::move(store)));
  } catch (const std::exception& error) {
    return RankFailedError("error: rank " + std::to_string(rendezvous.rank) + " cannot reach the store at " + rendezvous.host + ":" +
                           std::to_string(rendezvous.port) + ": " + error.what());
  }
}

Result<std::unique_ptr<ProcessGroup>> MakeProcessGroup(World& world, const Device& device, const std::string& name,
                                                       const std::vector<int64_t>& members) {
  auto* store_world = dynamic_cast<StoreWorld*>(&world);
  HELM_CHECK(store_world != nullptr, "every World is made by World::Join");
  return store_world->Connect(device, name, members);
}

}  // namespace helm::runtime
