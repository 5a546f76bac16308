#ifndef GOPLUGIN_STDIO_H_
#define GOPLUGIN_STDIO_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "goplugin/stdio.grpc.pb.h"

namespace goplugin {

// The stream by which the host would read what we print. We print nothing but log lines, which go
// to stderr, so the stream only stays open, as its absence makes the host complain (go-plugin
// grpc_stdio.go). Thread-safe.
class StdioService final : public plugin::GRPCStdio::Service {
 public:
  // Ends when Stop() is called or another call takes this one's place, so that no more than one
  // thread waits here.
  grpc::Status StreamStdio(grpc::ServerContext* context, const plugin::Empty* request,
                           grpc::ServerWriter<plugin::StdioData>* stream) override;

  // Ends the stream, now and later.
  void Stop();

 private:
  absl::Mutex mutex_;
  std::uint64_t newest_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace goplugin

#endif  // GOPLUGIN_STDIO_H_
