#include "sdk/transport/host_connection.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "base/turn.h"

namespace openbao {

HostConnection::Stubs::Stubs(const std::shared_ptr<grpc::Channel>& channel)
    : storage(pb::Storage::NewStub(channel)), system(pb::SystemView::NewStub(channel)) {}

std::shared_ptr<grpc::Channel> ConnectionPool::Open(const goplugin::Connect& connect) {
  {
    const auto my_turn = [this]()
                             ABSL_SHARED_LOCKS_REQUIRED(turns_) { return opening_ < kMostOpening; };
    absl::MutexLock lock(&turns_);
    turns_.AwaitWithTimeout(absl::Condition(&my_turn), turn_time_);
    ++opening_;
  }
  const absl::Cleanup done = [this] {
    absl::MutexLock lock(&turns_);
    --opening_;
  };
  std::shared_ptr<grpc::Channel> channel = connect();
  const auto deadline = absl::ToChronoTime(absl::Now() + opening_time_);
  for (grpc_connectivity_state state = channel->GetState(/*try_to_connect=*/true);
       state == GRPC_CHANNEL_IDLE || state == GRPC_CHANNEL_CONNECTING;
       state = channel->GetState(false)) {
    if (!channel->WaitForStateChange(state, deadline)) break;
  }
  return channel;
}

HostConnection::HostConnection(goplugin::Connect connect, ConnectionPool& pool)
    : connect_(std::move(connect)), pool_(pool) {}

HostConnection::~HostConnection() {
  absl::MutexLock lock(&pool_.mutex_);
  if (stubs_ != nullptr) pool_.open_.erase(place_);
}

std::shared_ptr<HostConnection::Stubs> HostConnection::UseOpen() {
  absl::MutexLock lock(&pool_.mutex_);
  if (stubs_ != nullptr) pool_.open_.splice(pool_.open_.begin(), pool_.open_, place_);
  return stubs_;
}

std::shared_ptr<HostConnection::Stubs> HostConnection::Use() {
  if (std::shared_ptr<Stubs> open = UseOpen()) return open;
  base::PassTurnOn();
  absl::MutexLock opening(&opening_);
  // Unless another thread has done it meanwhile.
  if (std::shared_ptr<Stubs> open = UseOpen()) return open;
  auto opened = std::make_shared<Stubs>(pool_.Open(connect_));
  // Declared before the lock, so closed after it.
  std::shared_ptr<Stubs> given_up;
  absl::MutexLock lock(&pool_.mutex_);
  stubs_ = opened;
  place_ = pool_.open_.insert(pool_.open_.begin(), this);
  if (pool_.open_.size() > pool_.most_) {
    given_up = std::move(pool_.open_.back()->stubs_);
    pool_.open_.pop_back();
  }
  return opened;
}

}  // namespace openbao
