#include "runtime/communicator.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/check.h"
#include "runtime/connecting_world.h"
#include "runtime/device.h"
#include "runtime/process_group.h"
#include "runtime/rendezvous.h"

namespace helm::runtime {
namespace {

class TcpStoreServer final : public StoreServer {
 public:
  explicit TcpStoreServer(c10::intrusive_ptr<c10d::TCPStore> store) : store_(std::move(store)) {}
  int port() const override { return store_->getPort(); }

 private:
  c10::intrusive_ptr<c10d::TCPStore> store_;
};

class StoreWorld final : public ConnectingWorld {
 public:
  StoreWorld(const Rendezvous& rendezvous, c10::intrusive_ptr<c10d::Store> store) : rendezvous_(rendezvous), store_(std::move(store)) {}
  ~StoreWorld() override {
    if (!lost_) TakeLeave(*store_, rendezvous_);
  }
  StoreWorld(const StoreWorld&) = delete;
  StoreWorld& operator=(const StoreWorld&) = delete;

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
      lost_ = true;
      return RankFailedError("error: rank " + std::to_string(rank()) + ": lost the store at " + rendezvous_.host + ":" +
                             std::to_string(rendezvous_.port) + ": " + error.what());
    }
  }

  Result<double> AllReduceMaximum(double value) override {
    HELM_ASSIGN_OR_RETURN(const std::vector<std::string> all, AllGatherText(EncodeExactly(value)));
    return LargestOf(all);
  }

  Result<std::unique_ptr<ProcessGroup>> Connect(const Device& device, const std::string& name,
                                                const std::vector<int64_t>& members) override {
    // A name comes again with the next interpreter, which begins with a round of its own, and within a round when measurements follow each
    // other. Not a count of all groups: of a pipeline's stages each connects only those that it uses.
    const int64_t again = connected_[{round_, name}]++;
    const std::string prefix = "group/" + std::to_string(round_) + "/" + std::to_string(again) + "/" + name;
    const auto own = std::find(members.begin(), members.end(), rank());
    if (own == members.end()) return std::unique_ptr<ProcessGroup>();
    GroupAddress address;
    address.store = c10::make_intrusive<c10d::PrefixStore>(prefix + "/" + std::to_string(members.front()), store_);
    address.rank = own - members.begin();
    address.size = static_cast<int64_t>(members.size());
    address.loopback = IsLoopback(rendezvous_.host);
    address.timeout = rendezvous_.timeout;
    address.network = rendezvous_.network;
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
      lost_ = true;
      return RankFailedError("error: rank " + std::to_string(rank()) + " waited " + std::to_string(rendezvous_.timeout.count() / 1000) +
                             " s at a barrier for rank " + missing);
    }
  }

  Rendezvous rendezvous_;
  c10::intrusive_ptr<c10d::Store> store_;
  int64_t round_ = 0;
  std::map<std::pair<int64_t, std::string>, int64_t> connected_;  // groups of this name since that round
  bool lost_ = false;                                             // a rank or the store: nobody waits for the others at the end
};

}  // namespace

std::string EncodeExactly(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", value);  // hexadecimal
  return text;
}

double LargestOf(const std::vector<std::string>& texts) {
  double largest = -HUGE_VAL;
  for (const std::string& text : texts) largest = std::max(largest, std::strtod(text.c_str(), nullptr));
  return largest;
}

Result<std::unique_ptr<StoreServer>> StoreServer::Start() {
  HELM_ASSIGN_OR_RETURN(auto store, ServeOnLoopback(0));
  return std::unique_ptr<StoreServer>(std::make_unique<TcpStoreServer>(std::move(store)));
}

Result<std::unique_ptr<World>> World::Join(const Rendezvous& rendezvous, ir::DeviceKind) {
  if (rendezvous.network && !IsLoopback(rendezvous.host)) {
    return InvalidError("error: the cluster's 'emulated_network' is for ranks of one machine, and these meet at " + rendezvous.host +
                        "\nfix: start all ranks on one machine, or remove 'emulated_network'");
  }
  HELM_ASSIGN_OR_RETURN(auto store, ConnectStore(rendezvous));
  HELM_RETURN_IF_ERROR(CallRoll(*store, rendezvous));
  return std::unique_ptr<World>(std::make_unique<StoreWorld>(rendezvous, std::move(store)));
}

Result<std::unique_ptr<ProcessGroup>> MakeProcessGroup(World& world, const Device& device, const std::string& name,
                                                       const std::vector<int64_t>& members) {
  auto* connecting = dynamic_cast<ConnectingWorld*>(&world);
  HELM_CHECK(connecting != nullptr, "every World is made by World::Join or InProcessRanks");
  return connecting->Connect(device, name, members);
}

}  // namespace helm::runtime
