#include "unit/goplugin/test_service.h"

#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/support/method_handler.h>

#include <functional>
#include <utility>

#include "goplugin/broker.pb.h"
#include "unit/goplugin/host.h"

namespace goplugin {
namespace {

// Every method takes a ConnInfo and gives one: a number and bytes.
using Message = plugin::ConnInfo;
using Base = google::protobuf::MessageLite;
using Handler = grpc::internal::RpcMethodHandler<TestService, Message, Message, Base, Base>;

constexpr char kEcho[] = "/test.Test/Echo";
constexpr char kRelay[] = "/test.Test/Relay";
constexpr char kHang[] = "/test.Test/Hang";

grpc::Status Call(const char* method, const std::shared_ptr<grpc::Channel>& channel,
                  std::uint32_t number, const std::string& bytes, std::string* answer) {
  grpc::ClientContext context;
  context.set_deadline(Soon());
  Message request;
  request.set_service_id(number);
  request.set_address(bytes);
  Message response;
  const grpc::internal::RpcMethod rpc(method, grpc::internal::RpcMethod::NORMAL_RPC);
  grpc::Status status = grpc::internal::BlockingUnaryCall<Message, Message, Base, Base>(
      channel.get(), rpc, &context, request, &response);
  if (answer != nullptr) *answer = response.address();
  return status;
}

grpc::internal::RpcServiceMethod* Method(
    const char* name, TestService* service,
    std::function<grpc::Status(TestService*, grpc::ServerContext*, const Message*, Message*)>
        handle) {
  return new grpc::internal::RpcServiceMethod(name, grpc::internal::RpcMethod::NORMAL_RPC,
                                              new Handler(std::move(handle), service));
}

}  // namespace

TestService::TestService(Broker* broker, base::Logger* logger) : broker_(broker), logger_(logger) {
  using Context = grpc::ServerContext;
  AddMethod(Method(kEcho, this, [](TestService*, Context*, const Message* in, Message* out) {
    *out = *in;
    return grpc::Status::OK;
  }));
  AddMethod(Method(kRelay, this, [](TestService* self, Context*, const Message* in, Message* out) {
    const auto connect = self->broker_->Locate(in->service_id(), kMaxDialWait);
    if (!connect.ok()) {
      return grpc::Status(static_cast<grpc::StatusCode>(connect.status().raw_code()),
                          std::string(connect.status().message()));
    }
    std::string echoed;
    grpc::Status status = CallEcho((*connect)(), in->address(), &echoed);
    out->set_address(echoed);
    return status;
  }));
  AddMethod(Method(kHang, this, [](TestService* self, Context*, const Message*, Message*) {
    self->hanging.Notify();
    if (self->logger_ != nullptr) self->logger_->Info("hanging");
    self->release_hanging.WaitForNotification();
    return grpc::Status::OK;
  }));
}

grpc::Status CallEcho(const std::shared_ptr<grpc::Channel>& channel, const std::string& bytes,
                      std::string* echoed) {
  return Call(kEcho, channel, 0, bytes, echoed);
}

grpc::Status CallRelay(const std::shared_ptr<grpc::Channel>& channel, std::uint32_t service_id,
                       const std::string& bytes, std::string* echoed) {
  return Call(kRelay, channel, service_id, bytes, echoed);
}

grpc::Status CallHang(const std::shared_ptr<grpc::Channel>& channel) {
  return Call(kHang, channel, 0, "", nullptr);
}

}  // namespace goplugin
