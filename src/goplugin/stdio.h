#ifndef GOPLUGIN_STDIO_H_
#define GOPLUGIN_STDIO_H_

#include "absl/synchronization/mutex.h"
#include "goplugin/calls.h"

namespace goplugin {

// The stream by which the host would read what we print. We print nothing but log lines, which go
// to stderr, so the stream only stays open, as its absence makes the host complain (go-plugin
// grpc_stdio.go). Thread-safe.
class StdioService {
 public:
  // It must outlive the server. A stream ends when Stop() is called or another one takes its place.
  void Register(Calls& calls);

  // Ends the stream, now and later.
  void Stop();

 private:
  class Stream;

  absl::Mutex mutex_;
  Stream* open_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace goplugin

#endif  // GOPLUGIN_STDIO_H_
