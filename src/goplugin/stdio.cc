#include "goplugin/stdio.h"

namespace goplugin {

grpc::Status StdioService::StreamStdio(grpc::ServerContext* /*context*/,
                                       const plugin::Empty* /*request*/,
                                       grpc::ServerWriter<plugin::StdioData>* stream) {
  // Numbered before the host learns that the call has begun, so that its next one counts as later.
  std::uint64_t mine = 0;
  {
    absl::MutexLock lock(&mutex_);
    mine = ++newest_;
  }
  stream->SendInitialMetadata();
  absl::MutexLock lock(&mutex_);
  const auto over = [&]()
                        ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || newest_ != mine; };
  mutex_.Await(absl::Condition(&over));
  return grpc::Status::OK;
}

void StdioService::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

}  // namespace goplugin
