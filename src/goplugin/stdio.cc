#include "goplugin/stdio.h"

#include <utility>

#include "goplugin/stdio.grpc.pb.h"

namespace goplugin {

// One stream, from waiting for it to its end. Owns itself.
class StdioService::Stream final : public QueueEvent {
 public:
  using Service = plugin::GRPCStdio::AsyncService;

  Stream(StdioService& stdio, Service& service, Calls& calls)
      : stdio_(stdio), service_(service), calls_(calls) {
    service.RequestStreamStdio(&context_, &request_, &writer_, calls.queue(), calls.queue(), this);
  }

  void Done(bool ok) override {
    bool gone = false;
    {
      absl::MutexLock lock(&stdio_.mutex_);
      switch (state_) {
        case State::kWaiting:
          gone = !ok;
          if (ok) Begin();
          break;
        case State::kBeginning:
          state_ = State::kOpen;
          if (ended_) Finish();
          break;
        case State::kOpen:  // nothing is on its way then
        case State::kFinishing:
          gone = true;
      }
    }
    if (gone) delete this;
  }

  // Ends it as soon as it may be.
  void End() {
    ended_ = true;
    if (state_ == State::kOpen) Finish();
  }

 private:
  enum class State { kWaiting, kBeginning, kOpen, kFinishing };

  void Begin() {
    new Stream(stdio_, service_, calls_);
    Stream* const before = std::exchange(stdio_.open_, this);
    if (before != nullptr) before->End();
    ended_ = stdio_.stopped_;
    state_ = State::kBeginning;
    writer_.SendInitialMetadata(this);
  }

  void Finish() {
    if (stdio_.open_ == this) stdio_.open_ = nullptr;
    state_ = State::kFinishing;
    writer_.Finish(grpc::Status::OK, this);
  }

  StdioService& stdio_;
  Service& service_;
  Calls& calls_;
  const Calls::Open open_{calls_};  // destroyed last
  grpc::ServerContext context_;
  plugin::Empty request_;
  grpc::ServerAsyncWriter<plugin::StdioData> writer_{&context_};
  State state_ = State::kWaiting;
  bool ended_ = false;
};

void StdioService::Register(Calls& calls) {
  Stream::Service& service = calls.Add<Stream::Service>();
  calls.OnStart([this, &service, &calls] { new Stream(*this, service, calls); });
}

void StdioService::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  if (open_ != nullptr) open_->End();
}

}  // namespace goplugin
