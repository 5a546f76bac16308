#ifndef GOPLUGIN_FLOW_CONTROL_H_
#define GOPLUGIN_FLOW_CONTROL_H_

#include <grpc/grpc.h>

#include <utility>

namespace goplugin {

// Channel arguments of both directions. Within a machine there is no bandwidth to find out: gRPC
// would do so with a PING for each message that it reads, which the host answers. What a stream may
// have on its way is fixed instead, at 1 MiB.
inline constexpr std::pair<const char*, int> kFlowControl[] = {
    {GRPC_ARG_HTTP2_BDP_PROBE, 0}, {GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1 << 20}};

}  // namespace goplugin

#endif  // GOPLUGIN_FLOW_CONTROL_H_
